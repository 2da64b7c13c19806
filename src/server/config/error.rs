//! Why a command line, a variable or a configuration is not understood.

use std::{error::Error, ffi::OsString, fmt};

use crate::{
    api::AccessError,
    net::{Address, AddressError},
    text::{InvalidValue, nearest},
};

/// Why a command line, a variable or a [`Config`](crate::Config) is not understood: what was expected, and what came.
#[derive(Debug)]
#[non_exhaustive]
pub enum UsageError {
    /// No flag has this name.
    UnknownFlag {
        /// What was given: `--nope`.
        name: String,
        /// The flag that was probably meant.
        meant: Option<&'static str>,
    },
    /// The program has no such command.
    UnknownCommand {
        /// What was given.
        name: String,
        /// The command that was probably meant.
        meant: Option<&'static str>,
    },
    /// This flag comes with a later version.
    Later {
        /// The flag or its variable.
        of: String,
        /// What to do instead.
        why: &'static str,
    },
    /// A flag or its variable has a value that is not understood.
    Value {
        /// The flag or its variable.
        of: String,
        /// What was expected.
        error: ValueError,
    },
    /// The value of this variable is not UTF-8.
    NotText(String),
    /// The arguments are no flags and their values.
    Arguments(Box<dyn Error + Send + Sync>),
    /// A tool takes other operands.
    Operands {
        /// The tool.
        tool: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What came.
        got: Vec<OsString>,
    },
    /// A tool was given an empty name for its directory.
    NoDirectory {
        /// The tool.
        tool: &'static str,
    },
    /// The program was built without a feature that this needs.
    NotBuilt {
        /// The flag or the tool.
        of: &'static str,
        /// The name of the feature.
        feature: &'static str,
    },
    /// An origin or a host that is to be allowed is malformed.
    Access(AccessError),
    /// A body of `body_bytes_max` could take more than half of `memory_max`: raise the one or lower the other.
    BodyBeyondMemory {
        /// `--memory-max`
        memory_max: usize,
        /// `--body-bytes-max`
        body_bytes_max: usize,
    },
    /// Anybody who reaches this address may call, which was not allowed.
    OpenToAll(Address),
}

/// Why the value of a flag is not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ValueError {
    /// It is none of the values that the flag takes.
    Invalid(InvalidValue),
    /// It is no address.
    Address(AddressError),
    /// It is empty instead of a directory.
    NoDirectory,
}

impl UsageError {
    /// The program has no command `name`. The nearest of `known` is suggested.
    pub fn unknown_command(name: &str, known: &[&'static str]) -> Self {
        Self::UnknownCommand { name: name.to_owned(), meant: nearest(name, known.iter().copied()) }
    }

    /// The exit code of a program that ends because of it: 2, as of all programs that do not understand how they were
    /// called.
    pub fn exit_code(&self) -> u8 {
        2
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = |meant: Option<&str>| meant.map_or(String::new(), |meant| format!(" (did you mean {meant}?)"));
        match self {
            Self::UnknownFlag { name, meant } => write!(out, "unknown option {name}{}", hint(*meant)),
            Self::UnknownCommand { name, meant } => write!(out, "unknown command {name:?}{}", hint(*meant)),
            Self::Later { of, why } => write!(out, "{of}: {why}"),
            Self::Value { of, error } => write!(out, "{of}: {error}"),
            Self::NotText(variable) => write!(out, "{variable}: expected UTF-8"),
            Self::Arguments(error) => write!(out, "{error}"),
            Self::Operands { tool, expected, got } => write!(out, "{tool}: expected {expected}, got {got:?}"),
            Self::NoDirectory { tool } => write!(out, "{tool}: expected DIR, got an empty name"),
            Self::NotBuilt { of, feature } => {
                write!(out, "{of}: this program was built without feature `{feature}`")
            }
            Self::Access(error) => write!(out, "{error}"),
            Self::BodyBeyondMemory { memory_max, body_bytes_max } => write!(
                out,
                "--memory-max {memory_max}: a body of --body-bytes-max {body_bytes_max} takes more than half of it; \
                 raise the one or lower the other"
            ),
            Self::OpenToAll(address) => write!(
                out,
                "--listen {address}: beyond loopback anybody who reaches the port may call; say --allow-anonymous if \
                 that is meant"
            ),
        }
    }
}

impl Error for UsageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Value { error, .. } => Some(error),
            Self::Arguments(error) => error.source(),
            Self::Access(error) => Some(error),
            _ => None,
        }
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Arguments(error.into())
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(out, "{error}"),
            Self::Address(error) => write!(out, "{error}"),
            Self::NoDirectory => out.write_str("expected a directory"),
        }
    }
}

impl Error for ValueError {}

impl From<InvalidValue> for ValueError {
    fn from(error: InvalidValue) -> Self {
        Self::Invalid(error)
    }
}

impl From<AddressError> for ValueError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}
