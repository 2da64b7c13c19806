//! Retry policies: pure functions of the attempt, the elapsed time and a seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    hash,
    limits::{RETRY_ATTEMPTS_DEFAULT, RETRY_DELAY_MAX_DEFAULT},
};

/// What happens after a failed attempt. The default never retries.
///
/// ```
/// use std::time::Duration;
/// use steprill::Retry;
///
/// let retry = Retry::fixed(Duration::from_millis(10)).attempts(3);
/// assert_eq!(retry.policy(1, Duration::ZERO, 0), Some(Duration::from_millis(10)));
/// assert_eq!(retry.policy(3, Duration::ZERO, 0), None, "the third attempt was the last");
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Retry {
    attempts_max: u32,
    total_max: Option<Duration>,
    delay: Delay,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Delay {
    Fixed(Duration),
    Exponential { first: Duration, factor: u32, longest: Duration, jitter: bool },
}

impl Retry {
    /// Never retries: the first failure is final.
    pub const fn never() -> Self {
        Self { attempts_max: 1, total_max: None, delay: Delay::Fixed(Duration::ZERO) }
    }

    /// Waits `delay` before every retry. Makes [`RETRY_ATTEMPTS_DEFAULT`] attempts unless [`Retry::attempts`] sets
    /// another number.
    pub const fn fixed(delay: Duration) -> Self {
        Self { attempts_max: RETRY_ATTEMPTS_DEFAULT, total_max: None, delay: Delay::Fixed(delay) }
    }

    /// Waits `first` before the first retry and twice as long each time, up to [`RETRY_DELAY_MAX_DEFAULT`]. Each delay
    /// is drawn between half and the whole of that, so that works that fail together do not all retry together. Makes
    /// [`RETRY_ATTEMPTS_DEFAULT`] attempts unless [`Retry::attempts`] sets another number.
    pub const fn exponential(first: Duration) -> Self {
        let delay = Delay::Exponential { first, factor: 2, longest: RETRY_DELAY_MAX_DEFAULT, jitter: true };
        Self { attempts_max: RETRY_ATTEMPTS_DEFAULT, total_max: None, delay }
    }

    /// Makes at most this many attempts, including the first; 0 counts as 1.
    #[must_use]
    pub const fn attempts(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// Begins no attempt later than `total` after the first one began, not counting downtime of the server.
    #[must_use]
    pub const fn within(mut self, total: Duration) -> Self {
        self.total_max = Some(total);
        self
    }

    /// Sets the factor by which an exponential delay grows. No effect on a fixed delay.
    #[must_use]
    pub fn factor(mut self, by: u32) -> Self {
        if let Delay::Exponential { factor, .. } = &mut self.delay {
            *factor = by;
        }
        self
    }

    /// Sets the maximum of an exponential delay. No effect on a fixed delay.
    #[must_use]
    pub fn longest(mut self, delay: Duration) -> Self {
        if let Delay::Exponential { longest, .. } = &mut self.delay {
            *longest = delay;
        }
        self
    }

    /// Makes an exponential delay exactly as long as computed. No effect on a fixed delay.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        if let Delay::Exponential { jitter, .. } = &mut self.delay {
            *jitter = false;
        }
        self
    }

    /// Returns the delay before the attempt after `attempt` (counted from 1), or `None` to give up. `elapsed` is the
    /// time since the first attempt began, on the alive clock. The jitter depends on `seed` alone.
    pub fn policy(&self, attempt: u32, elapsed: Duration, seed: u64) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let delay = self.delay.after(attempt, seed);
        match self.total_max {
            Some(total) if elapsed.saturating_add(delay) > total => None,
            _ => Some(delay),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::never()
    }
}

impl Delay {
    fn after(&self, attempt: u32, seed: u64) -> Duration {
        match *self {
            Self::Fixed(delay) => delay,
            Self::Exponential { first, factor, longest, jitter } => {
                let growth = factor.saturating_pow(attempt.saturating_sub(1));
                let whole = first.checked_mul(growth).map_or(longest, |grown| grown.min(longest));
                if jitter { whole.saturating_sub(whole.mul_f64(fraction(seed) / 2.0)) } else { whole }
            }
        }
    }
}

/// Returns a pseudo-random number in 0..1 (the finalizer of `SplitMix64`).
fn fraction(seed: u64) -> f64 {
    let mixed = hash::second_half(hash::first_half(seed));
    f64::from((mixed >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_default_gives_up_at_once() {
        assert_eq!(Retry::default().policy(1, Duration::ZERO, 7), None);
    }

    #[test]
    fn attempts_count_the_first() {
        let retry = Retry::fixed(MS(10)).attempts(3);
        assert_eq!(
            [1, 2, 3, 4].map(|attempt| retry.policy(attempt, Duration::ZERO, 0)),
            [Some(MS(10)), Some(MS(10)), None, None]
        );
        assert_eq!(retry.attempts(0).policy(1, Duration::ZERO, 0), None);
    }

    #[test]
    fn no_attempt_begins_after_the_total_time() {
        let retry = Retry::fixed(MS(10)).attempts(u32::MAX).within(MS(100));
        assert_eq!(retry.policy(5, MS(90), 0), Some(MS(10)));
        assert_eq!(retry.policy(5, MS(91), 0), None);
    }

    #[test]
    fn an_exponential_delay_grows_by_its_factor_up_to_the_longest_and_never_overflows() {
        let retry = Retry::exponential(MS(100)).without_jitter().longest(MS(350)).attempts(u32::MAX);
        let delays = [1, 2, 3, 40, u32::MAX - 1].map(|attempt| retry.policy(attempt, Duration::ZERO, 0));
        assert_eq!(delays, [100, 200, 350, 350, 350].map(|ms| Some(MS(ms))));
        let tripled = Retry::exponential(MS(100)).without_jitter().factor(3).attempts(9);
        assert_eq!(
            [1, 2, 3].map(|attempt| tripled.policy(attempt, Duration::ZERO, 0)),
            [100, 300, 900].map(|ms| Some(MS(ms)))
        );
        let endless = Retry::exponential(Duration::MAX).longest(Duration::MAX).attempts(u32::MAX);
        assert!(endless.policy(9, Duration::ZERO, 3).is_some());
    }

    /// Replays compute delays again, so these must never change.
    #[test]
    fn known_seeds_have_known_fractions() {
        let cases = [
            (0, 0),
            (1, 0x5692_161d),
            (7, 0x12ae_3023),
            (0x9e37_79b9_7f4a_7c15, 0xe220_a838_u32),
            (u64::MAX, 0xb4d0_55fd),
        ];
        for (seed, of_2_to_32) in cases {
            let expected = f64::from(of_2_to_32) / 4_294_967_296.0;
            assert_eq!(fraction(seed).to_bits(), expected.to_bits(), "{seed:#x}");
        }
    }

    #[test]
    fn jitter_stays_between_half_and_whole_and_depends_on_the_seed_alone() {
        let retry = Retry::exponential(MS(100)).attempts(9);
        let of = |seed| retry.policy(1, Duration::ZERO, seed).expect("an attempt is left");
        assert!((0..1_000).all(|seed| (MS(50)..=MS(100)).contains(&of(seed)) && of(seed) == of(seed)));
        assert!((0..1_000).map(of).any(|delay| delay < MS(60)) && (0..1_000).map(of).any(|delay| delay > MS(90)));
    }
}
