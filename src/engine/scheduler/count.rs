//! What handlers that are here cost, kept as a sum.

use super::{HandlerKey, Scheduler};
use crate::{account::Held, engine::handler::Handler};

/// Sums over what is here.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Of handlers that are not finished.
    live_bytes: usize,
    /// Of batches that are not kept yet.
    unkept_bytes: usize,
}

impl Counted {
    /// The handler has changed.
    pub(super) fn recount(&mut self, handler: &mut Handler, journaled: bool) {
        let bytes = handler.live_bytes(journaled);
        self.live_bytes = self.live_bytes - handler.counted_bytes + bytes;
        handler.counted_bytes = bytes;
    }

    /// The handler is no longer here.
    pub(super) fn forget(&mut self, handler: &Handler) {
        self.live_bytes -= handler.counted_bytes;
    }

    /// A batch is on its way to the store.
    pub(super) fn handle_sealed(&mut self, bytes: usize) {
        self.unkept_bytes += bytes;
    }

    /// A batch is kept, or is not going to be.
    pub(super) fn handle_settled(&mut self, bytes: usize) {
        self.unkept_bytes -= bytes;
    }
}

impl Scheduler {
    /// Adds what is here to an account.
    pub fn count_held(&self, held: &mut Held) {
        held.runs = self.counted.live_bytes;
        held.finished = self.retention.resident_bytes();
        held.unkept = self.counted.unkept_bytes;
    }

    /// The same, counted anew: for tests.
    pub fn recount_held(&self, held: &mut Held) {
        held.runs = self.handlers.values().map(|handler| handler.live_bytes(self.batch.journaled)).sum();
        held.finished = self.handlers.values().filter_map(|handler| handler.finished_bytes()).sum();
        held.unkept = self.committing.iter().map(|(_, held)| held.bytes).sum();
    }

    pub(super) fn recount(&mut self, key: HandlerKey) {
        if let Some(handler) = self.handlers.get_mut(&key) {
            self.counted.recount(handler, self.batch.journaled);
        }
    }
}
