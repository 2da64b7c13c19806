//! What a journal is folded with.

use std::sync::Arc;

use crate::engine::{
    scheduler::{Scheduler, fold::Fold},
    stored::Stored,
};

impl Scheduler {
    /// Returns the context for this handler's journal.
    pub fn fold_of(&self, stored: &Stored) -> Fold {
        let handler = &stored.handler;
        Fold {
            graph: Arc::clone(self.graph(handler.workflow)),
            run_id: handler.run_id,
            id: self.id_of(handler),
            events_at_once: self.policies.limits.events_at_once,
            makes_snapshot: self.handlers.get(handler.key).is_some_and(|here| here.journal.compaction.is_some()),
        }
    }
}
