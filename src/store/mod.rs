//! What is kept, behind one narrow trait: batches go in under their numbers, answers to queries come out by ticket.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::{fmt, str::FromStr};

use crate::engine::scheduler::Batch;
pub use crate::engine::{
    kept::Address,
    storage::{Answer, Completed, Query, StoreError, Ticket},
};

/// When a batch counts as kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// When it is on the disk. Survives a loss of power.
    #[default]
    Full,
    /// When the system has it; it is on the disk with the next checkpoint. A loss of power may take the last moments, a
    /// crash of the process takes nothing.
    Normal,
    /// When the system has it; it is on the disk when the system likes. A loss of power may damage the database, a
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            "off" => Ok(Self::Off),
            other => Err(format!("expected full, normal or off, got {other:?}")),
        }
    }
}

/// Keeps batches and gives back what they held. Queries complete in any order, batches in theirs. A query sees every
/// batch that was completed before it was asked.
pub trait Store {
    /// Takes a batch. It is kept when [`Store::poll_completed`] gives its number.
    fn submit(&mut self, batch: Batch);

    /// Asks for something. The answer completes under this ticket.
    fn read(&mut self, ticket: Ticket, query: Query);

    /// The next batch or query that is completed.
    fn poll_completed(&mut self) -> Option<Completed>;

    /// Whether the store survives the process, so that batches must carry the inputs.
    fn is_durable(&self) -> bool;

    /// Waits until everything that was submitted is kept or has failed, and closes.
    fn close(&mut self);
}
