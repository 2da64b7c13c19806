//! Identifiers of handlers, runs and workflows.
//!
//! ```text
//!  bit 58                          18        8        0
//!      ┌────────────────────────────┬────────┬────────┐
//!      │ milliseconds since 2026    │ count  │ shard  │   41, 10 and 8 bits
//!      └────────────────────────────┴────────┴────────┘
//!      └────────────── serial ──────────────┘
//! ```
//!
//! Time and count together are the serial. Each key has a greater serial than every key before it. If there are more
//! than 1,024 keys in a millisecond, or the clock stands still or goes back, keys use up later milliseconds until the
//! clock has caught up. So keys are in order of creation, whatever the clock does, and several servers share no
//! counter. The shard follows from the handler's id ([`HandlerIds::shard`](super::ids::HandlerIds::shard)): a server
//! can tell from an id alone which server owns the handler.

use crate::{limits::KEYS_LOST_MS, now::Now};

/// Identifies a handler, in order of creation. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HandlerKey(pub u64);

/// Identifies one run of a handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunKey {
    /// The handler.
    pub handler: HandlerKey,
    /// The number of earlier runs of that handler.
    pub run: u32,
}

/// A registered workflow, in order of registration. Higher ids denote earlier versions of them, and workflows of
/// earlier programs, that a store knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkflowId(pub u16);

/// Identifies a caller that waits for the end of a run, by a number that the server assigns and never reuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerId(pub u64);

impl HandlerKey {
    /// The shard that the key has. It is the shard of the handler's id, unless a client chose the id of a handler whose
    /// key is a counted one.
    pub fn shard(self) -> u8 {
        self.0 as u8
    }
}

/// Which keys handlers have had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Issued {
    /// Greater than every key that an earlier version of the program counted; 0 if there are none.
    pub counted: u64,
    /// The first of the others; `next` if there are none.
    pub first: u64,
    /// Greater than every key.
    pub next: u64,
}

impl Issued {
    /// Whether a handler may have had this key.
    pub fn contains(&self, key: HandlerKey) -> bool {
        key.0 < self.counted || (self.first..self.next).contains(&key.0)
    }

    fn note(&mut self, key: HandlerKey) {
        if self.first == self.next {
            self.first = key.0;
        }
        self.next = key.0 + 1;
    }
}

/// Makes the keys of new handlers.
///
/// ```
/// use steprill::{
///     engine::keys::{Issued, Keys},
///     now::Now,
/// };
///
/// let mut keys = Keys::resume(Issued::default());
/// let now = Now { wall_us: 1_795_533_581_245_592, alive_us: 0 };
/// let (one, other) = (keys.make(now, None), keys.make(now, Some(7)));
/// assert!(one < other);
/// assert_eq!(other.shard(), 7);
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    issued: Issued,
    /// No serial is before this one.
    serial_min: u64,
    /// The shard of the next handler that has no id yet.
    turn: u8,
}

impl Keys {
    /// Continues after the keys that a store knows. A loss of power may have taken later ones, whose ids clients know:
    /// so this passes over as many milliseconds as such a loss may take.
    pub fn resume(issued: Issued) -> Self {
        let serial_min = if issued.next == 0 { 0 } else { after(issued) + (KEYS_LOST_MS << COUNT_BITS) };
        Self { issued, serial_min, turn: 0 }
    }

    /// The key of a new handler, greater than every one before. `shard`: that of the id that a client chose; the server
    /// makes ids of all shards in turn.
    pub fn make(&mut self, now: Now, shard: Option<u8>) -> HandlerKey {
        let shard = shard.unwrap_or_else(|| {
            self.turn = self.turn.wrapping_add(1);
            self.turn
        });
        let since_ms = now.wall_us.div_euclid(1_000) - EPOCH_MS;
        let now_ms = u64::try_from(since_ms).unwrap_or(0).min(TIME_MS_MAX);
        let serial = (now_ms << COUNT_BITS).max(self.serial_min).max(after(self.issued));
        let key = HandlerKey(serial << SHARD_BITS | u64::from(shard));
        self.issued.note(key);
        key
    }

