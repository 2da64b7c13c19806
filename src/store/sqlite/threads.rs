//! The store's two threads. The writer owns the connection that writes: what has piled up while it kept one group of
//! batches is the next. The reader has a connection of its own, so that no query waits for a sync.
//!
//! A group that meets a lasting fault of one handler's rows is kept without that handler, which is set aside. Any other
//! fault fails the group, and all that rests on it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, wal::CheckpointMode};

use super::{
    Ring,
    fault::Fault,
    group::Group,
    open::sync_directory,
    read::Reading,
    schema::PAGE_BYTES,
    versions::Versions,
    write::{Blamed, Known, Writing},
};
use crate::{
    engine::{
        kept::Aside,
        scheduler::{Batch, HandlerKey, RunKey},
    },
    limits::{
        ASIDE_MAX, COMMIT_BYTES_MAX, DATABASE_BUSY_TIMEOUT, FREE_BYTES_MAX, FREE_PART, STORE_IDLE, TRASH_SLICE_BYTES,
        VACUUM_SLICE_BYTES, WAL_BYTES_MAX,
    },
    now::Now,
    store::{Completed, Query, StoreError, Ticket},
};

/// What the writer is given.
#[expect(clippy::large_enum_variant, reason = "nearly all are batches")]
pub(super) enum Order {
    /// To be kept.
    Keep(Batch),
    /// The database is to have at most so many pages.
    PagesMax(u32),
    /// The size is to be said from now on, and the log to have at most so many bytes.
    SaySize { log_bytes_max: usize },
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

/// What was last said of the database's size.
#[derive(Default)]
struct Size {
    /// Bytes; `None`: nothing yet.
    said: Option<u64>,
    /// Whether rows were deleted since.
    is_due: bool,
    /// Transactions since.
    unsaid: u32,
}

/// The thread that writes.
pub(super) struct Writer {
    connection: Connection,
    versions: Arc<Versions>,
    known: Known,
    /// The directory of a database that was just made: its name in there is not yet on the disk.
    unsynced: Option<PathBuf>,
    /// Batches of this epoch, and of those before it, rest on one that is not kept.
    failed_epoch: Option<u32>,
    /// Handlers that were set aside and that the scheduler may not have heard of, by their serial numbers.
    unheard: VecDeque<(u64, HandlerKey)>,
    asides: u64,
    /// Pages in the write-ahead log, as of the last commit.
    wal_pages: Arc<AtomicU32>,
    /// As of the commit before, and as of the last copying if they are still in the log.
    wal_pages_before: u32,
    wal_pages_copied: u32,
    log_bytes_max: usize,
    /// What was last said of the size, if it is to be said.
    size: Option<Size>,
    /// Whether free pages are being given back.
    is_shrinking: bool,
    said: Arc<Said>,
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
            size: None,
            is_shrinking: false,
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
                    batches.push(batch);
                }
                Order::SaySize { log_bytes_max } => {
                    self.log_bytes_max = log_bytes_max;
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

    /// Keeps all of these, about so many bytes, but what they have of handlers that have to be set aside, which it
    /// gives; or nothing.
    fn keep(&mut self, mut batches: Vec<Batch>, bytes: usize) -> Result<Vec<Aside>, Fault> {
        // Each with whether the store has something of it that was kept before.
        let mut asides: Vec<(Aside, bool)> = Vec::new();
        if batches.iter().all(Batch::is_empty) {
            return Ok(Vec::new());
        }
        if let Some(directory) = &self.unsynced {
            sync_directory(directory)?;
            self.unsynced = None;
        }
        let (mut notes_asides, mut is_sound) = (true, false);
        loop {
            let kept = self.transact(|writing| {
                write(&batches, bytes, writing)?;
                for (aside, _) in asides.iter_mut().filter(|(_, is_known)| notes_asides && *is_known) {
                    aside.was_finished = writing.set_aside(aside.handler, &aside.cause)?;
                }
                Ok(())
            });
            let Err(fault) = kept else { break };
            match self.known.blamed {
                Blamed::Handler(handler) if fault.is_lasting() && self.known.aside.len() + asides.len() < ASIDE_MAX => {
                    is_sound = is_sound || self.is_sound();
                    if !is_sound {
                        return Err(fault);
                    }
                    let first = RunKey { handler, run: 0 };
                    let is_new = batches.iter().flat_map(|batch| &batch.opened).any(|opened| opened.run == first);
                    for batch in &mut batches {
                        batch.drop_handler(handler);
                    }
                    self.asides += 1;
                    let (cause, serial) = (fault.text().into(), self.asides);
                    asides.push((Aside { handler, cause, was_finished: false, serial }, !is_new));
                }
                // They are set aside for the life of this process.
                Blamed::Aside if fault.is_lasting() && notes_asides => notes_asides = false,
                Blamed::Trash(id) if fault.is_lasting() => self.give_up_trash(id, &fault),
                _ => return Err(fault),
            }
        }
        self.known.aside.extend(asides.iter().filter(|(_, is_known)| *is_known).map(|(aside, _)| aside.handler));
        Ok(asides.into_iter().map(|(aside, _)| aside).collect())
    }

    /// Whether a handler that never was could be kept now: else the fault is not that of one handler's rows.
    fn is_sound(&mut self) -> bool {
        let probed = self.connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             INSERT INTO handlers (key, version, run, run_id, started_us, updated_us, first, cursor, tail_first, next,
                 tail, journal)
             VALUES ({PROBE}, 0, 0, x'', 0, 0, 0, 0, 0, 0, zeroblob(4 * {PAGE_BYTES}), zeroblob(4 * {PAGE_BYTES}));
             INSERT INTO journal VALUES ({PROBE}, 0, 0, zeroblob(4 * {PAGE_BYTES}));
             INSERT INTO feed VALUES ({PROBE}, 0, 0, 0, zeroblob(4 * {PAGE_BYTES}));
             INSERT INTO places (place, handler) VALUES ({PROBE}, 0);
             INSERT INTO names VALUES ('', {PROBE});"
        ));
        self.roll_back();
        probed.is_ok()
    }

    /// A feed of a removed handler that cannot be deleted stays, and is not tried again.
    fn give_up_trash(&mut self, id: Option<i64>, fault: &Fault) {
        log::warn!("a part of a removed handler's feed cannot be deleted, and stays: {}", fault.text());
        let given_up = id.is_some_and(|id| self.transact(|writing| writing.give_up_trash(id)).is_ok());
        self.known.leaves_trash |= !given_up;
    }

    fn transact(&mut self, write: impl FnOnce(&mut Writing<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let begin = |connection: &Connection| connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        self.known.blamed = Blamed::Database;
        begin(&self.connection)?;
        let written = write(&mut Writing::new(&self.connection, &self.versions, &mut self.known));
        let kept = written.and_then(|()| {
            self.known.blamed = Blamed::Database;
            Ok(self.connection.prepare_cached("COMMIT")?.execute([])?)
        });
        if let Err(fault) = kept {
            self.roll_back();
            self.known.forget();
            return Err(fault);
        }
        self.count_wal_pages();
        Ok(())
    }

    /// Says how many bytes the database has, free pages left out, if that has changed: at once when rows were deleted,
    /// with all that is to be deleted with them unless that takes long.
    fn say_size(&mut self) {
        let Some(size) = &mut self.size else { return };
        size.is_due |= self.known.has_freed;
        size.unsaid += 1;
        if self.known.has_trash && size.unsaid < UNSAID_MAX {
            return;
        }
        let count = |pragma| {
            let sql = format!("PRAGMA {pragma}");
            self.connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, u32>(0))
        };
        let Ok(used) = count("page_count").and_then(|pages| Ok(pages - count("freelist_count")?)) else { return };
        let bytes = u64::from(used) * u64::from(PAGE_BYTES);
        if size.is_due || size.said != Some(bytes) {
            *size = Size { said: Some(bytes), ..Size::default() };
            self.said.say(Completed::Size(bytes));
        }
    }

    fn count_wal_pages(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < self.wal_pages_before {
            // It was copied, nobody read in it, and so it was begun anew.
            self.wal_pages_copied = 0;
        }
        self.wal_pages_before = pages;
    }

    fn roll_back(&self) {
        // SQLite has rolled back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::error!("the database cannot roll back: {error}");
        }
    }

    fn empty_trash(&mut self) {
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
        if let Err(fault) = emptied {
            log::warn!("what was removed still takes room: {}", fault.store_error());
            // The next commit tries again.
            self.known.has_trash = false;
        }
    }

    /// Gives a slice of the free pages back to the system, if there are many; they are not to go and come with each run
    /// that ends.
    fn give_back(&mut self) {
        let count = |pragma| self.connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        let shrunk = count("page_count").and_then(|pages| {
            let free = count("freelist_count")?;
            let free_max = (FREE_BYTES_MAX / PAGE_BYTES).max(pages / FREE_PART);
            if free <= if self.is_shrinking { free_max / 2 } else { free_max } {
                return Ok(false);
            }
            // Each step of the statement gives back one page.
            let sql = format!("PRAGMA incremental_vacuum({})", VACUUM_SLICE_BYTES / PAGE_BYTES);
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            drop(rows);
            Ok(count("freelist_count")? < free)
        });
        let was_shrinking = std::mem::replace(&mut self.is_shrinking, matches!(shrunk, Ok(true)));
        self.known.has_freed = self.is_shrinking;
        match shrunk {
            Err(error) => log::warn!("free pages of the database cannot be given back yet: {error}"),
            // The file becomes shorter when the log is copied into it.
            Ok(false) if was_shrinking => self.checkpoint(),
            Ok(_) => self.count_wal_pages(),
        }
    }

    fn wal_bytes(&self) -> usize {
        self.wal_pages_before.saturating_sub(self.wal_pages_copied) as usize * PAGE_BYTES as usize
    }

    /// Copies the write-ahead log into the database as far as nobody still reads in it; then it is begun anew.
    fn checkpoint(&mut self) {
        if let Err(error) = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            // What is in the log is kept.
            log::warn!("the database's log cannot be copied into it, and grows: {error}");
        }
        self.wal_pages_copied = self.wal_pages_before;
    }

    /// Nothing is to be done: the log is emptied and memory freed.
    fn rest(&mut self) {
        let emptied = self.connection.busy_timeout(std::time::Duration::ZERO).and_then(|()| {
            let emptied = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
            self.connection.busy_timeout(DATABASE_BUSY_TIMEOUT)?;
            emptied
        });
        match emptied {
            Ok(_) => (self.wal_pages_before, self.wal_pages_copied) = (0, 0),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {}
            Err(error) => log::warn!("the database's log cannot be copied into it: {error}"),
        }
        // What cannot be freed now stays bounded all the same.
        let _ = self.connection.release_memory();
    }
}

/// Transactions after which the size is said though there is trash.
const UNSAID_MAX: u32 = 64;

/// Writes what the batches come to, which is about so many bytes.
fn write(batches: &[Batch], bytes: usize, writing: &mut Writing<'_>) -> Result<(), Fault> {
    let wall_us = batches.iter().map(|batch| batch.now.wall_us).max().unwrap_or_default();
    let alive_us = batches.iter().map(|batch| batch.now.alive_us).max().unwrap_or_default();
    let next_handler = batches.iter().map(|batch| batch.next_handler).max().unwrap_or_default();
    let mut group = Group::default();
    for batch in batches {
        group.add(batch, writing)?;
    }
    group.write(writing)?;
    // As much goes as comes, so that it does not pile up under load.
    for _ in 0..=2 * bytes / TRASH_SLICE_BYTES {
        if writing.known.has_trash {
            writing.empty_trash()?;
        }
    }
    writing.set_clock(Now { wall_us, alive_us }, next_handler)
}

/// A key and a place that nothing has.
const PROBE: i64 = (1 << 62) - 1;

/// So that what the threads cannot do any more is not waited for.
pub(super) fn closed() -> StoreError {
    StoreError::Failed("the store is closed".into())
}
