//! The connection that writes, and what its thread knows of the database.
//!
//! A group that meets a lasting fault at one handler's rows is committed without that handler. Any other fault fails
//! the group, and everything that depends on it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rusqlite::Connection;

use super::{
    fault::SqliteFault,
    known::Known,
    read::Reading,
    upkeep::{Size, Upkeep},
};
use crate::{
    engine::stored::Aside,
    limits::WAL_BYTES_MAX,
    store::{Answer, Batch, Completed, Query, StoreError, threads, versions::Versions},
};

/// Orders to the writer besides batches.
pub(super) enum Order {
    /// Limit the database to this many pages.
    PagesMax(u32),
    /// Report the size from now on, and limit the log to this many bytes.
    SaySize { log_bytes_max: usize, pages_max: u32 },
    /// The writer is to panic.
    #[cfg(test)]
    Panic,
}

/// What the thread that writes owns.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) versions: Arc<Versions>,
    pub(super) known: Known,
    /// The directory of a new database: its name there is not on the disk yet.
    pub(super) unsynced: Option<PathBuf>,
    /// Pages in the write-ahead log after the last commit.
    pub(super) wal_pages: Arc<AtomicU32>,
    /// The same after the previous commit, and after the last copying if they are still in the log.
    pub(super) wal_pages_before: u32,
    pub(super) wal_pages_copied: u32,
    pub(super) log_bytes_max: usize,
    /// With more pages, free ones are released.
    pub(super) pages_max: u32,
    /// The last report of the size, if it is to be reported.
    pub(super) size: Option<Size>,
    /// Whether free pages are being released.
    pub(super) is_shrinking: bool,
    /// Which of its chores fail, and the time of the newest batch, on the alive clock.
    pub(super) upkeep: Upkeep,
    pub(super) now_us: u64,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        versions: Arc<Versions>,
        known: Known,
        unsynced: Option<PathBuf>,
    ) -> Result<Self, SqliteFault> {
        let wal_pages = Arc::new(AtomicU32::new(0));
        let pages = Arc::clone(&wal_pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            pages.store(count.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            versions,
            known,
            unsynced,
            wal_pages,
            wal_pages_before: 0,
            wal_pages_copied: 0,
            log_bytes_max: WAL_BYTES_MAX,
            pages_max: u32::MAX,
            size: None,
            is_shrinking: false,
            upkeep: Upkeep::default(),
            now_us: 0,
        })
    }
}

impl threads::Writer for Writer {
    type Order = Order;

    fn commit(&mut self, batches: Vec<Batch>, bytes: usize) -> Result<Vec<Aside>, StoreError> {
        let newest_us = batches.iter().map(|batch| batch.now.alive_us).max().unwrap_or_default();
        self.now_us = self.now_us.max(newest_us);
        self.keep(batches, bytes).map_err(SqliteFault::store_error)
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::SaySize { log_bytes_max, pages_max } => {
                (self.log_bytes_max, self.pages_max) = (log_bytes_max, pages_max);
                self.size = Some(Size::default());
            }
            Order::PagesMax(pages) => {
                if let Err(error) = self.connection.pragma_update(None, "max_page_count", pages) {
                    log::warn!("the database's size cannot be bounded: {error}");
                }
            }
            #[cfg(test)]
            Order::Panic => panic!("told to"),
        }
    }

    fn end_turn(&mut self, say: &mut dyn FnMut(Completed)) {
        if !self.known.gone.is_empty() {
            say(Completed::Gone(std::mem::take(&mut self.known.gone)));
        }
        if let Some(bytes) = self.measure() {
            say(Completed::Size(bytes));
        }
        if self.wal_bytes() > self.log_bytes_max {
            self.checkpoint();
        }
    }

    fn has_chores(&self) -> bool {
        self.known.has_trash || self.known.has_freed
    }

    fn do_chore(&mut self) {
        if self.known.has_trash {
            self.empty_trash();
        } else {
            self.give_back();
        }
    }

    fn handle_idle(&mut self) {
        self.come_to_rest();
    }
}

impl threads::Reader for Reading {
    fn answer(&mut self, query: &Query) -> Result<Answer, StoreError> {
        Self::answer(self, query).map_err(SqliteFault::store_error)
    }

    fn handle_idle(&mut self) {
        // What cannot be freed now stays limited nevertheless.
        let _ = self.connection.release_memory();
    }
}
