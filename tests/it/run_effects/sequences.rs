//! The sequences that clients see: order, slots, retries, ends.

use super::*;

#[test]
fn interactive_shows_its_question_and_waits_for_a_posted_event() {
    let mut flow = Flow::new(INTERACTIVE);
    check(flow.start(), &["- running ask 0 S", "start 0.0"]);
    check(flow.returns((0, 0), &[("NeedQ", "1")]), &["- not_running ask 0 S -> NeedQ", "- NeedQ 1"]);
    assert!(flow.run.pending().is_empty());
    check(flow.post("HumanA", "2", None), &["- running answer 0 HumanA", "start 1.0"]);
    check(flow.returns((1, 0), &[("T", "3")]), &["- not_running answer 0 HumanA -> T", "- T 3", "finish completed 3"]);
    assert_eq!(flow.run.outcome(), Some(&Outcome::Completed(json("3"))));
}

#[test]
fn approval_releases_its_slot_while_it_asks() {
    let mut flow = Flow::new(APPROVAL);
    check(flow.start(), &["- running review 0 S", "start 0.0"]);
    check(flow.asks((0, 0), 0, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", r#"{"ok":true}"#, None), &["- running review 0 S", "start 0.1"]);
    let waits = flow.run.pass_input(pass_id((0, 1))).expect("a live pass").waits;
    let answer = Some(json(r#"{"ok":true}"#));
    assert_eq!(waits.iter().cloned().collect::<Vec<_>>(), [Wait::Asked { question: flow.event("NeedQ"), answer }]);
    check(flow.returns((0, 1), &[STOP]), &["- not_running review 0 S -> T", "- T {}", "finish completed {}"]);
}

#[test]
fn an_early_answer_leads_to_the_same_events_as_a_late_one() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    check(flow.post("HumanA", "{}", None), NONE);
    check(
        flow.asks((0, 0), 0, &[], Some(5)),
        &["- not_running review 0 S", "- NeedQ {}", "- running review 0 S", "start 0.1"],
    );
}

#[test]
fn fan_out_queues_beyond_the_slots_and_collects_in_order_of_emission() {
    let mut flow = Flow::with(FAN_OUT, |parts| parts.steps[1].workers = 2);
    check(flow.start(), &["- running split 0 S", "start 0.0"]);
    check(
        flow.sends((0, 0), &[("Item", "1"), ("Item", "2"), ("Item", "3")]),
        &[
            "- not_running split 0 S -> nothing",
            "- running square 0 Item",
            "start 1.0",
            "- running square 1 Item",
            "start 2.0",
            "- preparing square <enqueued> Item",
        ],
    );
    check(
        flow.returns((2, 0), &[("Out", "4")]),
        &["- not_running square 1 Item -> Out", "- running square 1 Item", "start 3.0"],
    );
    check(flow.returns((3, 0), &[("Out", "9")]), &["- not_running square 1 Item -> Out"]);
    check(
        flow.returns((1, 0), &[("Out", "1")]),
        &["- not_running square 0 Item -> Out", "- running join 0 Out", "start 4.0"],
    );
    assert_eq!(flow.values((4, 0)), ["1", "4", "9"]);
    check(flow.returns((4, 0), &[STOP]), &["- not_running join 0 Out -> T", "- T {}", "finish completed {}"]);
}

#[test]
fn flaky_is_retried_after_its_delay_and_fails_for_good_after_the_last_attempt() {
    let mut flow = Flow::retrying("attempt: S -> T", Retry::fixed(Duration::from_millis(10)).attempts(2));
    check(flow.start(), &["- running attempt 0 S", "start 0.0"]);
    check(
        flow.fails((0, 0), "attempt 1 failed"),
        &["- not_running attempt 0 S", "- retried attempt 1 in 10ms: attempt 1 failed", "arm 1 wall 10ms"],
    );
    check(flow.due(1), &["- running attempt 0 S", "start 0.1"]);
    assert_eq!(flow.run.pass_input(pass_id((0, 1))).expect("a live pass").attempt, 2);
    check(
        flow.fails((0, 1), "attempt 2 failed"),
        &[
            "- not_running attempt 0 S",
            "- failed attempt 2 attempt 2 failed",
            "- ended attempt attempt 2 failed",
            "finish failed attempt 2 failed",
        ],
    );
    check(flow.due(1), NONE);
}

#[test]
fn a_retry_delay_holds_no_slot() {
    let mut flow = Flow::with("a: S -> S|T", |parts| {
        parts.steps[0].workers = 1;
        parts.steps[0].retry = Retry::fixed(Duration::from_secs(1));
        open(parts, "S");
    });
    flow.start();
    check(flow.post("S", "{}", None), &["- preparing a <enqueued> S"]);
    check(
        flow.fails((0, 0), "x"),
        &["- not_running a 0 S", "- retried a 1 in 1000ms: x", "arm 1 wall 1000ms", "- running a 0 S", "start 1.0"],
    );
    check(flow.due(1), &["- preparing a <enqueued> S"]);
    check(flow.returns((1, 0), &[]), &["- not_running a 0 S -> nothing", "- running a 0 S", "start 0.1"]);
}

#[test]
fn a_failure_that_is_not_worth_it_is_not_retried() {
    for end in [PassEnd::Failed { error: "no".into(), retry: false }, PassEnd::Diverged("no".into())] {
        let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
        flow.start();
        let expected = ["- not_running a 0 S", "- failed a 1 no", "- ended a no", "finish failed no"];
        check(flow.done((0, 0), end), &expected);
    }
}

#[test]
fn panics_and_time_outs_retry_like_failures_and_say_so() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO).attempts(2));
    flow.start();
    let retried = "- retried a 1 in 0ms: Step a timed out after 0 seconds";
    check(flow.done((0, 0), PassEnd::TimedOut), &["- not_running a 0 S", retried, "arm 1 wall 0ms"]);
    flow.due(1);
    let effects = flow.done((0, 1), PassEnd::Panicked("boom".into()));
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a panicked: boom"));

    let mut flow = Flow::with("a: S -> T", |parts| parts.steps[0].timeout = Some(Duration::from_millis(1500)));
    flow.start();
    let effects = flow.done((0, 0), PassEnd::TimedOut);
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a timed out after 1.5 seconds"));
}

