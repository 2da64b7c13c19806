//! Passes that are lost with their executor.

use super::*;
use steprill::engine::record::Names;

impl Flow {
    fn lose(&mut self, pass: (u64, u32)) -> Vec<String> {
        self.give(Input::PassLost { pass: pass_id(pass) })
    }

    /// The process ends, and begins again with what a snapshot has.
    fn restore(&mut self) {
        let (snapshot, translation) = (self.run.snapshot(), Names::of(&self.graph).translation(&self.graph));
        self.run = Run::restore(&snapshot, &translation, Arc::clone(&self.graph)).expect("it is read back");
        assert_eq!(self.run.snapshot(), snapshot);
    }
}

#[test]
fn a_lost_pass_runs_again_as_the_same_attempt_and_shows_nothing() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO).attempts(2));
    flow.start();
    let notes = vec![Note::Once { ordinal: 0, value: OnceValue { value: json("1"), stream_ordinal: 0 } }];
    flow.give(Input::Noted { pass: pass_id((0, 0)), notes });
    check(flow.lose((0, 0)), &["start 0.1"]);
    check(flow.lose((0, 0)), NONE);
    check(flow.fails((0, 0), "late"), NONE);
    let input = flow.run.pass_input(pass_id((0, 1))).expect("it is live");
    assert_eq!((input.attempt, input.once.len()), (1, 1), "what it noted stays");
    let effects = flow.returns((0, 1), &[STOP]);
    check(effects, &["- not_running a 0 S -> T", "- T {}", "finish completed {}"]);
    check(flow.lose((0, 1)), NONE);
}

#[test]
fn an_attempt_fails_when_its_pass_is_lost_three_times_in_a_row_even_across_restarts() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO).attempts(2));
    flow.start();
    check(flow.lose((0, 0)), &["start 0.1"]);
    check(flow.sleeps((0, 1), 0), &["arm 1 wall 1000ms"]);
    check(flow.due(1), &["start 0.2"]);
    // The wait has begun the count anew.
    check(flow.lose((0, 2)), &["start 0.3"]);
    flow.restore();
    check(flow.lose((0, 3)), &["start 0.4"]);
    flow.restore();
    let error = "Step a was lost 3 times in a row, each time with the thread or process that ran it";
    let retried = format!("- retried a 1 in 0ms: {error}");
    check(flow.lose((0, 4)), &["- not_running a 0 S", &retried, "arm 2 wall 0ms"]);
    flow.restore();
    check(flow.due(2), &["- running a 0 S", "start 0.5"]);
    check(flow.lose((0, 5)), &["start 0.6"]);
    check(flow.lose((0, 6)), &["start 0.7"]);
    let effects = flow.lose((0, 7));
    assert_eq!(effects.last(), Some(&format!("finish failed {error}")));
}

#[test]
fn losses_stand_in_a_snapshot_behind_what_is_deferred() {
    let mut flow = Flow::new("a: S -> [E]\nb: E -> T\nc: S -> T");
    flow.run = Run::new(Arc::clone(&flow.graph), uuid::Uuid::nil(), "h".into()).with_events_at_once(1);
    flow.start();
    let emitted = steprill::pass::Emitted { sent: Vec::new(), returned: flow.events(&[("E", "1"), ("E", "2")]) };
    let (emitted, state) = (Arc::new(emitted), StateUse::default());
    let effects = flow.give(Input::LargeDone { emitted, state, pass: pass_id((0, 0)) });
    assert_eq!(effects.last().map(String::as_str), Some("go on"));
    check(flow.lose((1, 0)), &["start 1.1"]);
    flow.restore();
    assert_eq!(flow.run.pending().len(), 2, "{:?}", flow.run.pending());
    check(flow.lose((1, 1)), &["start 1.2"]);
    let effects = flow.lose((1, 2));
    let error = "Step c was lost 3 times in a row, each time with the thread or process that ran it";
    assert_eq!(effects.last(), Some(&format!("finish failed {error}")));
}
