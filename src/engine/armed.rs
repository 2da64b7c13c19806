//! The timers of one run.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cost,
    engine::input::TimerId,
    limits::ARMED_FEW_MAX,
    now::{Clock, Deadline},
};

/// The armed timers of a run.
///
/// Most runs have one or none, so a few are stored in a small unsorted list. More are stored in order of either clock.
/// [`Timers`](super::timers::Timers) contains only the earliest of each run.
#[derive(Debug)]
pub(super) enum Armed {
    Few(Vec<(TimerId, Deadline)>),
    Many(Box<Many>),
}

/// Timers in order of time.
#[derive(Debug, Default)]
pub(super) struct Many {
    deadlines: BTreeMap<TimerId, Deadline>,
    alive: BTreeSet<(u64, TimerId)>,
    /// The timers that the wall clock may end early.
    wall: BTreeSet<(u64, TimerId)>,
    /// How many timers are due only on the alive clock.
    time_outs: usize,
}

/// The earliest timer on each clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Earliest {
    pub(super) alive: Option<(u64, TimerId, Deadline)>,
    pub(super) wall: Option<(u64, TimerId, Deadline)>,
}

impl Armed {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.deadlines.len(),
        }
    }

    /// Adds a timer, in a server that began at `began_us` on the alive clock. Returns `false` if it is already armed.
    pub(super) fn insert(&mut self, timer: TimerId, deadline: Deadline, began_us: u64) -> bool {
        match self {
            Self::Few(few) if few.iter().any(|(other, _)| *other == timer) => false,
            Self::Few(few) if few.len() < ARMED_FEW_MAX => {
                if few.len() == few.capacity() {
                    few.reserve_exact(few.len().max(1));
                }
                few.push((timer, deadline));
                true
            }
            Self::Few(few) => {
                let mut many = Box::<Many>::default();
                for (timer, deadline) in few.drain(..).chain([(timer, deadline)]) {
                    many.insert(timer, deadline, began_us);
                }
                *self = Self::Many(many);
                true
            }
            Self::Many(many) => many.insert(timer, deadline, began_us),
        }
    }

    /// Removes a timer.
    pub(super) fn remove(&mut self, timer: TimerId, began_us: u64) -> Option<Deadline> {
        let deadline = match self {
            Self::Few(few) => {
                let index = few.iter().position(|(other, _)| *other == timer)?;
                few.swap_remove(index).1
            }
            Self::Many(many) => many.remove(timer, began_us)?,
        };
        if self.is_empty() {
            *self = Self::default();
        }
        Some(deadline)
    }

    /// Returns the earliest timer on each clock; of those due at the same time, the one with the lowest id.
    pub(super) fn earliest(&self, began_us: u64) -> Earliest {
        match self {
            Self::Few(few) => {
                let alive = few.iter().map(|&(timer, deadline)| (deadline.alive_at_us, timer, deadline)).min();
                let wall =
                    few.iter().filter_map(|&(timer, deadline)| Some((deadline.wall_us(began_us)?, timer, deadline)));
                Earliest { alive, wall: wall.min() }
            }
            Self::Many(many) => {
                let first = |order: &BTreeSet<(u64, TimerId)>| {
                    let &(at_us, timer) = order.first()?;
                    Some((at_us, timer, *many.deadlines.get(&timer)?))
                };
                Earliest { alive: first(&many.alive), wall: first(&many.wall) }
            }
        }
    }

    /// Returns how many timers are due only on the alive clock.
    pub(super) fn time_outs(&self) -> usize {
        match self {
            Self::Few(few) => few.iter().filter(|(_, deadline)| deadline.clock == Clock::Alive).count(),
            Self::Many(many) => many.time_outs,
        }
    }

    /// Recounts [`Self::time_outs`].
    pub(super) fn recount_time_outs(&self) -> usize {
        match self {
            Self::Few(_) => self.time_outs(),
            Self::Many(many) => many.deadlines.values().filter(|deadline| deadline.clock == Clock::Alive).count(),
        }
    }

    /// Returns the memory that they take.
    pub(super) fn cost_bytes(&self) -> usize {
        match self {
            Self::Few(few) => cost::elements::<(TimerId, Deadline)>(few.len()),
            Self::Many(many) => cost::boxed::<Many>() + cost::elements::<InOrder>(many.deadlines.len()),
        }
    }
}

impl Default for Armed {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Many {
    fn insert(&mut self, timer: TimerId, deadline: Deadline, began_us: u64) -> bool {
        if self.deadlines.contains_key(&timer) {
            return false;
        }
        self.deadlines.insert(timer, deadline);
        self.alive.insert((deadline.alive_at_us, timer));
        self.wall.extend(deadline.wall_us(began_us).map(|wall_us| (wall_us, timer)));
        self.time_outs += usize::from(deadline.clock == Clock::Alive);
        true
    }

    fn remove(&mut self, timer: TimerId, began_us: u64) -> Option<Deadline> {
        let deadline = self.deadlines.remove(&timer)?;
        self.alive.remove(&(deadline.alive_at_us, timer));
        if let Some(wall_us) = deadline.wall_us(began_us) {
            self.wall.remove(&(wall_us, timer));
        }
        self.time_outs -= usize::from(deadline.clock == Clock::Alive);
        Some(deadline)
    }
}

/// A timer of [`Many`] with its entries on both clocks.
type InOrder = (TimerId, Deadline, [(u64, TimerId); 2]);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::now::Now;

    /// Returns a deadline on one of the clocks. Some coincide.
    fn deadline(number: u64) -> Deadline {
        let clock = if number.is_multiple_of(3) { Clock::Alive } else { Clock::Wall };
        let now = Now { wall_us: 1_000_000 * (number % 5).cast_signed(), alive_us: number };
        now.deadline(clock, Duration::from_secs(20 * (number * 7_919 % 11)))
    }

    #[test]
    fn few_and_many_have_the_same_timers_in_the_same_order() {
        let (mut armed, mut plain) = (Armed::default(), BTreeMap::new());
        for round in 0..2_000_u64 {
            let timer = TimerId(round * 7_919 % 61);
            // Alternates between few and many timers.
            if round / 200 % 2 == 0 && round.is_multiple_of(3) || round.is_multiple_of(5) {
                assert_eq!(armed.insert(timer, deadline(timer.0), 0), plain.insert(timer, deadline(timer.0)).is_none());
            } else {
                assert_eq!(armed.remove(timer, 0), plain.remove(&timer));
            }
            let alive = plain.iter().map(|(&timer, &deadline)| (deadline.alive_at_us, timer, deadline)).min();
            let wall = plain.iter().filter_map(|(&timer, &due)| Some((due.wall_us(0)?, timer, due))).min();
            assert_eq!(armed.earliest(0), Earliest { alive, wall });
            assert_eq!((armed.len(), armed.time_outs()), (plain.len(), armed.recount_time_outs()));
        }
    }
}
