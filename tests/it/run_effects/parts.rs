//! What leads to too much work at once becomes work in parts.

use steprill::pass::Emitted;

use super::*;

impl Flow {
    /// Creates a flow whose run turns this many events into works with one input.
    fn in_parts(lines: &str, events_at_once: u32) -> Self {
        let Self { graph, run, now } = Self::new(lines);
        Self { graph, run: run.with_events_at_once(events_at_once), now }
    }

    fn large(&mut self, pass: (u64, u32), sent: &[(&str, &str)], returned: &[(&str, &str)]) -> Vec<String> {
        let emitted = Emitted { sent: self.events(sent), returned: self.events(returned) };
        self.give(Input::LargeDone { emitted: Arc::new(emitted), state: StateUse::default(), pass: pass_id(pass) })
    }
}

#[test]
fn a_fan_out_and_its_fan_in_are_in_order_though_they_come_in_parts() {
    let mut flow = Flow::in_parts("m: S -> [E]\nn: E -> F\no: [F] -> T", 2);
    flow.start();
    let events = [("E", "1"), ("E", "2"), ("E", "3"), ("E", "4"), ("E", "5")];
    check(flow.large((0, 0), &[], &events), &["- not_running m 0 S -> E", "go on"]);
    check(flow.give(Input::GoOn), &["- running n 0 E", "start 1.0", "- running n 1 E", "start 2.0", "go on"]);
    // Works that were routed run in the meantime; their scope stays open for the others.
    check(flow.returns((2, 0), &[("F", "20")]), &["- not_running n 1 E -> F"]);
    check(flow.returns((1, 0), &[("F", "10")]), &["- not_running n 0 E -> F"]);
    assert_eq!(flow.run.pending(), [Effect::GoOn]);
    assert!(!flow.run.only_waits(), "it may not leave memory");
    check(flow.give(Input::GoOn), &["- running n 0 E", "start 3.0", "- running n 1 E", "start 4.0", "go on"]);
    check(flow.give(Input::GoOn), &["- running n 2 E", "start 5.0"]);
    check(flow.give(Input::GoOn), NONE);
    for (work, value) in [(5, "50"), (3, "30")] {
        flow.returns((work, 0), &[("F", value)]);
    }
    check(flow.returns((4, 0), &[("F", "40")]), &["- not_running n 1 E -> F", "go on"]);
    check(flow.give(Input::GoOn), &["go on"]);
    check(flow.give(Input::GoOn), &["go on"]);
    check(flow.give(Input::GoOn), &["- running o 0 F", "start 6.0"]);
    assert_eq!(flow.values((6, 0)), ["10", "20", "30", "40", "50"]);
}

#[test]
fn sent_events_come_before_returned_ones_and_questions_show_with_their_part() {
    let mut flow = Flow::in_parts("m: S -> A|NeedQ\nn: A -> T\nq: HumanA -> T", 1);
    flow.start();
    let sent = flow.large((0, 0), &[("A", "1"), ("NeedQ", "2")], &[("A", "3")]);
    check(sent, &["- not_running m 0 S -> A", "go on"]);
    check(flow.give(Input::GoOn), &["- running n 0 A", "start 1.0", "go on"]);
    check(flow.give(Input::GoOn), &["- NeedQ 2", "go on"]);
    check(flow.give(Input::GoOn), &["- running n 1 A", "start 2.0"]);
}

#[test]
fn what_is_deferred_counts_towards_the_bounds_and_is_cleared_by_the_end() {
    let mut flow = Flow::in_parts("m: S -> [E]\nn: E -> E|F\no: [F] -> T\nr: HumanB -> T", 1);
    flow.start();
    flow.large((0, 0), &[], &vec![("E", "1"); RUN_WORKS_MAX]);
    flow.give(Input::GoOn);
    assert_eq!(flow.refusal("HumanB", "1", None), Refusal::WorksFull);
    let cost_bytes = flow.run.cost_bytes();
    assert!(cost_bytes > RUN_WORKS_MAX * 50, "{cost_bytes}: it is counted as long as it is there");
    let effects = flow.returns((1, 0), &[("E", "1"), ("E", "2")]);
    assert!(effects.last().is_some_and(|last| last.contains("100001 works at once")), "{:?}", effects.last());
    assert!(flow.run.pending().is_empty());
    check(flow.give(Input::GoOn), NONE);
    assert!(flow.run.cost_bytes() < 1_000);
    assert!(flow.run.take_remains().is_some(), "freeing it is left to the caller");
}

#[test]
fn a_large_end_that_conflicts_emits_nothing() {
    let mut flow = Flow::in_parts("m: S -> A\nn: A -> A|T", 1);
    flow.start();
    flow.returns((0, 0), &[("A", "1"), ("A", "2")]);
    let returned = flow.events(&[("A", "3"), ("A", "4")]);
    let writes = uses(0, &["k"], &[("k", Write::Set(json("1")))]);
    flow.done_with((1, 0), PassEnd::Returned(Vec::new()), &[], writes.clone());
    let emitted = Arc::new(Emitted { sent: Vec::new(), returned });
    check(flow.give(Input::LargeDone { emitted, state: writes, pass: pass_id((2, 0)) }), &["start 2.1"]);
    assert_eq!(flow.run.pending(), [Effect::StartPass(pass_id((2, 1)))]);
}
