//! The messages between a pass and the loop while an executor has the pass.

use serde::{Deserialize, Serialize};

use super::{Done, Note};

/// A report of an executor about a pass.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Report {
    /// The pass was told to stop before it began, and never begins.
    NotBegun,
    /// The pass has noted this.
    Noted(Vec<Note>),
    /// The pass waits until it may stream this many bytes more.
    FeedWanted(usize),
    /// The pass, told to do so, has returned this many bytes that it may stream and does not use.
    FeedGivenBack(usize),
    /// The pass has panicked, with this position and message. Its end follows.
    Panicked(String),
    /// The pass has ended.
    Done(Done),
    /// What ran the pass has ended without reporting the pass. Nothing more follows.
    Lost,
}

/// An order of the loop to a pass that an executor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make each of its `ctx` calls fail from now on.
    Stop(Stop),
    /// It was told to stop and does not end. The executor may replace what it occupies.
    Abandon,
    /// An order about the bytes that it may stream.
    Feed(FeedOrder),
}

/// Why a pass must stop. From then on each of its `ctx` calls fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Stop {
    /// The run has ended, or was cancelled.
    Cancelled,
    /// The pass has exceeded its step's time-out.
    TimedOut,
}

/// An order to a running pass about the bytes that it may stream. The pass was granted some when it began, and waits
/// for an answer when an event needs more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FeedOrder {
    /// It may stream this many bytes more.
    Grant(usize),
    /// The feed has no room for what it requested.
    Refuse,
    /// It must return what it does not use: another pass of its run needs it.
    TakeBack,
}
