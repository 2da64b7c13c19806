//! The durable store: one SQLite database in a directory of its own, written by one thread and read by another.
//!
//! | module | what it knows |
//! |---|---|
//! | `open`, `schema` | opening a data directory; tables, and their versions |
//! | `versions` | the graphs under which rows were written |
//! | `writer` | the connection that writes; the threads are in `store/threads.rs` |
//! | `commit`, `verify` | how a group is committed, and what is at fault if that fails |
//! | `space` | deletion in small parts, free pages, checkpoints |
//! | `names` | ids, chosen and made |
//! | `known` | what the writer remembers |
//! | `write`, `remove` | what is written and deleted for the changes of a handler |
//! | `read`, `scan`, `rows` | queries, pages of all handlers, rows |
//! | `backup`, `inspect` | copying and reading beside a running server |
//!
//! # What is written when
//!
//! The first commit of a run writes its row in `handlers`, with its journal and events, and one in `places`. The last
//! one updates that row and moves the handler to the ended ones in `places`. What is committed in between gets rows in
//! `journal` and `feed`. So a short run touches two or three pages in each of its two commits.
//!
//! # Faults
//!
//! A fault that may pass (no room, an error of the system) fails a group of batches, and the engine retries it. A
//! lasting fault at one handler's rows costs only that handler: the group is committed without it. If its own rows
//! cannot be read, it is set aside in `aside`, and nothing here chooses it again until the next start, which checks
//! whether they can be read now. If they can, the damaged page is not its own: it stays as last committed, and changes
//! may be retried. Queries name the handler that cannot be read.

mod backup;
mod commit;
mod fault;
mod inspect;
mod known;
mod migrate;
mod names;
mod open;
mod read;
mod remove;
mod rows;
mod scan;
mod schema;
mod space;
mod states;
mod upkeep;
mod verify;
mod versions;
mod write;
mod writer;

use std::{fs::File, path::Path, path::PathBuf, sync::Arc};

pub use backup::backup;
pub use inspect::Inspector;

use super::{
    Batch, Completed, Durability, Inspect, OpenError, Opened, Query, Recovered, Store, StoreError, Ticket, Wanted,
    threads::Threads, versions::Versions,
};
use crate::{
    engine::ids::HandlerIds,
    graph::Graph,
    limits::{FREE_PART_BOUNDED, LOG_PART, WAL_BYTES_MAX},
    wake::WakeLoop,
};
use fault::SqliteFault;
use read::Reading;
use schema::PAGE_BYTES;
use writer::{Order, Writer};

/// Opens the database in `directory` for a server.
///
/// # Errors
/// Why it cannot be used; nothing in it was changed then.
pub fn open(directory: &Path, wanted: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    let Wanted { durability, bytes_max, graphs, fresh_secret, wake_loop, .. } = wanted;
    let mut opened = SqliteStore::open(directory, durability, graphs, fresh_secret, wake_loop)?;
    opened.size_max = bytes_max.map(|bytes_max| opened.store.say_size(bytes_max));
    Ok(opened.boxed())
}

/// Opens the database in `directory` for reading.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn inspect(directory: &Path) -> Result<Box<dyn Inspect>, OpenError> {
    Ok(Box::new(Inspector::open(directory)?))
}

/// A database in a directory, and its two threads.
///
/// Batches and queries may be submitted until it is closed. Dropping it closes it.
pub struct SqliteStore {
    path: PathBuf,
    versions: Arc<Versions>,
    ids: HandlerIds,
    threads: Threads<Order>,
    lock: Option<File>,
}

