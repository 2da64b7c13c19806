//! What the store was asked, and for whom.

use std::collections::{BTreeMap, HashMap};

use super::ClientId;
use crate::engine::{kept::Address, scheduler::Asked, storage::Ticket};

/// Questions that the store works on.
#[derive(Debug, Default)]
pub(super) struct Questions {
    last_ticket: u64,
    /// For lookup only.
    asked: HashMap<Ticket, Question>,
    /// Which calls wait for a handler. A handler is asked for once, however many wait for it.
    loads: BTreeMap<Address, Vec<ClientId>>,
}

#[derive(Debug)]
pub(super) enum Question {
    /// A reader's next events.
    Page(ClientId),
    /// A list's next handlers.
    List(ClientId),
    /// A handler.
    Handler(Address, Asked),
    /// So many of the handlers that ended first.
    Oldest(usize, Asked),
}

impl Questions {
    /// Notes what is asked now, under the ticket that it gets.
    pub(super) fn ask(&mut self, question: Question) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.asked.insert(ticket, question);
        ticket
    }

    /// What was asked under this ticket; `None` if nobody wants the answer any more. Each is answered once.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Question> {
        self.asked.remove(&ticket)
    }

    /// Whether a handler is still to be asked for: not if somebody waits for it already, whom this one joins.
    pub(super) fn join_load(&mut self, address: &Address, waiting: Option<ClientId>) -> bool {
        if let Some(others) = self.loads.get_mut(address) {
            others.extend(waiting);
            return false;
        }
        self.loads.insert(address.clone(), waiting.into_iter().collect());
        true
    }

    /// The calls that wait for a handler, which has been read.
    pub(super) fn end_load(&mut self, address: &Address) -> Vec<ClientId> {
        self.loads.remove(address).unwrap_or_default()
    }

    /// Whether an answer is still to come.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}
