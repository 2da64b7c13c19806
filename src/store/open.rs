//! Chooses the store of a server. The only place that names all of them.

use std::{fmt, path::Path, sync::Arc};

#[cfg(feature = "sqlite")]
use super::sqlite::{self, SqliteStore};
use super::{Durability, Opened, Store, memory::MemoryStore};
use crate::{graph::Graph, wake::WakeLoop};

/// How to open a store.
pub struct Wanted<'a> {
    /// The data directory; `None` for a store that recalls only feeds.
    pub data: Option<&'a Path>,
    /// When a batch counts as committed.
    pub durability: Durability,
    /// The limit on the bytes of the data, if any.
    pub bytes_max: Option<u64>,
    /// The registered workflows.
    pub graphs: &'a [Arc<Graph>],
    /// The secret for the ids of handlers, if nothing is stored yet.
    pub fresh_secret: u128,
    /// Called from another thread when something is completed and nothing was before.
    pub wake_loop: WakeLoop,
}

/// Opens the store.
///
/// # Errors
/// Why it cannot be used; nothing in it was changed then.
pub fn open(wanted: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    match wanted.data {
        None => Ok(MemoryStore::open(wanted.graphs, wanted.fresh_secret).boxed()),
        Some(directory) => open_directory(directory, wanted),
    }
}

#[cfg(feature = "sqlite")]
fn open_directory(directory: &Path, wanted: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    let Wanted { durability, bytes_max, graphs, fresh_secret, wake_loop, .. } = wanted;
    let mut opened =
        SqliteStore::open(directory, durability, graphs, fresh_secret, wake_loop).map_err(OpenError::Sqlite)?;
    opened.size_max = bytes_max.map(|bytes_max| opened.store.say_size(bytes_max));
    Ok(opened.boxed())
}

#[cfg(not(feature = "sqlite"))]
fn open_directory(_: &Path, _: Wanted<'_>) -> Result<Opened<Box<dyn Store>>, OpenError> {
    Err(OpenError::NotBuilt)
}

/// Why a store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The directory cannot be used.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::OpenError),
    /// This program has no store for directories.
    #[cfg(not(feature = "sqlite"))]
    NotBuilt,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(error) => error.fmt(formatter),
            #[cfg(not(feature = "sqlite"))]
            Self::NotBuilt => formatter.write_str("--data: this program was built without feature `sqlite`"),
        }
    }
}

impl std::error::Error for OpenError {}
