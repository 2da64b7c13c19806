//! Why a data directory cannot be used, as described to those who start the server or a tool.

use std::{fmt, io, path::PathBuf};

/// Why a data directory cannot be used. Nothing in it was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another server uses it: stop that one, or use another directory.
    InUse(PathBuf),
    /// The file is not a database: this is probably the wrong directory.
    NotDatabase(PathBuf),
    /// The database was made by another program: this is probably the wrong directory.
    OtherProgram(PathBuf),
    /// A newer version of this program has written it: use that one.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// An earlier version of this program has written it: a server updates it when it starts.
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// It cannot be read: replace it by a backup.
    Damaged {
        /// The database.
        path: PathBuf,
        /// The fault, as described by the database or by the row that cannot be decoded.
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
        /// The file that a data directory has.
        expected: &'static str,
    },
    /// The file for a backup exists: name another one, or remove it.
    Exists(PathBuf),
    /// The program was built without any store for a directory: build it with this feature.
    NotBuilt {
        /// The name of the feature.
        feature: &'static str,
    },
}

impl OpenError {
    /// The exit code of a program that ends because of it: 2 if the program was built without what it was asked for,
    /// 1 for a failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotBuilt { .. } => 2,
            _ => 1,
        }
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
            Self::Newer { path, found, known } => write!(
                formatter,
                "{} has version {found}, and this program knows versions up to {known}: use a newer steprill",
                path.display()
            ),
            Self::Older { path, found, known } => write!(
                formatter,
                "{} has version {found}, of an earlier steprill: start this server on it once, which brings it to \
                 version {known}",
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
            Self::Nothing { directory, found, expected } => write!(
                formatter,
                "'{}' is no data directory ({found}): give the one that a server has as --data, with {expected} in it",
                directory.display()
            ),
            Self::Exists(path) => write!(
                formatter,
                "{} exists: a backup replaces nothing, so name another file or remove that one",
                path.display()
            ),
            Self::NotBuilt { feature } => write!(formatter, "this program was built without feature `{feature}`"),
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
