//! Pending queries to the store, and for whom they are.

use std::collections::{BTreeMap, HashMap};

use super::ClientId;
use crate::engine::{scheduler::Asked, storage::Ticket, stored::Address};

/// The queries on which the store works.
#[derive(Debug, Default)]
pub(super) struct Queries {
    last_ticket: u64,
    /// For lookup only.
    asked: HashMap<Ticket, PendingQuery>,
    /// The calls that wait for a handler. A handler is queried only once, however many calls wait for it.
    loads: BTreeMap<Address, Vec<ClientId>>,
}

#[derive(Debug)]
pub(super) enum PendingQuery {
    /// The next events of a reader.
    Page(ClientId),
    /// The next handlers of a list.
    List(ClientId),
    /// A handler.
    Handler(Address, Asked),
    /// This many of the handlers that ended first.
    Oldest(usize, Asked),
}

impl Queries {
    /// Records a query. Returns its ticket.
    pub(super) fn ask(&mut self, question: PendingQuery) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.asked.insert(ticket, question);
        ticket
    }

    /// Returns the query with this ticket; `None` if nobody wants its answer any longer. Each is answered once.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<PendingQuery> {
        self.asked.remove(&ticket)
    }

    /// Returns whether to query a handler: not if a call waits for it already, in which case this one joins it.
    pub(super) fn join_load(&mut self, address: &Address, waiting: Option<ClientId>) -> bool {
        if let Some(others) = self.loads.get_mut(address) {
            others.extend(waiting);
            return false;
        }
        self.loads.insert(address.clone(), waiting.into_iter().collect());
        true
    }

    /// Returns the calls that wait for a handler, which was loaded.
    pub(super) fn end_load(&mut self, address: &Address) -> Vec<ClientId> {
        self.loads.remove(address).unwrap_or_default()
    }

    /// Returns whether no answer is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}
