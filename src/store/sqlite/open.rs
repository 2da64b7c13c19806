//! Opens a data directory: examines what is there before anything is touched.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    fault::SqliteFault,
    known::Known,
    migrate,
    names::Names,
    rows::unsigned,
    schema::{APPLICATION_ID, LIVE_PLACE, PAGE_BYTES, SCHEMA_VERSION},
    verify, versions, write,
};
use crate::{
    engine::{
        ids::HandlerIds,
        keys::HandlerKey,
        stored::{Beginning, Recall},
    },
    graph::Graph,
    limits::{DATABASE_BUSY_TIMEOUT, READER_CACHE_KIB, STATEMENTS_MAX, WRITER_CACHE_KIB},
    store::{Durability, OpenError, versions::Versions},
};

/// The name of the database in its directory.
const FILE_NAME: &str = "steprill.db";

/// Returns the path of a data directory's database.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

/// A database that is open for writing, and what it knows.
pub(super) struct Open {
    /// Held while the store is open.
    pub(super) lock: File,
    pub(super) connection: Connection,
    pub(super) versions: Versions,
    pub(super) known: Known,
    pub(super) beginning: Beginning,
    /// The directory, if the database is new: its name must be synced before anything is committed.
    pub(super) unsynced: Option<PathBuf>,
}

/// Opens the database of a directory, or creates one with this secret.
pub(super) fn open(
    directory: &Path,
    durability: Durability,
    graphs: &[Arc<Graph>],
    fresh_secret: u128,
) -> Result<Open, OpenError> {
    let path = database(directory);
    let found = look(&path)?;
    if found == Found::Nothing {
        make_directory(directory)?;
    }
    let lock = lock(directory)?;
    // Another server may have created it in between.
    let is_new = found == Found::Nothing && look(&path)? == Found::Nothing;
    if is_new {
        create(&path, durability, graphs, fresh_secret)?;
    }
    let opened = open_for_writing(&path, durability).and_then(|mut connection| {
        let is_old = migrate::migrate(&mut connection)? < SCHEMA_VERSION;
        if is_old {
            // So that an older program sees the version in the file's header.
            connection.wal_checkpoint_v2(None::<&str>, rusqlite::wal::CheckpointMode::TRUNCATE)?;
        }
        let versions = versions::load(&mut connection, graphs, true)?;
        let before: Vec<_> = aside(&connection)?.into_iter().map(|(key, _)| key).collect();
        verify::restore(&mut connection, &versions, &before)?;
        let (newest, next) = write::clock(&connection)?;
        let (secret, names) = (read_secret(&connection)?, Names::load(&connection)?);
        let issued = names.issued(next);
        // All of a table are counted by page, a part of it one by one.
        let sql = "SELECT (SELECT count(*) FROM places) - (SELECT count(*) FROM places WHERE place >= ?1)";
        let finished: u32 = connection.query_row(sql, [LIVE_PLACE], |row| row.get(0))?;
        let finished = finished as usize;
        let ended_next = connection.query_row(
            "SELECT ifnull(max(place), 0) + 1 FROM places WHERE place < ?1",
            [LIVE_PLACE],
            |row| row.get(0),
        )?;
        let aside = aside(&connection)?;
        let known = Known::new(ended_next, aside.iter().map(|(key, _)| *key).collect(), HandlerIds::new(secret), names);
        let beginning = Beginning { recall: Recall::Everything, newest, issued, secret, finished, aside };
        Ok((connection, versions, known, beginning))
    });
    let (connection, versions, known, beginning) = opened.map_err(|fault| fault.open_error(&path))?;
    let unsynced = (is_new && durability != Durability::Off).then(|| directory.to_owned());
    Ok(Open { lock, connection, versions, known, beginning, unsynced })
}

/// Reads the secret from which ids are made.
pub(super) fn read_secret(connection: &Connection) -> Result<u128, SqliteFault> {
    let secret: [u8; 16] = connection.query_row("SELECT secret FROM store", [], |row| row.get(0))?;
    Ok(u128::from_le_bytes(secret))
}

/// Returns the handlers that were set aside, and why, as far as that can be read.
pub(super) fn aside(connection: &Connection) -> Result<Vec<(HandlerKey, Box<str>)>, SqliteFault> {
    all_aside(connection).or_else(|fault| if fault.is_lasting() { Ok(Vec::new()) } else { Err(fault) })
}

fn all_aside(connection: &Connection) -> Result<Vec<(HandlerKey, Box<str>)>, SqliteFault> {
    let mut statement = connection.prepare("SELECT handler, cause FROM aside ORDER BY handler")?;
    let mut found = statement.query([])?;
    let mut aside = Vec::new();
    while let Some(row) = found.next()? {
        aside.push((HandlerKey(unsigned(row, 0)?), row.get::<_, String>(1)?.into()));
    }
    Ok(aside)
}

