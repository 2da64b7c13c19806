//! Storage behind one narrow trait: numbered batches go in, and answers to queries come out by ticket.
//!
//! | module | what it knows |
//! |---|---|
//! | `open` | which store a server or a tool has |
//! | `error` | why a data directory cannot be used |
//! | [`memory`] | the store that recalls feeds alone |
//! | `threads` | the threads of a store that blocks, and what depends on a failed batch |
//! | `fold`, `versions`, `list` | batches as one change for each handler; stored graphs; lists of byte strings |
//! | `sqlite`, `absent` | one database in a directory; what stands for it in a program without one |

#[cfg(not(feature = "sqlite"))]
mod absent;
mod error;
#[cfg(feature = "sqlite")]
mod fold;
#[cfg(feature = "sqlite")]
mod list;
pub mod memory;
mod open;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod threads;
#[cfg(feature = "sqlite")]
mod versions;

use std::{fmt, path::Path, str::FromStr, sync::Arc};

pub use error::OpenError;
pub use open::{backup, inspect, open};

pub use crate::engine::{
    storage::{Answer, Batch, Completed, Query, Recall, StoreError, Ticket},
    stored::{Aside, Beginning, HandlerAddress, Recovered},
};
use crate::{
    engine::{
        keys::HandlerKey,
        stored::{Stored, StoredHandler},
    },
    graph::Graph,
    text::InvalidValue,
    wake::WakeLoop,
};

/// When a batch counts as committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Once it is on the disk. Survives a loss of power.
    #[default]
    Full,
    /// Once the system has it; it is on the disk with the next checkpoint. A loss of power may take the last moments, a
    /// crash of the process takes nothing.
    Normal,
    /// Once the system has it, which writes it to the disk at any time. A loss of power may damage the database, a
    /// crash of the process takes nothing.
    Off,
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Full => "full",
            Self::Normal => "normal",
            Self::Off => "off",
        })
    }
}

impl FromStr for Durability {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            "off" => Ok(Self::Off),
            other => Err(InvalidValue::new("full, normal or off", other)),
        }
    }
}

/// How to open a store.
pub struct Wanted<'a> {
    /// The data directory; `None` for a store that recalls only feeds.
    pub data: Option<&'a Path>,
    /// When a batch counts as committed.
    pub durability: Durability,
    /// The limit on the bytes of the data, if any.
    pub bytes_max: Option<u64>,
    /// The registered workflows.
    pub graphs: &'a [Arc<Graph>],
    /// The secret for the ids of handlers, if nothing is stored yet.
    pub fresh_secret: u128,
    /// Called from another thread when something is completed and nothing was before.
    pub wake_loop: WakeLoop,
}

/// An opened store.
pub struct Opened<S> {
    /// The store.
    pub store: S,
    /// The graphs of the workflow ids that it returns: the registered ones first, in their order, then earlier versions
    /// of them and workflows that are no longer registered.
    pub graphs: Vec<Arc<Graph>>,
    /// What it knew when it was opened.
    pub beginning: Beginning,
    /// The size ([`Completed::Size`]) beyond which finished handlers are to be removed, if there is a limit.
    pub size_max: Option<u64>,
}

impl<S: Store + 'static> Opened<S> {
    /// Boxes the store.
    pub fn boxed(self) -> Opened<Box<dyn Store>> {
        let Self { store, graphs, beginning, size_max } = self;
        Opened { store: Box::new(store), graphs, beginning, size_max }
    }
}

/// Commits batches and returns their contents, as the contract in [`storage`](crate::engine::storage) says.
///
/// Order of calls: [`Store::recover`] once, before anything is submitted; then [`Store::submit`], [`Store::read`] and
/// [`Store::poll_completed`] in any order; [`Store::close`] at the end.
pub trait Store {
    /// Passes every handler whose run has not ended to `each`, in order of creation, with its journal.
    ///
    /// # Errors
    /// If it cannot be read which handlers those are.
    fn recover(&mut self, each: &mut dyn FnMut(Recovered)) -> Result<(), StoreError>;

    /// Submits a batch. It is committed when [`Store::poll_completed`] returns its number.
    fn submit(&mut self, batch: Batch);

    /// Submits a query. Its answer completes under this ticket.
    fn read(&mut self, ticket: Ticket, query: Query);

    /// Returns the next completed batch or query.
    fn poll_completed(&mut self) -> Option<Completed>;

    /// Waits until everything that was submitted is committed or has failed, and closes.
    fn close(&mut self);
}

/// Reads what a store has, beside a running server or without one, and writes nothing.
pub trait Inspect {
    /// Returns the secret for ids of handlers that no client chose.
    fn secret(&self) -> u128;

    /// Returns the graphs of the workflow ids of handlers.
    fn graphs(&self) -> &[Arc<Graph>];

    /// Returns the handlers that were set aside, and why, in order of their keys.
    fn aside(&self) -> &[(HandlerKey, Box<str>)];

    /// Returns up to `count` handlers after this one, in order of creation and without their states, and those among
    /// them that cannot be read, with the cause.
    ///
    /// # Errors
    /// If none can be read.
    fn handlers(&self, after: Option<HandlerKey>, count: usize) -> Result<Inspected, OpenError>;

    /// Returns one handler, with the journal of a run that has not ended or has failed; `None` if there is no such
    /// handler.
    ///
    /// # Errors
    /// If it cannot be read.
    fn handler(&self, address: &HandlerAddress) -> Result<Option<Stored>, OpenError>;

    /// Answers any other query.
    ///
    /// # Errors
    /// If something cannot be read.
    fn answer(&self, query: &Query) -> Result<Answer, OpenError>;
}

/// Handlers, and those that cannot be read, with the cause.
pub type Inspected = (Vec<StoredHandler>, Vec<(HandlerKey, Box<str>)>);
