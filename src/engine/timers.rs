//! Everything that is due at some time, on either clock, in a definite order.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    engine::{
        input::TimerId,
        scheduler::{HandlerKey, RunKey},
    },
    limits::WALL_LOOK,
    now::{Clock, Deadline, Now},
};

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A timer of a run.
    Run(RunKey, TimerId),
    /// The step's time-out of the pass with this tag.
    Pass(u64),
    /// The pass with this tag has run on since its run ended.
    Straggler(u64),
    /// What could not be kept of this handler is offered again.
    Again(HandlerKey),
}

/// The timers that are armed.
///
/// One that is due on the wall clock stands in both lists: whichever clock gets to it first has it.
#[derive(Debug, Default)]
pub struct Timers {
    /// The alive clock when the server began.
    began_us: u64,
    wall: BTreeSet<(u64, Timer, Deadline)>,
    alive: BTreeSet<(u64, Timer, Deadline)>,
    /// Those that are due on the alive clock alone.
    time_outs: usize,
}

impl Timers {
    /// No timers, in a server that began at `began_us` on the alive clock.
    pub fn new(began_us: u64) -> Self {
        Self { began_us, ..Self::default() }
    }

    /// Arms a timer.
    pub fn arm(&mut self, timer: Timer, deadline: Deadline) {
        if self.alive.insert((deadline.alive_at_us, timer, deadline)) {
            self.time_outs += usize::from(deadline.clock == Clock::Alive);
        }
        if let Some(wall_us) = deadline.wall_us(self.began_us) {
            self.wall.insert((wall_us, timer, deadline));
        }
    }

    /// Disarms a timer that was armed with this deadline.
    pub fn disarm(&mut self, timer: Timer, deadline: Deadline) {
        if self.alive.remove(&(deadline.alive_at_us, timer, deadline)) {
            self.time_outs -= usize::from(deadline.clock == Clock::Alive);
        }
        if let Some(wall_us) = deadline.wall_us(self.began_us) {
            self.wall.remove(&(wall_us, timer, deadline));
        }
    }

    /// Takes out a timer that is due; those on the wall clock first, earlier ones before later ones.
    pub fn poll_due(&mut self, now: Now) -> Option<Timer> {
        let by_wall = self.wall.first().filter(|&&(at_us, ..)| now.is_past(at_us));
        let by_alive = || self.alive.first().filter(|&&(at_us, ..)| at_us <= now.alive_us);
        let &(_, timer, deadline) = by_wall.or_else(by_alive)?;
        self.disarm(timer, deadline);
        Some(timer)
    }

    /// Whether any is due on the alive clock alone.
    pub fn has_alive(&self) -> bool {
        self.time_outs > 0
    }

    /// Those that are due on the alive clock alone.
    pub(super) fn time_outs(&self) -> usize {
        self.time_outs
    }

    /// The same, counted anew.
    pub(super) fn recount_time_outs(&self) -> usize {
        self.alive.iter().filter(|(_, _, deadline)| deadline.clock == Clock::Alive).count()
    }

    /// How long until the next one is due, as far as that is known: while the wall clock may bring one forward, it is
    /// looked at now and then.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let alive = self.alive.first().map(|&(at_us, ..)| now.until_alive(at_us));
        let is_due = |&(at_us, ..): &(u64, Timer, Deadline)| now.is_past(at_us);
        let look = self.wall.first().map(|first| if is_due(first) { Duration::ZERO } else { WALL_LOOK });
        alive.into_iter().chain(look).min()
    }
}
