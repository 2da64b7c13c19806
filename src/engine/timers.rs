//! Everything that is due at some time, on either clock, in a definite order.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    engine::{
        input::TimerId,
        scheduler::{HandlerKey, RunKey},
    },
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
#[derive(Debug, Default)]
pub struct Timers {
    wall: BTreeSet<(u64, Timer)>,
    alive: BTreeSet<(u64, Timer)>,
}

impl Timers {
    /// Arms a timer.
    pub fn arm(&mut self, timer: Timer, deadline: Deadline) {
        self.set(deadline.clock).insert((deadline.at_us, timer));
    }

    /// Disarms a timer that was armed with this deadline.
    pub fn disarm(&mut self, timer: Timer, deadline: Deadline) {
        self.set(deadline.clock).remove(&(deadline.at_us, timer));
    }

    /// Takes out a timer that is due; those on the wall clock first, earlier ones before later ones.
    pub fn poll_due(&mut self, now: Now) -> Option<Timer> {
        [Clock::Wall, Clock::Alive].into_iter().find_map(|clock| {
            let &(at_us, timer) = self.set(clock).first()?;
            now.reached(Deadline { clock, at_us }).then(|| {
                self.set(clock).pop_first();
                timer
            })
        })
    }

    /// Whether any is due on the alive clock.
    pub fn has_alive(&self) -> bool {
        !self.alive.is_empty()
    }

    /// How long until the next one is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let next =
            |set: &BTreeSet<(u64, Timer)>, clock| set.first().map(|&(at_us, _)| now.until(Deadline { clock, at_us }));
        next(&self.wall, Clock::Wall).into_iter().chain(next(&self.alive, Clock::Alive)).min()
    }

    fn set(&mut self, clock: Clock) -> &mut BTreeSet<(u64, Timer)> {
        match clock {
            Clock::Wall => &mut self.wall,
            Clock::Alive => &mut self.alive,
        }
    }
}
