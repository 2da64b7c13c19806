//! Ids that clients chose, of handlers that are removed: positions in lists.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{engine::keys::HandlerKey, limits::GONE_NAMES_MAX};

/// Ids that clients chose, of removed handlers.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// For lookup only; never iterated.
    pub(super) keys: HashMap<Arc<str>, HandlerKey>,
    /// In the order of removal; an id that was removed twice occurs twice.
    pub(super) order: VecDeque<(Arc<str>, HandlerKey)>,
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
