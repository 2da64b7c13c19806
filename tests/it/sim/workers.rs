//! Workers: what passes do is decided when they begin; when that is heard is not.

use std::collections::VecDeque;

use steprill::{
    engine::{record::LargeDone, scheduler::StartPass},
    limits::SNAPSHOT_BYTES_MIN,
    pass::{Done, Emitted, Note, PassEnd, StateUse, Stop},
};

use super::world::World;
use crate::simulation::body::perform;

/// A pass that is with a worker.
pub(crate) struct Out {
    notes: VecDeque<Note>,
    done: Done,
    stopped: bool,
}

impl World {
    /// Workers stream, remember and end.
    pub(crate) fn take_reports(&mut self) {
        let count = if self.is_closing { self.out.len() } else { self.random.below(self.out.len() + 1) };
        for _ in 0..count {
            let tags: Vec<u64> = self.out.keys().copied().collect();
            let Some(&tag) = tags.get(self.random.below(tags.len().max(1))) else { return };
            let Some(out) = self.out.get_mut(&tag) else { return };
            if !out.notes.is_empty() && !out.stopped {
                let some = 1 + self.random.below(out.notes.len());
                let notes = out.notes.drain(..some).collect();
                self.core.scheduler_mut().handle_notes(tag, notes, self.now);
                continue;
            }
            if out.stopped && !self.is_closing && !self.random.one_in(8) {
                continue;
            }
            let Some(out) = self.out.remove(&tag) else { return };
            self.trace(|| format!("done {tag}: {:?}", out.done));
            match out.done {
                Done { end: PassEnd::Returned(returned), sent, state } if self.random.one_in(4) => {
                    let done = LargeDone::new(Emitted { sent, returned }, state);
                    self.core.scheduler_mut().handle_large_done(tag, done, self.now);
                }
                done => self.core.scheduler_mut().handle_done(tag, done, self.now),
            }
        }
    }

    /// Passes go to workers, and some are told to stop.
    pub(crate) fn hand_out(&mut self) {
        while let Some((tag, stop)) = self.core.scheduler_mut().poll_stop() {
            let Some(out) = self.out.get_mut(&tag).filter(|_| !self.random.one_in(3)) else {
                self.out.remove(&tag);
                self.core.scheduler_mut().handle_not_begun(tag);
                continue;
            };
            out.stopped = true;
            if stop == Stop::Cancelled && self.random.one_in(2) {
                let end = PassEnd::Failed { error: "cancelled".into(), retry: false };
                out.done = Done { end, sent: Vec::new(), state: StateUse::default() };
            }
        }
        let room = if self.is_closing { usize::MAX } else { self.random.below(self.settings.limits.workers * 2 + 1) };
        while self.out.len() < room {
            let Some(start) = self.core.scheduler_mut().poll_pass(self.now) else { return };
            self.begin(start);
        }
    }

    /// A body runs. All that it will do is decided now; when that is heard is not.
    fn begin(&mut self, start: StartPass) {
        let StartPass { tag, workflow, step, input, .. } = start;
        self.trace(|| format!("pass {tag} of {:?}, {} {step:?}", input.handler_id, input.work));
        let run = self.history.runs.iter().find(|(_, run)| run.run_id == input.run_id);
        let (&key, _) = run.expect("a pass starts only after its run is committed");
        let pass = self.check_start(key, workflow, step, &input);
        let graph = &self.store.session.graphs[usize::from(workflow.0)];
        let flow = self.flows.iter().find(|flow| flow.name == *graph.name).expect("it is served");
        let mut performance = perform(graph, flow.kind, step, &input);
        if let PassEnd::Failed { error, .. } = &mut performance.done.end
            && self.random.one_in(4)
        {
            // Journals grow until they are replaced by snapshots.
            error.push_str(&"!".repeat(SNAPSHOT_BYTES_MIN / 2));
        }
        let (notes, done) = (performance.notes.iter().cloned().collect(), performance.done.clone());
        self.out.insert(tag, Out { notes, done, stopped: false });
        self.history.run_mut(key).note_handed(pass, step, input, performance);
    }

    pub(crate) fn is_working(&self) -> bool {
        !self.out.is_empty()
    }
}
