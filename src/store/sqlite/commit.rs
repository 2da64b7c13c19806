//! Commits a group of batches, and finds out what is at fault if that fails.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{
    fault::SqliteFault, known::Blamed, open::sync_directory, schema::PAGE_BYTES, verify::verify, write::Writing,
    writer::Writer,
};
use crate::{
    engine::{keys::HandlerKey, storage::Batch, stored::Aside},
    limits::{ASIDE_MAX, GROUP_REFUSED_MAX, TRASH_SLICE_BYTES},
    now::Now,
    store::fold::Fold,
};

impl Writer {
    /// Commits all of these, of about this many bytes, except for what they have of handlers that must be set aside,
    /// which it returns; or commits nothing.
    pub(super) fn keep(&mut self, mut batches: Vec<Batch>, bytes: usize) -> Result<Vec<Aside>, SqliteFault> {
        let mut asides: Vec<Aside> = Vec::new();
        if batches.iter().all(Batch::is_empty) {
            return Ok(Vec::new());
        }
        if let Some(directory) = &self.unsynced {
            sync_directory(directory)?;
            self.unsynced = None;
        }
        let (mut notes_asides, mut refused) = (true, 0);
        loop {
            let committed = self.transact(|writing| {
                write(&batches, bytes, writing)?;
                for aside in asides.iter_mut().filter(|aside| notes_asides && aside.is_own) {
                    aside.was_finished = writing.set_aside(aside.handler, &aside.cause)?;
                }
                Ok(())
            });
            let Err(fault) = committed else { break };
            match self.known.blamed {
                Blamed::Handler(handler) if fault.is_lasting() && self.known.aside.len() + asides.len() < ASIDE_MAX => {
                    let is_new = opens(&batches).any(|opened| opened == handler);
                    // A handler that begins has no rows, so a page on which they are to be is damaged.
                    let own = if is_new { None } else { self.own_fault(handler) };
                    refused += usize::from(own.is_none());
                    let dropped = if own.is_some() || refused < GROUP_REFUSED_MAX || self.is_sound() {
                        BTreeSet::from([handler])
                    } else if is_new {
                        // None can begin.
                        opens(&batches).collect()
                    } else if removes(&batches).any(|removed| removed == handler) {
                        // None can be removed, which must not stop other runs.
                        removes(&batches).collect()
                    } else {
                        return Err(fault);
                    };
                    for handler in dropped {
                        for batch in &mut batches {
                            batch.drop_handler(handler);
                        }
                        let cause = own.as_ref().unwrap_or(&fault).text().into();
                        asides.push(Aside { handler, cause, is_own: own.is_some(), was_finished: false, serial: 0 });
                    }
                }
                // They are set aside until this process ends.
                Blamed::Aside if fault.is_lasting() && notes_asides => notes_asides = false,
                Blamed::Trash(id) if fault.is_lasting() => self.give_up_trash(id, &fault),
                _ => return Err(fault),
            }
        }
        self.known.aside.extend(asides.iter().filter(|aside| aside.is_own).map(|aside| aside.handler));
        Ok(asides)
    }

    /// Returns the fault of this handler's own rows. Those found intact are not checked again: their next fault is not
    /// their own either.
    fn own_fault(&mut self, handler: HandlerKey) -> Option<SqliteFault> {
        if self.known.whole.contains(&handler) {
            return None;
        }
        match verify(&self.connection, &self.versions, handler) {
            Err(fault) if fault.is_lasting() => Some(fault),
            _ => {
                if self.known.whole.len() >= ASIDE_MAX {
                    self.known.whole.clear();
                }
                self.known.whole.insert(handler);
                None
            }
        }
    }

    /// Returns whether a handler that never existed could be committed now.
    fn is_sound(&mut self) -> bool {
        let probed = self.connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             INSERT INTO handlers (key, version, run, run_id, started_us, updated_us, first, cursor, tail_first, next,
                 tail, journal)
             VALUES ({PROBE}, 0, 0, x'', 0, 0, 0, 0, 0, 0, zeroblob(4 * {PAGE_BYTES}), zeroblob(4 * {PAGE_BYTES}));
             INSERT INTO journal VALUES ({PROBE}, 0, 0, x'', NULL);
             INSERT INTO feed VALUES ({PROBE}, 0, 0, 0, x'', NULL);
             INSERT INTO states VALUES ({PROBE}, 0, 0, x'', NULL);
             INSERT INTO places (place, handler) VALUES ({PROBE}, 0);"
        ));
        self.roll_back();
        probed.is_ok()
    }

    pub(super) fn transact(
        &mut self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<(), SqliteFault>,
    ) -> Result<(), SqliteFault> {
        let begin = |connection: &Connection| connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        self.known.begin();
        begin(&self.connection)?;
        let written = write(&mut Writing::new(&self.connection, &self.versions, &mut self.known));
        let committed = written.and_then(|()| {
            self.known.blamed = Blamed::Database;
            Ok(self.connection.prepare_cached("COMMIT")?.execute([])?)
        });
        if let Err(fault) = committed {
            self.roll_back();
            self.known.forget();
            return Err(fault);
        }
        self.count_wal_pages();
        Ok(())
    }

    fn roll_back(&self) {
        // SQLite rolls back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::error!("the database cannot roll back: {error}");
        }
    }
}

/// Returns the handlers that begin with these batches.
fn opens(batches: &[Batch]) -> impl Iterator<Item = HandlerKey> {
    batches.iter().flat_map(|batch| &batch.opened).filter(|opened| opened.run.run == 0).map(|opened| opened.run.handler)
}

/// Returns the handlers that these batches remove.
fn removes(batches: &[Batch]) -> impl Iterator<Item = HandlerKey> {
    batches.iter().flat_map(|batch| &batch.purged).copied()
}

/// Writes the changes of the batches, of about this many bytes.
fn write(batches: &[Batch], bytes: usize, writing: &mut Writing<'_>) -> Result<(), SqliteFault> {
    let wall_us = batches.iter().map(|batch| batch.now.wall_us).max().unwrap_or_default();
    let alive_us = batches.iter().map(|batch| batch.now.alive_us).max().unwrap_or_default();
    let next_handler = batches.iter().map(|batch| batch.next_handler).max().unwrap_or_default();
    let mut group = Fold::default();
    for batch in batches {
        group.add(batch, writing)?;
    }
    group.write(writing)?;
    writing.note_opened(opens(batches))?;
    // As much is deleted as is added, so that trash does not accumulate under load.
    for _ in 0..=2 * bytes / TRASH_SLICE_BYTES {
        if writing.known.has_trash {
            writing.empty_trash()?;
        }
    }
    writing.set_clock(Now { wall_us, alive_us }, next_handler)
}

/// A key and a position that nothing has.
const PROBE: i64 = (1 << 62) - 1;
