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
    count::Tally,
    handler::{HANDLER_BYTES, Handler},
    phase::{Admission, End, Phase},
};
use crate::{
    engine::{
        input::{Input, Outcome},
        keys::HandlerKey,
        run::Run,
    },
    values::Values,
};

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
    pub(super) fn back_off(&mut self, key: HandlerKey, inputs: Vec<Input>, tally: &mut Tally) {
        let phase = match mem::replace(&mut self.life.phase, Phase::Parked(Admission::Waits)) {
            Phase::Running(run) => Phase::BackingOff { run, inputs, is_admitted: false },
            phase => phase,
        };
        self.enter(key, phase, tally);
    }

    /// Ends the pause. Returns the postponed inputs; `None` if the run is not backing off.
    ///
    /// This must not recount as [`Self::enter`] does: a run that was admitted during the pause learns that from one of
    /// these inputs, and until then it would be in its workflow's queue again although it has its place.
    pub(super) fn resume(&mut self) -> Option<Vec<Input>> {
        if !matches!(self.life.phase, Phase::BackingOff { .. }) {
            return None;
        }
        let (phase, inputs) = mem::replace(&mut self.life.phase, Phase::Parked(Admission::Waits)).without_pause();
        self.life.phase = phase;
        Some(inputs)
    }

    /// Ends the run.
    pub(super) fn end(&mut self, key: HandlerKey, end: End, tally: &mut Tally) -> Phase {
        self.journal.compaction = None;
        self.enter(key, Phase::Ended(end), tally)
    }
}

/// Returns the bytes that an ended run takes beside its feed, including its handler.
pub(super) fn end_bytes(outcome: &Outcome, state: &Values) -> usize {
    HANDLER_BYTES + state.cost_bytes() + outcome.cost_bytes()
}
