//! The writer's work on the size of the database: deletes in small parts what was removed, releases free pages, and
//! copies the log into the database.

use std::sync::atomic::Ordering;

use rusqlite::wal::CheckpointMode;

use super::{
    fault::SqliteFault,
    known::Blamed,
    schema::PAGE_BYTES,
    upkeep::{Chore, Size},
    writer::Writer,
};
use crate::limits::{DATABASE_BUSY_TIMEOUT, FREE_BYTES_MAX, FREE_PART, SIZE_UNSAID_MAX, VACUUM_SLICE_BYTES};

impl Writer {
    /// Returns how many bytes the database has, without free pages, if that is to be reported and has changed: at once
    /// when rows were deleted, with all that is to be deleted with them unless that takes long.
    pub(super) fn measure(&mut self) -> Option<u64> {
        let size = self.size.as_mut()?;
        size.is_due |= self.known.has_freed;
        size.unsaid += 1;
        if self.known.has_trash && size.unsaid < SIZE_UNSAID_MAX {
            return None;
        }
        let count = |pragma| {
            let sql = format!("PRAGMA {pragma}");
            self.connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, u32>(0))
        };
        let used = count("page_count").and_then(|pages| Ok(pages - count("freelist_count")?)).ok()?;
        let bytes = u64::from(used) * u64::from(PAGE_BYTES);
        let is_news = size.is_due || size.said != Some(bytes);
        is_news.then(|| {
            *size = Size { said: Some(bytes), ..Size::default() };
            bytes
        })
    }

    /// A feed of a removed handler that cannot be deleted stays, and is not retried.
    pub(super) fn give_up_trash(&mut self, id: Option<i64>, fault: &SqliteFault) {
        if self.upkeep.handle_given_up(self.now_us) {
            log::warn!("a part of a removed handler's feed cannot be deleted, and stays: {}", fault.text());
        }
        let given_up = id.is_some_and(|id| self.transact(|writing| writing.give_up_trash(id)).is_ok());
        self.known.leaves_trash |= !given_up;
    }

    pub(super) fn count_wal_pages(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < self.wal_pages_before {
            // It was copied while nobody read it, and so was restarted.
            self.wal_pages_copied = 0;
        }
        self.wal_pages_before = pages;
    }

    pub(super) fn empty_trash(&mut self) {
        let emptied = self.transact(
            #[expect(clippy::redundant_closure_for_method_calls, reason = "it is for every lifetime")]
            |writing| writing.empty_trash(),
        );
        let emptied = emptied.or_else(|fault| match self.known.blamed {
            Blamed::Trash(id) if fault.is_lasting() => {
                self.give_up_trash(id, &fault);
                Ok(())
            }
            _ => Err(fault),
        });
        match emptied {
            Ok(()) => self.say_done(Chore::Trash, "what was removed is deleted again"),
            Err(fault) => {
                // The next commit retries.
                self.known.has_trash = false;
                self.say_failed(Chore::Trash, "what was removed still takes room", &fault.store_error());
            }
        }
    }

    /// Releases some of the free pages to the system, if there are many or the database is too large with them. They
    /// are not released and allocated with each run that ends.
    pub(super) fn give_back(&mut self) {
        let count = |pragma| self.connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        let shrunk = count("page_count").and_then(|pages| {
            let free = count("freelist_count")?;
            let free_max = (FREE_BYTES_MAX / PAGE_BYTES).max(pages / FREE_PART);
            let is_much = free > if self.is_shrinking { free_max / 2 } else { free_max };
            let surplus = pages.saturating_sub(self.pages_max).min(free);
            let slice = (VACUUM_SLICE_BYTES / PAGE_BYTES).min(if is_much { free } else { surplus });
            if slice == 0 {
                return Ok(false);
            }
            // Each step of the statement releases one page.
            let sql = format!("PRAGMA incremental_vacuum({slice})");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            drop(rows);
            Ok(count("freelist_count")? < free)
        });
        let was_shrinking = std::mem::replace(&mut self.is_shrinking, matches!(shrunk, Ok(true)));
        self.known.has_freed = self.is_shrinking;
        match shrunk {
            Err(error) => {
                self.say_failed(Chore::FreePages, "free pages of the database cannot be given back yet", &error);
            }
            Ok(goes_on) => {
                self.say_done(Chore::FreePages, "free pages of the database are given back again");
                // The file shrinks when the log is copied into it.
                if was_shrinking && !goes_on { self.checkpoint() } else { self.count_wal_pages() }
            }
        }
    }

    fn say_failed(&mut self, chore: Chore, what: &str, error: &dyn std::fmt::Display) {
        if self.upkeep.handle_failure(chore, self.now_us) {
            log::warn!("{what}: {error}");
        }
    }

    fn say_done(&mut self, chore: Chore, what: &str) {
        if self.upkeep.handle_success(chore) {
            log::info!("{what}");
        }
    }

    pub(super) fn wal_bytes(&self) -> usize {
        self.wal_pages_before.saturating_sub(self.wal_pages_copied) as usize * PAGE_BYTES as usize
    }

    /// Copies the write-ahead log into the database as far as nobody still reads it; then it is restarted. Its file
    /// keeps its length, unless that is too much for a limited directory.
    pub(super) fn checkpoint(&mut self) {
        let length = self.wal_pages_before as usize * PAGE_BYTES as usize;
        if self.size.is_some() && length > 2 * self.log_bytes_max {
            self.empty_log();
        } else {
            match self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
                Ok(_) => self.say_done(Chore::Log, LOG_COPIED),
                // What is in the log is committed.
                Err(error) => {
                    self.say_failed(Chore::Log, "the database's log cannot be copied into it, and grows", &error);
                }
            }
        }
        self.wal_pages_copied = self.wal_pages_before;
    }

    /// The store is idle: empties the log and frees memory.
    pub(super) fn come_to_rest(&mut self) {
        self.empty_log();
        // What cannot be freed now stays limited nevertheless.
        let _ = self.connection.release_memory();
    }

    /// Copies the write-ahead log into the database and truncates it, if nobody reads it.
    fn empty_log(&mut self) {
        let emptied = self.connection.busy_timeout(std::time::Duration::ZERO).and_then(|()| {
            let emptied = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
            self.connection.busy_timeout(DATABASE_BUSY_TIMEOUT)?;
            emptied
        });
        match emptied {
            Ok(_) => {
                (self.wal_pages_before, self.wal_pages_copied) = (0, 0);
                self.say_done(Chore::Log, LOG_COPIED);
            }
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {}
            Err(error) => self.say_failed(Chore::Log, "the database's log cannot be copied into it", &error),
        }
    }
}

const LOG_COPIED: &str = "the database's log is copied into it again";
