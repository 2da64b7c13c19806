//! Faults of a database, as described to those who start the server and those who are served.

use std::{io, path::Path};

use rusqlite::ErrorCode;

use super::schema::SCHEMA_VERSION;
use crate::{
    engine::keys::HandlerKey,
    store::{OpenError, StoreError, versions::Unknown},
};

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
            Self::Newer(found) => return OpenError::Newer { path, found, known: SCHEMA_VERSION },
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
