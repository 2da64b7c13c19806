//! Channels of runs that are not the newest of a resident handler.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};

use crate::engine::{
    channel::Channel,
    keys::{HandlerKey, RunKey},
};

/// Channels of earlier runs that still have readers, and of handlers that are not resident.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: BTreeMap<RunKey, Channel>,
}

impl Channels {
    /// Returns the channel of a run that is not the newest of a resident handler, if it still has readers.
    pub(super) fn get(&self, run: RunKey) -> Option<&Channel> {
        self.channels.get(&run)
    }

    pub(super) fn get_mut(&mut self, run: RunKey) -> Option<&mut Channel> {
        self.channels.get_mut(&run)
    }

    pub(super) fn count(&self) -> usize {
        self.channels.len()
    }

    /// Returns whether a run of this handler has a channel here: an earlier one with readers, or one that ends with a
    /// removal that is not committed yet.
    pub(super) fn has_any(&self, key: HandlerKey) -> bool {
        !self.channels.is_empty() && self.channels.range(runs_of(key)).next().is_some()
    }

    pub(super) fn insert(&mut self, run: RunKey, channel: Channel) {
        self.channels.insert(run, channel);
    }

    pub(super) fn take(&mut self, run: RunKey) -> Option<Channel> {
        self.channels.remove(&run)
    }

    /// Removes and returns the channels of a handler's runs, up to this one.
    pub(super) fn take_upto(&mut self, key: HandlerKey, upto: u32) -> impl Iterator<Item = Channel> {
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

    /// Forgets and returns the channel of a run if nobody reads it any longer.
    pub(super) fn take_unread(&mut self, run: RunKey) -> Option<Channel> {
        self.channels.get(&run).filter(|channel| !channel.is_busy())?;
        self.channels.remove(&run)
    }
}

fn runs_of(key: HandlerKey) -> RangeInclusive<RunKey> {
    RunKey { handler: key, run: 0 }..=RunKey { handler: key, run: u32::MAX }
}
