//! The life of a handler: what the scheduler has of it, and the phases of its newest run. All transitions are here, and
//! [`Tally`] counts each change of a phase.
//!
//! ```text
//! A handler is resident, in one of the phases below, or:
//!
//!   resident ──its changes are not committed──► Reloading ──the store has answered──► resident, or unknown
//!                                                  ▲
//!                                                  └──the removal is not committed──┐
//!   resident, or unknown ──it is removed──► Removed ────────────────────────────────┤
//!                                                  └──every answer knows of that────┴──► unknown
//! Its newest run:
//!
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
//! A handler in any phase stops being resident when it is rolled back to what is committed, or removed; one that has
//! ended also when there are many of them. What is unknown exists in the store alone, or nowhere.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    mem,
    sync::Arc,
};

use super::{
    count::Tally,
    handler::{HANDLER_BYTES, Handler},
    phase::{Admission, End, Phase},
};
use crate::{
    engine::{
        input::{Input, Outcome},
        keys::{CallerId, HandlerKey, RunKey},
        run::Run,
    },
    values::Values,
};

/// All handlers of which the scheduler has something. Each is in one state.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    known: BTreeMap<HandlerKey, Box<Known>>,
    /// The number of reloading handlers.
    reloading: usize,
    /// The removed ones by the batches of their removal, in order; may contain some that were rolled back.
    removals: VecDeque<(u64, HandlerKey)>,
}

/// What the scheduler has of a handler.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are resident")]
enum Known {
    Resident(Handler),
    Reloading(Reloading),
    Removed(Removed),
}

// The other states must not make a resident handler larger.
const _: () = assert!(size_of::<Known>() == size_of::<Handler>());

/// A handler that was rolled back to what is committed, and for which the store was asked.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    /// Its newest run in the store.
    pub(super) run: u32,
    /// Its id, if it was resident.
    pub(super) id: Option<Arc<str>>,
    pub(super) caller: Option<CallerId>,
    /// What passes of its runs have reported, by run.
    pub(super) reported: Vec<(u32, Input)>,
}

/// A removed handler: answers of the store may be older than its removal.
#[derive(Debug)]
pub(super) struct Removed {
    /// The batch with which it is removed.
    pub(super) batch: u64,
    /// Its newest run, if it was resident.
    pub(super) run: Option<RunKey>,
    /// Who waits for the end of that run, until the removal is committed.
    pub(super) caller: Option<CallerId>,
}

/// Residents.
impl Handlers {
    /// Returns the handler, if it is resident.
    pub(super) fn get(&self, key: HandlerKey) -> Option<&Handler> {
        self.known.get(&key)?.resident()
    }

    pub(super) fn get_mut(&mut self, key: HandlerKey) -> Option<&mut Handler> {
        self.known.get_mut(&key)?.resident_mut()
    }

    /// Returns the handler of a run, if it is resident and that is still its newest run.
    pub(super) fn of_newest(&mut self, run: RunKey) -> Option<&mut Handler> {
        self.get_mut(run.handler).filter(|handler| handler.run == run.run)
    }

    pub(super) fn contains(&self, key: HandlerKey) -> bool {
        self.get(key).is_some()
    }

    /// Returns whether the scheduler has nothing of the handler: it exists in the store alone, or nowhere.
    pub(super) fn is_unknown(&self, key: HandlerKey) -> bool {
        !self.known.contains_key(&key)
    }

    /// Iterates over the resident handlers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HandlerKey, &Handler)> {
        self.known.iter().filter_map(|(&key, known)| Some((key, known.resident()?)))
    }

    /// Returns the first resident handler from this key on.
    pub(super) fn first_from(&self, from: HandlerKey) -> Option<HandlerKey> {
        self.known.range(from..).find(|(_, known)| known.resident().is_some()).map(|(&key, _)| key)
    }

    /// Iterates over the resident handlers from this key on.
    pub(super) fn iter_mut_from(&mut self, from: HandlerKey) -> impl Iterator<Item = (HandlerKey, &mut Handler)> {
        self.known.range_mut(from..).filter_map(|(&key, known)| Some((key, known.resident_mut()?)))
    }

    /// Makes a handler resident that is unknown.
    pub(super) fn insert(&mut self, key: HandlerKey, handler: Handler) {
        self.known.insert(key, Box::new(Known::Resident(handler)));
    }

    /// Removes and returns the handler, if it is resident, and subtracts it from the counts. The scheduler has nothing
    /// of it then.
    pub(super) fn remove(&mut self, key: HandlerKey, tally: &mut Tally) -> Option<Handler> {
        let Known::Resident(handler) = self.take_if(key, |known| known.resident().is_some())? else { return None };
        tally.forget(key, &handler);
        Some(handler)
    }
}

/// Handlers that are not resident.
impl Handlers {
    /// Returns how many handlers are reloading.
    pub(super) fn reloading_count(&self) -> usize {
        self.reloading
    }

    /// Recounts [`Self::reloading_count`].
    pub(super) fn recount_reloading(&self) -> usize {
        self.known.values().filter(|known| matches!(***known, Known::Reloading(_))).count()
    }

    pub(super) fn reloading(&self, key: HandlerKey) -> Option<&Reloading> {
        if let Known::Reloading(reloading) = &**self.known.get(&key)? { Some(reloading) } else { None }
    }

    pub(super) fn reloading_mut(&mut self, key: HandlerKey) -> Option<&mut Reloading> {
        if let Known::Reloading(reloading) = &mut **self.known.get_mut(&key)? { Some(reloading) } else { None }
    }