#[test]
fn an_attempt_begins_no_later_than_the_total_time_allows() {
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(9).within(Duration::from_secs(3));
    let mut flow = Flow::retrying("a: S -> T", retry);
    flow.start();
    flow.now.alive_us = 2_000_000;
    let expected = ["- not_running a 0 S", "- retried a 1 in 1000ms: x", "arm 1 wall 1000ms"];
    check(flow.fails((0, 0), "x"), &expected);
    flow.due(1);
    flow.now.alive_us = 2_000_001;
    assert_eq!(flow.fails((0, 1), "x").last().map(String::as_str), Some("finish failed x"));
}

#[test]
fn the_runs_time_out_names_the_steps_with_live_work() {
    let mut flow = Flow::with("a: S -> T ? NeedQ/HumanA\nb: S -> T", |parts| {
        parts.timeout = Some(Duration::from_millis(200));
    });
    check(flow.start(), &["arm 0 alive 200ms", "- running a 0 S", "start 0.0", "- running b 0 S", "start 1.0"]);
    flow.asks((0, 0), 0, &[], Some(1));
    check(
        flow.due(0),
        &[
            "- timed out 200ms a b",
            "- ended nobody Operation timed out after 0.2 seconds. Currently active steps: a, b",
            "finish failed Operation timed out after 0.2 seconds. Currently active steps: a, b",
        ],
    );
    check(flow.due(0), NONE);

    let mut flow = Flow::with(INTERACTIVE, |parts| parts.timeout = Some(Duration::from_secs(90)));
    flow.start();
    flow.returns((0, 0), &[("NeedQ", "1")]);
    let effects = flow.due(0);
    assert_eq!(
        effects.last().map(String::as_str),
        Some("finish failed Operation timed out after 90 seconds. No steps active")
    );
}

#[test]
fn a_cancelled_run_ends_at_once_and_ignores_what_comes_after() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    check(flow.give(Input::Cancel), &["- cancelled", "- ended", "finish cancelled"]);
    check(flow.give(Input::Cancel), NONE);
    check(flow.returns((0, 0), &[STOP]), NONE);
    assert_eq!(flow.refusal("HumanA", "{}", None), Refusal::Ended);
    check(flow.start(), NONE);
    assert_eq!((flow.run.pending(), flow.run.pass_step(pass_id((0, 0)))), (vec![], None));
}

