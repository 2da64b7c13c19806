//! A copy of the database that is consistent, made beside a running server.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    fault::{Fault, OpenError},
    open::{Found, database, look, set_up, sync_directory},
};
use crate::limits::READER_CACHE_KIB;

/// Copies the database in `directory` to `file`, as it is at one moment, whether or not a server runs on it. The copy
/// serves as `steprill.db` in another directory. While it is made the server goes on; its log grows meanwhile.
///
/// # Errors
/// When there is no database, `file` exists, or one of them cannot be read or written. Then there is no `file` that was
/// not there before.
pub fn backup(directory: &Path, file: &Path) -> Result<(), OpenError> {
    let path = database(directory);
    if look(&path)? == Found::Nothing {
        let error = io::Error::new(io::ErrorKind::NotFound, "there is no database in this directory");
        return Err(OpenError::Io { path, error });
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let created = options.open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => OpenError::Exists(file.to_owned()),
        _ => OpenError::Io { path: file.to_owned(), error },
    })?;
    let copied = copy(&path, file).and_then(|()| {
        let synced = created.sync_all().and_then(|()| sync_directory(parent(file)));
        synced.map_err(|error| OpenError::Io { path: file.to_owned(), error })
    });
    if copied.is_err() {
        let _ = fs::remove_file(file);
    }
    copied
}

fn copy(path: &Path, file: &Path) -> Result<(), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
    // Not read-only: if no server runs, its log is read, and removed again after that.
    let source = Connection::open_with_flags(path, flags).map_err(Fault::from).and_then(|source| {
        set_up(&source, READER_CACHE_KIB)?;
        Ok(source)
    });
    let source = source.map_err(|fault| fault.open_error(path))?;
    let copied = Connection::open_with_flags(file, flags).and_then(|mut target| {
        target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
        // All at once: in steps, each commit of the server would have it begin anew.
        let step = Backup::new(&source, &mut target)?.step(-1)?;
        target.close().map_err(|(_, error)| error)?;
        Ok(step)
    });
    match copied {
        Ok(StepResult::Done) => Ok(()),
        Ok(_) => Err(OpenError::InUse(path.to_owned())),
        Err(error) => Err(Fault::from(error).open_error(file)),
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
