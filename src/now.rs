//! The two clocks, as values. Only `server.rs` reads them; everything else is handed a [`Now`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time of one turn of the loop.
///
/// Sleeps and retry delays are due on `wall_us`, time-outs on `alive_us`, so that downtime does not count
/// against a time-out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Now {
    /// Microseconds since the Unix epoch (UTC), never behind the newest record.
    pub wall_us: i64,
    /// Microseconds that the server has been up, summed over its starts. Never goes back.
    pub alive_us: u64,
}

/// Which of the two clocks a timer is due on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Clock {
    /// [`Now::wall_us`].
    Wall,
    /// [`Now::alive_us`].
    Alive,
}

/// A point on one of the two clocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Deadline {
    /// The clock that `at_us` is read on.
    pub clock: Clock,
    /// Microseconds on that clock; on the wall clock never negative.
    pub at_us: u64,
}

impl Now {
    /// The point `after` from now on `clock`. A wait too long for the clock is due at its very end.
    pub fn deadline(&self, clock: Clock, after: Duration) -> Deadline {
        let base_us = match clock {
            Clock::Wall => u64::try_from(self.wall_us).unwrap_or(0),
            Clock::Alive => self.alive_us,
        };
        let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        Deadline { clock, at_us: base_us.saturating_add(after_us) }
    }

    /// Whether `deadline` is reached.
    pub fn reached(&self, deadline: Deadline) -> bool {
        self.until(deadline).is_zero()
    }

    /// How long until `deadline`; zero when it is reached.
    pub fn until(&self, deadline: Deadline) -> Duration {
        let base_us = match deadline.clock {
            Clock::Wall => u64::try_from(self.wall_us).unwrap_or(0),
            Clock::Alive => self.alive_us,
        };
        Duration::from_micros(deadline.at_us.saturating_sub(base_us))
    }
}
