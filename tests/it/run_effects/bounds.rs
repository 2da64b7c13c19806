//! Bounds, and what is not of the graph.

use super::*;

#[test]
fn more_works_than_a_run_may_have_fail_it() {
    let mut flow = Flow::new(FAN_OUT);
    flow.start();
    let items = vec![("Item", "1"); RUN_WORKS_MAX + 1];
    let effects = flow.sends((0, 0), &items);
    assert!(effects.last().is_some_and(|last| last.contains("100001 works")), "{:?}", effects.last());

    let mut flow = Flow::new(&format!("{FAN_OUT}\nr: HumanB -> T"));
    flow.start();
    flow.sends((0, 0), &items[1..]);
    assert_eq!(flow.refusal("HumanB", "1", None), Refusal::WorksFull);
    assert!(flow.run.outcome().is_none());
}

#[test]
fn what_is_posted_is_bounded_in_bytes() {
    let big = format!("\"{}\"", "x".repeat(RUN_EVENT_BYTES_MAX / 4));
    let mut flow = Flow::new("a: S -> T\nr: HumanB -> T ? NeedQ/HumanA");
    flow.start();
    for event in ["HumanA", "HumanB", "HumanA", "HumanB"] {
        flow.post(event, &big, None);
    }
    assert_eq!(flow.refusal("HumanA", "1", None), Refusal::WorksFull);
    assert_eq!(flow.refusal("HumanB", "1", None), Refusal::WorksFull);
    flow.returns((1, 0), &[]);
    check(flow.post("HumanB", "1", None), &["- running r 0 HumanB", "start 3.0"]);
}

#[test]
fn answers_to_open_questions_are_bounded_in_bytes_and_by_nothing_else_that_the_run_holds() {
    let big = format!("\"{}\"", "x".repeat(RUN_EVENT_BYTES_MAX));
    let workers = |parts: &mut steprill::graph::Parts| parts.steps.iter_mut().for_each(|step| step.workers = 8);
    let mut flow = Flow::with("a: S -> [E]\nb: E -> T ? NeedQ/HumanA\nr: HumanB -> T", workers);
    flow.start();
    flow.returns((0, 0), &[("E", &big), ("E", "1")]);
    let refusal =
        |flow: &Flow, event, in_reply_to| flow.run.check_external(&flow.external(event, "1", None, in_reply_to));
    assert_eq!(refusal(&flow, "HumanB", None), Err(Refusal::WorksFull));
    flow.asks((2, 0), 0, &[], None);
    flow.post("HumanA", &big, None);
    flow.asks((2, 1), 1, &[], None);
    let open = flow.run.open_questions().next().expect("an open question").sequence;
    for in_reply_to in [None, Some(open)] {
        assert_eq!(refusal(&flow, "HumanA", in_reply_to), Err(Refusal::AnswersFull));
    }
    flow.fails((1, 0), "no");
    assert_eq!(flow.run.answers_bytes(), 0);
}

#[test]
fn a_pass_whose_events_do_not_fit_the_feed_fails_the_run() {
    let mut flow = Flow::new("ask: S -> NeedQ\nanswer: HumanA|NeedQ -> NeedQ|T");
    flow.start();
    let big = format!("\"{}\"", "x".repeat(FEED_BYTES_MAX / 2));
    flow.returns((0, 0), &[("NeedQ", &big)]);
    let before = flow.run.feed_bytes();
    let effects = flow.returns((1, 0), &[("NeedQ", &big)]);
    assert!(effects.last().is_some_and(|last| last.contains("67108864 bytes")), "{:?}", effects.last());
    assert!(flow.run.feed_bytes() - before < 1_000);
}

