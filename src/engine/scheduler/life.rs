//! The phases of a handler's newest run in memory. All transitions are here, and [`Tally`] counts each of them.
//!
//! ```text
//!   a run starts ─────────────────────────────────► Running
//!   Running ──it only waits, for a while──────────► Parked
//!   Running ──its end─────────────────────────────► Ended
//!   Parked ──something comes, and it is loaded────► Running
//!   Parked ──its rows turn out to be damaged──────► Ended
//!   Ended ──the handler is continued──────────────► Running
//!
//!   from the store, its run goes on ──────────────► Running; at the start Parked, if it only waits
//!   from the store, it was rolled back ───────────► BackingOff ──the pause is over──► Running
//!   from the store, it has ended ─────────────────► Ended
//! ```
//!
//! A handler in any phase leaves memory when it is rolled back to what is committed, or removed; one that has ended
//! also when there are many of them. See [`absent`](super::absent) for what is then known about it.

use std::mem;

use super::{
    Scheduler,
    count::Tally,
    handler::{HANDLER_BYTES, Handler},
    waste::discard,
};
use crate::{
    engine::{
        input::{Input, Outcome},
        keys::{HandlerKey, RunKey},
        published::Published,
        run::Run,
        storage::Ended,
    },
    graph::StepId,
    now::Now,
    values::Values,
};

/// The phase of a handler's newest run, and how it is counted.
#[derive(Debug)]
pub(super) struct Life {
    phase: Phase,
    /// What [`Tally`] has counted for it.
    pub(super) counted: Share,
}

/// The phase of a run.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits in its workflow's queue, or runs.
    Running(Box<Run>),
    /// A commit has failed, and the run was loaded as committed before. It gets inputs after a pause, as their effects
    /// could not be committed either.
    BackingOff {
        run: Box<Run>,
        inputs: Vec<Input>,
        /// Whether one of them is [`Input::Admitted`].
        is_admitted: bool,
    },
    /// It only waits, and is only in the store until something arrives for it.
    Parked(Admission),
    /// It has ended.
    Ended(End),
}

/// Whether a parked run is admitted under `max_runs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is in its workflow's queue.
    Waits,
    /// It was admitted, but gets to know only when it is loaded.
    Pending,
    /// It is admitted.
    Admitted,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// For continuing the handler; empty unless the run completed.
    pub(super) state: Values,
    pub(super) completed_us: i64,
    /// What is retained of the run: outcome, state, feed.
    pub(super) bytes: usize,
    /// The step that failed it, if it ended since the server began, for the caller that waits for its end.
    pub(super) failed_step: Option<StepId>,
}

/// What a handler adds to the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Share {
    pub(super) bytes: usize,
    pub(super) standing: Standing,
}

/// The handlers among which it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Standing {
    /// None: it is new, or not resident.
    #[default]
    Uncounted,
    Running {
        is_admitted: bool,
    },
    Parked {
        is_admitted: bool,
    },
    /// It has ended, but that is not committed.
    Ending,
    Finished,
}

impl Standing {
    /// Returns whether it is admitted under `max_runs`.
    fn is_admitted(self) -> bool {
        matches!(self, Self::Running { is_admitted: true } | Self::Parked { is_admitted: true })
    }
}

/// What to do with an input.
pub(super) enum Offered<'a> {
    /// The run accepts it.
    Taken(&'a mut Run, Input),
    /// The run is backing off and gets it later.
    Deferred,
    /// The run is parked, and must be loaded.
    Parked,
    /// The run has ended.
    Late(Input),
}

impl Life {
    /// Creates the life of a run that begins.
    pub(super) fn begun(run: Run) -> Self {
        Self { phase: Phase::Running(Box::new(run)), counted: Share::default() }
    }

