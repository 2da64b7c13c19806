//! What one transaction changes of one handler.

use super::rows;
use crate::engine::{
    feed::Feed,
    keys::HandlerKey,
    storage::{Ended, Head},
    window::Mark,
};

/// Where a handler's newest run stands in the database.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Live {
    pub(super) run: u32,
    pub(super) version: i64,
    /// The number that its next event gets.
    pub(super) next: u64,
    pub(super) tail_bytes: usize,
    /// Whether it has rows in `feed`.
    pub(super) has_feed: bool,
    /// The number of its next row in `journal`; 0 if it has none.
    pub(super) journal_next: i64,
}

/// What is new of one handler's newest run. What happened in it is written in the order of the fields.
pub(super) struct Change<'a> {
    pub(super) handler: i64,
    /// As it was before.
    pub(super) live: Live,
    /// It begins.
    pub(super) opened: Option<Beginning<'a>>,
    /// The version that the fields below are under.
    pub(super) version: i64,
    pub(super) feed: Feed,
    pub(super) snapshot: Option<(i64, &'a [u8])>,
    /// Those after the snapshot.
    pub(super) records: Vec<u8>,
    /// With its place in the order of ending.
    pub(super) ended: Option<(i64, &'a Ended)>,
    pub(super) cursor: Option<u64>,
    /// Where the window of the feed begins.
    pub(super) left: Option<Mark>,
}

/// A run that begins.
pub(super) struct Beginning<'a> {
    pub(super) head: &'a Head,
    /// Whether nobody can ask for the run before it.
    pub(super) drops_earlier: bool,
}

impl<'a> Change<'a> {
    pub(super) fn new(handler: HandlerKey, live: Live, opened: Option<Beginning<'a>>) -> Self {
        Self {
            handler: rows::signed(handler.0),
            live,
            opened,
            version: live.version,
            feed: Feed::new(live.next),
            snapshot: None,
            records: Vec::new(),
            ended: None,
            cursor: None,
            left: None,
        }
    }
}
