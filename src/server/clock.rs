//! The only place that reads the system's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::now::{Now, Recorder};

/// The two clocks; read once a turn.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    recorder: Recorder,
}

impl Clock {
    /// A clock whose alive time begins now.
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), recorder: Recorder::new() }
    }

    /// Goes on behind the newest record of a store.
    pub(super) fn resume(&mut self, newest: Now) {
        self.recorder.resume(newest);
    }

    /// The time that is recorded.
    pub(super) fn read(&mut self) -> Now {
        let up_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.recorder.read(system_us(), up_us)
    }
}

/// Microseconds since the epoch by the system's wall clock. Lines of the log have this time, not the recorded one.
pub(super) fn system_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}
