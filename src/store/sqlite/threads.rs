//! The store's two threads. The writer owns the connection that writes: what has piled up while it kept one group of
//! batches is the next. The reader has a connection of its own, so that no query waits for a sync.
//!
//! A group that meets a lasting fault at one handler's rows is kept without that handler. Any other fault fails the
//! group, and all that rests on it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::Connection;

use super::{
    fault::Fault,
    read::Reading,
    upkeep::{Size, Upkeep},
    versions::Versions,
    write::Known,
};
use crate::{
    engine::{keys::HandlerKey, storage::Batch},
    limits::{COMMIT_BYTES_MAX, STORE_IDLE, WAL_BYTES_MAX},
    store::{Completed, Query, StoreError, Ticket},
};

/// Wakes the loop from another thread: something is completed.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// What the writer is given.
#[expect(clippy::large_enum_variant, reason = "nearly all are batches")]
pub(super) enum Order {
    /// To be kept.
    Keep(Batch),
    /// The database is to have at most so many pages.
    PagesMax(u32),
    /// The size is to be said from now on, and the log to have at most so many bytes.
    SaySize { log_bytes_max: usize, pages_max: u32 },
    /// The writer is to panic.
    #[cfg(test)]
    Panic,
}

/// Where threads say what they are through with.
pub(super) struct Said {
    pub(super) completed: Sender<Completed>,
    /// Set by who rings, cleared by who finds nothing more: one call is enough until then.
    pub(super) rung: AtomicBool,
    pub(super) ring: Ring,
}

impl Said {
    pub(super) fn say(&self, completed: Completed) {
        if self.completed.send(completed).is_ok() && !self.rung.swap(true, Ordering::AcqRel) {
            (self.ring)();
        }
    }
}

/// Says that a thread has ended by a panic: nobody else would notice.
pub(super) struct Alive {
    pub(super) thread: &'static str,
    pub(super) said: Arc<Said>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.said.say(Completed::Died(self.thread));
        }
    }
}

/// Answers queries until there can be no more.
pub(super) fn answer_queries(reading: &Reading, queries: &Receiver<(Ticket, Query)>, said: &Said) {
    let mut is_busy = false;
    loop {
        let received = if is_busy {
            queries.recv_timeout(STORE_IDLE)
        } else {
            queries.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match received {
            Ok((ticket, query)) => {
                is_busy = true;
                let answer = reading.answer(&query).map_err(Fault::store_error);
                said.say(Completed::Answer { ticket, answer });
            }
            Err(RecvTimeoutError::Timeout) => {
                is_busy = false;
                // What cannot be freed now stays bounded all the same.
                let _ = reading.connection.release_memory();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The thread that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) versions: Arc<Versions>,
    pub(super) known: Known,
    /// The directory of a database that was just made: its name in there is not yet on the disk.
    pub(super) unsynced: Option<PathBuf>,
    /// Batches of this epoch, and of those before it, rest on one that is not kept.
    failed_epoch: Option<u32>,
    /// Handlers that were set aside and that the scheduler may not have heard of, by their serial numbers.
    unheard: VecDeque<(u64, HandlerKey)>,
    pub(super) asides: u64,
    /// Pages in the write-ahead log, as of the last commit.
    pub(super) wal_pages: Arc<AtomicU32>,
    /// As of the commit before, and as of the last copying if they are still in the log.
    pub(super) wal_pages_before: u32,
    pub(super) wal_pages_copied: u32,
    pub(super) log_bytes_max: usize,
    /// With more pages, free ones are given back.
    pub(super) pages_max: u32,
    /// What was last said of the size, if it is to be said.
    pub(super) size: Option<Size>,
    /// Whether free pages are being given back.
    pub(super) is_shrinking: bool,
    /// Which of its chores fail, and the time of the newest batch, on the alive clock.
    pub(super) upkeep: Upkeep,
    pub(super) now_us: u64,
    pub(super) said: Arc<Said>,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        versions: Arc<Versions>,
        known: Known,
        unsynced: Option<PathBuf>,
        said: Arc<Said>,
    ) -> Result<Self, Fault> {
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
            failed_epoch: None,
            unheard: VecDeque::new(),
            asides: 0,
            wal_pages,
            wal_pages_before: 0,
            wal_pages_copied: 0,
            log_bytes_max: WAL_BYTES_MAX,
            pages_max: u32::MAX,
            size: None,
            is_shrinking: false,
            upkeep: Upkeep::default(),
            now_us: 0,
            said,
        })
    }

    /// Keeps batches until there can be no more; then the write-ahead log is copied into the database.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut is_busy = true;
        loop {
            let received = match () {
                () if self.known.has_trash || self.known.has_freed => orders.try_recv().map_err(|error| match error {
                    crossbeam_channel::TryRecvError::Empty => RecvTimeoutError::Timeout,
                    crossbeam_channel::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
                () if is_busy => orders.recv_timeout(STORE_IDLE),
                () => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(order) => {
                    is_busy = true;
                    self.take(order, orders);
                }
                Err(RecvTimeoutError::Timeout) if self.known.has_trash => self.empty_trash(),
                Err(RecvTimeoutError::Timeout) if self.known.has_freed => self.give_back(),
                Err(RecvTimeoutError::Timeout) => {
                    is_busy = false;
                    self.rest();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.say_size();
            if self.wal_bytes() > self.log_bytes_max {
                self.checkpoint();
            }
        }
        self.rest();
    }

    /// Keeps this batch and what has piled up behind it.
    fn take(&mut self, first: Order, orders: &Receiver<Order>) {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Keep(batch) if self.failed_epoch.is_some_and(|failed| batch.epoch <= failed) => {}
                Order::Keep(mut batch) => {
                    self.drop_unheard(&mut batch);
                    bytes += batch.bytes();
                    self.now_us = self.now_us.max(batch.now.alive_us);
                    batches.push(batch);
                }
                Order::SaySize { log_bytes_max, pages_max } => {
                    (self.log_bytes_max, self.pages_max) = (log_bytes_max, pages_max);
                    self.size = Some(Size::default());
                }
                #[cfg(test)]
                Order::Panic => panic!("told to"),
                Order::PagesMax(pages) => {
                    if let Err(error) = self.connection.pragma_update(None, "max_page_count", pages) {
                        log::warn!("the database's size cannot be bounded: {error}");
                    }
                }
            }
            next = if bytes < COMMIT_BYTES_MAX { orders.try_recv().ok() } else { None };
        }
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return };
        let (first, last, epoch) = (first.number, last.number, last.epoch);
        match self.keep(batches, bytes) {
            Ok(asides) => {
                for aside in asides {
                    self.unheard.push_back((aside.serial, aside.handler));
                    self.said.say(Completed::Aside(aside));
                }
                self.said.say(Completed::Batch { number: last });
                if !self.known.gone.is_empty() {
                    self.said.say(Completed::Gone(std::mem::take(&mut self.known.gone)));
                }
            }
            Err(fault) => {
                self.failed_epoch = Some(epoch);
                self.said.say(Completed::Failed { number: first, error: fault.store_error() });
            }
        }
    }

    /// What the batch has of handlers that were set aside after it was sealed rests on what is not kept.
    fn drop_unheard(&mut self, batch: &mut Batch) {
        while self.unheard.front().is_some_and(|&(serial, _)| serial <= batch.asides_heard) {
            self.unheard.pop_front();
        }
        for &(_, handler) in &self.unheard {
            batch.drop_handler(handler);
        }
    }
}

/// So that what the threads cannot do any more is not waited for.
pub(super) fn closed() -> StoreError {
    StoreError::Failed("the store is closed".into())
}
