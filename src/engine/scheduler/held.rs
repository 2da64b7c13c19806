//! What waits until a batch is committed, and what is needed if it is not.

use super::{failure::Lost, troubles::Trouble};
use crate::{
    engine::{
        channel::Channel,
        input::{Input, PassId},
        keys::{HandlerKey, RunKey},
    },
    now::Now,
};

/// What waits until a batch is committed, and what is needed if it fails.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) ready: Vec<(RunKey, PassId)>,
    pub(super) published: Vec<(RunKey, u64)>,
    /// Runs whose windows have moved, and the numbers of the first events in them.
    pub(super) left: Vec<(RunKey, u64)>,
    pub(super) ended: Vec<RunKey>,
    /// Handlers that are removed for good, by their newest runs.
    pub(super) purged: Vec<RunKey>,
    /// Tags of passes whose runs have ended.
    pub(super) stops: Vec<u64>,
    /// Runs whose journals have grown long.
    pub(super) snapshots: Vec<RunKey>,
    /// Runs whose snapshots are to be made from what is committed with this batch.
    pub(super) compacted: Vec<RunKey>,
    /// Handlers that this batch changes. Used only if runs are recorded, like `opened`, `uncounted` and `reported`.
    pub(super) touched: Vec<HandlerKey>,
    pub(super) opened: Vec<RunKey>,
    /// Handlers that were among the store's finished ones and no longer are.
    pub(super) uncounted: Vec<HandlerKey>,
    /// Reports of passes. After a failed batch their runs get them again, as the passes do not run again.
    pub(super) reported: Vec<(RunKey, Input)>,
    pub(super) troubles: Vec<Trouble>,
    /// Handlers whose runs end because their rows are damaged.
    pub(super) damaged: Vec<HandlerKey>,
    /// The cost of the batch while it is being committed.
    pub(super) bytes: usize,
    pub(super) now: Now,
}

impl Held {
    /// Returns an empty one with the same capacity.
    pub(super) fn next(&self) -> Self {
        Self {
            ready: Vec::with_capacity(self.ready.len()),
            published: Vec::with_capacity(self.published.len()),
            ended: Vec::with_capacity(self.ended.len()),
            touched: Vec::with_capacity(self.touched.len()),
            reported: Vec::with_capacity(self.reported.len()),
            ..Self::default()
        }
    }

    pub(super) fn note_published(&mut self, run: RunKey, next: u64) {
        match self.published.last_mut() {
            Some((last, last_next)) if *last == run => *last_next = next,
            _ => self.published.push((run, next)),
        }
    }

    /// Records an input that is part of this batch.
    pub(super) fn note_input(&mut self, run: RunKey, input: &Input) {
        self.touch(run.handler);
        if is_reported(input) {
            self.reported.push((run, input.clone()));
        }
    }

    /// Records an input of a run that has ended. It has no effect, unless that end is not committed.
    pub(super) fn note_late(&mut self, run: RunKey, input: Input, channel: &Channel) {
        if !channel.is_ended() && is_reported(&input) {
            self.reported.push((run, input));
        }
    }

    pub(super) fn touch(&mut self, handler: HandlerKey) {
        if self.touched.last() != Some(&handler) {
            self.touched.push(handler);
        }
    }

    /// Removes everything about a handler, whose passes have these tags. Returns how often it was subtracted from the
    /// finished count.
    pub(super) fn take_out(&mut self, key: HandlerKey, passes: &[u64], lost: &mut Lost) -> usize {
        let is_of = |run: &RunKey| run.handler == key;
        // Their stop orders depended on a change that was dropped.
        self.stops.retain(|tag| !passes.contains(tag));
        self.ready.retain(|(run, _)| !is_of(run));
        self.published.retain(|(run, _)| !is_of(run));
        self.left.retain(|(run, _)| !is_of(run));
        self.ended.retain(|run| !is_of(run));
        self.snapshots.retain(|run| !is_of(run));
        self.compacted.retain(|run| !is_of(run));
        self.damaged.retain(|damaged| *damaged != key);
        let purged = self.purged.extract_if(.., |run| is_of(run));
        let touched = self.touched.extract_if(.., |touched| *touched == key);
        let opened = self.opened.extract_if(.., |run| is_of(run));
        let reported = self.reported.extract_if(.., |(run, _)| is_of(run));
        lost.add(touched, opened, purged, reported);
        self.uncounted.extract_if(.., |uncounted| *uncounted == key).count()
    }

    /// Returns whether a run of this handler begins or ends with this batch.
    pub(super) fn begins_or_ends(&self, key: HandlerKey) -> bool {
        self.opened.iter().chain(&self.ended).any(|run| run.handler == key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.published.is_empty() && self.ended.is_empty() && self.purged.is_empty()
    }
}

/// Returns whether a pass reported the input.
pub(super) fn is_reported(input: &Input) -> bool {
    matches!(input, Input::Done { .. } | Input::LargeDone { .. } | Input::PassLost { .. } | Input::Noted { .. })
}
