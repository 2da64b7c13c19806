//! What the writer remembers of the database, so that it need not look it up for each transaction.

use std::{collections::BTreeSet, sync::Arc};

use super::names::Names;
use crate::{
    engine::{ids::HandlerIds, keys::HandlerKey},
    hash::CounterMap,
    limits::LIVE_CACHED_MAX,
    store::fold::Live,
};

/// What is known of the database, beside what is in it.
pub(super) struct Known {
    /// Where runs stand, so that it is not looked up for each transaction; any of them may be missing.
    pub(super) live: CounterMap<HandlerKey, Live>,
    /// What this transaction has changed of those, as it was before. To look it up again might meet another's damaged
    /// page.
    undo: Vec<(HandlerKey, Option<Live>)>,
    /// The next place in the order of ending.
    pub(super) ended_next: i64,
    /// Whether there is something in `trash`.
    pub(super) has_trash: bool,
    /// Whether rows were deleted since free pages were last looked at.
    pub(super) has_freed: bool,
    /// Whether what is in `trash` stays for good: it cannot be read or written.
    pub(super) leaves_trash: bool,
    /// What is written just now.
    pub(super) blamed: Blamed,
    /// Handlers that were set aside.
    pub(super) aside: BTreeSet<HandlerKey>,
    /// Handlers whose rows were found whole when something of them could not be kept.
    pub(super) whole: BTreeSet<HandlerKey>,
    /// Handlers under ids that clients chose which this transaction has removed.
    pub(super) gone: Vec<(Arc<str>, HandlerKey)>,
    pub(super) ids: HandlerIds,
    pub(super) names: Names,
    /// As they were before this transaction.
    names_before: Names,
}

impl Known {
    /// Nothing, but the next place in the order of ending, who was set aside, and what ids are made of.
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

    /// The transaction was rolled back: what it has taught is wrong.
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

    /// The handler is gone.
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

/// What a fault would be that of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blamed {
    /// The database as a whole.
    Database,
    /// The rows of this handler.
    Handler(HandlerKey),
    /// What is kept of those that are set aside.
    Aside,
    /// This row of `trash` and the rows that it stands for, or all of `trash`.
    Trash(Option<i64>),
}
