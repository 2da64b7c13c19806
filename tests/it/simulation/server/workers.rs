//! Workers: what a pass does is decided when it begins; when it is reported is decided later.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::{
        record::LargeDone,
        scheduler::{Capacity, Lane, StartPass, StepLanes},
    },
    executors::{self, Executor, ExecutorReport},
    graph::Graph,
    limits::SNAPSHOT_BYTES_MIN,
    pass::{
        self, Done, Emitted, Note, Order, PassEnd, Stop,
        wire::{self, Start, Wire, WireError},
    },
};

use super::world::World;
use crate::simulation::{random::Random, run::body::perform};

/// An executor whose passes end at random, and which dies at random. All its input and reports are encoded and decoded.
pub(crate) struct Workers {
    random: Random,
    capacity: Capacity,
    /// Passes that have arrived and not begun.
    started: Vec<StartPass>,
    out: BTreeMap<u64, Out>,
    reports: VecDeque<(u64, Vec<u8>)>,
    /// By workflow.
    wires: Vec<Arc<Wire>>,
    /// The wires of passes that have not ended.
    here: BTreeMap<u64, Arc<Wire>>,
}

/// A pass that a worker has.
struct Out {
    notes: VecDeque<Note>,
    done: Done,
    stopped: bool,
}

impl Workers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            capacity: Capacity::UNBOUNDED,
            started: Vec::new(),
            out: BTreeMap::new(),
            reports: VecDeque::new(),
            wires: Vec::new(),
            here: BTreeMap::new(),
        }
    }

    /// The process has died, and its passes with it.
    pub(crate) fn clear(&mut self) {
        self.started.clear();
        self.out.clear();
        self.reports.clear();
        self.wires.clear();
        self.here.clear();
    }

    /// Everything that runs passes dies at once.
    fn die(&mut self) {
        for tag in std::mem::take(&mut self.out).into_keys() {
            self.say(tag, &pass::Report::Lost);
        }
    }

    fn say(&mut self, tag: u64, report: &pass::Report) {
        let bytes = self.here[&tag].encode_report(tag, report).expect("it is short");
        self.reports.push_back((tag, bytes));
    }

    fn stop(&mut self, tag: u64, stop: Stop) {
        let Some(out) = self.out.get_mut(&tag) else { return };
        if self.random.one_in(3) {
            self.out.remove(&tag);
            self.say(tag, &pass::Report::NotBegun);
            return;
        }
        out.stopped = true;
        if stop == Stop::Cancelled && self.random.one_in(2) {
            let end = PassEnd::Failed { error: "cancelled".into(), retry: false };
            out.done = Done::of(end);
        }
    }
}

impl Executor for Workers {
    fn capacity(&self) -> Capacity {
        let here = self.out.len() + self.started.len();
        let Capacity { at_once, queued } = self.capacity;
        Capacity { at_once: at_once.saturating_sub(here), queued: queued.saturating_sub(here) }
    }

    fn start(&mut self, pass: StartPass) {
        let StartPass { tag, workflow, step, input, grant_bytes } = pass;
        let wire = Arc::clone(&self.wires[usize::from(workflow.0)]);
        let start = Start { tag, step, grant_bytes, input };
        let bytes = wire.encode_start(&start).expect("it is short");
        assert_eq!(wire::fingerprint(&bytes), Ok(wire.fingerprint()));
        let mut others = self.wires.iter().filter(|other| other.fingerprint() != wire.fingerprint());
        let refused = WireError::OtherGraph(wire.fingerprint());
        assert!(others.all(|other| other.decode_start(&bytes) == Err(refused.clone())), "another graph refuses it");
        let read = wire.decode_start(&bytes).expect("it is read back");
        assert_eq!(read, start);
        let Start { tag, step, grant_bytes, input } = read;
        self.here.insert(tag, wire);
        self.started.push(StartPass { tag, workflow, step, input, grant_bytes });
    }

    fn order(&mut self, tag: u64, order: Order) {
        let Some(wire) = self.here.get(&tag) else { return };
        let bytes = wire.encode_order(tag, order).expect("it is short");
        let (tag, order) = wire.decode_order(&bytes).expect("it is read back");
        match order {
            Order::Stop(stop) => self.stop(tag, stop),
            Order::Abandon => assert!(self.out.get(&tag).is_none_or(|out| out.stopped), "it was told to stop"),
            Order::Feed(_) => panic!("with a store a feed takes all"),
        }
    }

