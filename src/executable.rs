//! Where the program of a step is.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::command::Program;

/// Where programs are searched if neither the step nor the server has a PATH.
const PATH_UNSET: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why there is no program.
#[derive(Debug)]
pub enum NotFound {
    /// No directory in PATH has it.
    NotInPath {
        /// Whether it is in the directory of its workflow file.
        is_beside: bool,
    },
    /// This is a directory.
    Directory(PathBuf),
    /// This may not be executed.
    NotExecutable(PathBuf),
    /// The system does not say what this is.
    Unknown(PathBuf, io::Error),
}

/// Returns the PATH in which a program without a slash is searched: that of the step, or else of this process.
pub fn search_path(program: &Program) -> OsString {
    let own = program.env.iter().rev().find(|(name, _)| **name == *"PATH").map(|(_, value)| OsString::from(&**value));
    own.or_else(|| env::var_os("PATH")).unwrap_or_else(|| PATH_UNSET.into())
}

/// Finds a program: one with a slash from the directory of its workflow file, another one in `path`.
///
/// # Errors
/// If it is not there, or cannot be executed.
pub fn find(name: &str, directory: &Path, path: &OsStr) -> Result<PathBuf, NotFound> {
    if name.contains('/') {
        let program = directory.join(name);
        return match fs::metadata(&program) {
            Ok(metadata) if metadata.is_dir() => Err(NotFound::Directory(program)),
            Ok(metadata) if is_executable(&metadata) => Ok(program),
            Ok(_) => Err(NotFound::NotExecutable(program)),
            Err(error) => Err(NotFound::Unknown(program, error)),
        };
    }
    let mut programs = env::split_paths(path).map(|searched| directory.join(searched).join(name));
    let found = programs.find(|program| fs::metadata(program).is_ok_and(|metadata| is_executable(&metadata)));
    found.ok_or_else(|| NotFound::NotInPath { is_beside: directory.join(name).is_file() })
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}