    /// Which keys handlers have had.
    pub fn issued(&self) -> Issued {
        self.issued
    }
}

/// The first serial all of whose keys are greater than those.
fn after(issued: Issued) -> u64 {
    issued.next.div_ceil(1 << SHARD_BITS)
}

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// Bits of the shard: there are 256.
pub const SHARD_BITS: u32 = 8;

const COUNT_BITS: u32 = 10;

/// The last millisecond that fits: in September 2095. From then on keys are counted, 10^15 of them.
const TIME_MS_MAX: u64 = (1 << 41) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Now {
        Now { wall_us: (EPOCH_MS + ms) * 1_000 + 999, alive_us: 0 }
    }

    #[test]
    fn a_key_is_made_of_the_time_a_count_and_the_shard() {
        let mut keys = Keys::resume(Issued::default());
        let parts = |key: HandlerKey| (key.0 >> 18, key.0 >> 8 & 1_023, key.shard());
        assert_eq!(parts(keys.make(at(5), Some(200))), (5, 0, 200));
        assert_eq!(parts(keys.make(at(5), Some(3))), (5, 1, 3));
        assert_eq!(parts(keys.make(at(7), None)), (7, 0, 1), "shards come in turn");
        assert_eq!(parts(keys.make(at(7), None)), (7, 1, 2));
        assert_eq!(parts(keys.make(at(6), None)), (7, 2, 3), "the clock was set back");
        for _ in 3..1_024 {
            keys.make(at(7), Some(0));
        }
        assert_eq!(parts(keys.make(at(7), Some(0))), (8, 0, 0), "the millisecond is full");
        assert_eq!(parts(keys.make(at(8), Some(0))), (8, 1, 0));
        assert_eq!(parts(keys.make(at(9), Some(0))), (9, 0, 0), "the clock has caught up");
    }

    #[test]
    fn keys_increase_whatever_the_clock_shows() {
        let mut keys = Keys::resume(Issued::default());
        let times = [i64::MIN, -1, 0, 1, i64::MAX, 0, i64::MAX];
        let made = times.map(|wall_us| keys.make(Now { wall_us, alive_us: 0 }, Some(255)));
        assert!(made.is_sorted_by(|one, other| one < other), "{made:?}");
        assert!(made[6].0 < 62_u64.pow(10), "ids can be made of them");
    }

    #[test]
    fn a_key_lost_in_a_power_failure_is_not_reused() {
        let mut keys = Keys::resume(Issued::default());
        keys.make(at(1_000), None);
        let stored = keys.issued();
        // A minute's handlers are lost, and the clock with them.
        let lost: Vec<_> = (0..60_000).step_by(100).map(|ms| keys.make(at(1_000 + ms), None)).collect();
        let mut keys = Keys::resume(stored);
        assert!(keys.make(at(0), None) > lost[lost.len() - 1]);
        assert!(keys.issued().contains(HandlerKey(stored.first)));
    }

    proptest! {
        #[test]
        fn every_key_is_greater_than_those_before_whatever_clocks_and_restarts_do(
            counted in prop_oneof![Just(0), 0_u64..1 << 40],
            steps in prop::collection::vec((any::<bool>(), 0..3_000_i64, any::<Option<u8>>()), 1..100),
        ) {
            let mut keys = Keys::resume(Issued { counted, first: counted, next: counted });
            let mut last = None;
            for (restarts, ms, shard) in steps {
                if restarts {
                    keys = Keys::resume(keys.issued());
                }
                let key = keys.make(at(ms), shard);
                prop_assert!(last < Some(key) && key.0 >= counted);
                prop_assert!(shard.is_none_or(|shard| key.shard() == shard));
                prop_assert!(keys.issued().contains(key));
                prop_assert!(!keys.issued().contains(HandlerKey(key.0 + 1)), "nobody has it");
                last = Some(key);
            }
        }
    }
}
