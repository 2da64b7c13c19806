//! Retry policies: pure functions of the attempt, the time gone by and a seed.

use std::time::Duration;

/// What happens after a failed attempt. The default never retries.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Retry {
    _todo: (),
}

impl Retry {
    /// The delay before the attempt after `attempt` (counted from 1), or `None` to give up. `elapsed` is the time since
    /// the first attempt began, on the alive clock; `seed` makes the jitter, the same for the same seed.
    pub fn policy(&self, _attempt: u32, _elapsed: Duration, _seed: u64) -> Option<Duration> {
        None
    }
}