#[test]
fn a_run_that_cannot_continue_fails_with_the_reason_and_blames_no_step() {
    let fail = || Input::Fail("the workflow has no step `a` any more".into());
    for started in [true, false] {
        let mut flow = Flow::new(APPROVAL);
        if started {
            flow.start();
            check(
                flow.give(fail()),
                &[
                    "- failed nobody 0 the workflow has no step `a` any more",
                    "- ended nobody the workflow has no step `a` any more",
                    "finish failed the workflow has no step `a` any more",
                ],
            );
            assert_eq!(flow.run.pending(), vec![]);
        }
        check(flow.give(fail()), NONE);
    }
}

#[test]
fn a_run_with_nothing_left_to_do_fails_unless_a_step_accepts_events_from_outside() {
    let mut flow = Flow::new("a: S -> T");
    flow.start();
    let error = "no step is left to run and none returned T";
    let failed = format!("- failed nobody 0 {error}");
    let ended = format!("- ended nobody {error}");
    let finish = format!("finish failed {error}");
    check(flow.returns((0, 0), &[]), &["- not_running a 0 S -> nothing", &failed, &ended, &finish]);

    let mut flow = Flow::new(APPROVAL);
    flow.start();
    // An early answer does not help: no work is left to ask for it.
    flow.post("HumanA", "{}", None);
    let finish = "finish failed no step is left to run and none returned T; no question is open, and HumanA only \
                  answers questions";
    assert_eq!(flow.returns((0, 0), &[]).last().map(String::as_str), Some(finish));

    for lines in ["a: S -> NeedQ\nb: HumanA -> T", "a: S -> ()\nb: OpenA -> T"] {
        let mut flow = Flow::new(lines);
        flow.start();
        assert!(!flow.returns((0, 0), &[]).iter().any(|effect| effect.starts_with("finish")), "{lines}");
    }
}

#[test]
fn a_run_that_is_not_admitted_reduces_but_starts_nothing() {
    let mut flow = Flow::with(APPROVAL, |parts| parts.timeout = Some(Duration::from_secs(1)));
    check(flow.start_with(&[], false), &["- running review 0 S"]);
    check(flow.post("HumanA", "{}", None), NONE);
    assert_eq!((flow.run.pending(), flow.run.pass_step(pass_id((0, 0)))), (vec![], None));
    check(flow.returns((0, 0), &[STOP]), NONE);
    flow.now.alive_us = 7;
    check(flow.give(Input::Admitted), &["arm 0 alive 1000ms", "start 0.0"]);
    check(flow.give(Input::Admitted), NONE);
    assert_eq!(flow.run.pending().len(), 2);
}

#[test]
fn an_event_goes_to_every_step_that_takes_it_in_order_of_names() {
    let mut flow = Flow::new("z: S -> T\na: S -> T");
    check(flow.start(), &["- running a 0 S", "start 0.0", "- running z 0 S", "start 1.0"]);
}

#[test]
fn a_returned_question_shows_and_is_routed_too() {
    let mut flow = Flow::new("ask: S -> NeedQ\nwatch: NeedQ -> T\nanswer: HumanA -> T");
    flow.start();
    check(
        flow.returns((0, 0), &[("NeedQ", "1")]),
        &["- not_running ask 0 S -> NeedQ", "- NeedQ 1", "- running watch 0 NeedQ", "start 1.0"],
    );
}

#[test]
fn the_freed_slot_takes_the_oldest_queued_work_before_new_events_are_routed() {
    let mut flow = Flow::with("a: S -> S|T", |parts| {
        parts.steps[0].workers = 1;
        open(parts, "S");
    });
    flow.start();
    flow.post("S", "1", None);
    check(
        flow.returns((0, 0), &[("S", "2")]),
        &["- not_running a 0 S -> S", "- running a 0 S", "start 1.0", "- preparing a <enqueued> S"],
    );
}

