//! Replies that wait for the commit of a batch, and calls that are repeated once its outcome is known.

use std::collections::VecDeque;

use crate::client_id::ClientId;
use crate::{engine::keys::HandlerKey, http::Response};

/// Replies that wait for a batch, and for its changes of a handler.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// In the order of their batches.
    waiting: VecDeque<Reply>,
}

#[derive(Debug)]
struct Reply {
    batch: u64,
    client: ClientId,
    handler: HandlerKey,
    response: Response,
}

impl Replies {
    /// Adds a reply that waits for a batch. Batches never decrease except through [`Replies::take_from`].
    pub(super) fn push(&mut self, batch: u64, client: ClientId, handler: HandlerKey, response: Response) {
        self.waiting.push_back(Reply { batch, client, handler, response });
    }

    /// Returns the batch that the first reply waits for.
    pub(super) fn first_batch(&self) -> Option<u64> {
        self.waiting.front().map(|reply| reply.batch)
    }

    /// Removes and returns the first reply.
    pub(super) fn pop(&mut self) -> Option<(ClientId, Response)> {
        self.waiting.pop_front().map(|reply| (reply.client, reply.response))
    }

    /// Removes the replies that wait for this batch or a later one. Returns their clients.
    pub(super) fn take_from(&mut self, batch: u64) -> impl Iterator<Item = ClientId> + use<> {
        let first = self.waiting.partition_point(|reply| reply.batch < batch);
        self.waiting.split_off(first).into_iter().map(|reply| reply.client)
    }

    /// Removes the replies that wait for changes of this handler. Returns their clients.
    pub(super) fn take_of(&mut self, handler: HandlerKey) -> impl Iterator<Item = ClientId> + use<> {
        let (taken, left) =
            std::mem::take(&mut self.waiting).into_iter().partition(|reply: &Reply| reply.handler == handler);
        self.waiting = left;
        let taken: VecDeque<Reply> = taken;
        taken.into_iter().map(|reply| reply.client)
    }
}

/// Calls that are repeated once a batch is committed or has failed.
#[derive(Debug, Default)]
pub(super) struct HeldCalls {
    waiting: Vec<(u64, ClientId)>,
    due: VecDeque<ClientId>,
    /// No call waits for a batch before this one.
    looked_until: u64,
}

impl HeldCalls {
    pub(super) fn push(&mut self, batch: u64, client: ClientId) {
        self.waiting.push((batch, client));
        self.looked_until = self.looked_until.min(batch);
    }

    /// Returns the next client whose batch is before `first_unsettled`.
    pub(super) fn pop(&mut self, first_unsettled: u64) -> Option<ClientId> {
        if self.looked_until < first_unsettled {
            self.looked_until = first_unsettled;
            let due = self.waiting.extract_if(.., |(batch, _)| *batch < first_unsettled);
            self.due.extend(due.map(|(_, client)| client));
        }
        self.due.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(slot: u32) -> ClientId {
        ClientId { slot, generation: 0 }
    }

    #[test]
    fn replies_are_refused_by_batch_or_by_handler() {
        let mut replies = Replies::default();
        for (slot, batch, handler) in [(1, 4, 1), (2, 4, 2), (3, 5, 1), (4, 7, 2)] {
            replies.push(batch, client(slot), HandlerKey(handler), Response::default());
        }
        assert_eq!(replies.take_from(6).collect::<Vec<_>>(), [client(4)]);
        assert_eq!(replies.take_of(HandlerKey(1)).collect::<Vec<_>>(), [client(1), client(3)]);
        assert_eq!(replies.first_batch(), Some(4));
        assert_eq!(replies.pop().map(|(client, _)| client), Some(client(2)));
        assert_eq!(replies.first_batch(), None);
    }

    #[test]
    fn a_call_is_repeated_once_its_batch_is_settled() {
        let mut calls = HeldCalls::default();
        calls.push(5, client(1));
        calls.push(4, client(2));
        assert_eq!(calls.pop(4), None);
        assert_eq!((calls.pop(5), calls.pop(5)), (Some(client(2)), None));
        assert_eq!((calls.pop(6), calls.pop(6)), (Some(client(1)), None));
        calls.push(3, client(3));
        assert_eq!(calls.pop(6), Some(client(3)), "its batch is settled already");
    }
}
