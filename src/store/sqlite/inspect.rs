//! Reads the database beside a running server, or without one.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    fault::SqliteFault,
    open::{aside, find, open_for_reading, read_secret, set_up, sibling},
    read::Reading,
    schema::SCHEMA_VERSION,
    versions,
};
use crate::{
    engine::{ids::HandlerIds, keys::HandlerKey, stored::Stored},
    graph::Graph,
    limits::{PAGE_BYTES_MAX, READER_CACHE_KIB},
    store::{Answer, HandlerAddress, Inspect, Inspected, OpenError, Query},
};

/// Reads the database of a directory and writes nothing.
pub struct Inspector {
    path: PathBuf,
    reading: Reading,
    secret: u128,
    aside: Vec<(HandlerKey, Box<str>)>,
}

impl Inspector {
    /// Opens the database in `directory`.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = find(directory)?;
        let opened = connect(&path).and_then(|mut connection| {
            let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found < SCHEMA_VERSION {
                return Ok(Err(OpenError::Older { path: path.clone(), found, known: SCHEMA_VERSION }));
            }
            let versions = Arc::new(versions::load(&mut connection, &[], false)?);
            let secret = read_secret(&connection)?;
            let aside = aside(&connection)?;
            let ids = HandlerIds::new(secret);
            Ok(Ok((Reading { connection, versions, ids }, secret, aside)))
        });
        let (reading, secret, aside) = opened.map_err(|fault| fault.open_error(&path))??;
        Ok(Self { path, reading, secret, aside })
    }
}

impl Inspect for Inspector {
    fn secret(&self) -> u128 {
        self.secret
    }

    fn graphs(&self) -> &[Arc<Graph>] {
        self.reading.versions.graphs()
    }

    fn aside(&self) -> &[(HandlerKey, Box<str>)] {
        &self.aside
    }

    fn handlers(&self, after: Option<HandlerKey>, count: usize) -> Result<Inspected, OpenError> {
        let listed = self.reading.list(after, count, PAGE_BYTES_MAX);
        listed.map(|listed| (listed.handlers, listed.damaged)).map_err(|fault| fault.open_error(&self.path))
    }

    fn handler(&self, address: &HandlerAddress) -> Result<Option<Stored>, OpenError> {
        self.reading.handler(address, true).map_err(|fault| fault.open_error(&self.path))
    }

    fn answer(&self, query: &Query) -> Result<Answer, OpenError> {
        self.reading.answer(query).map_err(|fault| fault.open_error(&self.path))
    }
}

/// A server's log is read together with the database. Without a log no server runs; then the file is read as it is, so
/// that SQLite does not create one.
fn connect(path: &Path) -> Result<Connection, SqliteFault> {
    if fs::metadata(sibling(path, "-wal")).is_ok() {
        return open_for_reading(path);
    }
    let absolute = std::path::absolute(path)?;
    let mut uri = String::from("file://");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            _ => {
                let _ = write!(uri, "%{byte:02x}");
            }
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    set_up(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}
