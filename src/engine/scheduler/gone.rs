//! Ids that name places in lists after their handlers are gone, so that who lists page by page goes on from the last id
//! that it was given.
//!
//! An id that the server made tells its place by itself. Of ids that clients chose the newest that are gone are
//! remembered.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Scheduler;
use crate::{
    engine::keys::{HandlerKey, RunKey},
    limits::GONE_NAMES_MAX,
};

/// Ids that clients chose, of handlers that are gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// For lookup only: never iterated.
    keys: HashMap<Arc<str>, HandlerKey>,
    /// In the order in which they went; one that went again stands here twice.
    order: VecDeque<(Arc<str>, HandlerKey)>,
}

impl Gone {
    pub(super) fn note(&mut self, id: &Arc<str>, key: HandlerKey) {
        if self.keys.insert(Arc::clone(id), key) == Some(key) {
            return;
        }
        self.order.push_back((Arc::clone(id), key));
        if self.order.len() > GONE_NAMES_MAX
            && let Some((id, key)) = self.order.pop_front()
            && self.keys.get(&id) == Some(&key)
        {
            self.keys.remove(&id);
        }
    }
}

impl Scheduler {
    /// Handlers that the store had under ids that clients chose are gone.
    pub fn handle_gone(&mut self, gone: &[(Arc<str>, HandlerKey)]) {
        for (id, key) in gone {
            self.gone.note(id, *key);
        }
    }

    /// The place in lists of a handler that is here, or that is gone; `None` if there never was one of that id, as far
    /// as that is known without the store.
    pub fn place_of(&self, id: &str) -> Option<HandlerKey> {
        let made = || self.ids.key(id).filter(|key| self.keys.issued().contains(*key));
        self.find(id).or_else(|| self.gone.keys.get(id).copied()).or_else(made)
    }

    /// The batch with which it is settled whether the handler of this id is there, if its newest run has begun or it is
    /// removed and that is not kept yet; for a change of it (`changes`), also whether its run has ended.
    pub fn unsettled(&self, id: &str, changes: bool) -> Option<u64> {
        let Some(key) = self.find(id) else {
            let removed = self.absent.removed(self.place_of(id)?)?;
            return Some(removed.batch).filter(|batch| *batch >= self.first_unsettled());
        };
        let handler = self.handlers.get(&key).filter(|_| self.is_changing(key))?;
        let ended = (changes && handler.has_ended() && !handler.is_over()).then_some(handler.journal.batch);
        ended.or_else(|| self.begun_with(RunKey { handler: key, run: handler.run }))
    }

    /// Whether something of this handler is not kept yet.
    pub fn is_changing(&self, key: HandlerKey) -> bool {
        let is_open = |batch| batch >= self.first_unsettled();
        self.handlers.get(&key).is_some_and(|handler| is_open(handler.journal.batch))
    }

    /// The number of the first batch of which it is not known whether it is kept.
    pub fn first_unsettled(&self) -> u64 {
        self.uncommitted()
    }
}
