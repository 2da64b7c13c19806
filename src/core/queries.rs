//! Pending queries to the store, and who asked them.

use std::collections::{BTreeMap, HashMap};

use crate::client_id::ClientId;
use crate::engine::{scheduler::Asked, storage::Ticket, stored::HandlerAddress};

/// The queries on which the store works.
#[derive(Debug, Default)]
pub(super) struct Queries {
    last_ticket: u64,
    /// For lookup only.
    asked: HashMap<Ticket, PendingQuery>,
    /// The calls that wait for a handler. A handler is queried only once, however many calls wait for it.
    loads: BTreeMap<HandlerAddress, Load>,
}

/// The calls that wait for a handler, in the order in which they came.
#[derive(Debug, Default)]
struct Load {
    calls: Vec<ClientId>,
    /// How many of them came before the pending query, whose answer may be outdated for the others.
    came_before: usize,
}

#[derive(Debug)]
pub(super) enum PendingQuery {
    /// The next events of a reader.
    Page(ClientId),
    /// The next handlers of a list.
    List(ClientId),
    /// A handler.
    Handler(HandlerAddress, Asked),
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

    /// Returns the query with this ticket; `None` if its answer is no longer wanted. Each is answered once.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<PendingQuery> {
        self.asked.remove(&ticket)
    }

    /// Returns whether to query a handler: not if a call waits for it already, in which case this one joins it.
    pub(super) fn join_load(&mut self, address: &HandlerAddress, waiting: Option<ClientId>) -> bool {
        if let Some(load) = self.loads.get_mut(address) {
            load.calls.extend(waiting);
            return false;
        }
        self.loads.insert(address.clone(), Load { calls: waiting.into_iter().collect(), came_before: 0 });
        true
    }

    /// Notes that the store is asked for a handler now.
    pub(super) fn begin_load(&mut self, address: &HandlerAddress) {
        if let Some(load) = self.loads.get_mut(address) {
            load.came_before = load.calls.len();
        }
    }

    /// Returns the calls that wait for a handler, about which the store has answered, and whether each came before the
    /// query.
    pub(super) fn end_load(&mut self, address: &HandlerAddress) -> impl Iterator<Item = (ClientId, bool)> + use<> {
        let Load { calls, came_before } = self.loads.remove(address).unwrap_or_default();
        calls.into_iter().enumerate().map(move |(index, call)| (call, index < came_before))
    }

    /// Returns whether no answer is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_join_a_query_came_after_it_until_it_is_asked_again() {
        let address = HandlerAddress::Id("late".into());
        let call = |slot| ClientId { slot, generation: 0 };
        let mut queries = Queries::default();
        assert!(queries.join_load(&address, Some(call(1))));
        queries.begin_load(&address);
        assert!(!queries.join_load(&address, Some(call(2))));
        queries.begin_load(&address);
        assert!(!queries.join_load(&address, Some(call(3))));
        let ended: Vec<_> = queries.end_load(&address).collect();
        assert_eq!(ended, [(call(1), true), (call(2), true), (call(3), false)]);
        assert!(queries.join_load(&address, None), "a query for the next call");
    }
}
