//! What a pass and the loop say to each other while the pass is with an executor.

use serde::{Deserialize, Serialize};

use super::{Done, Note};

/// What an executor reports of a pass.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Report {
    /// The pass was told to stop before it began, and never begins.
    NotBegun,
    /// The pass has noted this.
    Noted(Vec<Note>),
    /// The pass waits until it may stream this many bytes more.
    FeedWanted(usize),
    /// The pass was told to give back what it may stream and does not use: this many bytes.
    FeedGivenBack(usize),
    /// The pass has panicked: where, and the message. Its end follows.
    Panicked(String),
    /// The pass has ended.
    Done(Done),
    /// What ran the pass has ended without a report of the pass. Nothing more comes of it.
    Lost,
}

/// What the loop tells a pass that is with an executor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Each of its `ctx` calls is to fail from now on.
    Stop(Stop),
    /// It was told to stop and does not end. The executor may replace what it occupies.
    Abandon,
    /// About the bytes that it may stream.
    Feed(FeedOrder),
}

/// Why a pass is to stop: each of its `ctx` calls fails from then on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Stop {
    /// The run has ended, or was cancelled.
    Cancelled,
    /// The pass has exceeded its step's time-out.
    TimedOut,
}

/// What the loop tells a running pass about the bytes that it may stream. The pass was granted some when it began, and
/// waits for an answer when an event needs more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FeedOrder {
    /// It may stream this many bytes more.
    Grant(usize),
    /// The feed has no room for what it asked for.
    Refuse,
    /// It is to give back what it does not use: another pass of its run needs it.
    TakeBack,
}
