//! When a batch could not be kept: its runs go back to what was committed. What came from outside is refused; what
//! passes said is offered again.

use std::collections::{BTreeMap, BTreeSet};

use super::{CallerId, HandlerKey, Notice, RunKey, Scheduler, batch::Batch};
use crate::{
    engine::{handler::Phase, input::Input, timers::Timer},
    limits::REST_US,
    now::{Clock, Now},
};

/// What is known of a handler that the store is asked for, and that the store does not know.
#[derive(Debug, Default)]
pub(super) struct Away {
    pub(super) caller: Option<CallerId>,
    /// Tags of its passes that are with a worker.
    pub(super) passes: Vec<u64>,
    /// What passes of it said; `None`: it need not rest.
    said: Option<Vec<Input>>,
}

impl Scheduler {
    /// Nothing of this batch is kept, nor of those after it. Callers whose runs are not there are told; the server
    /// tells those whose replies waited for these batches.
    pub fn handle_failed(&mut self, number: u64, now: Now) {
        let mut said: BTreeMap<HandlerKey, Vec<(u32, Input)>> = BTreeMap::new();
        let (mut touched, mut opened, mut uncounted) = (BTreeSet::new(), BTreeSet::new(), 0);
        let first = self.committing.partition_point(|&(other, _)| other < number);
        let lost = self.committing.drain(first..).map(|(_, held)| held).collect::<Vec<_>>();
        for held in lost.into_iter().chain([std::mem::take(&mut self.held)]) {
            touched.extend(held.touched);
            opened.extend(held.opened);
            uncounted += held.uncounted;
            for (run, input) in held.said {
                said.entry(run.handler).or_default().push((run.run, input));
            }
            // Readers of a handler that was to be purged have lost their channel.
            self.notices.extend(held.gone.into_iter().map(|notice| match notice {
                Notice::CallerGone(caller) => Notice::NotKept(caller),
                other => other,
            }));
        }
        let (journaled, next) = (self.batch.journaled, self.batch.number + 1);
        self.batch = Batch { number: next, epoch: self.batch.epoch + 1, journaled, now, ..Batch::default() };
        self.retention.handle_not_kept(uncounted);
        self.passes.ready.retain(|(run, _)| !touched.contains(&run.handler));
        for key in touched {
            self.go_back(key, &opened, said.remove(&key).unwrap_or_default());
        }
    }

    /// The handler is to be as it was committed; the store is asked how that is.
    fn go_back(&mut self, key: HandlerKey, opened: &BTreeSet<RunKey>, said: Vec<(u32, Input)>) {
        self.cursors.forget(key);
        let Some(handler) = self.handlers.remove(&key) else {
            // It was to be purged.
            self.away.insert(key, Away { said: Some(Vec::new()), ..Away::default() });
            return self.notices.push_back(Notice::Load(key));
        };
        let run = RunKey { handler: key, run: handler.run };
        self.names.remove(&handler.id);
        match &handler.phase {
            Phase::Running(_) | Phase::Parked { .. } => {
                self.running -= 1;
                self.parking.parked -= usize::from(matches!(handler.phase, Phase::Parked { .. }));
                self.leave_line(handler.workflow, run, handler.admitted);
                for (&timer, &deadline) in &handler.armed {
                    self.timers.disarm(Timer::Run(run, timer), deadline);
                }
            }
            Phase::Ended { .. } => {
                if let Some(bytes) = handler.finished_bytes() {
                    self.retention.handle_left(bytes);
                }
            }
        }
        if opened.contains(&run) {
            self.notices.extend(handler.channel.everybody().map(Notice::Gone));
            return self.notices.extend(handler.caller.map(Notice::NotKept));
        }
        if handler.channel.is_busy() {
            self.earlier.insert(run, handler.channel);
        }
        let rested = handler.journal.resting.unwrap_or_default();
        let said = said.into_iter().filter(|&(of, _)| of == run.run).map(|(_, input)| input).chain(rested).collect();
        self.away.insert(key, Away { caller: handler.caller, passes: handler.passes, said: Some(said) });
        self.notices.push_back(Notice::Load(key));
    }

    /// A run that went back rests before it goes on: what it does next would not be kept either.
    pub(super) fn rest(&mut self, key: HandlerKey, away: Away, now: Now) {
        let Some(inputs) = away.said else { return };
        let Some(handler) = self.handlers.get_mut(&key) else { return };
        let deadline = now.deadline(Clock::Alive, std::time::Duration::from_micros(REST_US));
        handler.journal.resting = Some(inputs);
        self.timers.arm(Timer::Again(key), deadline);
    }

    /// Whether what comes for this handler now could not be kept: it rests.
    pub fn is_resting(&self, key: HandlerKey) -> bool {
        self.handlers.get(&key).is_some_and(|handler| handler.journal.resting.is_some())
    }

    /// The rest is over.
    pub(super) fn offer_again(&mut self, key: HandlerKey, now: Now) {
        let is_parked = || matches!(self.handlers.get(&key).map(|handler| &handler.phase), Some(Phase::Parked { .. }));
        if self.away.contains_key(&key) || is_parked() {
            return self.notices.push_back(Notice::Load(key));
        }
        let Some(resting) = self.handlers.get_mut(&key).and_then(|handler| handler.journal.resting.take()) else {
            return;
        };
        for input in resting {
            self.reduce(key, input, now);
        }
        if let Some(run) = self.run_of(key) {
            self.settle_feed_room(run);
        }
    }
}
