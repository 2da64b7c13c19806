//! Snapshots of large runs. Making one would take the loop milliseconds, so it is made where journals are folded, from
//! the journal in the store. What was recorded in the meantime is appended.
//!
//! ```text
//!   take_snapshot: too large ──batch is committed──► Notice::Load ──handle_kept──► take_snapshot: joined
//!         └── records from here on are copied ──────────────────────────────────────────┘
//! ```

use super::{Folded, Notice, Scheduler, newest, waste::discard};
use crate::{
    engine::{
        kept::Kept,
        keys::{HandlerKey, RunKey},
        record,
    },
    limits::WASTE_BYTES_MIN,
};

/// A snapshot that is being made outside the loop.
#[derive(Debug)]
pub(super) struct Compaction {
    /// The batch in which it was begun. An answer that does not know all of it is too old.
    batch: u64,
    /// Bytes of the records between the previous snapshot and the beginning of this one.
    from_bytes: usize,
    /// The records since then.
    records: Vec<Vec<u8>>,
    /// The snapshot, and the bytes of the records that it contains.
    snapshot: Option<(usize, Vec<u8>)>,
}

impl Compaction {
    pub(super) fn new(batch: u64, from_bytes: usize) -> Self {
        Self { batch, from_bytes, records: Vec::new(), snapshot: None }
    }

    /// Adds a record.
    pub(super) fn note(&mut self, record: &[u8]) {
        self.records.push(record.to_vec());
    }

    /// Returns the snapshot with the records that it does not contain, once it is made.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let (upto_bytes, snapshot) = self.snapshot.take()?;
        let mut bytes = self.from_bytes;
        let is_in_it = |record: &&Vec<u8>| {
            bytes += record.len();
            bytes <= upto_bytes
        };
        let inside = self.records.iter().take_while(is_in_it).count();
        Some(record::join(snapshot, &self.records[inside..]))
    }
}

impl Scheduler {
    /// The batches with which these compactions begin are committed, so that the store has all of their records.
    pub(super) fn load_compacted(&mut self, runs: &[RunKey]) {
        for &run in runs {
            if newest(&mut self.handlers, run).is_some_and(|handler| handler.journal.compaction.is_some()) {
                self.notices.push_back(Notice::Load(run.handler));
            }
        }
    }

    /// The journal of a resident run was read and folded for its snapshot.
    pub(super) fn handle_compacted(&mut self, kept: &Kept, folded: Result<Folded, String>) {
        let (key, answered) = (kept.handler.key, self.asking.answered());
        let Some(handler) = self.handlers.get_mut(&key) else { return };
        let run = RunKey { handler: key, run: handler.run };
        let Some(compaction) = &mut handler.journal.compaction else { return };
        match folded {
            Ok(Folded { snapshot: Some(snapshot), journal_bytes, run: copy, .. })
                if kept.handler.run == run.run && answered > compaction.batch =>
            {
                compaction.snapshot = Some((journal_bytes, snapshot));
                discard(&mut self.waste, WASTE_BYTES_MIN, copy);
                self.held.snapshots.push(run);
            }
            _ => handler.journal.put_compaction_off(),
        }
    }

    /// The journal of this run cannot be read now.
    pub(super) fn put_compaction_off(&mut self, key: HandlerKey) {
        if let Some(handler) = self.handlers.get_mut(&key).filter(|handler| handler.journal.compaction.is_some()) {
            handler.journal.put_compaction_off();
        }
    }
}