impl SqliteStore {
    /// Opens the database in `directory`, and creates both if they do not exist, with `fresh_secret` for the ids of
    /// handlers. `wake_loop` is called from another thread when something is completed and nothing was before.
    ///
    /// # Errors
    /// Why it cannot be used; nothing in it was changed then.
    pub fn open(
        directory: &Path,
        durability: Durability,
        graphs: &[Arc<Graph>],
        fresh_secret: u128,
        wake_loop: WakeLoop,
    ) -> Result<Opened<Self>, OpenError> {
        let path = open::database(directory);
        let open::Open { lock, connection, versions, known, beginning, unsynced } =
            open::open(directory, durability, graphs, fresh_secret)?;
        let versions = Arc::new(versions);
        let graphs = versions.graphs().to_vec();
        let error = |fault: SqliteFault| fault.open_error(&path);
        let writer = Writer::new(connection, Arc::clone(&versions), known, unsynced).map_err(error)?;
        let connection = open::open_for_reading(&path).map_err(error)?;
        let ids = HandlerIds::new(beginning.secret);
        let reading = Reading { connection, versions: Arc::clone(&versions), ids: ids.clone() };
        let gone = reading.gone().map_err(error)?;
        let threads = Threads::start(reading, writer, wake_loop);
        let threads = threads.map_err(|error| OpenError::Io { path: path.clone(), error })?;
        if !gone.is_empty() {
            threads.say(Completed::Gone(gone));
        }
        let store = Self { path, versions, ids, threads, lock: Some(lock) };
        Ok(Opened { store, graphs, beginning, size_max: None })
    }

    /// Makes the store report its size ([`Completed::Size`]), so that its directory can be kept below `bytes_max`,
    /// except for what one commit writes. Limits the log to a share of that, and releases free pages that would not fit
    /// beside it. Returns the limit for the reported size: bytes of the database without free pages.
    pub fn say_size(&mut self, bytes_max: u64) -> u64 {
        let log_bytes_max = (WAL_BYTES_MAX as u64).min(bytes_max / LOG_PART);
        // The log's file may be that much longer when it is copied into the database.
        let file_bytes_max = bytes_max - 2 * log_bytes_max;
        let pages_max = u32::try_from(file_bytes_max / u64::from(PAGE_BYTES)).unwrap_or(u32::MAX);
        self.threads.tell(Order::SaySize { log_bytes_max: log_bytes_max as usize, pages_max });
        // Some free pages are reserved, so that not every run that ends moves pages.
        file_bytes_max - file_bytes_max / FREE_PART_BOUNDED
    }

    /// Limits the database: what would make it larger fails with [`StoreError::Full`](super::StoreError), as on a full
    /// disk. A database that is larger already does not change.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        let pages = u32::try_from(bytes_max / u64::from(PAGE_BYTES)).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1);
        self.threads.tell(Order::PagesMax(pages));
    }
}

#[cfg(test)]
impl SqliteStore {
    /// Makes the thread that writes panic.
    pub(crate) fn kill_writer(&self) {
        assert!(self.threads.tell(Order::Panic), "the writer is there");
    }
}

impl Store for SqliteStore {
    fn recover(&mut self, each: &mut dyn FnMut(Recovered)) -> Result<(), StoreError> {
        let recovered = open::open_for_reading(&self.path).and_then(|connection| {
            let (versions, ids) = (Arc::clone(&self.versions), self.ids.clone());
            let reading = Reading { connection, versions, ids };
            reading.recover(each)
        });
        recovered.map_err(|fault| StoreError::Failed { cause: fault.open_error(&self.path).to_string().into() })
    }

    fn submit(&mut self, batch: Batch) {
        self.threads.submit(batch);
    }

    fn read(&mut self, ticket: Ticket, query: Query) {
        self.threads.read(ticket, query);
    }

    fn poll_completed(&mut self) -> Option<Completed> {
        self.threads.poll_completed()
    }

    fn close(&mut self) {
        // The writer's connection must be closed last, as it can empty the log.
        let ended = self.threads.close();
        if !ended {
            // What may still be written must not meet another server's writes: the lock is released with the process.
            std::mem::forget(self.lock.take());
        }
        // Unlock explicitly: a process that another thread is just starting has the file, too, until it executes its
        // program.
        if let Some(Err(error)) = self.lock.take().map(|lock| lock.unlock()) {
            log::warn!("the lock of {} is not given back: {error}", self.path.display());
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}
