//! Balances memory: how much is in use, and what is to be freed.

use super::turn::Loop;
use crate::account::HeldBytes;

impl Loop {
    /// Returns the bytes that are held now.
    pub(super) fn held(&self) -> HeldBytes {
        let requests = self.reactor.requests_bytes() + self.helper.bytes();
        let replies = self.reactor.replies_bytes() + self.clients.pages_bytes();
        let mut held = HeldBytes { requests, replies, ..HeldBytes::default() };
        self.core.scheduler().count_held(&mut held);
        held.runs = held.runs.saturating_add(self.helper.run_bytes());
        held
    }

    /// Frees what can be freed if memory is short, and sets the limit for requests.
    pub(super) fn balance_memory(&mut self) {
        let held = self.held();
        let requests_max = self.memory.account.requests_max(&held).saturating_sub(self.helper.bytes());
        let requests_max = requests_max.max(self.memory.account.requests_reserved());
        self.reactor.set_requests_bytes_max(requests_max);
        self.reactor.set_replies_bytes_max(self.memory.account.replies_max());
        self.core.scheduler_mut().set_pressed(self.memory.account.is_pressed(&held));
    }

    /// Releases freed memory to the system, if it is time and worthwhile.
    pub(super) fn trim_memory(&mut self) {
        if self.memory.trimming.is_due(self.now.alive_us) {
            let held_bytes = self.held().total();
            self.memory.trimming.handle_look(held_bytes);
        }
    }
}
