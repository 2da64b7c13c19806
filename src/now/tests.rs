use proptest::prelude::*;

use super::*;

/// Events of the system's clocks and the server.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes while the server runs.
    Passes(u64),
    /// Somebody sets the wall clock; forward, the machine may also be suspended.
    Stepped(i64),
    /// The server ends, and begins again after this long.
    Down(u64),
}

const HOUR_US: u64 = 3_600_000_000;
const YEAR_US: i64 = 365 * 24 * 3_600_000_000;

fn event() -> impl Strategy<Value = Event> {
    let step = prop_oneof![-3_600_000_000..3_600_000_000_i64, -10 * YEAR_US..10 * YEAR_US];
    prop_oneof![
        (0..HOUR_US).prop_map(Event::Passes),
        (0..10_000_000_u64).prop_map(Event::Passes),
        step.prop_map(Event::Stepped),
        (0..HOUR_US).prop_map(Event::Down),
    ]
}

/// The clocks of a machine, and a server on it.
struct World {
    system_us: i64,
    up_us: u64,
    recorder: Recorder,
    now: Now,
    began_us: u64,
}

impl World {
    fn new() -> Self {
        let (system_us, mut recorder) = (50 * YEAR_US, Recorder::new());
        let now = recorder.read(system_us, 0);
        Self { system_us, up_us: 0, recorder, now, began_us: 0 }
    }

    /// Handles the event. Returns the time that the alive clock does not see.
    fn handle(&mut self, event: &Event) -> u64 {
        let unseen_us = match *event {
            Event::Passes(passed_us) => {
                self.system_us += passed_us.cast_signed();
                self.up_us += passed_us;
                0
            }
            Event::Stepped(step_us) => {
                let before_us = self.system_us;
                self.system_us = (before_us + step_us).max(0);
                (self.system_us - before_us).max(0).cast_unsigned()
            }
            Event::Down(down_us) => {
                self.system_us += down_us.cast_signed();
                self.recorder = Recorder::new();
                self.recorder.resume(self.now);
                (self.up_us, self.began_us) = (0, self.now.alive_us + 1);
                down_us
            }
        };
        self.now = self.recorder.read(self.system_us, self.up_us);
        unseen_us
    }
}

proptest! {
    #[test]
    fn recorded_time_never_goes_back_and_never_stands_still(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in &events {
            let before = world.now;
            world.handle(event);
            prop_assert!(world.now.alive_us >= before.alive_us);
            let passed_us = world.now.alive_us - before.alive_us;
            prop_assert!(world.now.wall_us >= before.wall_us.saturating_add_unsigned(passed_us / 2));
            prop_assert!(world.now.wall_us >= world.system_us);
        }
    }

    #[test]
    fn recorded_time_meets_the_systems_after_twice_what_it_was_ahead(
        events in prop::collection::vec(event(), 0..20),
        turns in 1..20_u64,
    ) {
        let mut world = World::new();
        for event in &events {
            world.handle(event);
        }
        let ahead_us = (world.now.wall_us - world.system_us).cast_unsigned();
        for _ in 0..turns {
            world.handle(&Event::Passes(2 * ahead_us / turns + 2));
        }
        prop_assert_eq!(world.now.wall_us, world.system_us);
    }

    #[test]
    fn a_wait_ends_after_what_it_was_asked_for_and_at_most_the_time_down_later(
        before in prop::collection::vec(event(), 0..10),
        after_us in prop_oneof![0..20_000_000_u64, 0..3 * HOUR_US],
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut world = World::new();
        for event in &before {
            world.handle(event);
        }
        let set = world.now;
        let deadline = set.deadline(Clock::Wall, Duration::from_micros(after_us));
        let (mut unseen_us, mut restarted) = (0, false);
        for event in &events {
            unseen_us += world.handle(event);
            restarted |= matches!(event, Event::Down(_));
            let seen_us = world.now.alive_us - set.alive_us;
            let is_due = deadline.is_due(world.now, world.began_us);
            prop_assert!(is_due || seen_us < after_us, "late: {seen_us} of {after_us}");
            prop_assert!(!is_due || seen_us + unseen_us >= after_us, "early: {seen_us} and {unseen_us} of {after_us}");
            if !restarted && Duration::from_micros(after_us) < CALENDAR_WAIT_MIN {
                prop_assert_eq!(is_due, seen_us >= after_us, "a short wait is not the wall clock's");
            }
        }
    }
}

#[test]
fn a_commit_ten_years_ahead_does_not_hold_later_waits() {
    let mut ahead = Recorder::new();
    let far = ahead.read(60 * YEAR_US, 0);
    let long = far.deadline(Clock::Wall, Duration::from_hours(1));
    let mut clock = Recorder::new();
    clock.resume(far);
    let now = clock.read(50 * YEAR_US, 0);
    let began_us = now.alive_us;
    let short = now.deadline(Clock::Wall, Duration::from_millis(100));
    assert!(!short.is_due(clock.read(50 * YEAR_US + 99_000, 99_000), began_us));
    assert!(short.is_due(clock.read(50 * YEAR_US + 100_000, 100_000), began_us));
    assert!(!long.is_due(clock.read(50 * YEAR_US, HOUR_US - 2), began_us));
    assert!(long.is_due(clock.read(50 * YEAR_US, HOUR_US - 1), began_us), "the time down is not known");
}
