//! The two clocks, as values. Only `server/clock.rs` reads them; everything else gets a [`Now`].
//!
//! # Recorded wall time
//!
//! A machine's wall clock may show anything: 1970 until the network is up, or ten years ahead until somebody notices.
//! The wall time that is recorded never goes back ([`Recorder`]). While the system's clock is behind it, recorded time
//! advances at half the speed of the alive clock: it never stops, and the two meet after twice the time by which they
//! differed. A step forward is followed at once.
//!
//! # When a wait is over
//!
//! A sleep or retry delay of *d* is over as soon as the alive clock has advanced by *d*, whatever the wall clock does.
//! This holds across restarts, as alive time is summed over them. So no wait takes longer than *d* plus the time during
//! which the server was down.
//!
//! The wall clock can only end a wait earlier, to count time that the alive clock does not see: while the server is
//! down and while the machine is suspended. A suspend cannot be told from a step of the clock, so a step forward counts
//! as one. Waits shorter than [`CALENDAR_WAIT_MIN`] are exempt: they last *d* while the server is up, even if the clock
//! is first set in the meantime. All this uses recorded wall time, so downtime that ends before the newest record does
//! not count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::CALENDAR_WAIT_MIN;

/// The time of one turn of the loop.
///
/// Time-outs are due on `alive_us`, which excludes downtime; sleeps and retry delays on either clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Now {
    /// Microseconds since the Unix epoch (UTC), never behind the newest record.
    pub wall_us: i64,
    /// Microseconds that the server has been up, summed over its starts. Never goes back.
    pub alive_us: u64,
}

/// The clock on which a timer is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Clock {
    /// [`Now::wall_us`], or [`Now::alive_us`] if that reaches the end of the wait first.
    Wall,
    /// [`Now::alive_us`].
    Alive,
}

/// When something is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Deadline {
    /// The clock of `at_us`.
    pub clock: Clock,
    /// Microseconds on that clock; on the wall clock never negative.
    pub at_us: u64,
    /// When it is due at the latest, on the alive clock.
    pub alive_at_us: u64,
    /// The alive clock when the deadline was set; 0 if it is due only on that clock.
    pub set_us: u64,
}

impl Deadline {
    /// Returns the deadline at a point on the alive clock.
    pub fn alive(at_us: u64) -> Self {
        Self { clock: Clock::Alive, at_us, alive_at_us: at_us, set_us: 0 }
    }

    /// Returns the point on the wall clock at which it is due early, in a server that began at `began_us` (alive
    /// clock).
    pub fn wall_us(&self, began_us: u64) -> Option<u64> {
        let is_calendar = self.alive_at_us - self.set_us.min(self.alive_at_us) >= CALENDAR_WAIT_US;
        (self.clock == Clock::Wall && (is_calendar || self.set_us < began_us)).then_some(self.at_us)
    }

    /// Returns whether it is due at `now`, in a server that began at `began_us` on the alive clock.
    pub fn is_due(&self, now: Now, began_us: u64) -> bool {
        now.alive_us >= self.alive_at_us || self.wall_us(began_us).is_some_and(|at_us| now.is_past(at_us))
    }
}

impl Now {
    /// Returns the deadline `after` from now on `clock`. A wait too long for the clock ends at its maximum.
    pub fn deadline(&self, clock: Clock, after: Duration) -> Deadline {
        let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let alive_at_us = self.alive_us.saturating_add(after_us);
        match clock {
            Clock::Wall => {
                let at_us = u64::try_from(self.wall_us).unwrap_or(0).saturating_add(after_us);
                Deadline { clock, at_us, alive_at_us, set_us: self.alive_us }
            }
            Clock::Alive => Deadline::alive(alive_at_us),
        }
    }

    /// Returns how long until this point on the alive clock; zero if it has passed.
    pub fn until_alive(&self, at_us: u64) -> Duration {
        Duration::from_micros(at_us.saturating_sub(self.alive_us))
    }

    /// Returns how long at most until `deadline`, on the alive clock; zero if it has passed.
    pub fn until(&self, deadline: Deadline) -> Duration {
        self.until_alive(deadline.alive_at_us)
    }

    /// Returns whether the wall clock has reached this point.
    pub fn is_past(&self, wall_us: u64) -> bool {
        u64::try_from(self.wall_us).is_ok_and(|now_us| now_us >= wall_us)
    }
}

/// Turns readings of the system's clocks into the recorded time.
///
/// ```
/// use steprill::now::{Now, Recorder};
///
/// let mut clock = Recorder::new();
/// assert_eq!(clock.read(5_000, 0).wall_us, 5_000);
/// // Set back, and then long enough for both to meet.
/// assert_eq!(clock.read(4_010, 10).wall_us, 5_005);
/// assert_eq!(clock.read(7_000, 3_000).wall_us, 7_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Recorder {
    last: Now,
    /// Alive time of earlier starts.
    alive_before_us: u64,
}

impl Recorder {
    /// Creates a recorder without a record.
    pub fn new() -> Self {
        Self { last: Now { wall_us: i64::MIN, alive_us: 0 }, alive_before_us: 0 }
    }

    /// Continues after the newest record of a store: alive time is summed over starts, and the wall clock is never
    /// behind. Every later time is after that record on the alive clock.
    pub fn resume(&mut self, newest: Now) {
        self.alive_before_us = newest.alive_us.saturating_add(1);
        self.last = Now { wall_us: self.last.wall_us.max(newest.wall_us), alive_us: self.alive_before_us };
    }

    /// Returns the time: `system_us` is the system's wall clock since the epoch, `up_us` its monotonic clock since the
    /// start.
    pub fn read(&mut self, system_us: i64, up_us: u64) -> Now {
        let alive_us = self.alive_before_us.saturating_add(up_us).max(self.last.alive_us);
        let slow_us = (alive_us - self.last.alive_us).div_ceil(2);
        let wall_us = system_us.max(self.last.wall_us.saturating_add_unsigned(slow_us));
        self.last = Now { wall_us, alive_us };
        self.last
    }
}

/// Something that happens at most once in a while, such as a line in the log about what goes on failing.
///
/// ```
/// # use steprill::now::Seldom;
/// let mut warning = Seldom::default();
/// assert!(warning.take(5, 60) && !warning.take(64, 60) && warning.take(65, 60));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Seldom {
    /// On the alive clock.
    last_us: Option<u64>,
}

impl Seldom {
    /// Returns whether it may happen at this time on the alive clock: for the first time, or after a pause. If so, it
    /// counts as having happened.
    pub fn take(&mut self, alive_us: u64, pause_us: u64) -> bool {
        let takes = self.last_us.is_none_or(|last_us| alive_us >= last_us.saturating_add(pause_us));
        if takes {
            self.last_us = Some(alive_us);
        }
        takes
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

/// [`CALENDAR_WAIT_MIN`] in microseconds.
const CALENDAR_WAIT_US: u64 = CALENDAR_WAIT_MIN.as_micros() as u64;

#[cfg(test)]
mod tests;
