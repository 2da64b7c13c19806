//! The effect of setting the wall clock on waits, with a clock of the program's own.

use std::time::Duration;

use super::*;
use crate::support::Clock;

const HOUR_S: i64 = 3_600;
const TEN_YEARS_S: i64 = 10 * 365 * 24 * HOUR_S;

/// Runs `sleepy` with this delay. Returns how long it took.
#[track_caller]
fn sleep(program: &Program, delay: Duration) -> Duration {
    let begun = Instant::now();
    let reply = run(program, "sleepy", &json!({"start_event": {"delay_ms": delay.as_millis() as u64}}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    begun.elapsed()
}

#[test]
fn a_commit_made_ten_years_ahead_does_not_hold_later_sleeps() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("a path of characters");
    let mut command = Program::command(&["--data", data]);
    let clock = Clock::before(&mut command);
    clock.set_ahead(TEN_YEARS_S);
    let program = Program::spawned(&mut command);
    // One run that is asleep at the end, and one more commit.
    let asleep = program.begin("sleepy", json!({"delay_ms": 1_000}));
    let ahead = program.finish("echo", json!({}));
    let updated_at = |program: &Program, handler: &str| {
        program.get(&format!("/handlers/{handler}")).json()["updated_at"].as_str().expect("a time").to_owned()
    };
    let recorded = updated_at(&program, &ahead);
    program.kill();
    clock.set_ahead(0);
    let mut command = Program::command(&["--data", data]);
    clock.show(&mut command);
    let program = Program::spawned(&mut command);
    let took = sleep(&program, Duration::from_millis(100));
    assert!((100..1_100).contains(&took.as_millis()), "{took:?}");
    let slept = program.get(&format!("/events/{asleep}?sse=false"));
    assert_eq!(slept.status, 200, "what slept at the time ends, too");
    assert!(updated_at(&program, &asleep) > recorded, "recorded time does not go back, and advances");
}

#[test]
fn a_forward_step_of_the_clock_ends_a_long_sleep_without_a_request_and_not_a_short_one() {
    let mut command = Program::command(&[]);
    let clock = Clock::before(&mut command);
    let program = Program::spawned(&mut command);
    let begun = Instant::now();
    let long = program.begin("sleepy", json!({"delay_ms": 30 * 60 * 1_000}));
    let short = program.begin("sleepy", json!({"delay_ms": 1_000}));
    let mut readers = [&long, &short].map(|handler| follow(&program, handler, "sse=false"));
    // Nothing is sent from here on.
    clock.set_ahead(HOUR_S);
    let stepped = Instant::now();
    let [long, short] = &mut readers;
    short.event_of("StopEvent");
    assert!(begun.elapsed().as_millis() >= 1_000, "{:?}", begun.elapsed());
    long.event_of("StopEvent");
    assert!(stepped.elapsed().as_secs() < 10, "a wall clock that was set is looked at every few seconds");
}

#[test]
fn a_step_back_does_not_lengthen_a_sleep() {
    let mut command = Program::command(&[]);
    let clock = Clock::before(&mut command);
    let program = Program::spawned(&mut command);
    clock.set_ahead(-HOUR_S);
    assert_eq!(program.get("/health").status, 200);
    let took = sleep(&program, Duration::from_millis(200));
    assert!((200..1_200).contains(&took.as_millis()), "{took:?}");
}
