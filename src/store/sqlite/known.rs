//! What the writer remembers of the database, so that it need not look it up for each transaction.

use std::{collections::BTreeSet, sync::Arc};

use super::names::Names;
use crate::{
    engine::{ids::HandlerIds, keys::HandlerKey},
    hash::CounterMap,
    limits::LIVE_CACHED_MAX,
    store::fold::Live,
};

/// What is known about the database besides its contents.
pub(super) struct Known {
    /// Positions of runs, so that they are not looked up for each transaction; may be incomplete.
    pub(super) live: CounterMap<HandlerKey, Live>,
    /// What this transaction has changed of those, as it was before. Looking it up again might meet a damaged page of
    /// another handler.
    undo: Vec<(HandlerKey, Option<Live>)>,
    /// The next position in the order of ending.
    pub(super) ended_next: i64,
    /// Whether `trash` is not empty.
    pub(super) has_trash: bool,
    /// Whether rows were deleted since free pages were last checked.
    pub(super) has_freed: bool,
    /// Whether the contents of `trash` stay for good, as they cannot be read or written.
    pub(super) leaves_trash: bool,
    /// What is being written.
    pub(super) blamed: Blamed,
    /// Handlers that were set aside.
    pub(super) aside: BTreeSet<HandlerKey>,
    /// Handlers whose rows were found intact when a change of them could not be committed.
    pub(super) whole: BTreeSet<HandlerKey>,
    /// Handlers under ids chosen by clients that this transaction has removed.
    pub(super) gone: Vec<(Arc<str>, HandlerKey)>,
    pub(super) ids: HandlerIds,
    pub(super) names: Names,
    /// The names before this transaction.
    names_before: Names,
}

impl Known {
    /// Creates the initial knowledge.
    pub(super) fn new(ended_next: i64, aside: BTreeSet<HandlerKey>, ids: HandlerIds, names: Names) -> Self {
        let (live, blamed) = (CounterMap::default(), Blamed::Database);
        let (undo, whole, gone) = (Vec::new(), BTreeSet::new(), Vec::new());
        Self {
            live,
            undo,
            ended_next,
            has_trash: true,
            has_freed: true,
            leaves_trash: false,
            blamed,
            aside,
            whole,
            gone,
            ids,
            names,
            names_before: names,
        }
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
        self.names_before = self.names;
        self.blamed = Blamed::Database;
    }

    /// The transaction was rolled back: what was learned in it is wrong.
    pub(super) fn forget(&mut self) {
        while let Some((handler, live)) = self.undo.pop() {
            match live {
                Some(live) => self.live.insert(handler, live),
                None => self.live.remove(&handler),
            };
        }
        self.has_trash = true;
        self.names = self.names_before;
        self.gone.clear();
    }

    /// The handler was removed.
    pub(super) fn forget_one(&mut self, handler: HandlerKey) {
        let before = self.live.remove(&handler);
        self.undo.push((handler, before));
    }

    pub(super) fn remember(&mut self, handler: HandlerKey, live: Live) {
        if self.live.len() >= LIVE_CACHED_MAX {
            self.live.clear();
        }
        let before = self.live.insert(handler, live);
        self.undo.push((handler, before));
    }
}

/// What a fault would be attributed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blamed {
    /// The database as a whole.
    Database,
    /// The rows of this handler.
    Handler(HandlerKey),
    /// What is stored about those that are set aside.
    Aside,
    /// This row of `trash` and the rows that it refers to, or all of `trash`.
    Trash(Option<i64>),
}
