//! What people should know: failed runs, retried attempts, panics, passes that do not end.

use std::sync::Arc;

use crate::engine::{
    keys::{RunKey, WorkflowId},
    scheduler::{
        Scheduler,
        troubles::{Blamed, Trouble, TroubleKind},
    },
    storage::StoreError,
};

impl Scheduler {
    /// Returns the next trouble whose cause is committed.
    pub fn poll_trouble(&mut self) -> Option<Trouble> {
        self.outbox.poll_trouble()
    }

    /// The pass with this tag has panicked, with this position and text; its end follows.
    pub fn handle_panic(&mut self, tag: u64, text: String) {
        if let Some((run, workflow, blamed)) = self.passes.blamed(tag) {
            self.tell(TroubleKind::Panicked, run, workflow, blamed, text);
        }
    }

    /// Reports it at once.
    pub(super) fn tell(&mut self, kind: TroubleKind, run: RunKey, workflow: WorkflowId, blamed: Blamed, error: String) {
        let graph = self.workflows.graph(workflow);
        let trouble = if let Some(handler) = self.handlers.of_newest(run) {
            Trouble::of(kind, handler, graph, blamed, error)
        } else {
            // The handler was purged, or has a new run.
            let handler = self.handlers.get(run.handler).map(|handler| Arc::clone(&handler.id));
            let (handler, run_id) = (handler.unwrap_or_else(|| self.spell(run.handler)), uuid::Uuid::nil());
            let Blamed { step, attempt } = blamed;
            Trouble { kind, handler, run_id, graph: Arc::clone(graph), step, attempt, error }
        };
        self.outbox.report([trouble]);
    }

    /// Sets why the last commit failed; `None` once one has succeeded.
    pub fn note_store_fault(&mut self, fault: Option<StoreError>) {
        self.health.note_store_fault(fault);
    }

    /// Returns the most recent reason why something could not be committed.
    pub fn last_fault(&self) -> StoreError {
        self.health.last_fault()
    }

    /// Returns why the server does less than it could; empty when it is healthy.
    pub fn degradations(&self) -> Vec<String> {
        self.health.degradations(self.passes.overload.as_ref())
    }
}
