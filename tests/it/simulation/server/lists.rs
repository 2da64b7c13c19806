//! Clients that list handlers.

use std::collections::BTreeSet;

use steprill::{
    api::{self, List, ListProgress},
    client_id::ClientId,
    engine::{
        ids::HandlerIds,
        keys::{HandlerKey, RunKey},
        stored::StoredHandler,
    },
};

use super::{clients::Doing, history::SECRET, world::World};

/// One GET /handlers.
pub(crate) struct Listing {
    list: Box<List>,
    written: Vec<u8>,
    /// The runs that it had to show when it began.
    began: BTreeSet<RunKey>,
}

impl World {
    pub(crate) fn begin_list(&mut self, client: ClientId, list: Box<List>) {
        let began = self.listed(&list);
        self.clients.doing.insert(client, Doing::Listing(Listing { list, written: Vec::new(), began }));
        self.write_list(client);
    }

    /// The stored handlers that a list shows, by their newest runs.
    fn listed(&self, list: &List) -> BTreeSet<RunKey> {
        let model = &self.store.model;
        let rows = model.handlers.iter().filter(|(key, row)| {
            let is_aside = row.is_aside || self.core.scheduler().is_aside(**key);
            let is_whole = !is_aside && !self.store.unreadable.contains(key) && !self.clients.purging.contains(key);
            is_whole && (row.end.is_none() || !list.only_running())
        });
        rows.map(|(&handler, row)| RunKey { handler, run: row.run }).collect()
    }

    /// Continues the lists whose clients take more.
    pub(crate) fn write_lists(&mut self) {
        let clients: Vec<ClientId> = self.clients.doing.keys().copied().collect();
        for client in clients {
            self.write_list(client);
        }
    }

    fn write_list(&mut self, client: ClientId) {
        let Some(Doing::Listing(listing)) = self.clients.doing.get_mut(&client) else { return };
        if listing.list.is_asked {
            return;
        }
        let room = 1 + self.random.below(2_000);
        let scheduler = self.core.scheduler();
        match api::list_some(scheduler, &mut listing.list, &mut listing.written, room) {
            ListProgress::More => {}
            ListProgress::Read => {
                listing.list.is_asked = true;
                let (after, only_running) = (listing.list.after, listing.list.only_running());
                self.core.ask_list(client, after, only_running);
            }
            ListProgress::Complete => {
                let Some(Doing::Listing(listing)) = self.clients.doing.remove(&client) else { unreachable!() };
                self.check_list(&listing);
            }
        }
    }

    pub(crate) fn take_list_page(&mut self, client: ClientId, page: Option<(Vec<StoredHandler>, bool)>) {
        let Some(Doing::Listing(Listing { list, .. })) = self.clients.doing.get_mut(&client) else { return };
        let Some((handlers, is_complete)) = page else {
            self.clients.doing.remove(&client);
            return;
        };
        (list.page, list.is_complete, list.is_asked) = (handlers.into(), is_complete, false);
        self.write_list(client);
    }

    /// A list contains each handler that existed from its beginning to its end, once and in order of creation.
    fn check_list(&self, listing: &Listing) {
        let ids = HandlerIds::new(SECRET);
        let list: serde_json::Value = serde_json::from_slice(&listing.written).expect("a list is JSON");
        let handlers = list["handlers"].as_array().expect("it is a list of handlers");
        let shown: Vec<&str> = handlers.iter().map(|handler| handler["handler_id"].as_str().expect("an id")).collect();
        // A client may choose the id of a handler that is gone.
        let is_made = |key: &HandlerKey| self.store.model.handlers.get(key).is_some_and(|row| row.id.is_none());
        let keys: Vec<HandlerKey> = shown.iter().filter_map(|id| ids.key(id)).filter(is_made).collect();
        assert!(keys.is_sorted_by(|one, other| one < other), "handlers are in order of creation: {shown:?}");
        for run in self.listed(&listing.list).intersection(&listing.began) {
            let row = &self.store.model.handlers[&run.handler];
            let id = row.id.as_deref().map_or_else(|| spelled(&ids, run.handler), str::to_owned);
            assert!(shown.contains(&&*id), "{run:?} was there all along and is not listed: {shown:?}");
        }
    }
}

fn spelled(ids: &HandlerIds, key: HandlerKey) -> String {
    String::from_utf8_lossy(&ids.spell(key)).into_owned()
}
