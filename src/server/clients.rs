//! What the loop knows about each connection whose reply is not complete.

use super::reader::Reader;
use crate::{
    api::{ErrorFormat, List},
    client_id::ClientId,
    core::Table,
};

/// The state of a reply. A connection whose request waits to be judged has none yet.
#[derive(Debug)]
pub(super) enum Client {
    /// The core produces the reply; errors have this form.
    Answering(ErrorFormat),
    /// GET /events: waits for the lock, or for events.
    Reading(Box<Reader>),
    /// GET /handlers: waits to write more of the list.
    Listing(Box<List>),
}

/// The connections whose replies are not complete.
#[derive(Debug, Default)]
pub(super) struct Clients {
    table: Table<Client>,
    /// Bytes of the pages that readers and lists among them have not written yet.
    pages_bytes: usize,
}

impl Clients {
    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.table.get(id)
    }

    /// Iterates over the connections and the states of their replies.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.table.clients()
    }

    /// Returns the bytes of the pages that readers and lists have not written yet.
    pub(super) fn pages_bytes(&self) -> usize {
        self.pages_bytes
    }

    /// The core produces the reply to this connection; errors have this form.
    pub(super) fn put_answering(&mut self, id: ClientId, errors: ErrorFormat) {
        self.insert(id, Client::Answering(errors));
    }

    /// Adds a reader, or puts it back.
    pub(super) fn put_reader(&mut self, reader: Box<Reader>) {
        self.insert(reader.id, Client::Reading(reader));
    }

    /// Adds a list, or puts it back.
    pub(super) fn put_list(&mut self, id: ClientId, list: Box<List>) {
        self.insert(id, Client::Listing(list));
    }

    fn insert(&mut self, id: ClientId, client: Client) {
        self.pages_bytes += client.page_bytes();
        self.table.insert(id, client);
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Client> {
        self.remove_if(id, |_| true)
    }

    /// Takes the reader of a connection out; [`Clients::put_reader`] puts it back.
    pub(super) fn take_reader(&mut self, id: ClientId) -> Option<Box<Reader>> {
        match self.remove_if(id, |client| matches!(client, Client::Reading(_)))? {
            Client::Reading(reader) => Some(reader),
            Client::Answering(_) | Client::Listing(_) => None,
        }
    }

    /// Takes the list of a connection out; [`Clients::put_list`] puts it back.
    pub(super) fn take_list(&mut self, id: ClientId) -> Option<Box<List>> {
        match self.remove_if(id, |client| matches!(client, Client::Listing(_)))? {
            Client::Listing(list) => Some(list),
            Client::Answering(_) | Client::Reading(_) => None,
        }
    }

    fn remove_if(&mut self, id: ClientId, is_wanted: impl FnOnce(&Client) -> bool) -> Option<Client> {
        let client = self.table.remove_if(id, is_wanted)?;
        self.pages_bytes -= client.page_bytes();
        Some(client)
    }
}

impl Client {
    fn page_bytes(&self) -> usize {
        match self {
            Self::Answering(_) => 0,
            Self::Reading(reader) => reader.page_bytes(),
            Self::Listing(list) => list.page_bytes(),
        }
    }
}
