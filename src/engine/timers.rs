//! The timers of everything, on either clock, in a deterministic order, and the runs that continue at once.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::armed::{Armed, Earliest};
use crate::{
    engine::{
        input::TimerId,
        keys::{HandlerKey, RunKey},
    },
    limits::WALL_LOOK,
    now::{Clock, Deadline, Now},
};

/// Something that comes due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A timer of a run.
    Run(RunKey, TimerId),
    /// The time-out of a step, for the pass with this tag.
    Pass(u64),
    /// The pass with this tag was told to stop and has not returned in time.
    Straggler(u64),
    /// A write of this handler that failed is to be retried.
    Again(HandlerKey),
}

/// The armed timers, and the runs that have deferred something.
///
/// A timer that may be due on the wall clock is in both lists; whichever clock reaches it first ends it. Only the
/// earliest timer of each run on each clock is here, so that a run with very many timers ends as fast as others. Its
/// handler has all of them.
#[derive(Debug, Default)]
pub struct Timers {
    /// The alive clock when the server began.
    began_us: u64,
    wall: BTreeSet<(u64, Timer, Deadline)>,
    alive: BTreeSet<(u64, Timer, Deadline)>,
    /// How many are due only on the alive clock.
    time_outs: usize,
    /// Runs that have deferred something, which is due at once, in order; each once.
    deferring: VecDeque<RunKey>,
}

impl Timers {
    /// Creates an empty set of timers, in a server that began at `began_us` on the alive clock.
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

    /// Arms a timer of a run. Returns `false` if it is already armed.
    pub(super) fn arm_of_run(&mut self, run: RunKey, armed: &mut Armed, timer: TimerId, deadline: Deadline) -> bool {
        self.change(run, armed, |armed, began_us| armed.insert(timer, deadline, began_us))
    }

    /// Disarms a timer of a run.
    pub(super) fn disarm_of_run(&mut self, run: RunKey, armed: &mut Armed, timer: TimerId) {
        self.change(run, armed, |armed, began_us| armed.remove(timer, began_us));
    }

    /// Disarms all timers of a run, and returns them.
    pub(super) fn disarm_all(&mut self, run: RunKey, armed: &mut Armed) -> Armed {
        self.change(run, armed, |armed, _| std::mem::take(armed))
    }

    fn change<R>(&mut self, run: RunKey, armed: &mut Armed, change: impl FnOnce(&mut Armed, u64) -> R) -> R {
        let (before, time_outs) = (armed.earliest(self.began_us), armed.time_outs());
        let changed = change(armed, self.began_us);
        let after = armed.earliest(self.began_us);
        self.time_outs = self.time_outs - time_outs + armed.time_outs();
        let entry = |(at_us, timer, deadline)| (at_us, Timer::Run(run, timer), deadline);
        if before.alive != after.alive {
            before.alive.map(|earliest| self.alive.remove(&entry(earliest)));
            self.alive.extend(after.alive.map(entry));
        }
        if before.wall != after.wall {
            before.wall.map(|earliest| self.wall.remove(&entry(earliest)));
            self.wall.extend(after.wall.map(entry));
        }
        changed
    }

    /// Removes and returns a due timer: those on the wall clock first, and earlier ones before later ones. A timer of a
    /// run must still be disarmed.
    pub fn poll_due(&mut self, now: Now) -> Option<Timer> {
        let by_wall = self.wall.first().filter(|&&(at_us, ..)| now.is_past(at_us)).copied();
        let by_alive = || self.alive.first().filter(|&&(at_us, ..)| at_us <= now.alive_us).copied();
        let entry @ (_, timer, deadline) = by_wall.or_else(by_alive)?;
        match timer {
            Timer::Run(..) if by_wall.is_some() => drop(self.wall.remove(&entry)),
            Timer::Run(..) => drop(self.alive.remove(&entry)),
            _ => self.disarm(timer, deadline),
        }
        Some(timer)
    }

    /// Notes that a run has deferred something.
    pub(super) fn defer(&mut self, run: RunKey) {
        if !self.deferring.contains(&run) {
            self.deferring.push_back(run);
        }
    }

    /// Returns the run that has deferred something for longest.
    pub(super) fn poll_deferred(&mut self) -> Option<RunKey> {
        self.deferring.pop_front()
    }

    /// Returns whether any timer is due only on the alive clock.
    pub fn has_alive(&self) -> bool {
        self.time_outs > 0
    }

