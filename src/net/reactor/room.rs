//! Room for requests and for new connections: who gives it up when there is too little.

use super::{Reactor, busy};
use crate::{
    limits::{OUTPUT_HIGH_WATER_BYTES, SPARE_CONNECTIONS, VICTIM_BYTES_MIN},
    net::connection::ConnectionId,
    now::Now,
};

impl Reactor {
    /// Bounds the bytes of requests that all connections hold together. It takes effect with the next input.
    pub fn set_requests_bytes_max(&mut self, bytes_max: usize) {
        self.requests_bytes_max = bytes_max;
    }

    /// Bytes of requests that all connections hold together.
    pub fn requests_bytes(&self) -> usize {
        self.requests_bytes
    }

    /// Refuses requests that are still coming, the slowest first, when all connections together hold more than they
    /// may. Goes on somewhat below the bound, so that not every further byte costs a look at all connections.
    pub(super) fn make_room_for_requests(&mut self, now: Now) {
        // When nobody could be refused, there may be somebody once more has come.
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

    /// Bounds the bytes of replies that all connections hold together. It takes effect with the next output.
    pub fn set_replies_bytes_max(&mut self, bytes_max: usize) {
        self.replies_bytes_max = bytes_max;
    }

    /// Bytes of replies that all connections hold together.
    pub fn replies_bytes(&self) -> usize {
        self.replies_bytes
    }

    /// Closes connections whose clients do not take their large replies, those first that have stood still longest,
    /// when all connections together hold more than they may.
    pub(super) fn make_room_for_replies(&mut self) {
        if self.replies_bytes <= self.replies_bytes_max {
            return;
        }
        // What was counted as somebody's part of a shared text is less by now, if others have come to share it.
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

    /// Connections that hold more than so many bytes of requests that are not there as a whole, each with the rate at
    /// which they come.
    fn holders(&mut self, bytes_min: usize, now: Now) -> Vec<(u64, u32)> {
        let connections = self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let exchange = slot.connection.as_deref_mut()?.exchange();
            let bytes_per_s = exchange.input_bytes_per_s(now)?;
            (exchange.input_bytes() > bytes_min).then_some((bytes_per_s, index))
        });
        connections.collect()
    }

    /// Closes the connection that has waited longest for a request; `false` if none waits for one.
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
            // It has had a request since it was looked at.
            if connection.exchange().idle_since_us() != Some(since_us) {
                continue;
            }
            connection.exchange().close();
            self.settle(id.slot);
            return true;
        }
        false
    }

    /// Looks for the few that have waited longest: a look at all of them is worth it only for several.
    fn find_spare(&mut self) {
        let idle = self.slots.iter_mut().zip(0..).filter_map(|(slot, index)| {
            let since_us = slot.connection.as_deref_mut()?.exchange().idle_since_us()?;
            Some((since_us, ConnectionId { slot: index, generation: slot.generation }))
        });
        let mut idle: Vec<(u64, ConnectionId)> = idle.collect();
        if idle.len() > SPARE_CONNECTIONS {
            idle.select_nth_unstable(SPARE_CONNECTIONS);
            idle.truncate(SPARE_CONNECTIONS);
        }
        // The last is taken first.
        idle.sort_unstable_by(|one, other| other.cmp(one));
        self.spare = idle;
    }
}
