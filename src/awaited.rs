//! What a client whose call takes longer waits for: a call returns it, and the core makes the client wait for it.

use crate::{
    engine::{keys::HandlerKey, stored::HandlerAddress},
    http::Response,
};

/// What the client of a call waits for.
#[derive(Debug)]
pub enum Awaited {
    /// What the store has of the handler at this address. Then the call is repeated.
    Handler(HandlerAddress),
    /// The outcome of this batch. Then the call is repeated.
    Batch(u64),
    /// Something that the driver of the core does; then that resumes the call, which is repeated.
    Driver,
    /// The commit of the changes so far, which concern this handler. Then the response is sent.
    Commit(HandlerKey, Response),
    /// The end of the run that this handler has just begun.
    End(HandlerKey),
}

impl Awaited {
    /// Returns whether the call is repeated afterwards.
    pub fn repeats_call(&self) -> bool {
        matches!(self, Self::Handler(_) | Self::Batch(_) | Self::Driver)
    }
}
