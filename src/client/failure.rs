//! How a command ends.

/// The exit codes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Exit {
    /// The request was carried out; for a run: it has completed.
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// The run was cancelled.
    Cancelled = 3,
    /// The run has timed out.
    TimedOut = 4,
    /// Ctrl-C, as shells report it.
    Interrupted = 130,
}

/// Why a command has failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// One line; empty if everything was printed before.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }

    pub(super) fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, text: "interrupted".to_owned() }
    }
}

pub(super) type Result<T> = std::result::Result<T, Failure>;