    /// Creates the life of a handler from the store.
    pub(super) fn stored() -> Self {
        Self { phase: Phase::Parked(Admission::Waits), counted: Share::default() }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Returns the run, if it is resident and has not ended.
    pub(super) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) | Phase::BackingOff { run, .. } => Some(run),
            Phase::Parked(_) | Phase::Ended(_) => None,
        }
    }

    pub(super) fn end(&self) -> Option<&End> {
        if let Phase::Ended(end) = &self.phase { Some(end) } else { None }
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Parked(_))
    }

    /// Returns the inputs that the run gets after a pause; empty unless it is backing off.
    pub(super) fn deferred(&self) -> &[Input] {
        if let Phase::BackingOff { inputs, .. } = &self.phase { inputs } else { &[] }
    }

    /// Returns the phase without the pause, and the inputs that were deferred until its end.
    pub(super) fn into_deferred(self) -> (Phase, Vec<Input>) {
        match self.phase {
            Phase::BackingOff { run, inputs, .. } => (Phase::Running(run), inputs),
            phase => (phase, Vec::new()),
        }
    }

    /// Offers an input to the run. A parked one accepts only its admission; due timers are due again when it is loaded.
    pub(super) fn offer(&mut self, input: Input) -> Offered<'_> {
        match &mut self.phase {
            Phase::Running(run) => Offered::Taken(run, input),
            Phase::BackingOff { inputs, is_admitted, .. } => {
                *is_admitted |= matches!(input, Input::Admitted);
                inputs.push(input);
                Offered::Deferred
            }
            Phase::Parked(admission) => {
                if matches!(input, Input::Admitted) {
                    *admission = Admission::Pending;
                }
                Offered::Parked
            }
            Phase::Ended(_) => Offered::Late(input),
        }
    }

    /// Removes and returns the state with which the run completed, for a run that continues the handler.
    pub(super) fn take_state(&mut self) -> Option<Values> {
        if let Phase::Ended(end) = &mut self.phase { Some(mem::take(&mut end.state)) } else { None }
    }

    fn is_admitted(&self) -> bool {
        match &self.phase {
            Phase::Running(run) => run.is_admitted(),
            Phase::BackingOff { run, is_admitted, .. } => *is_admitted || run.is_admitted(),
            Phase::Parked(admission) => *admission != Admission::Waits,
            Phase::Ended(_) => false,
        }
    }

    /// Returns how it is to be counted now.
    pub(super) fn standing(&self, is_end_committed: bool) -> Standing {
        let is_admitted = self.is_admitted();
        match &self.phase {
            Phase::Running(_) | Phase::BackingOff { .. } => Standing::Running { is_admitted },
            Phase::Parked(_) => Standing::Parked { is_admitted },
            Phase::Ended(_) if is_end_committed => Standing::Finished,
            Phase::Ended(_) => Standing::Ending,
        }
    }
}

impl Handler {
    /// Changes the phase; the only place where that of a counted handler changes. Returns the previous phase.
    fn enter(&mut self, key: HandlerKey, phase: Phase, tally: &mut Tally) -> Phase {
        let left = mem::replace(&mut self.life.phase, phase);
        tally.recount(key, self);
        left
    }

    /// Begins a run, which is counted once it has started.
    pub(super) fn begin(&mut self, run: Run) {
        self.life.phase = Phase::Running(Box::new(run));
    }

    /// Parks the run, which leaves memory until something arrives for it.
    pub(super) fn park(&mut self, key: HandlerKey, tally: &mut Tally) {
        self.journal.compaction = None;
        let admission = if self.life.is_admitted() { Admission::Admitted } else { Admission::Waits };
        self.enter(key, Phase::Parked(admission), tally);
    }

    /// Loads the run. Returns whether it must be told of its admission.
    pub(super) fn load(&mut self, key: HandlerKey, run: Run, tally: &mut Tally) -> bool {
        let phase = self.enter(key, Phase::Running(Box::new(run)), tally);
        matches!(phase, Phase::Parked(Admission::Pending))
    }

    /// Makes the run back off; it gets these inputs after the pause.
    pub(super) fn back_off(&mut self, inputs: Vec<Input>) {
        if let Phase::Running(run) = mem::replace(&mut self.life.phase, Phase::Parked(Admission::Waits)) {
            self.life.phase = Phase::BackingOff { run, inputs, is_admitted: false };
        }
    }

