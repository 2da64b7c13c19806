//! Faults of a database, as described to those who start the server and those who are served.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

use super::schema::SCHEMA_VERSION;
use crate::{
    engine::keys::HandlerKey,
    store::{StoreError, versions::Unknown},
};

/// Why a data directory cannot be used. Nothing in it was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another server uses it: stop that one, or use another directory.
    InUse(PathBuf),
    /// The file is not an SQLite database: this is probably the wrong directory.
    NotDatabase(PathBuf),
    /// The database was made by another program: this is probably the wrong directory.
    OtherProgram(PathBuf),
    /// A newer version of this program has written it: use that one.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// An earlier version of this program has written it: a server updates it when it starts.
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It cannot be read: replace it by a backup.
    Damaged {
        /// The database.
        path: PathBuf,
        /// The fault, as described by SQLite or by the row that cannot be decoded.
        text: String,
    },
    /// The system does not allow reading or writing it: check permissions and space.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// There is no database: this is probably the wrong directory.
    Nothing {
        /// The directory.
        directory: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// The file for a backup exists: name another one, or remove it.
    Exists(PathBuf),
}

/// A fault inside the store.
#[derive(Debug)]
pub(super) enum SqliteFault {
    Sqlite(rusqlite::Error),
    /// An error of the system outside of SQLite.
    Io(io::Error),
    /// What was read was never written.
    Damaged(String),
    /// The same for the rows of one handler.
    Handler(u64, Box<str>),
    /// The database has this later version.
    Newer(u32),
}

impl SqliteFault {
    /// Returns whether a retry would meet the same fault, because the data is at fault.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Handler(..) => true,
            Self::Io(_) | Self::Newer(_) => false,
            // Without a code: a value of another type than was ever written.
            Self::Sqlite(error) => error.sqlite_error_code().is_none_or(|code| {
                matches!(
                    code,
                    ErrorCode::DatabaseCorrupt
                        | ErrorCode::ConstraintViolation
                        | ErrorCode::TypeMismatch
                        | ErrorCode::TooBig
                        | ErrorCode::ParameterOutOfRange
                )
            }),
        }
    }

    /// Attributes a lasting fault to this handler's rows.
    pub(super) fn of(self, handler: u64) -> Self {
        if self.is_lasting() { Self::Handler(handler, self.text().into()) } else { self }
    }

    /// Returns its description, on one line.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Sqlite(error) => words(error),
            Self::Io(error) => error.to_string(),
            Self::Damaged(text) => text.clone(),
            Self::Handler(_, text) => text.to_string(),
            Self::Newer(found) => format!("the database has version {found} by now"),
        }
    }

    pub(super) fn open_error(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Io(error) => return OpenError::Io { path, error },
            Self::Damaged(text) => return OpenError::Damaged { path, text },
            Self::Handler(handler, text) => {
                return OpenError::Damaged { path, text: format!("handler {handler}: {text}") };
            }
            Self::Newer(found) => return OpenError::Newer { path, found },
        };
        let text = words(&error);
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotDatabase(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path),
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                OpenError::Io { path, error: io::Error::new(io::ErrorKind::PermissionDenied, text) }
            }
            Some(ErrorCode::DiskFull) => {
                OpenError::Io { path, error: io::Error::new(io::ErrorKind::StorageFull, text) }
            }
            Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
                OpenError::Io { path, error: io::Error::other(text) }
            }
            // SQLite finds it corrupt; or a table is missing, or a column holds a value of another type.
            _ => OpenError::Damaged { path, text },
        }
    }

    pub(super) fn store_error(self) -> StoreError {
        match self {
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                StoreError::Full { cause: words(&error).into() }
            }
            Self::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                StoreError::Full { cause: error.to_string().into() }
            }
            Self::Handler(handler, text) => StoreError::Damaged { handler: HandlerKey(handler), cause: text },
            other => StoreError::Failed { cause: other.text().into() },
        }
    }
}

/// Returns SQLite's description without the statement, on one line.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg: text, .. } | rusqlite::Error::SqliteFailure(_, Some(text)) => {
            text.replace(['\n', '\r'], " ")
        }
        other => other.to_string().replace(['\n', '\r'], " "),
    }
}

impl From<rusqlite::Error> for SqliteFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Unknown> for SqliteFault {
    fn from(unknown: Unknown) -> Self {
        Self::Damaged(unknown.to_string())
    }
}

impl From<io::Error> for SqliteFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                formatter,
                "{} is in use by another server: stop that one, or give another directory",
                path.display()
            ),
            Self::NotDatabase(path) => write!(
                formatter,
                "{} is not a database: give another directory, or move the file away to begin with an empty one",
                path.display()
            ),
            Self::OtherProgram(path) => {
                write!(formatter, "{} is the database of another program: give another directory", path.display())
            }
            Self::Newer { path, found } => write!(
                formatter,
                "{} has version {found}, and this program knows versions up to {SCHEMA_VERSION}: use a newer steprill",
                path.display()
            ),
            Self::Older { path, found } => write!(
                formatter,
                "{} has version {found}, of an earlier steprill: start this server on it once, which brings it to \
                 version {SCHEMA_VERSION}",
                path.display()
            ),
            Self::Damaged { path, text } => write!(
                formatter,
                "{} is damaged ({text}): put a backup in its place, or give another directory",
                path.display()
            ),
            Self::Io { path, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::NotFound => "make the directory that it is to be in",
                    _ => "see to its permissions and to free space",
                };
                let path = path.display();
                write!(formatter, "{path} cannot be used ({error}): {advice}, or give another directory")
            }
            Self::Nothing { directory, found } => write!(
                formatter,
                "'{}' is no data directory ({found}): give the one that a server has as --data, with steprill.db in it",
                directory.display()
            ),
            Self::Exists(path) => write!(
                formatter,
                "{} exists: a backup replaces nothing, so name another file or remove that one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
