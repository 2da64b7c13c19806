//! Handlers that are not resident, but about which the scheduler knows something that the store does not.
//!
//! ```text
//!   in memory ──its changes are not committed──► Reloading ──the store has answered──► in memory
//!                                                   ▲
//!                                                   └──the removal is not committed──┐
//!   in memory, or in the store ──it is removed──► Removed ───────────────────────────┤
//!                                                   └──every answer knows of that────┴──► unknown
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use crate::engine::{
    channel::Channel,
    input::Input,
    keys::{CallerId, HandlerKey, RunKey},
};

/// What is known of handlers that are not resident, and of earlier runs.
#[derive(Debug, Default)]
pub(super) struct Absentees {
    handlers: BTreeMap<HandlerKey, Absent>,
    /// The number of reloading handlers.
    reloading: usize,
    /// The removed ones by the batches of their removal, in order; may contain some that were rolled back.
    removals: VecDeque<(u64, HandlerKey)>,
    /// Channels of earlier runs that still have readers, and of handlers that are not resident.
    channels: BTreeMap<RunKey, Channel>,
}

#[derive(Debug)]
enum Absent {
    Reloading(Box<Reloading>),
    Removed(Removed),
}

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

impl Absentees {
    pub(super) fn contains(&self, key: HandlerKey) -> bool {
        self.handlers.contains_key(&key)
    }

    /// Returns how many handlers are reloading.
    pub(super) fn reloading_count(&self) -> usize {
        self.reloading
    }

    /// Recounts [`Self::reloading_count`].
    pub(super) fn recount_reloading(&self) -> usize {
        self.handlers.values().filter(|absent| matches!(absent, Absent::Reloading(_))).count()
    }

    pub(super) fn reloading(&self, key: HandlerKey) -> Option<&Reloading> {
        if let Some(Absent::Reloading(reloading)) = self.handlers.get(&key) { Some(reloading) } else { None }
    }

    pub(super) fn reloading_mut(&mut self, key: HandlerKey) -> Option<&mut Reloading> {
        if let Some(Absent::Reloading(reloading)) = self.handlers.get_mut(&key) { Some(reloading) } else { None }
    }

    pub(super) fn removed(&self, key: HandlerKey) -> Option<&Removed> {
        if let Some(Absent::Removed(removed)) = self.handlers.get(&key) { Some(removed) } else { None }
    }

    /// Records that the handler was rolled back.
    pub(super) fn reload(&mut self, key: HandlerKey, reloading: Reloading) {
        self.reloading += usize::from(self.reloading(key).is_none());
        self.handlers.insert(key, Absent::Reloading(Box::new(reloading)));
    }

    /// The store has answered: the handler is resident again, or does not exist.
    pub(super) fn take_reloading(&mut self, key: HandlerKey) -> Option<Reloading> {
        self.reloading(key)?;
        self.reloading -= 1;
        match self.handlers.remove(&key) {
            Some(Absent::Reloading(reloading)) => Some(*reloading),
            _ => None,
        }
    }

    /// Records that the handler was removed.
    pub(super) fn remove(&mut self, key: HandlerKey, removed: Removed) {
        self.removals.push_back((removed.batch, key));
        self.handlers.insert(key, Absent::Removed(removed));
    }

    /// Records that the handler was not removed after all.
    pub(super) fn take_removed(&mut self, key: HandlerKey) -> Option<Removed> {
        self.removed(key)?;
        match self.handlers.remove(&key) {
            Some(Absent::Removed(removed)) => Some(removed),
            _ => None,
        }
    }

    /// The removal is committed. Returns who waited for the end of the handler's run.
    pub(super) fn take_caller(&mut self, key: HandlerKey) -> Option<CallerId> {
        let Some(Absent::Removed(removed)) = self.handlers.get_mut(&key) else { return None };
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

    /// Returns the channel of a run that is not the newest of a resident handler, if it still has readers.
    pub(super) fn channel(&self, run: RunKey) -> Option<&Channel> {
        self.channels.get(&run)
    }

    pub(super) fn channel_mut(&mut self, run: RunKey) -> Option<&mut Channel> {
        self.channels.get_mut(&run)
    }

    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Returns whether a run of this handler has a channel here: an earlier one with readers, or one that ends with a
    /// removal that is not committed yet.
    pub(super) fn has_channel(&self, key: HandlerKey) -> bool {
        !self.channels.is_empty() && self.channels.range(runs_of(key)).next().is_some()
    }

    pub(super) fn keep_channel(&mut self, run: RunKey, channel: Channel) {
        self.channels.insert(run, channel);
    }

    pub(super) fn take_channel(&mut self, run: RunKey) -> Option<Channel> {
        self.channels.remove(&run)
    }

    /// Removes and returns the channels of a handler's runs, up to this one.
    pub(super) fn take_channels(&mut self, key: HandlerKey, upto: u32) -> impl Iterator<Item = Channel> {
        let runs = RunKey { handler: key, run: 0 }..=RunKey { handler: key, run: upto };
        self.channels.extract_if(runs, |_, _| true).map(|(_, channel)| channel)
    }

    /// Returns the runs of a handler with channels here, up to this one, and the events of each.
    pub(super) fn ranges_upto(&self, newest: RunKey) -> impl Iterator<Item = (RunKey, Range<u64>)> {
        let channels = self.channels.range(RunKey { run: 0, ..newest }..=newest);
        channels.map(|(&run, channel)| (run, channel.range()))
    }

    /// Returns the events before `next`, the end of this run, that belong to it or to earlier runs without readers,
    /// whose removal may have been lost with a process or a batch.
    pub(super) fn unread(&self, run: RunKey, next: u64) -> Range<u64> {
        let before = self.channels.range(RunKey { run: 0, ..run }..run).next_back();
        before.map_or(0, |(_, channel)| channel.range().end)..next
    }

    /// A reader has left a run: forgets its channel if nobody reads it. Returns the end of its events if no request can
    /// refer to them any longer.
    pub(super) fn handle_left(&mut self, run: RunKey) -> Option<u64> {
        self.channels.get(&run).filter(|channel| !channel.is_busy())?;
        let channel = self.channels.remove(&run)?;
        self.is_over(run).then(|| channel.range().end)
    }

    /// Returns whether no request can refer to this run any longer: it is neither its handler's newest (in the store,
    /// if the handler is reloading) nor of a handler that is being removed anyway.
    fn is_over(&self, run: RunKey) -> bool {
        match self.reloading(run.handler) {
            Some(reloading) => run.run < reloading.run,
            None => !self.contains(run.handler),
        }
    }

    fn forget_removal(&mut self, batch: u64, key: HandlerKey) {
        if self.removed(key).is_some_and(|removed| removed.batch == batch) {
            self.handlers.remove(&key);
        }
    }
}

fn runs_of(key: HandlerKey) -> RangeInclusive<RunKey> {
    RunKey { handler: key, run: 0 }..=RunKey { handler: key, run: u32::MAX }
}
