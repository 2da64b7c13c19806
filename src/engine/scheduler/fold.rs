//! Folds a journal into a run.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use super::handler::Journal;
use crate::{
    engine::{
        input::Effect,
        published::{Published, StepState},
        record::{self, Names, RecordError},
        run::Run,
        stored::Stored,
    },
    graph::Graph,
};

/// The context for folding a journal. It borrows nothing, so that a large one can be folded beside the loop.
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

/// Why no run follows from a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalError {
    /// A record or the snapshot in it cannot be read.
    Record(RecordError),
    /// It leads to another number of events than the feed has.
    Events {
        /// How many it leads to.
        found: u64,
        /// How many were published.
        expected: u64,
    },
    /// Folding it panicked.
    Panicked,
}

impl fmt::Display for JournalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => write!(formatter, "the run's journal is damaged: {error}"),
            Self::Events { found, expected } => {
                write!(formatter, "the run's journal is damaged: it comes to event {found} of {expected}")
            }
            Self::Panicked => formatter.write_str("the run's journal cannot be read"),
        }
    }
}

impl std::error::Error for JournalError {}

impl From<RecordError> for JournalError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
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
    /// If the journal is damaged.
    pub fn fold(&self, stored: &Stored) -> Result<Folded, JournalError> {
        let (Stored { handler, journal }, graph) = (stored, &self.graph);
        let (run, joined) = match &journal.snapshot {
            None => (Run::new(Arc::clone(graph), self.run_id, Arc::clone(&self.id)), Vec::new()),
            Some(snapshot) => {
                let (snapshot, joined) = record::split(snapshot)?;
                let same = Names::of(graph).translation(graph);
                let run = Run::restore(snapshot, &same, Arc::clone(graph))?;
                (run.with_initial_state(&journal.state), joined)
            }
        };
        let mut run = run.with_window().with_events_at_once(self.events_at_once);
        let (mut effects, mut updated_us) = (Vec::new(), handler.updated_us);
        for record in joined.into_iter().chain(journal.records.iter().map(Vec::as_slice)) {
            let (mut input, then) = record::decode(record, graph)?;
            journal.complete(&mut input);
            run.handle(input, then, &mut effects);
            let ends_step = |effect: &Effect| {
                matches!(effect, Effect::Publish(Published::Step { state: StepState::NotRunning, .. }))
            };
            if effects.drain(..).any(|effect| ends_step(&effect)) {
                updated_us = then.wall_us;
            }
        }
        let (found, expected) = (run.next_sequence(), handler.next_sequence);
        if run.outcome().is_some() || found != expected {
            return Err(JournalError::Events { found, expected });
        }
        let journal_bytes = journal.records.iter().map(Vec::len).sum();
        let snapshot_bytes = journal.snapshot.as_ref().map_or(0, Vec::len);
        let largest_bytes = journal.records.iter().map(Vec::len).max().unwrap_or(0);
        let snapshot = self.makes_snapshot.then(|| run.snapshot());
        Ok(Folded { run, snapshot, journal_bytes, snapshot_bytes, largest_bytes, updated_us })
    }
}