    pub(super) fn removed(&self, key: HandlerKey) -> Option<&Removed> {
        if let Known::Removed(removed) = &**self.known.get(&key)? { Some(removed) } else { None }
    }

    /// Returns who waits for the end of the newest run of a handler that is resident or reloading.
    pub(super) fn caller_mut(&mut self, key: HandlerKey) -> Option<&mut Option<CallerId>> {
        match &mut **self.known.get_mut(&key)? {
            Known::Resident(handler) => Some(&mut handler.caller),
            Known::Reloading(reloading) => Some(&mut reloading.caller),
            Known::Removed(_) => None,
        }
    }

    /// Records that the handler was rolled back, and is no longer resident.
    pub(super) fn reload(&mut self, key: HandlerKey, reloading: Reloading) {
        self.reloading += usize::from(self.reloading(key).is_none());
        self.known.insert(key, Box::new(Known::Reloading(reloading)));
    }

    /// The store has answered: the handler becomes resident again, or does not exist.
    pub(super) fn take_reloading(&mut self, key: HandlerKey) -> Option<Reloading> {
        let is_reloading = |known: &Known| matches!(known, Known::Reloading(_));
        let Known::Reloading(reloading) = self.take_if(key, is_reloading)? else { return None };
        self.reloading -= 1;
        Some(reloading)
    }

    /// Records that the handler was removed.
    pub(super) fn note_removed(&mut self, key: HandlerKey, removed: Removed) {
        self.removals.push_back((removed.batch, key));
        self.known.insert(key, Box::new(Known::Removed(removed)));
    }

    /// Records that the handler was not removed after all.
    pub(super) fn take_removed(&mut self, key: HandlerKey) -> Option<Removed> {
        let is_removed = |known: &Known| matches!(known, Known::Removed(_));
        let Known::Removed(removed) = self.take_if(key, is_removed)? else { return None };
        Some(removed)
    }

    /// The removal is committed. Returns who waited for the end of the handler's run.
    pub(super) fn take_caller(&mut self, key: HandlerKey) -> Option<CallerId> {
        let Known::Removed(removed) = &mut **self.known.get_mut(&key)? else { return None };
        removed.caller.take()
    }

    /// The removals of this batch and later ones are not committed.
    pub(super) fn handle_failed(&mut self, number: u64) {
        let first = self.removals.partition_point(|&(batch, _)| batch < number);
        for (batch, key) in self.removals.split_off(first) {
            self.forget_removal(batch, key);
        }
    }

    /// Forgets removals of batches before this one, which every later answer knows about. Must not be called while an
    /// answer is being handled.
    pub(super) fn trim(&mut self, unseen: u64) {
        while let Some(&(batch, key)) = self.removals.front().filter(|(batch, _)| *batch < unseen) {
            self.removals.pop_front();
            self.forget_removal(batch, key);
        }
    }

    fn forget_removal(&mut self, batch: u64, key: HandlerKey) {
        if self.removed(key).is_some_and(|removed| removed.batch == batch) {
            self.known.remove(&key);
        }
    }
}

impl Handlers {
    /// Removes and returns what the scheduler has of the handler, if it is in this state.
    fn take_if(&mut self, key: HandlerKey, is_wanted: impl FnOnce(&Known) -> bool) -> Option<Known> {
        match self.known.entry(key) {
            Entry::Occupied(entry) if is_wanted(entry.get()) => Some(*entry.remove()),
            Entry::Occupied(_) | Entry::Vacant(_) => None,
        }
    }
}

impl Known {
    fn resident(&self) -> Option<&Handler> {
        if let Self::Resident(handler) = self { Some(handler) } else { None }
    }

    fn resident_mut(&mut self) -> Option<&mut Handler> {
        if let Self::Resident(handler) = self { Some(handler) } else { None }
    }
}

impl Handler {
    /// Changes the phase, and counts that; the only place where a phase changes. Returns the previous phase.
    fn enter(&mut self, key: HandlerKey, phase: Phase, tally: &mut Tally) -> Phase {
        let left = mem::replace(&mut self.life.phase, phase);
        tally.recount(key, self);
        left
    }

    /// Begins the next run of a handler whose run has ended.
    pub(super) fn begin(&mut self, key: HandlerKey, run: Run, tally: &mut Tally) {
        self.enter(key, Phase::Running(Box::new(run)), tally);
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
        let phase = match self.life.take_phase() {
            Phase::Running(run) => Phase::BackingOff { run, inputs, is_admitted: false },
            phase => phase,
        };
        self.enter(key, phase, tally);
    }

    /// Ends the pause. Returns the postponed inputs, to be reduced at once; `None` if the run is not backing off.
    ///
    /// A run that was admitted during the pause is in its workflow's queue again until it learns of that, which is the
    /// first of these inputs.
    pub(super) fn resume(&mut self, key: HandlerKey, tally: &mut Tally) -> Option<Vec<Input>> {
        if !matches!(self.life.phase, Phase::BackingOff { .. }) {
            return None;
        }
        let (phase, mut inputs) = self.life.take_phase().without_pause();
        self.enter(key, phase, tally);
        inputs.sort_by_key(|input| !matches!(input, Input::Admitted));
        Some(inputs)
    }

    /// Ends the run.
    pub(super) fn end(&mut self, key: HandlerKey, end: End, tally: &mut Tally) -> Phase {
        self.journal.compaction = None;
        self.enter(key, Phase::Ended(end), tally)
    }
}

/// Returns the bytes that an ended run takes besides its feed, including its handler.
pub(super) fn end_bytes(outcome: &Outcome, state: &Values) -> usize {
    HANDLER_BYTES + state.cost_bytes() + outcome.cost_bytes()
}
