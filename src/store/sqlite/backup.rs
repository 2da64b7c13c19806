//! A consistent copy of the database, made beside a running server.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    fault::SqliteFault,
    open::{find, plain, private, set_up, sibling, sync_directory},
};
use crate::{limits::READER_CACHE_KIB, store::OpenError};

/// Copies the database in `directory` to `file`, as it is at one moment, whether or not a server runs on it. The copy
/// serves as `steprill.db` in another directory. A running server continues in the meantime, while its log grows.
///
/// The copy is written as `file` with the suffix `.part`, synced, and then renamed: `file` is never incomplete. What a
/// backup that was killed left behind is replaced by the next one.
///
/// # Errors
/// If there is no database, `file` exists, or one of them cannot be read or written. No new `file` exists then.
pub fn backup(directory: &Path, file: &Path) -> Result<(), OpenError> {
    let path = find(directory)?;
    if fs::symlink_metadata(file).is_ok() {
        return Err(OpenError::Exists(file.to_owned()));
    }
    let part = Part::begin(sibling(file, ".part"))?;
    copy(&path, &part.path)?;
    part.finish(file)
}

/// A copy in progress; dropping it removes it.
struct Part {
    path: PathBuf,
    /// Locked, so that two backups to one file do not overwrite each other's.
    file: File,
}

impl Part {
    fn begin(path: PathBuf) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io { path: path.clone(), error };
        match OpenOptions::new().write(true).open(&path) {
            // It may have its final name, too, so nothing is written into it.
            Ok(left) => {
                lock(&left, &path)?;
                fs::remove_file(&path).map_err(io)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let file = private().create_new(true).open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenError::InUse(path.clone()),
            _ => OpenError::Io { path: path.clone(), error },
        })?;
        lock(&file, &path)?;
        Ok(Self { path, file })
    }

    fn error(&self, error: io::Error) -> OpenError {
        OpenError::Io { path: self.path.clone(), error }
    }

    /// Syncs the copy and renames it, unless such a file exists by now.
    fn finish(self, file: &Path) -> Result<(), OpenError> {
        let exists = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let synced = self.file.sync_all().and_then(|()| sync_directory(parent(file)));
        synced.map_err(|error| self.error(error))?;
        let named = fs::hard_link(&self.path, file).or_else(|error| match fs::symlink_metadata(file) {
            Err(_) if !exists(&error) => fs::rename(&self.path, file),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        });
        named.map_err(|error| {
            let file = file.to_owned();
            if exists(&error) { OpenError::Exists(file) } else { OpenError::Io { path: file, error } }
        })?;
        let _ = fs::remove_file(&self.path);
        sync_directory(parent(file)).map_err(|error| OpenError::Io { path: file.to_owned(), error })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if is_same(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks a file for this backup. Another backup may have removed or finished it in between.
fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) if is_same(file, path) => Ok(()),
        Ok(()) | Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}

/// Returns whether the path is that of the open file.
fn is_same(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        file.metadata().map(identity).ok() == fs::symlink_metadata(path).map(identity).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

fn copy(path: &Path, file: &Path) -> Result<(), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
    // Not read-only: if no server runs, its log is read, and then removed again.
    let source = Connection::open_with_flags(plain(path), flags).map_err(SqliteFault::from).and_then(|source| {
        set_up(&source, READER_CACHE_KIB)?;
        Ok(source)
    });
    let source = source.map_err(|fault| fault.open_error(path))?;
    let copied = Connection::open_with_flags(plain(file), flags).and_then(|mut target| {
        target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
        // All at once: in steps, each commit of the server would make it start again.
        let step = Backup::new(&source, &mut target)?.step(-1)?;
        target.close().map_err(|(_, error)| error)?;
        Ok(step)
    });
    match copied {
        Ok(StepResult::Done) => Ok(()),
        Ok(_) => Err(OpenError::InUse(path.to_owned())),
        Err(error) => Err(SqliteFault::from(error).open_error(file)),
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