const PRICES: &str = "split: S -> [Item]
    price: Item -> Good ! Bad
    total: [Good|Bad] -> T";

#[test]
fn a_work_whose_last_attempt_fails_emits_its_event_in_a_pass_of_its_own() {
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(2);
    let mut flow = Flow::with(PRICES, |parts| parts.steps[1].retry = retry);
    flow.start();
    flow.returns((0, 0), &[("Item", "0"), ("Item", "1"), ("Item", "2")]);
    flow.fails((2, 0), "no price");
    flow.due(2);
    assert_eq!(flow.run.pass_input(pass_id((2, 1))).expect("a live pass").failure, None);
    check(
        flow.done((2, 1), PassEnd::TimedOut),
        &["- step failed price 2 Step price timed out after 0 seconds", "start 2.2"],
    );
    let input = flow.run.pass_input(pass_id((2, 2))).expect("a live pass");
    assert_eq!(input.failure.as_deref(), Some("Step price timed out after 0 seconds"));
    assert_eq!((input.attempt, input.event), (2, WorkEvent::One(flow.event("Item"), json("1"))));
    check(flow.returns((2, 2), &[("Bad", "11")]), &["- not_running price 1 Item -> Bad"]);
    flow.returns((3, 0), &[("Good", "12")]);
    let effects = flow.returns((1, 0), &[("Good", "10")]);
    check(effects, &["- not_running price 0 Item -> Good", "- running total 0 Good", "start 4.0"]);
    let of = |event, value| (flow.event(event), json(value));
    let all = [of("Good", "10"), of("Bad", "11"), of("Good", "12")];
    let input = flow.run.pass_input(pass_id((4, 0))).expect("a live pass");
    assert_eq!(input.event, WorkEvent::All(all.to_vec().into()), "in order of the items, whatever became of them");
}

#[test]
fn an_attempt_that_is_not_worth_another_is_the_last_and_one_that_diverged_fails_the_run() {
    let retry = Retry::fixed(Duration::ZERO).attempts(9);
    let mut flow = Flow::with("a: S -> T ! Bad\nb: Bad -> T", |parts| parts.steps[0].retry = retry);
    flow.start();
    let end = PassEnd::Failed { error: "no".into(), retry: false };
    check(flow.done((0, 0), end), &["- step failed a 1 no", "start 0.1"]);
    let expected = ["- not_running a 0 S -> Bad", "- running b 0 Bad", "start 1.0"];
    check(flow.returns((0, 1), &[("Bad", "{}")]), &expected);

    let mut flow = Flow::new("a: S -> T ! Bad\nb: Bad -> T");
    flow.start();
    let effects = flow.done((0, 0), PassEnd::Diverged("other waits".into()));
    assert_eq!(effects.last().map(String::as_str), Some("finish failed other waits"));
}

#[test]
fn a_failure_while_a_failure_event_is_made_fails_the_run_and_names_both() {
    for (end, says) in [
        (PassEnd::Panicked("boom".into()), "panicked: boom"),
        (PassEnd::Failed { error: "bad".into(), retry: true }, "bad"),
        (PassEnd::TimedOut, "timed out after 0 seconds"),
    ] {
        let mut flow = Flow::retrying("a: S -> T ! Bad\nb: Bad -> T", Retry::fixed(Duration::ZERO).attempts(1));
        flow.start();
        check(flow.fails((0, 0), "no price"), &["- step failed a 1 no price", "start 0.1"]);
        let error = format!("no price; then on_failure of step a: {says}");
        let (failed, ended) = (format!("- failed a 1 {error}"), format!("- ended a {error}"));
        check(flow.done((0, 1), end), &["- not_running a 0 S", &failed, &ended, &format!("finish failed {error}")]);
    }
}

#[test]
fn a_fan_out_that_fails_opens_no_scope() {
    let mut flow = Flow::new("split: S -> [Item] ! Bad\nmend: Bad -> T\njoin: [Item] -> T");
    flow.start();
    check(flow.fails((0, 0), "no list"), &["- step failed split 1 no list", "start 0.1"]);
    let expected = ["- not_running split 0 S -> Bad", "- running mend 0 Bad", "start 1.0"];
    check(flow.returns((0, 1), &[("Bad", "{}")]), &expected);
}
