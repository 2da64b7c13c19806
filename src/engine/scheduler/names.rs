//! Keys and ids of handlers: which were made, and which a client chose.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    engine::{
        ids::HandlerIds,
        keys::{HandlerKey, Issued, Keys},
    },
    limits::GONE_NAMES_MAX,
};

/// What names handlers.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) ids: HandlerIds,
    pub(super) keys: Keys,
    /// Ids that clients chose, of resident handlers. For lookup only; never iterated.
    pub(super) chosen: HashMap<Arc<str>, HandlerKey>,
    pub(super) gone: Gone,
}

impl Names {
    /// Creates the names of a store with this secret, which has issued these keys.
    pub(super) fn new(secret: u128, issued: Issued) -> Self {
        Self { ids: HandlerIds::new(secret), keys: Keys::resume(issued), chosen: HashMap::new(), gone: Gone::default() }
    }
}

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
