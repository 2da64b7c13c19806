//! What the core wants its driver to do.

use std::sync::Arc;

use crate::client_id::ClientId;
use crate::{
    engine::{
        feed::Feed,
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::{Asked, Fold, Trouble},
        storage::{Query, StoreError, Ticket},
        stored::{HandlerAddress, Stored, StoredHandler},
    },
    http::Response,
};

/// Something to do, in the order in which it is returned.
#[derive(Debug)]
pub enum Output {
    /// Query the store. Pass its answer to [`Core::handle_completed`](super::Core::handle_completed).
    Ask(Ticket, Query),
    /// Fold this journal, which is long, outside the loop; pass the result to
    /// [`Core::handle_folded`](super::Core::handle_folded).
    Fold(Loaded, Fold),
    /// Send the reply: its change is committed.
    Reply(ClientId, Response),
    /// Tell this client that its request has failed.
    Refuse(ClientId, Refused),
    /// The run that this client waits for has ended; without a handler, it was purged.
    RunEnded(ClientId, Option<HandlerKey>),
    /// Repeat the client's call: what it waited for is available.
    Call {
        /// Whose call.
        client: ClientId,
        /// Whether the call's handler was loaded from the store.
        is_read: bool,
    },
    /// What the client's call waited for cannot be read: reply without it.
    CallFailed(ClientId, StoreError),
    /// The run has new events, or its end, for its readers.
    Published(RunKey),
    /// The client now has the lock of the queue that it waited for.
    LockGranted(ClientId),
    /// The handler that the client reads was purged.
    ReaderGone(ClientId),
    /// The run that the client reads was not committed, and does not exist.
    ReaderLost(ClientId),
    /// Events that the client's stream has requested, and the workflow of their ids, if the store knows; or why they
    /// cannot be read.
    Page(ClientId, Ticket, Result<(Feed, Option<WorkflowId>), StoreError>),
    /// Handlers that the client's list has requested, and whether they end the list; `None` if they cannot be read.
    ListPage(ClientId, Option<(Vec<StoredHandler>, bool)>),
    /// Something for the log.
    Trouble(Trouble),
    /// The store fails; not reported again for a while.
    StoreFails(StoreError),
    /// The store, whose failure was reported, works again.
    StoreWorks,
    /// This thread of the store has ended: nothing is committed any longer.
    StoreDied(&'static str),
}

/// Why a request that was accepted has failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Its change could not be stored: nothing has changed.
    NotStored(StoreError),
    /// The run that it waits for cannot continue, and nothing of it can be read.
    RunUnreadable,
    /// The run of this handler has not ended, but its end cannot be stored or read now.
    RunDelayed(Arc<str>),
}

/// A handler that the store has returned, and the query that it answers.
#[derive(Debug)]
pub struct Loaded {
    pub(super) address: HandlerAddress,
    pub(super) asked: Asked,
    /// The handler.
    pub stored: Box<Stored>,
}