#[test]
fn with_a_window_a_run_outlives_any_number_of_bytes() {
    let mut flow = Flow::new("ask: S -> NeedQ\nanswer: HumanA|NeedQ -> NeedQ|T");
    flow.run = Run::new(Arc::clone(&flow.graph), uuid::Uuid::nil(), "h".into()).with_window();
    flow.start();
    let big = format!("\"{}\"", "x".repeat(FEED_BYTES_MAX / 2));
    for work in 0..3 {
        flow.returns((work, 0), &[("NeedQ", &big)]);
    }
    assert!(flow.run.outcome().is_none() && flow.run.feed_bytes() > FEED_BYTES_MAX);
    assert!(flow.run.snapshot().len() < 2 * big.len(), "nothing of the feed is in it, but the event that is in work");
    flow.returns((3, 0), &[("T", "1")]);
    assert_eq!(flow.run.outcome(), Some(&Outcome::Completed(json("1"))));
}

#[test]
fn a_run_holds_no_more_than_its_live_work() {
    let mut flow = Flow::retrying(
        "a: S -> S|G ? NeedQ/HumanA
        b: G -> [E]
        c: E -> F
        d: [F] -> S|T",
        Retry::fixed(Duration::ZERO),
    );
    flow.start();
    let (mut work, mut timer, mut held_bytes) = (0, 0, Vec::new());
    for _ in 0..1_000 {
        timer += 1;
        flow.asks((work, 0), 0, &[], Some(5));
        flow.post("HumanA", "{}", None);
        flow.fails((work, 1), "x");
        timer += 1;
        flow.due(timer);
        let writes: [(&str, Write); 2] = [("k", Write::Set(json("1"))), ("k", Write::Remove)];
        let end = PassEnd::Returned(flow.events(&[("G", "{}")]));
        flow.done_with((work, 2), end, &[], uses(work, &[], &writes));
        flow.returns((work + 1, 0), &[("E", "1"), ("E", "2")]);
        timer += 1;
        flow.returns((work + 2, 0), &[("F", "1")]);
        flow.returns((work + 3, 0), &[("F", "2")]);
        flow.returns((work + 4, 0), &[("S", "{}")]);
        work += 5;
        held_bytes.push(flow.run.snapshot().len());
    }
    assert_eq!(flow.run.pending().len(), 1, "{:?}", flow.run.outcome());
    assert!(held_bytes[999] < held_bytes[1] + 100, "{} bytes, then {}", held_bytes[1], held_bytes[999]);
}

#[test]
fn error_texts_are_cut_between_characters() {
    let mut flow = Flow::new("a: S -> T");
    flow.start();
    flow.fails((0, 0), &"ä€".repeat(ERROR_BYTES_MAX));
    let Some(Outcome::Failed(error)) = flow.run.outcome() else { panic!("it failed") };
    assert!((ERROR_BYTES_MAX - 3..=ERROR_BYTES_MAX).contains(&error.len()));
}

#[test]
fn types_that_the_graph_does_not_have_fail_the_run_or_are_refused() {
    let unknown = steprill::graph::EventId(999);
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    let external = External::new(unknown, json("1"));
    assert_eq!(flow.refusal_of(external), Refusal::NotOpen);
    let effects = flow.done((0, 0), PassEnd::Returned(vec![(unknown, json("1"))]));
    assert!(effects.last().is_some_and(|last| last.contains("does not have")));
}

#[test]
fn a_work_that_waits_too_often_fails_early() {
    let mut flow = Flow::new("a: S -> T");
    flow.start();
    let waits = steprill::limits::WORK_WAITS_MAX as u32;
    for ordinal in 0..=waits {
        let end = PassEnd::Waits { ordinal, wait: NewWait::Sleep(Duration::from_millis(1)) };
        flow.done_with((0, ordinal), end, &[], StateUse::default());
        flow.due(u64::from(ordinal) + 1);
    }
    let Some(Outcome::Failed(error)) = flow.run.outcome() else { panic!("{:?}", flow.run.outcome()) };
    assert!(error.contains("it may wait 10000 times"), "{error}");
}
