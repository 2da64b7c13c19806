//! Notices of the scheduler to the core, and its refusals.

use crate::engine::{
    channel::ReaderId,
    input::Refusal,
    keys::{CallerId, HandlerKey, RunKey},
};

/// What the server is to do, once the cause is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The run has new events, or its end, for its readers.
    Published(RunKey),
    /// The run has ended; reply to the caller that waits for it.
    Ended(RunKey, CallerId),
    /// This waiting reader now has the queue's lock.
    LockGranted(ReaderId),
    /// The handler that this reader reads, or waits to read, was purged.
    Gone(ReaderId),
    /// The run that this reader reads, or waits to read, could not be committed and does not exist.
    Lost(ReaderId),
    /// The handler whose end this caller waits for was removed.
    CallerGone(CallerId),
    /// The run that this caller began could not be committed and does not exist.
    NotCommitted(CallerId),
    /// The run whose end this caller waits for is rolled back, because the store has failed: its end cannot be
    /// committed or read now. Repeated with each failure.
    Delayed(HandlerKey, CallerId),
    /// The run whose end this caller waits for cannot continue, and nothing of it can be read.
    Unread(CallerId),
    /// Load this handler and pass it to [`Scheduler::handle_loaded`](super::Scheduler::handle_loaded): something has
    /// arrived for its run.
    Load(HandlerKey),
    /// Query this many of the longest ended handlers, and pass them to
    /// [`Scheduler::handle_oldest`](super::Scheduler::handle_oldest).
    Oldest(usize),
}

/// The run of this handler is only in the store. Once [`Scheduler::handle_loaded`](super::Scheduler::handle_loaded) has
/// got the handler, the command can be repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotResident(pub HandlerKey);

/// Why an event from outside is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostRefused {
    /// The run is not resident.
    NotResident(NotResident),
    /// The run refuses it.
    ByRun(Refusal),
}

impl From<NotResident> for PostRefused {
    fn from(not_resident: NotResident) -> Self {
        Self::NotResident(not_resident)
    }
}
