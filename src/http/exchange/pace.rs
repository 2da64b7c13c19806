//! The rate at which a request arrives.

use crate::now::Now;

/// Measures a request by the last window, not by its average: bytes that arrived quickly at first do not excuse a
/// slow sender later.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the current window began, and when the last byte arrived, on the alive clock.
    window_us: u64,
    moved_us: u64,
    /// Bytes of the current window and of the one before. A window never has more than 32 bits can count.
    received: u32,
    before: u32,
}

impl Pace {
    /// Creates the pace of a request whose first `received` bytes arrived together.
    pub(super) fn new(received: usize, now: Now) -> Self {
        Self { window_us: now.alive_us, moved_us: now.alive_us, received: bytes(received), before: 0 }
    }

    pub(super) fn note(&mut self, received: usize, now: Now) {
        self.moved_us = now.alive_us;
        self.received = self.received.saturating_add(bytes(received));
    }

    /// Returns when to call [`Pace::is_too_slow`], with windows of `window_us`.
    pub(super) fn due_us(&self, window_us: u64) -> u64 {
        self.window_us.min(self.moved_us).saturating_add(window_us)
    }

    /// Returns whether a whole window brought nothing, or less than `bytes_per_s`. Starts the next window after one
    /// that brought enough.
    pub(super) fn is_too_slow(&mut self, window_us: u64, bytes_per_s: u64, now: Now) -> bool {
        if self.moved_us.saturating_add(window_us) <= now.alive_us {
            return true;
        }
        let elapsed_us = now.alive_us.saturating_sub(self.window_us);
        if elapsed_us < window_us {
            return false;
        }
        if u64::from(self.received) < bytes_per_s.saturating_mul(elapsed_us) / SECOND_US {
            return true;
        }
        (self.window_us, self.before, self.received) = (now.alive_us, self.received, 0);
        false
    }

    /// Returns the bytes per second over about the last window. A new request is measured over its first second.
    pub(super) fn bytes_per_s(&self, window_us: u64, now: Now) -> u64 {
        let elapsed_us = now.alive_us.saturating_sub(self.window_us);
        let left_us = window_us.saturating_sub(elapsed_us);
        let (before, span_us) = match self.before {
            0 => (0, elapsed_us),
            before => (u64::from(before).saturating_mul(left_us) / window_us.max(1), window_us.max(elapsed_us)),
        };
        (before + u64::from(self.received)).saturating_mul(SECOND_US) / span_us.max(SECOND_US)
    }
}

fn bytes(received: usize) -> u32 {
    u32::try_from(received).unwrap_or(u32::MAX)
}

const SECOND_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_US: u64 = 30 * SECOND_US;

    fn at(second: u64) -> Now {
        Now { wall_us: 0, alive_us: second * SECOND_US }
    }

    #[test]
    fn a_fast_beginning_earns_no_time() {
        let mut pace = Pace::new(10 << 20, at(0));
        assert!(!pace.is_too_slow(WINDOW_US, 100, at(29)));
        pace.note(1, at(29));
        assert!(!pace.is_too_slow(WINDOW_US, 100, at(30)), "the first window brought enough");
        for second in 31..=60 {
            pace.note(1, at(second));
        }
        assert_eq!(pace.due_us(WINDOW_US), 60 * SECOND_US);
        assert!(pace.is_too_slow(WINDOW_US, 100, at(60)), "the second did not");
    }

    #[test]
    fn the_rate_is_that_of_the_last_window() {
        let mut pace = Pace::new(30_000, at(0));
        assert_eq!(pace.bytes_per_s(WINDOW_US, at(0)), 30_000, "one that begins is fast");
        assert_eq!(pace.bytes_per_s(WINDOW_US, at(30)), 1_000);
        pace.note(0, at(30));
        assert!(!pace.is_too_slow(WINDOW_US, 100, at(30)));
        assert_eq!(pace.bytes_per_s(WINDOW_US, at(45)), 500);
        assert_eq!(pace.bytes_per_s(WINDOW_US, at(60)), 0);
    }
}
