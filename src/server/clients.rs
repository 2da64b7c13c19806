//! What the loop knows of each connection whose reply is not complete.

use super::reader::Reader;
use crate::{
    api::{ErrorFormat, List},
    core::ClientId,
    net::ConnectionId,
};

/// How the reply goes on. A connection whose request waits to be judged has none yet.
#[derive(Debug)]
pub(super) enum Client {
    /// The core gives the reply; errors are told in this form.
    Answering(ErrorFormat),
    /// GET /events: for the lock, or for events.
    Reading(Box<Reader>),
    /// GET /handlers: to take more of the list.
    Listing(Box<List>),
}

impl From<ConnectionId> for ClientId {
    fn from(id: ConnectionId) -> Self {
        Self { slot: id.slot, generation: id.generation }
    }
}

impl From<ClientId> for ConnectionId {
    fn from(client: ClientId) -> Self {
        Self { slot: client.slot, generation: client.generation }
    }
}
