//! Questions, answers early and late, sleeps, time-outs.

use super::*;

#[test]
fn a_sleep_keeps_its_slot_and_publishes_nothing() {
    let mut flow = Flow::with("a: S -> S|T", |parts| parts.steps[0].workers = 1);
    flow.start();
    flow.post("S", "1", None);
    check(flow.sleeps((0, 0), 0), &["arm 1 wall 1000ms"]);
    assert_eq!(flow.run.pending().len(), 1);
    check(flow.due(1), &["start 0.1"]);
    assert_eq!(*flow.run.pass_input(pass_id((0, 1))).expect("a live pass").waits, [Wait::Slept]);
}

#[test]
fn an_answer_goes_to_the_oldest_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    flow.asks((1, 0), 0, &[("n", "1")], None);
    flow.asks((0, 0), 0, &[], None);
    check(flow.post("HumanA", r#"{"n":2}"#, Some("b")), &["dropped HumanA"]);
    check(flow.post("HumanA", r#"{"n":1}"#, None), &["- running b 0 S", "start 1.1"]);
    check(flow.post("HumanA", r#"{"n":1}"#, Some("a")), &["- running a 0 S", "start 0.1"]);
    check(flow.post("HumanA", r#"{"n":1}"#, None), &["dropped HumanA"]);
}

#[test]
fn an_early_answer_waits_for_a_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    check(flow.post("HumanA", r#"{"n":1}"#, None), NONE);
    check(flow.post("HumanA", r#"{"n":2}"#, Some("b")), NONE);
    check(flow.asks((0, 0), 0, &[("n", "2")], None), &["- not_running a 0 S", "- NeedQ {}"]);
    let effects = flow.asks((1, 0), 0, &[("n", "2")], None);
    check(effects, &["- not_running b 0 S", "- NeedQ {}", "- running b 0 S", "start 1.1"]);
    check(flow.post("HumanA", r#"{"n":3}"#, None), &["dropped HumanA"]);
}

#[test]
fn early_answers_are_bounded_and_refused_beyond() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    for _ in 0..EARLY_ANSWERS_MAX {
        assert_eq!(flow.check_post("HumanA", Some("review")), Ok(()));
        check(flow.post("HumanA", "{}", None), NONE);
    }
    assert_eq!(flow.check_post("HumanA", None), Err(Refusal::EarlyAnswersFull));
    check(flow.post("HumanA", "{}", None), &["dropped HumanA"]);
}

#[test]
fn a_named_step_must_take_or_await_the_type() {
    let mut flow = Flow::new("a: S -> () + Item\nb: Item -> Out\nj: [Out] -> T\nr: Item -> () ? NeedQ/HumanA");
    flow.start();
    let refused = Err(Refusal::StepDoesNotAccept);
    assert_eq!([flow.check_post("HumanA", Some("a")), flow.check_post("Out", Some("j"))], [refused, refused]);
    assert_eq!([flow.check_post("HumanA", Some("r")), flow.check_post("Item", Some("b"))], [Ok(()), Ok(())]);
    check(flow.post("Item", "1", Some("b")), &["- running b 0 Item", "start 1.0"]);
    check(flow.post("Out", "1", None), &["dropped Out"]);
    check(flow.post("T", "1", None), &["dropped T"]);
}

#[test]
fn a_question_times_out_on_the_alive_clock_and_is_asked_again_in_the_next_attempt_alone() {
    let mut flow = Flow::retrying(APPROVAL, Retry::fixed(Duration::ZERO));
    flow.start();
    check(flow.asks((0, 0), 0, &[], Some(5)), &["- not_running review 0 S", "- NeedQ {}", "arm 2 alive 5000ms"]);
    check(flow.due(2), &["- running review 0 S", "start 0.1"]);
    let question = flow.event("NeedQ");
    let waits = |flow: &Flow, pass| flow.run.pass_input(pass_id(pass)).expect("a live pass").waits.to_vec();
    assert_eq!(waits(&flow, (0, 1)), [Wait::Asked { question, answer: None }]);
    flow.sleeps((0, 1), 1);
    flow.due(3);
    assert_eq!(waits(&flow, (0, 2)), [Wait::Asked { question, answer: None }, Wait::Slept]);
    flow.fails((0, 2), "nobody answered");
    flow.due(4);
    assert_eq!(waits(&flow, (0, 3)), [Wait::Forgotten { question }, Wait::Slept]);
    check(flow.asks((0, 3), 0, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", "1", None), &["- running review 0 S", "start 0.4"]);
    assert_eq!(waits(&flow, (0, 4)), [Wait::Asked { question, answer: Some(json("1")) }, Wait::Slept]);
}

#[test]
fn an_answer_in_time_disarms_the_time_out() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    flow.asks((0, 0), 0, &[], Some(5));
    check(flow.post("HumanA", "1", None), &["disarm 2", "- running review 0 S", "start 0.1"]);
    check(flow.due(2), NONE);
}

#[test]
fn a_wait_that_does_not_fit_fails_the_run() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    let effects = flow.sleeps((0, 0), 1);
    assert!(effects.last().is_some_and(|last| last.contains("wait number 1 that does not fit")), "{effects:?}");
}