/// What exists at the path of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// No file.
    Nothing,
    /// A database of this program, with a known version.
    Ours,
}

/// Reads the file's header without touching it. See <https://www.sqlite.org/fileformat.html#the_database_header>.
pub(super) fn look(path: &Path) -> Result<Found, OpenError> {
    let io = |error| OpenError::Io { path: path.to_owned(), error };
    let mut header = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEADER_BYTES).read_to_end(&mut header).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let log = sibling(path, "-wal");
            return if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                let text = format!("it is missing, and its log {} is there", log.display());
                Err(OpenError::Damaged { path: path.to_owned(), text })
            } else {
                Ok(Found::Nothing)
            };
        }
        Err(error) => return Err(io(error)),
    };
    let number = |place: usize| header.get(place..place + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (Some(version), Some(application)) = (number(60), number(68)) else {
        return Err(OpenError::NotDatabase(path.to_owned()));
    };
    match () {
        () if !header.starts_with(b"SQLite format 3\0") => Err(OpenError::NotDatabase(path.to_owned())),
        () if application != APPLICATION_ID => Err(OpenError::OtherProgram(path.to_owned())),
        () if version > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION })
        }
        () => Ok(Found::Ours),
    }
}

/// Returns the path of the database of a directory that must have one.
pub(super) fn find(directory: &Path) -> Result<PathBuf, OpenError> {
    let nothing = |found| OpenError::Nothing { directory: directory.to_owned(), found, expected: FILE_NAME };
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => return Err(nothing("it is a file")),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(nothing("it does not exist"));
        }
        // Other problems are reported for the database.
        _ => {}
    }
    let path = database(directory);
    match look(&path)? {
        Found::Ours => Ok(path),
        Found::Nothing => Err(nothing("there is no steprill.db in it")),
    }
}

const HEADER_BYTES: u64 = 100;

/// Returns a path that SQLite cannot mistake for a URI, as it does if it begins with `file:` or a colon.
pub(super) fn plain(path: &Path) -> Cow<'_, Path> {
    if path.is_absolute() { path.into() } else { Path::new(".").join(path).into() }
}

/// Returns the path of a file beside another whose name is extended by `suffix`.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn make_directory(directory: &Path) -> Result<(), OpenError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|error| OpenError::Io { path: directory.to_owned(), error })
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let file = private().open(&path).map_err(|error| OpenError::Io { path: path.clone(), error })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
    }
}

/// Opens files for writing, and creates missing ones so that nobody else can read them.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates an empty database under another name and renames it when it is complete, so that it is never incomplete.
fn create(path: &Path, durability: Durability, graphs: &[Arc<Graph>], secret: u128) -> Result<(), OpenError> {
    let fresh = sibling(path, ".new");
    let io = |error| OpenError::Io { path: fresh.clone(), error };
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(io(error));
    }
    let file = private().create_new(true).open(&fresh).map_err(io)?;
    fill(&fresh, graphs, secret).map_err(|fault| fault.open_error(&fresh))?;
    if durability != Durability::Off {
        file.sync_all().map_err(io)?;
    }
    fs::rename(&fresh, path).map_err(io)
}

/// Syncs the names in a directory to the disk.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn fill(path: &Path, graphs: &[Arc<Graph>], secret: u128) -> Result<(), SqliteFault> {
    let mut connection = Connection::open_with_flags(plain(path), FLAGS | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The database tracks where pages are moved from the start, so that free ones can be released.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;"
    ))?;
    migrate::migrate(&mut connection)?;
    connection.execute("INSERT INTO store VALUES (1, ?1)", [secret.to_le_bytes()])?;
    versions::load(&mut connection, graphs, true)?;
    connection.execute_batch("PRAGMA journal_mode = WAL;")?;
    Ok(connection.close().map_err(|(_, error)| error)?)
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

fn open_for_writing(path: &Path, durability: Durability) -> Result<Connection, SqliteFault> {
    let connection = Connection::open_with_flags(plain(path), FLAGS | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_up(&connection, WRITER_CACHE_KIB)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(SqliteFault::Damaged(format!("its journal mode stays {mode} where wal is asked for")));
    }
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
        Durability::Off => "OFF",
    };
    connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 0;"))?;
    Ok(connection)
}

/// Opens a second connection, which cannot write.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, SqliteFault> {
    let connection = Connection::open_with_flags(plain(path), FLAGS | OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    set_up(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

pub(super) fn set_up(connection: &Connection, cache_kib: u32) -> Result<(), SqliteFault> {
    connection.busy_timeout(DATABASE_BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Pages are checked more thoroughly when they are read, and a schema that was tampered with does nothing.
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(())
}
