//! What the core has its driver do.

use std::sync::Arc;

use super::ClientId;
use crate::{
    engine::{
        feed::Feed,
        kept::{Address, Kept, KeptHandler},
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::{Asked, Fold, Trouble},
        storage::{Query, StoreError, Ticket},
    },
    http::Response,
};

/// Something to be done, in the order in which it is given out.
#[derive(Debug)]
pub enum Output {
    /// Ask the store. Its answer comes back with [`Core::handle_completed`](super::Core::handle_completed).
    Ask(Ticket, Query),
    /// Fold this journal, which is long, beside the loop; the result comes back with
    /// [`Core::handle_folded`](super::Core::handle_folded).
    Fold(Loaded, Fold),
    /// Send the reply: what it tells is committed.
    Reply(ClientId, Response),
    /// The request that this client's reply waits for comes to nothing. Tell it so.
    Refuse(ClientId, Refused),
    /// The run that this client waits for has ended; without a handler it was purged.
    RunEnded(ClientId, Option<HandlerKey>),
    /// Make the client's call again: what it waited for is here.
    Call {
        /// Whose call.
        client: ClientId,
        /// Whether the scheduler was given what the store has of the call's handler.
        is_read: bool,
    },
    /// What the client's call waited for cannot be read: answer without it.
    CallFailed(ClientId, StoreError),
    /// The run has new events, or its end: its readers go on.
    Published(RunKey),
    /// The client has the lock of the queue that it waited for.
    Turn(ClientId),
    /// The handler that the client reads is purged.
    ReaderGone(ClientId),
    /// The run that the client reads was not committed: there is no such run.
    ReaderLost(ClientId),
    /// Events that the client's stream has asked for, and whose ids they have, if the store knows; or why they cannot
    /// be read.
    Page(ClientId, Ticket, Result<(Feed, Option<WorkflowId>), String>),
    /// Handlers that the client's list has asked for, and whether the list ends with them; `None`: they cannot be read.
    ListPage(ClientId, Option<(Vec<KeptHandler>, bool)>),
    /// Something for the log.
    Trouble(Trouble),
    /// The store fails; not told again for a while.
    StoreFails(StoreError),
    /// The store, of which that was told, works again.
    StoreWorks,
    /// This thread of the store has ended: nothing is committed any more.
    StoreDied(&'static str),
}

/// Why a request that was accepted comes to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// What it changed could not be stored: nothing has changed.
    NotStored(StoreError),
    /// The run that it waits for goes on no more, and nothing of it can be read.
    RunUnreadable,
    /// The run of this handler goes on, but its end cannot be stored or read now.
    RunDelayed(Arc<str>),
}

/// A handler that the store has given, and what it was asked for with.
#[derive(Debug)]
pub struct Loaded {
    pub(super) address: Address,
    pub(super) asked: Asked,
    /// The handler.
    pub kept: Box<Kept>,
}
