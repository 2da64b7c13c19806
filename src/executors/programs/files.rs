//! Files with the state of runs, for programs to read: in a directory of the user alone, each removed with its program.

use std::{
    env, fs,
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Makes these files.
#[derive(Debug)]
pub(super) struct Files {
    /// The directory, which is made when the first file is.
    directory: PathBuf,
    is_made: bool,
    /// Whether the directory is removed at the end.
    is_temporary: bool,
    empty: PathBuf,
}

impl Files {
    /// Creates files in this directory, or in a temporary one. Removes those of an earlier server.
    pub(super) fn new(directory: Option<&Path>) -> Self {
        let temporary = || env::temp_dir().join(format!("steprill-{:016x}", getrandom::u64().unwrap_or_default()));
        let is_temporary = directory.is_none();
        let directory = directory.map_or_else(temporary, Path::to_owned);
        let files = Self { empty: directory.join(EMPTY), directory, is_made: false, is_temporary };
        files.remove_all();
        files
    }

    fn remove_all(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_some_and(|extension| extension == "json") {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Writes the state of a pass. Returns the file, and whether it is the pass's own.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&mut self, tag: u64, state: Option<&str>) -> io::Result<(PathBuf, bool)> {
        if !self.is_made {
            // A temporary directory must be new, as others may write where it is made.
            match fs::DirBuilder::new().mode(0o700).create(&self.directory) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !self.is_temporary => {}
                made => made?,
            }
            write_new(&self.empty, "{}")?;
            self.is_made = true;
        }
        let Some(state) = state else { return Ok((self.empty.clone(), false)) };
        let path = self.directory.join(format!("state-{tag}.json"));
        write_new(&path, state)?;
        Ok((path, true))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.is_made {
            self.remove_all();
        }
        if self.is_made && self.is_temporary {
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

/// Writes a read-only file that only its owner can read.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

const EMPTY: &str = "empty.json";