    /// Returns how many timers are due only on the alive clock.
    pub(super) fn time_outs(&self) -> usize {
        self.time_outs
    }

    /// Recounts [`Self::time_outs`], without those of runs.
    pub(super) fn recount_time_outs(&self) -> usize {
        let is_counted = |(_, timer, deadline): &&(u64, Timer, Deadline)| {
            deadline.clock == Clock::Alive && !matches!(timer, Timer::Run(..))
        };
        self.alive.iter().filter(is_counted).count()
    }

    /// Returns the earliest timers of runs in these lists, for tests.
    pub(super) fn earliest_of_runs(&self) -> BTreeSet<(bool, u64, RunKey, TimerId)> {
        let of_run = |is_wall: bool, &(at_us, timer, _): &(u64, Timer, Deadline)| match timer {
            Timer::Run(run, timer) => Some((is_wall, at_us, run, timer)),
            _ => None,
        };
        let alive = self.alive.iter().filter_map(|entry| of_run(false, entry));
        alive.chain(self.wall.iter().filter_map(|entry| of_run(true, entry))).collect()
    }

    /// Returns what [`Self::earliest_of_runs`] must contain for one run, computed from its handler's timers.
    pub(super) fn earliest_of(&self, run: RunKey, armed: &Armed) -> impl Iterator<Item = (bool, u64, RunKey, TimerId)> {
        let Earliest { alive, wall } = armed.earliest(self.began_us);
        let of_clock = move |is_wall| move |(at_us, timer, _)| (is_wall, at_us, run, timer);
        alive.map(of_clock(false)).into_iter().chain(wall.map(of_clock(true)))
    }

    /// Returns how long until the next timer is due, as far as that is known: while the wall clock may end one early,
    /// it must be checked regularly. Zero if a run has deferred something.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if !self.deferring.is_empty() {
            return Some(Duration::ZERO);
        }
        let alive = self.alive.first().map(|&(at_us, ..)| now.until_alive(at_us));
        let is_due = |&(at_us, ..): &(u64, Timer, Deadline)| now.is_past(at_us);
        let look = self.wall.first().map(|first| if is_due(first) { Duration::ZERO } else { WALL_LOOK });
        alive.into_iter().chain(look).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a timer of one of three runs, with deadlines that coincide with others.
    fn due_at(number: u64) -> (RunKey, TimerId, Deadline) {
        let run = RunKey { handler: HandlerKey(number % 3), run: 0 };
        let clock = if number.is_multiple_of(4) { Clock::Alive } else { Clock::Wall };
        let now = Now { wall_us: 3_000_000, alive_us: 0 };
        (run, TimerId(number), now.deadline(clock, Duration::from_secs(20 * (number * 7_919 % 13))))
    }

    #[test]
    fn timers_of_runs_are_due_in_the_order_in_which_timers_of_one_list_are() {
        let (mut timers, mut armed) = (Timers::new(1), [Armed::default(), Armed::default(), Armed::default()]);
        let mut all = Timers::new(1);
        for (run, timer, deadline) in (0..100).map(due_at) {
            all.arm(Timer::Run(run, timer), deadline);
            assert!(timers.arm_of_run(run, &mut armed[run.handler.0 as usize], timer, deadline));
        }
        let mut due = 0;
        for seconds in 0..300_i64 {
            let now = Now { wall_us: 2_000_000 * seconds, alive_us: 900_000 * seconds.cast_unsigned() };
            assert_eq!(timers.poll_timeout(now), all.poll_timeout(now));
            while let Some(next) = all.poll_due(now) {
                assert_eq!(timers.poll_due(now), Some(next));
                let Timer::Run(run, timer) = next else { panic!("{next:?}") };
                let deadline = due_at(timer.0).2;
                all.disarm(next, deadline);
                timers.disarm_of_run(run, &mut armed[run.handler.0 as usize], timer);
                due += 1;
            }
            assert_eq!(timers.poll_due(now), None);
            if seconds == 60 {
                let over = RunKey { handler: HandlerKey(1), run: 0 };
                assert!(!timers.disarm_all(over, &mut armed[1]).is_empty());
                (0..100).map(due_at).filter(|(run, ..)| *run == over).for_each(|(run, timer, deadline)| {
                    all.disarm(Timer::Run(run, timer), deadline);
                });
            }
        }
        assert!((67..100).contains(&due), "{due}");
        assert_eq!((timers.has_alive(), timers.alive.len(), timers.wall.len()), (false, 0, 0));
    }
}
