//! Grants: what passes may stream into a feed in memory, whose bytes are limited. Each pass is granted a part of the
//! room.
//!
//! A pass gets a first part when it starts and more as it uses that up. If it needs more than is free, the other passes
//! of its run return what they do not use; only if that does not suffice either is it refused. With a store, old events
//! leave the feed instead: a pass is granted [`UNLIMITED`] once and is not watched.

use crate::{
    engine::{
        keys::RunKey,
        run::Run,
        scheduler::{
            Scheduler,
            grants::{GivenBack, Grant, UNLIMITED},
            handler::Handler,
            passes::Passes,
        },
    },
    limits::{FEED_BYTES_MAX, FEED_BYTES_RESERVED, GRANT_BYTES, GRANT_BYTES_FIRST},
    pass::{FeedOrder, Note, Order},
};

impl Scheduler {
    /// A pass waits until it may stream this many bytes more.
    pub fn handle_feed_wanted(&mut self, tag: u64, bytes: usize) {
        let Some((run, _)) = self.passes.get(tag).filter(|_| bytes > 0) else { return };
        let Some(grant) = self.passes.grant_mut(tag) else { return };
        let waited = std::mem::replace(&mut grant.wants_bytes, bytes) > 0;
        self.passes.wanting += usize::from(!waited);
        self.serve_wanting(run);
    }

    /// A pass has returned this many bytes, as ordered.
    pub fn handle_feed_given_back(&mut self, tag: u64, bytes: usize) {
        let Some((run, _)) = self.passes.get(tag) else { return };
        let Some(grant) = self.passes.grant_mut(tag) else { return };
        let bytes = bytes.min(grant.bytes);
        grant.bytes -= bytes;
        grant.given_back = GivenBack::Yes;
        if let Some(handler) = self.handlers.of_newest(run) {
            handler.granted_bytes -= bytes;
        }
        self.serve_wanting(run);
    }

    /// The bytes of these notes are now in the feed, and no longer only granted. Unless some pass waits, grants the
    /// pass as many again in advance.
    pub(super) fn spend(&mut self, run: RunKey, tag: u64, spent_bytes: usize) {
        let Some(grant) = self.passes.grant_mut(tag) else { return };
        let spent_bytes = spent_bytes.min(grant.bytes);
        grant.bytes -= spent_bytes;
        let left_bytes = grant.bytes;
        let Some(handler) = self.handlers.of_newest(run) else { return };
        handler.granted_bytes -= spent_bytes;
        if self.passes.wanting == 0 && left_bytes < GRANT_BYTES / 2 {
            let bytes = handler.free_feed_bytes().min(GRANT_BYTES - left_bytes);
            self.grant(run, tag, bytes);
        }
    }

    /// The pass no longer streams, and needs none of its grant.
    pub(super) fn release_grant(&mut self, run: RunKey, grant: &Grant) {
        self.passes.wanting -= usize::from(grant.wants_bytes > 0);
        if let Some(handler) = self.handlers.of_newest(run).filter(|_| grant.bytes > 0) {
            handler.granted_bytes -= grant.bytes;
        }
    }

    /// Returns what these notes of a pass use of its grant; zero if that is unlimited.
    pub(super) fn spent_bytes(&mut self, tag: u64, notes: &[Note]) -> usize {
        match self.passes.grant_mut(tag) {
            Some(grant) if grant.bytes > 0 => notes.iter().map(Note::feed_bytes).sum(),
            _ => 0,
        }
    }

    fn grant(&mut self, run: RunKey, tag: u64, bytes: usize) {
        let (Some(grant), Some(handler)) = (self.passes.grant_mut(tag), self.handlers.of_newest(run)) else {
            return;
        };
        if bytes > 0 {
            let wanted = std::mem::take(&mut grant.wants_bytes) > 0;
            grant.bytes += bytes;
            grant.given_back = GivenBack::No;
            handler.granted_bytes += bytes;
            self.passes.wanting -= usize::from(wanted);
            self.passes.tell(tag, FeedOrder::Grant(bytes));
        }
    }

    /// Answers passes of the run that wait, those that started first before others.
    pub(super) fn serve_wanting(&mut self, run: RunKey) {
        if self.passes.wanting == 0 {
            return;
        }
        let Some(tags) = self.handlers.of_newest(run).map(|handler| handler.passes.clone()) else { return };
        for &tag in &tags {
            let wants_bytes = self.passes.grant_mut(tag).map_or(0, |grant| grant.wants_bytes);
            if wants_bytes == 0 {
                continue;
            }
            let free_bytes = self.handlers.of_newest(run).map_or(0, |handler| handler.free_feed_bytes());
            if wants_bytes <= free_bytes {
                self.grant(run, tag, wants_bytes.max(GRANT_BYTES.min(free_bytes)));
            } else if self.take_back(&tags) {
                return;
            } else if let Some(grant) = self.passes.grant_mut(tag) {
                grant.wants_bytes = 0;
                self.passes.wanting -= 1;
                self.passes.tell(tag, FeedOrder::Refuse);
            }
        }
    }

    /// Tells those of these passes that do not wait to return their unused bytes. Returns whether some have not done so
    /// yet.
    fn take_back(&mut self, tags: &[u64]) -> bool {
        let mut is_pending = false;
        for &tag in tags {
            let Some(grant) = self.passes.grant_mut(tag).filter(|grant| grant.bytes > 0 && grant.wants_bytes == 0)
            else {
                continue;
            };
            if grant.given_back == GivenBack::No {
                grant.given_back = GivenBack::Asked;
                self.passes.tell(tag, FeedOrder::TakeBack);
            }
            is_pending |= self.passes.grant_mut(tag).is_some_and(|grant| grant.given_back == GivenBack::Asked);
        }
        is_pending
    }
}

impl Handler {
    /// Returns the first grant of a pass that starts, and how much it may stream.
    pub(super) fn first_grant(&mut self) -> (Grant, usize) {
        match self.free_feed_bytes() {
            UNLIMITED => (Grant::default(), UNLIMITED),
            free => {
                let bytes = free.min(GRANT_BYTES_FIRST);
                self.granted_bytes += bytes;
                (Grant { bytes, ..Grant::default() }, bytes)
            }
        }
    }

    /// Returns how much of its feed's room for stream writes is not granted.
    pub(super) fn free_feed_bytes(&self) -> usize {
        self.life.run().map_or(0, |run| feed_room_bytes(run).saturating_sub(self.granted_bytes))
    }
}

impl Passes {
    pub(super) fn tell(&mut self, tag: u64, order: FeedOrder) {
        self.orders.push_back((tag, Order::Feed(order)));
    }
}

/// Returns how much room for stream writes is left in a run's feed.
fn feed_room_bytes(run: &Run) -> usize {
    if run.has_window() {
        return UNLIMITED;
    }
    (FEED_BYTES_MAX - FEED_BYTES_RESERVED).saturating_sub(run.feed_bytes())
}
