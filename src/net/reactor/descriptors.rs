//! File descriptors: one in reserve, and the log line when there are none.

use std::fs::File;

use crate::{limits::COMPLAINT_PAUSE_US, now::Now};

/// A file descriptor in reserve, for telling clients that there are no more.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    pub(super) reserve: Option<File>,
    /// When their lack was last logged, on the alive clock.
    complained_us: Option<u64>,
}

impl Descriptors {
    /// Takes one into reserve, if there is one and none is.
    pub(super) fn keep(&mut self) {
        if self.reserve.is_none() {
            self.reserve = File::open("/dev/null").ok();
        }
    }

    pub(super) fn complain(&mut self, connections: usize, now: Now) {
        if self.complained_us.is_none_or(|at_us| at_us + COMPLAINT_PAUSE_US <= now.alive_us) {
            self.complained_us = Some(now.alive_us);
            log::warn!(
                "no file descriptors are left, with {connections} connections open: new ones get 503 until some are \
                 closed; raise the limit (ulimit -n, LimitNOFILE=)"
            );
        }
    }
}
