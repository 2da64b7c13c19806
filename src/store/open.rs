//! Chooses the store of a server, and of a tool that shows or copies a data directory. The only place that names all of
//! them.

use std::path::Path;

#[cfg(not(feature = "sqlite"))]
use super::absent as durable;
#[cfg(feature = "sqlite")]
use super::sqlite as durable;
use super::{Inspect, OpenError, Opened, Store, Wanted, memory::MemoryStore};

/// Opens the store.
///
/// # Errors
/// Why it cannot be used; nothing in it was changed then.
pub fn open(wanted: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    match wanted.data {
        None => Ok(MemoryStore::open(wanted.graphs, wanted.fresh_secret).boxed()),
        Some(directory) => durable::open(directory, wanted),
    }
}

/// Opens the data directory for reading, beside a running server or without one.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn inspect(directory: &Path) -> Result<Box<dyn Inspect>, OpenError> {
    durable::inspect(directory)
}

/// Copies what a data directory has to `file`, as it is at one moment, beside a running server or without one. `file`
/// is never incomplete.
///
/// # Errors
/// If there is no data directory, `file` exists, or one of them cannot be read or written. No new `file` exists then.
pub fn backup(directory: &Path, file: &Path) -> Result<(), OpenError> {
    durable::backup(directory, file)
}
