//! What one turn of the loop does at most, however much there is to do.

use std::time::Duration;

use super::*;
use steprill::{limits::TURN_TIMERS_MAX, pass::NewWait};

impl World {
    /// So many runs that sleep for a minute: either clock may end that.
    fn sleeping(count: usize) -> Self {
        let mut world = Self::new(8, 100, None, None);
        (0..count).for_each(|_| _ = world.begin());
        loop {
            let passes = world.passes();
            for pass in &passes {
                let end = PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_secs(60)) };
                let done = Done { end, sent: Vec::new(), state: StateUse::default() };
                world.scheduler.handle_done(pass.tag, done, world.now);
            }
            if passes.is_empty() {
                return world;
            }
        }
    }

    /// Ends all passes that are ready, and those that are ready then; how many those are.
    fn stop_all(&mut self) -> usize {
        let mut stopped = 0;
        loop {
            let passes = self.passes();
            if passes.is_empty() {
                return stopped;
            }
            stopped += passes.len();
            passes.iter().for_each(|pass| self.stop(pass.tag));
        }
    }
}

#[test]
fn timers_that_are_due_at_once_take_turns() {
    let count = 2 * TURN_TIMERS_MAX + 1;
    for by_wall in [false, true] {
        let mut world = World::sleeping(count);
        if by_wall {
            world.now.wall_us += 60_000_000;
        } else {
            world.now.alive_us += 60_000_000;
        }
        for due in [TURN_TIMERS_MAX, TURN_TIMERS_MAX, 1, 0] {
            let is_due = world.scheduler.poll_timeout(world.now) == Some(Duration::ZERO);
            assert_eq!(is_due, due > 0, "by the wall clock: {by_wall}");
            world.scheduler.handle_time(world.now);
            assert_eq!(world.stop_all(), due, "by the wall clock: {by_wall}");
        }
    }
}
