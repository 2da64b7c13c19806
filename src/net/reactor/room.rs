//! Makes room for requests, replies and new connections when a limit is reached.

use super::{Reactor, busy};
use crate::{
    client_id::ClientId,
    limits::{OUTPUT_HIGH_WATER_BYTES, SPARE_CONNECTIONS, VICTIM_BYTES_MIN},
    now::Now,
};

impl Reactor {
    /// Limits the bytes of requests that all connections hold together, from the next input on.
    pub fn set_requests_bytes_max(&mut self, bytes_max: usize) {
        self.requests_bytes_max = bytes_max;
    }

    /// Returns the bytes of requests that all connections hold together.
    pub fn requests_bytes(&self) -> usize {
        self.requests_bytes
    }

    /// Refuses incomplete requests, the slowest first, while all connections together hold more than the limit. Stops
    /// somewhat below it, so that not every further byte requires a scan of all connections.
    pub(super) fn make_room_for_requests(&mut self, now: Now) {
        // If nobody could be refused, scan again only after this much more input.
        let step = self.requests_bytes_max / 16;
        if self.requests_bytes <= self.requests_bytes_max.max(self.requests_bytes_stuck) {
            return;
        }
        let mut holders = self.holders(VICTIM_BYTES_MIN, now);
        if holders.is_empty() {
            holders = self.holders(0, now);
        }
        holders.sort_unstable();
        for (_, slot) in holders {
            if self.requests_bytes <= self.requests_bytes_max - step {
                break;
            }
            let Some(connection) = self.occupant(slot) else { continue };
            let exchange = connection.exchange();
            let text = "Too much is being sent at once; try again later";
            exchange.refuse_request(&busy(text.into()), now);
            if exchange.input_bytes() > 0 {
                exchange.close();
            }
            self.settle(slot);
        }
        self.requests_bytes_stuck =
            if self.requests_bytes > self.requests_bytes_max { self.requests_bytes.saturating_add(step) } else { 0 };
    }

    /// Limits the bytes of replies that all connections hold together, from the next output on.
    pub fn set_replies_bytes_max(&mut self, bytes_max: usize) {
        self.replies_bytes_max = bytes_max;
    }

    /// Returns the bytes of replies that all connections hold together.
    pub fn replies_bytes(&self) -> usize {
        self.replies_bytes
    }

    /// Closes connections whose clients do not read their large replies while all connections together hold more than
    /// the limit, those first that have made no progress for longest.
    pub(super) fn make_room_for_replies(&mut self) {
        if self.replies_bytes <= self.replies_bytes_max {
            return;
        }
        // Shares of a shared text have shrunk since they were counted if others have come to share it.
        (0..self.slots.len() as u32).for_each(|slot| self.count(slot));
        if self.replies_bytes <= self.replies_bytes_max {
            return;
        }
        let holders = self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let exchange = slot.connection.as_deref_mut()?.exchange();
            (exchange.output_bytes() > OUTPUT_HIGH_WATER_BYTES).then_some((exchange.output_moved_us()?, index))
        });
        let mut holders: Vec<(u64, u32)> = holders.collect();
        holders.sort_unstable();
        for (_, slot) in holders {
            if self.replies_bytes <= self.replies_bytes_max - self.replies_bytes_max / 16 {
                return;
            }
            let Some(connection) = self.occupant(slot) else { continue };
            connection.exchange().close();
            self.settle(slot);
        }
    }

    /// Returns the connections that hold more than `bytes_min` of an incomplete request, each with the rate at which it
    /// arrives.
    fn holders(&mut self, bytes_min: usize, now: Now) -> Vec<(u64, u32)> {
        let connections = self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let exchange = slot.connection.as_deref_mut()?.exchange();
            let bytes_per_s = exchange.input_bytes_per_s(now)?;
            (exchange.input_bytes() > bytes_min).then_some((bytes_per_s, index))
        });
        connections.collect()
    }

    /// Closes the longest idle connection. Returns `false` if none is idle.
    pub(super) fn make_room_for_connection(&mut self) -> bool {
        if self.spare.is_empty() {
            self.find_spare();
        }
        while let Some((since_us, id)) = self.spare.pop() {
            let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)
            else {
                continue;
            };
            let Some(connection) = &mut slot.connection else { continue };
            // It has received a request since the scan.
            if connection.exchange().idle_since_us() != Some(since_us) {
                continue;
            }
            connection.exchange().close();
            self.settle(id.slot);
            return true;
        }
        false
    }

    /// Finds the connections that have been idle longest. Finds several at once to make scanning all of them
    /// worthwhile.
    fn find_spare(&mut self) {
        let idle = self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let since_us = slot.connection.as_deref_mut()?.exchange().idle_since_us()?;
            Some((since_us, ClientId { slot: index, generation: slot.generation }))
        });
        let mut idle: Vec<(u64, ClientId)> = idle.collect();
        if idle.len() > SPARE_CONNECTIONS {
            idle.select_nth_unstable(SPARE_CONNECTIONS);
            idle.truncate(SPARE_CONNECTIONS);
        }
        // The last is taken first.
        idle.sort_unstable_by(|one, other| other.cmp(one));
        self.spare = idle;
    }
}
