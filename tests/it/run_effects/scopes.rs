//! Fan-out and fan-in.

use super::*;

#[test]
fn an_empty_fan_out_leads_to_an_empty_fan_in() {
    let mut flow = Flow::new(FAN_OUT);
    flow.start();
    check(flow.returns((0, 0), &[]), &["- not_running split 0 S -> nothing", "- running join 0 Out", "start 1.0"]);
    assert!(flow.values((1, 0)).is_empty());
}

#[test]
fn inner_scopes_close_first_and_their_output_is_ordered_by_the_outer_one() {
    let mut flow = Flow::new(
        "a: S -> [Group]
        b: Group -> [Item]
        c: Item -> Out
        d: [Out] -> Sum
        e: [Sum] -> T",
    );
    flow.start();
    flow.returns((0, 0), &[("Group", "1"), ("Group", "2")]);
    flow.returns((2, 0), &[("Item", "21"), ("Item", "22")]);
    flow.returns((1, 0), &[("Item", "11")]);
    for (work, value) in [(4, "22"), (3, "21")] {
        flow.returns((work, 0), &[("Out", value)]);
    }
    assert_eq!(flow.values((6, 0)), ["21", "22"]);
    flow.returns((6, 0), &[("Sum", "2")]);
    flow.returns((5, 0), &[("Out", "11")]);
    assert_eq!(flow.values((7, 0)), ["11"]);
    flow.returns((7, 0), &[("Sum", "1")]);
    assert_eq!(flow.values((8, 0)), ["1", "2"]);
}

#[test]
fn a_single_event_of_an_opener_stays_outside_and_comes_before_its_fan_in() {
    let mut flow = Flow::new(
        "a: S -> [Group]
        b: Group -> Sum + Item
        c: Item -> Out
        d: [Out] -> Sum
        e: [Sum] -> T",
    );
    flow.start();
    flow.returns((0, 0), &[("Group", "1")]);
    let end = PassEnd::Returned(flow.events(&[("Sum", "\"single\"")]));
    let sent = [("Item", "1"), ("Item", "2"), ("Item", "3")];
    flow.done_with((1, 0), end, &sent, StateUse::default());
    for work in [2, 3, 4] {
        flow.returns((work, 0), &[("Out", "1")]);
    }
    flow.returns((5, 0), &[("Sum", "\"fan-in\"")]);
    assert_eq!(flow.values((6, 0)), ["\"single\"", "\"fan-in\""]);
}

#[test]
fn a_question_or_a_delay_keeps_a_scope_open() {
    let mut flow = Flow::with(
        "a: S -> [Item]
        b: Item -> Out ? NeedQ/HumanA
        j: [Out] -> T",
        |parts| parts.steps[1].retry = Retry::fixed(Duration::ZERO),
    );
    flow.start();
    flow.returns((0, 0), &[("Item", "1"), ("Item", "2")]);
    check(flow.asks((1, 0), 0, &[], None), &["- not_running b 0 Item", "- NeedQ {}"]);
    check(flow.fails((2, 0), "x"), &["- not_running b 1 Item", "- retried b 1 in 0ms: x", "arm 2 wall 0ms"]);
    flow.due(2);
    check(flow.returns((2, 1), &[("Out", "2")]), &["- not_running b 0 Item -> Out"]);
    flow.post("HumanA", "{}", None);
    let effects = flow.returns((1, 1), &[("Out", "1")]);
    assert_eq!(effects.last().map(String::as_str), Some("start 3.0"));
    assert_eq!(flow.values((3, 0)), ["1", "2"]);
}
