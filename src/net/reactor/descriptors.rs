//! The reserve file descriptor, and the log line for when there are no others.

use std::fs::File;

use crate::{
    limits::COMPLAINT_PAUSE_US,
    now::{Now, Seldom},
};

/// Holds a file descriptor in reserve, for telling clients that there are no more.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    pub(super) reserve: Option<File>,
    /// The log line about the lack of descriptors.
    complaint: Seldom,
}

impl Descriptors {
    /// Opens the reserve descriptor again if it was used and one is available.
    pub(super) fn keep(&mut self) {
        if self.reserve.is_none() {
            self.reserve = File::open("/dev/null").ok();
        }
    }

    pub(super) fn complain(&mut self, connections: usize, now: Now) {
        if self.complaint.take(now.alive_us, COMPLAINT_PAUSE_US) {
            log::warn!(
                "no file descriptors are left, with {connections} connections open: new ones get 503 until some are \
                 closed; raise the limit (ulimit -n, LimitNOFILE=)"
            );
        }
    }
}