    fn wake(&mut self, _: u64) {}

    fn poll_report(&mut self, _: bool) -> Option<ExecutorReport> {
        let (tag, bytes) = self.reports.pop_front()?;
        let (tag, report) = self.here[&tag].decode_report(&bytes).expect("it is read back");
        if matches!(report, pass::Report::Done(_) | pass::Report::NotBegun | pass::Report::Lost) {
            self.here.remove(&tag);
        }
        Some(ExecutorReport::Of(tag, report))
    }

    fn overload(&self) -> Option<String> {
        None
    }

    fn handle_time(&mut self, _: u64) {}

    fn poll_timeout(&self, _: u64) -> Option<Duration> {
        (!self.reports.is_empty()).then_some(Duration::ZERO)
    }
}

/// For every other step the second executor runs the passes: all of them, or those after a wait.
pub(crate) fn lanes(graphs: &[Arc<Graph>]) -> Vec<Vec<StepLanes>> {
    let of = |(index, _): (usize, _)| {
        let (first, later) = (Lane(u8::from(index % 4 == 1)), Lane(u8::from(index % 2 == 1)));
        StepLanes { first, later, failure: Lane(0), retries_time_outs: true, ends_after_us: 0 }
    };
    graphs.iter().map(|graph| graph.steps.iter().enumerate().map(of).collect()).collect()
}

impl World {
    /// Workers stream, remember values and end.
    pub(crate) fn take_reports(&mut self) {
        if !self.is_closing && self.workers.random.one_in(40) {
            self.workers.die();
        }
        self.deliver();
        let out = self.workers.out.len();
        let count = if self.is_closing { out } else { self.random.below(out + 1) };
        for _ in 0..count {
            let tags: Vec<u64> = self.workers.out.keys().copied().collect();
            let Some(&tag) = tags.get(self.random.below(tags.len().max(1))) else { return };
            let Some(out) = self.workers.out.get_mut(&tag) else { return };
            if !out.notes.is_empty() && !out.stopped {
                let some = 1 + self.random.below(out.notes.len());
                let notes = out.notes.drain(..some).collect();
                self.workers.say(tag, &pass::Report::Noted(notes));
                self.deliver();
                continue;
            }
            if out.stopped && !self.is_closing && !self.random.one_in(8) {
                continue;
            }
            let Some(out) = self.workers.out.remove(&tag) else { return };
            self.trace(|| format!("done {tag}: {:?}", out.done));
            match out.done {
                Done { end: PassEnd::Returned(returned), sent, state } if self.random.one_in(4) => {
                    self.workers.here.remove(&tag);
                    let done = LargeDone::new(Emitted { sent, returned }, state);
                    ExecutorReport::LargeDone(tag, Box::new(done)).deliver(self.core.scheduler_mut(), self.now);
                }
                done => self.workers.say(tag, &pass::Report::Done(done)),
            }
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        while let Some(report) = self.workers.poll_report(true) {
            report.deliver(self.core.scheduler_mut(), self.now);
        }
    }

    /// Hands passes and orders to the workers.
    pub(crate) fn hand_out(&mut self) {
        let most = self.settings.workers;
        self.workers.capacity = if self.is_closing {
            Capacity::UNBOUNDED
        } else {
            Capacity { at_once: most, queued: self.random.below(most * 2 + 1) }
        };
        if self.workers.wires.is_empty() {
            let graphs = self.store.session.graphs.iter();
            self.workers.wires = graphs.map(|graph| Arc::new(Wire::new(Arc::clone(graph)))).collect();
        }
        executors::hand_out(self.core.scheduler_mut(), &mut [&mut self.workers], true, self.now);
        // A second executor, with its own capacity.
        let mut left = if self.is_closing { usize::MAX } else { self.random.below(most + 1) };
        while let Some(pass) =
            self.core.scheduler_mut().poll_pass(self.now, Lane(1), Capacity { at_once: left, queued: left })
        {
            left -= 1;
            self.workers.start(pass);
        }
        for start in std::mem::take(&mut self.workers.started) {
            self.begin(start);
        }
    }

    /// Runs a body. What it does is decided now; when it is reported is decided later.
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
        self.workers.out.insert(tag, Out { notes, done, stopped: false });
        self.history.run_mut(key).note_handed(pass, step, input, performance);
    }

    pub(crate) fn is_working(&self) -> bool {
        !self.workers.out.is_empty() || !self.workers.reports.is_empty()
    }
}
