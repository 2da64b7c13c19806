//! The only module that reads the system's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::now::{Now, Recorder};

/// The two clocks; read once a turn.
#[derive(Debug)]
pub(super) struct SystemClock {
    started: Instant,
    recorder: Recorder,
}

impl SystemClock {
    /// Starts a clock whose alive time begins now.
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), recorder: Recorder::new() }
    }

    /// Continues after the newest record of a store.
    pub(super) fn resume(&mut self, newest: Now) {
        self.recorder.resume(newest);
    }

    /// Returns the time to be recorded.
    pub(super) fn read(&mut self) -> Now {
        let up_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.recorder.read(system_us(), up_us)
    }
}

/// Returns the system's wall clock in microseconds since the epoch. The log uses this, not the recorded time.
pub(super) fn system_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}
