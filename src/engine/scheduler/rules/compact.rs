//! Snapshots of large runs. Making one would take the loop milliseconds, so it is made where journals are folded, from
//! the journal in the store. What was recorded in the meantime is appended.
//!
//! ```text
//!   take_snapshot: too large ──batch is committed──► Notice::Load ──handle_loaded──► take_snapshot: joined
//!         └── records from here on are copied ──────────────────────────────────────────┘
//! ```

use crate::{
    engine::{
        keys::{HandlerKey, RunKey},
        scheduler::{
            Scheduler,
            fold::{Folded, JournalError},
            notice::Notice,
        },
        stored::Stored,
    },
    limits::WASTE_BYTES_MIN,
};

impl Scheduler {
    /// The batches with which these compactions begin are committed, so that the store has all of their records.
    pub(super) fn load_compacted(&mut self, runs: &[RunKey]) {
        for &run in runs {
            if self.handlers.of_newest(run).is_some_and(|handler| handler.journal.compaction.is_some()) {
                self.outbox.notify(Notice::Load(run.handler));
            }
        }
    }

    /// The journal of a resident run was read and folded for its snapshot.
    pub(super) fn handle_compacted(&mut self, stored: &Stored, folded: Result<Folded, JournalError>) {
        let (key, answered) = (stored.handler.key, self.commits.answered());
        let Some(handler) = self.handlers.get_mut(key) else { return };
        let run = RunKey { handler: key, run: handler.run };
        let Some(compaction) = &mut handler.journal.compaction else { return };
        match folded {
            Ok(Folded { snapshot: Some(snapshot), journal_bytes, run: copy, .. })
                if stored.handler.run == run.run && answered > compaction.batch =>
            {
                compaction.snapshot = Some((journal_bytes, snapshot));
                self.outbox.discard(WASTE_BYTES_MIN, copy);
                self.commits.held.snapshots.push(run);
            }
            _ => handler.journal.put_compaction_off(),
        }
    }

    /// The journal of this run cannot be read now.
    pub(super) fn put_compaction_off(&mut self, key: HandlerKey) {
        if let Some(handler) = self.handlers.get_mut(key).filter(|handler| handler.journal.compaction.is_some()) {
            handler.journal.put_compaction_off();
        }
    }
}
