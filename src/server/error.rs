//! Why a server does not serve.

use std::{error::Error, fmt, io};

use super::config::UsageError;
use crate::{
    json::JsonError,
    store::{OpenError, StoreError},
};

/// Why a server does not serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The program registers two workflows with one name: rename one.
    SameName(String),
    /// The configuration is not understood.
    Config(UsageError),
    /// The data directory cannot be used. What was found there, what was expected, and what to do.
    Store(OpenError),
    /// Runs that have not ended cannot be read from the data directory.
    Recovery(StoreError),
    /// The system does not give an address. The text names it.
    Listen(io::Error),
    /// The start event is of another type than the workflow starts with.
    WrongStart {
        /// The workflow.
        workflow: String,
        /// The type that it starts with.
        expected: String,
        /// The type that came.
        got: String,
    },
    /// The start event cannot be written as JSON.
    StartEvent(String, JsonError),
    /// The system refuses something. The text says what was tried.
    Io(&'static str, io::Error),
}

impl ServeError {
    /// The exit code of a program that ends because of it: 2 for a configuration that is not understood, 1 for a
    /// failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
            _ => 1,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameName(name) => write!(formatter, "two workflows are named {name:?}; rename one"),
            Self::Config(error) => write!(formatter, "{error}"),
            Self::Store(error) => write!(formatter, "{error}"),
            Self::Recovery(error) => write!(formatter, "{error}"),
            Self::Listen(error) => write!(formatter, "{error}"),
            Self::WrongStart { workflow, expected, got } => {
                write!(formatter, "workflow {workflow} starts with {expected}, not {got}")
            }
            Self::StartEvent(name, error) => write!(formatter, "{name}: {error}"),
            Self::Io(what, error) => write!(formatter, "{what}: {error}"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::SameName(_) | Self::Recovery(_) | Self::WrongStart { .. } => None,
            // Their texts include that of the inner error, so its source becomes theirs.
            Self::Config(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Listen(error) => error.source(),
            Self::StartEvent(_, error) => Some(error),
            Self::Io(_, error) => Some(error),
        }
    }
}

impl From<UsageError> for ServeError {
    fn from(error: UsageError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        Self::Recovery(error)
    }
}

impl From<OpenError> for ServeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotBuilt { feature } => Self::Config(UsageError::NotBuilt { of: "--data", feature }),
            error => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_exits_with_2_and_a_failure_with_1() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let in_use = || OpenError::InUse("data".into());
        let not_built = || OpenError::NotBuilt { feature: "sqlite" };
        let text = "--data: this program was built without feature `sqlite`";
        for (error, exit_code, says) in [
            (not_built().into(), 2, text.to_owned()),
            (in_use().into(), 1, in_use().to_string()),
            (ServeError::SameName("a".into()), 1, "two workflows are named \"a\"; rename one".into()),
            (ServeError::Listen(refused()), 1, refused().to_string()),
            (ServeError::Io("the loop has failed", refused()), 1, format!("the loop has failed: {}", refused())),
        ] {
            assert_eq!((error.exit_code(), error.to_string()), (exit_code, says));
        }
        // As the tools end that open a data directory without serving.
        assert_eq!((in_use().exit_code(), not_built().exit_code()), (1, 2));
    }
}
