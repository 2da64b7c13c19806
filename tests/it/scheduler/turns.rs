//! What one turn of the loop does at most, however much there is to do.

use std::time::Duration;

use super::*;
use steprill::{limits::TURN_TIMERS_MAX, pass::NewWait};

impl World {
    /// So many runs that sleep for a minute: either clock may end that.
    fn sleeping(count: usize) -> Self {
        let mut world = Self::new(100, None, None);
        for _ in 0..count {
            world.begin();
            world.settle();
        }
        loop {
            let passes = world.passes();
            for pass in &passes {
                let end = PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_mins(1)) };
                let done = Done::of(end);
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
            for pass in &passes {
                self.stop(pass.tag);
            }
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

#[cfg(target_os = "linux")]
#[test]
fn handlers_cost_what_they_take() {
    if !crate::support::is_alone(module_path!(), "handlers_cost_what_they_take") {
        return;
    }
    let held = |world: &World| {
        let counts = world.scheduler.counts();
        counts.held.runs + counts.held.finished
    };
    crate::run_effects::costs::check_cost("runs that sleep", || World::sleeping(5_000), held);
    let finished = || {
        let mut world = World::new(5_000, None, None);
        world.limits.finished_bytes_max = usize::MAX;
        let graphs = vec![Arc::clone(&world.graph)];
        world.scheduler = Scheduler::new(graphs, world.limits, Recall::Feeds, 7);
        for _ in 0..50 {
            (0..100).for_each(|_| _ = world.begin());
            world.stop_all();
        }
        world
    };
    crate::run_effects::costs::check_cost("runs that have ended", finished, held);
}
