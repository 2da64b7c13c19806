//! Why a server does not serve.

use std::{fmt, io};

use crate::store::OpenError;

/// Why a server does not serve.
#[derive(Debug)]
pub enum ServeError {
    /// The program registers two workflows of one name: rename one.
    SameName(String),
    /// A value of the configuration is not understood; the text says what is expected.
    Config(String),
    /// The data directory cannot be used: what was found there, what was expected, what to do.
    Store(String),
    /// An address cannot be had; the text names it and says why.
    Listen(io::Error),
    /// The system refuses; the text says what was tried.
    Io(String, io::Error),
}

impl From<OpenError> for ServeError {
    fn from(error: OpenError) -> Self {
        match error {
            #[cfg(not(feature = "sqlite"))]
            OpenError::NotBuilt => Self::Config(error.to_string()),
            #[cfg(feature = "sqlite")]
            OpenError::Sqlite(_) => Self::Store(error.to_string()),
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameName(name) => write!(formatter, "two workflows are named {name:?}; rename one"),
            Self::Config(text) | Self::Store(text) => formatter.write_str(text),
            Self::Listen(error) => write!(formatter, "{error}"),
            Self::Io(what, error) => write!(formatter, "{what}: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}
