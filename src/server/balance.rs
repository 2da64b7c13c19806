//! How much memory is in use, and who is to free some.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use super::{trimming::resident_bytes, turn::Loop};
use crate::{account::Held, limits::TRIM_PAUSE_US};

impl Loop {
    /// What is held now.
    pub(super) fn held(&self) -> Held {
        let requests = self.reactor.requests_bytes() + self.helper.bytes();
        let mut held = Held { requests, replies: self.reactor.replies_bytes(), ..Held::default() };
        self.core.scheduler().count_held(&mut held);
        held.runs = held.runs.saturating_add(self.helper.run_bytes());
        held
    }

    /// Has whoever can free something do so, and sets what requests may hold from here on.
    pub(super) fn balance_memory(&mut self) {
        let held = self.held();
        let requests_max = self.account.requests_max(&held).saturating_sub(self.helper.bytes());
        let requests_max = requests_max.max(self.account.requests_reserved());
        self.reactor.set_requests_bytes_max(requests_max);
        self.reactor.set_replies_bytes_max(self.account.replies_max());
        self.core.scheduler_mut().set_pressed(self.account.is_pressed(&held));
    }

    /// Looks now and then, while something happens, whether there is much to give back. A thread of its own does it: it
    /// takes some milliseconds.
    pub(super) fn trim_memory(&mut self) {
        let now_us = self.now.alive_us;
        if now_us < self.trimming.due_us {
            self.trimming.is_stale = true;
            return;
        }
        self.trimming.due_us = now_us + TRIM_PAUSE_US;
        if self.trimming.is_busy.load(Ordering::Acquire) {
            return;
        }
        let held_bytes = self.held().total();
        let Some(resident_bytes) = resident_bytes() else { return };
        // What happens from here on, the ends of passes too, has it looked at again.
        self.trimming.is_stale = false;
        if self.trimming.look(resident_bytes, held_bytes) {
            let is_busy = Arc::clone(&self.trimming.is_busy);
            is_busy.store(true, Ordering::Release);
            let started = thread::Builder::new().name("trim".into()).spawn(move || {
                steprill_trim::give_back();
                is_busy.store(false, Ordering::Release);
            });
            if started.is_err() {
                self.trimming.is_busy.store(false, Ordering::Release);
            }
        }
    }
}