    /// Ends the pause. Returns the deferred inputs; `None` if the run is not backing off.
    pub(super) fn resume(&mut self) -> Option<Vec<Input>> {
        match mem::replace(&mut self.life.phase, Phase::Parked(Admission::Waits)) {
            Phase::BackingOff { run, inputs, .. } => {
                self.life.phase = Phase::Running(run);
                Some(inputs)
            }
            phase => {
                self.life.phase = phase;
                None
            }
        }
    }

    /// Ends the run.
    pub(super) fn end(&mut self, key: HandlerKey, end: End, tally: &mut Tally) -> Phase {
        self.journal.compaction = None;
        self.enter(key, Phase::Ended(end), tally)
    }
}

impl Scheduler {
    /// Ends a run, resident or not: frees what it held and admits the next run in the queue. Its passes are told to
    /// stop once its end is committed.
    pub(super) fn finish(&mut self, run: RunKey, outcome: Outcome, failed_step: Option<StepId>, now: Now) {
        let Some(handler) = self.handlers.get_mut(&run.handler) else { return };
        let is_recorded = self.policies.recording.is_on();
        let (mut state, mut changed, mut feed_bytes) = (Values::default(), None, 0);
        let keeps_journal = match handler.life.phase() {
            Phase::Running(live) | Phase::BackingOff { run: live, .. } => {
                if matches!(outcome, Outcome::Completed(_)) {
                    state = live.state();
                }
                if is_recorded {
                    changed = live.changed();
                }
                if self.policies.counts_feeds() {
                    // A feed in memory is retained with the end.
                    feed_bytes = live.feed_bytes();
                }
                is_recorded && handler.journal.outlives(&outcome, live.kept_state_bytes())
            }
            // It fails because it cannot be read, and its journal tells why.
            Phase::Parked(_) => true,
            Phase::Ended(_) => return,
        };
        let bytes = feed_bytes + end_bytes(&outcome, &state);
        if is_recorded {
            let (outcome, state) = (outcome.clone(), state.clone());
            self.batch.ended.push(Ended { run, outcome, state, changed, updated_us: now.wall_us, keeps_journal });
        }
        handler.updated_us = now.wall_us;
        let armed = self.timers.disarm_all(run, &mut handler.armed);
        let Share { bytes: counted_bytes, standing } = handler.life.counted;
        let freed_bytes = counted_bytes.saturating_sub(feed_bytes);
        let end = End { outcome, state, completed_us: now.wall_us, bytes, failed_step };
        let phase = handler.end(run.handler, end, &mut self.tally);
        let workflow = handler.workflow;
        discard(&mut self.waste, freed_bytes, (phase, armed));
        self.held.stops.extend(&handler.passes);
        self.held.ended.push(run);
        if standing.is_admitted() {
            self.admit_waiting(workflow, now);
        }
    }

    /// Fails a run that cannot be read: it is parked, or is reloading.
    pub(super) fn fail_damaged(&mut self, key: HandlerKey, error: String, now: Now) {
        self.count_damaged(key);
        self.say_damaged(key, "its run fails", &error);
        let Some(handler) = self.handlers.get_mut(&key) else { return };
        let run = RunKey { handler: key, run: handler.run };
        let failed = Published::Failed { step: None, error: error.clone(), attempts: 0 };
        let end = Published::Ended { step: None, error: Some(error.clone()) };
        self.batch.published.extend([(run, failed), (run, end)]);
        self.batch.now = now;
        handler.next_sequence += 2;
        handler.journal.batch = self.batch.number;
        self.held.note_published(run, handler.next_sequence);
        self.held.touch(key);
        self.held.damaged.push(key);
        self.finish(run, Outcome::Failed(error), None, now);
    }
}

/// Returns the bytes that an ended run takes beside its feed, including its handler.
pub(super) fn end_bytes(outcome: &Outcome, state: &Values) -> usize {
    HANDLER_BYTES + state.cost_bytes() + outcome.cost_bytes()
}
