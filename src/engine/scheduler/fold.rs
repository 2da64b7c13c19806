//! Folds a journal into a run.

use std::sync::Arc;

use uuid::Uuid;

use super::handler::Journal;
use crate::{
    engine::{
        input::Effect,
        published::{Published, StepState},
        record::{self, Names},
        run::Run,
        stored::Stored,
    },
    graph::Graph,
};

/// The context for folding a journal. It borrows nothing, so that a large one can be folded on another thread.
#[derive(Clone, Debug)]
pub struct Fold {
    pub(super) graph: Arc<Graph>,
    pub(super) run_id: Uuid,
    pub(super) id: Arc<str>,
    pub(super) events_at_once: u32,
    /// Whether to make a snapshot.
    pub(super) makes_snapshot: bool,
}

/// The run that follows from a journal.
#[derive(Debug)]
pub struct Folded {
    pub(super) run: Run,
    /// Its snapshot, if one was requested.
    pub(super) snapshot: Option<Vec<u8>>,
    pub(super) journal_bytes: usize,
    pub(super) snapshot_bytes: usize,
    pub(super) largest_bytes: usize,
    pub(super) updated_us: i64,
}

impl Folded {
    /// Records how long the journal was.
    pub(super) fn measure(&self, journal: &mut Journal) {
        journal.bytes = self.journal_bytes;
        journal.snapshot_bytes = self.snapshot_bytes;
        journal.largest_bytes = self.largest_bytes;
        journal.compaction = None;
    }
}

impl Fold {
    /// Folds the journal into a run. What this publishes is in the feed already.
    ///
    /// # Errors
    /// If the journal is damaged; the text says how.
    pub fn fold(&self, stored: &Stored) -> Result<Folded, String> {
        let damaged = |what: &dyn std::fmt::Display| format!("the run's journal is damaged: {what}");
        let (Stored { handler, journal }, graph) = (stored, &self.graph);
        let (run, joined) = match &journal.snapshot {
            None => (Run::new(Arc::clone(graph), self.run_id, Arc::clone(&self.id)), Vec::new()),
            Some(snapshot) => {
                let (snapshot, joined) = record::split(snapshot).map_err(|error| damaged(&error))?;
                let same = Names::of(graph).translation(graph);
                let run = Run::restore(snapshot, &same, Arc::clone(graph)).map_err(|error| damaged(&error))?;
                (run.with_initial_state(&journal.state), joined)
            }
        };
        let mut run = run.with_window().with_events_at_once(self.events_at_once);
        let (mut effects, mut updated_us) = (Vec::new(), handler.updated_us);
        for record in joined.into_iter().chain(journal.records.iter().map(Vec::as_slice)) {
            let (mut input, then) = record::decode(record, graph).map_err(|error| damaged(&error))?;
            journal.complete(&mut input);
            run.handle(input, then, &mut effects);
            let ends_step = |effect: &Effect| {
                matches!(effect, Effect::Publish(Published::Step { state: StepState::NotRunning, .. }))
            };
            if effects.drain(..).any(|effect| ends_step(&effect)) {
                updated_us = then.wall_us;
            }
        }
        if run.outcome().is_some() || run.next_sequence() != handler.next_sequence {
            let (is, was) = (run.next_sequence(), handler.next_sequence);
            return Err(damaged(&format!("it comes to event {is} of {was}")));
        }
        let journal_bytes = journal.records.iter().map(Vec::len).sum();
        let snapshot_bytes = journal.snapshot.as_ref().map_or(0, Vec::len);
        let largest_bytes = journal.records.iter().map(Vec::len).max().unwrap_or(0);
        let snapshot = self.makes_snapshot.then(|| run.snapshot());
        Ok(Folded { run, snapshot, journal_bytes, snapshot_bytes, largest_bytes, updated_us })
    }
}
