//! State as transactions, streams and `once` values.

use super::*;

#[test]
fn a_conflict_runs_the_body_again_on_a_new_snapshot_and_publishes_nothing() {
    let mut flow = Flow::new("a: S -> T\nb: S -> T");
    flow.start();
    let set = [("k", Write::Set(json("1")))];
    flow.done_with((0, 0), NOTHING, &[], uses(0, &[], &set));
    check(flow.done_with((1, 0), NOTHING, &[], uses(0, &["k"], &set)), &["start 1.1"]);
    check(flow.done_with((1, 0), NOTHING, &[], uses(0, &[], &[])), NONE);
    let state = flow.run.pass_input(pass_id((1, 1))).expect("a live pass").state;
    assert_eq!(state.version, 1);
    assert_eq!(state.values, BTreeMap::from([("k".into(), json("1"))]));
    let effects = flow.done_with((1, 1), PassEnd::Returned(flow.events(&[STOP])), &[], uses(1, &["k"], &[]));
    check(effects, &["- not_running b 0 S -> T", "- T {}", "finish completed {}"]);
    assert_eq!(flow.run.state(), BTreeMap::from([("k".into(), json("1"))]));
}

#[test]
fn a_work_that_conflicts_three_times_runs_alone() {
    let mut flow = Flow::with("a: S -> S|T\nb: S -> T\nc: S -> T", |parts| open(parts, "S"));
    flow.start();
    let set = [("k", Write::Set(json("1")))];
    // Works 0 to 2 belong to a, b and c; each round of a's loop adds three.
    for (round, next) in [(0, 3), (1, 6), (2, 9)] {
        let again = PassEnd::Returned(flow.events(&[("S", "{}")]));
        let looping = if round == 0 { (0, 0) } else { (next - 3, 0) };
        flow.done_with(looping, again, &[], uses(99, &[], &set));
        let expected: &[&str] = [&["start 1.1"][..], &["start 1.2"], NONE][round];
        check(flow.done_with((1, round as u32), NOTHING, &[], uses(0, &["k"], &[])), expected);
    }
    let held = flow.post("S", "{}", Some("c"));
    check(held, &["- preparing c <enqueued> S"]);
    for work in [2, 4, 5, 7, 8, 10, 11] {
        flow.returns((work, 0), &[]);
    }
    assert_eq!(flow.run.pending().len(), 1, "only a's newest pass still runs: {:?}", flow.run.pending());
    let effects = flow.returns((9, 0), &[]);
    assert_eq!(effects.last().map(String::as_str), Some("start 1.3"), "{effects:?}");
    check(flow.post("S", "{}", Some("a")), &["- running a 0 S"]);
    let effects = flow.done_with((1, 3), NOTHING, &[], uses(9, &["k"], &[]));
    assert!(effects.iter().any(|effect| effect.starts_with("start 12.")), "the held ones go on: {effects:?}");
    assert!(effects.iter().any(|effect| effect.starts_with("start 13.")), "the held ones go on: {effects:?}");
}

#[test]
fn a_write_of_the_wrong_type_fails_the_pass_and_writes_nothing() {
    let mut flow = Flow::new("a: S -> T");
    flow.start_with(&[("k", "\"text\"")], true);
    let writes = [("n", Write::Set(json("1"))), ("k", Write::Add(json("1")))];
    let effects = flow.done_with((0, 0), PassEnd::Returned(flow.events(&[STOP])), &[], uses(0, &[], &writes));
    let error = "state key `k`: `add` needs a number, found a string";
    assert_eq!(effects.last(), Some(&format!("finish failed {error}")));
    assert_eq!(flow.run.state().len(), 1);
}

fn stream(ordinal: u32, hash: u128) -> Note {
    let event = steprill::pass::OtherEvent {
        name: "Tick".into(),
        qualified_name: "m.Tick".into(),
        kind: steprill::graph::EventKind::Plain,
    };
    Note::Stream { ordinal, hash, event: EventRef::Other(Arc::new(event)), value: json(&hash.to_string()) }
}

#[test]
fn stream_writes_are_known_by_ordinal_and_hash_until_the_first_that_differs() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
    flow.start();
    let note = |flow: &mut Flow, pass, notes: Vec<Note>| flow.give(Input::Noted { pass: pass_id(pass), notes });
    check(
        note(&mut flow, (0, 0), vec![stream(0, 1), stream(1, 2), stream(2, 3)]),
        &["- Tick 1", "- Tick 2", "- Tick 3"],
    );
    flow.sleeps((0, 0), 0);
    check(note(&mut flow, (0, 0), vec![stream(3, 4)]), NONE);
    flow.due(1);
    assert!(flow.run.pass_input(pass_id((0, 1))).expect("a live pass").published.iter().eq(&[1, 2, 3]));
    check(note(&mut flow, (0, 1), vec![stream(0, 1), stream(1, 9), stream(2, 3)]), &["- Tick 9", "- Tick 3"]);
    flow.fails((0, 1), "x");
    flow.due(2);
    assert!(flow.run.pass_input(pass_id((0, 2))).expect("a live pass").published.is_empty());
    check(note(&mut flow, (0, 2), vec![stream(0, 1)]), &["- Tick 1"]);
}

#[test]
fn once_values_are_remembered_across_passes_and_attempts() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
    flow.start();
    let once = |value: &str| OnceValue { value: json(value), stream_ordinal: 0 };
    let note = |ordinal, value| Note::Once { ordinal, value: once(value) };
    flow.give(Input::Noted { pass: pass_id((0, 0)), notes: vec![note(0, "1"), note(0, "2"), note(1, "3")] });
    flow.fails((0, 0), "x");
    flow.due(1);
    assert!(flow.run.pass_input(pass_id((0, 1))).expect("a live pass").once.iter().eq(&[once("1"), once("3")]));
    let effects = flow.give(Input::Noted { pass: pass_id((0, 1)), notes: vec![note(5, "1")] });
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a: its `once` number 5 comes after 2"));
}

#[test]
fn conflicts_count_in_a_row_and_a_failure_ends_the_row() {
    let retry = Retry::fixed(Duration::ZERO);
    let mut flow = Flow::with("a: S -> S|T\nb: S -> T", |parts| {
        parts.steps[1].retry = retry;
        open(parts, "S");
    });
    flow.start();
    let set = [("k", Write::Set(json("1")))];
    let stale = || uses(0, &["k"], &[]);
    // Work 1 is b's; a's pass keeps running, so that the changes are not forgotten.
    flow.post("S", "{}", Some("a"));
    flow.done_with((2, 0), NOTHING, &[], uses(0, &[], &set));
    check(flow.done_with((1, 0), NOTHING, &[], stale()), &["start 1.1"]);
    check(flow.done_with((1, 1), NOTHING, &[], stale()), &["start 1.2"]);
    check(flow.fails((1, 2), "x"), &["- not_running b 0 S", "- retried b 1 in 0ms: x", "arm 1 wall 0ms"]);
    check(flow.due(1), &["- running b 0 S", "start 1.3"]);
    check(flow.done_with((1, 3), NOTHING, &[], stale()), &["start 1.4"]);
    check(flow.done_with((1, 4), NOTHING, &[], stale()), &["start 1.5"]);
    check(flow.done_with((1, 5), NOTHING, &[], stale()), NONE);
    check(flow.returns((0, 0), &[]), &["- not_running a 0 S -> nothing", "start 1.6"]);
}
