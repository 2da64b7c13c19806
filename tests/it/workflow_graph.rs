//! `Graph::build`: what it refuses and in which words, which steps close which scopes, and that it always terminates.

use std::{cell::Cell, collections::BTreeSet, fmt::Write as _, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use steprill::graph::{
    EventKind, EventType, Graph, Parts, StepParts,
    sketch::{event, parts},
};

#[track_caller]
fn built(lines: &str) -> Graph {
    Graph::build(parts(lines)).unwrap_or_else(|faults| panic!("refused:\n{faults}"))
}

/// Checks the faults, each of which must contain the words of one of `expected`, in order.
#[track_caller]
fn refused(parts: Parts, expected: &[&str]) {
    let faults = Graph::build(parts).expect_err("a fault").0;
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
    }
}

/// Returns the closers of each opener as `step>closer,closer`.
fn closers(graph: &Graph) -> Vec<String> {
    let openers = graph.steps.iter().filter(|step| !step.closers.is_empty());
    openers
        .map(|step| {
            let names: Vec<_> = step.closers.iter().map(|closer| &*graph.step(*closer).name).collect();
            format!("{}>{}", step.name, names.join(","))
        })
        .collect()
}

#[test]
fn events_and_steps_are_interned_in_order_of_name() {
    let graph = built("z: S -> B|A\n a: A -> T\n b: A|B -> T");
    let events: Vec<_> = graph.events.iter().map(|event| &*event.name).collect();
    let steps: Vec<_> = graph.steps.iter().map(|step| &*step.name).collect();
    assert_eq!(events, ["A", "B", "S", "T"]);
    assert_eq!(steps, ["a", "b", "z"]);
    assert_eq!(graph.takers(graph.event_id("A").unwrap()).len(), 2);
    assert_eq!(graph.event(graph.start).kind, EventKind::Start);
    assert_eq!(graph.event(graph.stop).kind, EventKind::Stop);
    assert_eq!(&*graph.module, "flow");
    assert_eq!(open(&graph), [""; 0]);
}

#[test]
fn a_question_and_its_answer_get_their_kinds_from_the_step_that_asks() {
    let graph = built("a: S -> T ? Ask/Reply");
    assert_eq!(graph.event(graph.event_id("Ask").unwrap()).kind, EventKind::InputRequired);
    assert_eq!(graph.event(graph.event_id("Reply").unwrap()).kind, EventKind::HumanResponse);
    assert_eq!(open(&graph), ["Reply"]);
    assert!(!graph.can_continue_from_outside(), "it only answers");
}

/// Returns the types that clients may send.
fn open(graph: &Graph) -> Vec<&str> {
    graph.open_types().map(|event| &*event.name).collect()
}

#[test]
fn clients_may_send_answers_and_what_is_opened_and_nothing_else() {
    let graph = built(
        "a: S -> A|NeedB ~ HumanSeen
        b: A|OpenX|HumanB -> C
        c: C -> T ? NeedQ/Reply",
    );
    assert_eq!(open(&graph), ["HumanB", "OpenX", "Reply"]);
    assert!(graph.can_continue_from_outside());
    // What only a fan-in takes comes only from its scope.
    let graph = built("a: S -> [HumanE]\nb: [HumanE] -> T");
    assert_eq!(open(&graph), [""; 0]);
    // Clients may send a start event only if it is opened.
    let again = |external| {
        let mut parts = parts("a: S -> A|T\nb: A -> S");
        parts.events.iter_mut().for_each(|event| event.external = external && *event.name == *"S");
        open(&Graph::build(parts).expect("it is sound")).len()
    };
    assert_eq!([again(false), again(true)], [0, 1]);
    // Steps that emit nothing are not dead ends where clients can continue.
    built("a: S -> ()\nb: OpenX -> ()\nc: OpenY -> T");
}

#[test]
fn what_is_opened_to_the_outside_must_lead_somewhere() {
    refused(parts("a: S -> T ~ OpenX"), &["`OpenX` is declared `External`, but no step takes it: add a step"]);
    refused(parts("a: S -> [OpenX]\nb: [OpenX] -> T"), &["`OpenX` is declared `External`, but no step takes it"]);
    for (name, words) in [("T", "is the stop event"), ("NeedX", "is a question")] {
        let mut parts = parts("a: S -> NeedX|T\nb: HumanX -> T");
        parts.events.iter_mut().find(|event| *event.name == *name).expect("it is there").external = true;
        refused(parts, &[words]);
    }
    built("a: S -> T ? NeedQ/OpenX");
}

#[test]
fn an_inbox_is_for_an_answer_that_its_step_asks_for() {
    let with = |inboxes: &[(&str, usize)]| {
        let mut parts = parts("a: S -> T ? NeedQ/HumanA\nb: HumanB -> T");
        parts.steps[0].inboxes = inboxes.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        parts
    };
    for (inboxes, expected) in [
        (&[("HumanB", 1)][..], &["asks no question that `HumanB` answers"][..]),
        (&[("Nope", 1)], &["asks no question that `Nope` answers"]),
        (&[("HumanA", 0)], &["an inbox for 0 `HumanA`; it may hold 1 to 1000"]),
        (&[("HumanA", 1_001)], &["an inbox for 1001 `HumanA`"]),
        (&[("HumanA", 1), ("HumanA", 2)], &["two inboxes for `HumanA`"]),
    ] {
        refused(with(inboxes), expected);
    }
    let graph = Graph::build(with(&[("HumanA", 3)])).expect("it is sound");
    assert_eq!(*graph.steps[0].inboxes, [(graph.event_id("HumanA").expect("a type"), 3)]);
}

#[test]
fn graphs_that_can_end_are_taken() {
    for lines in [
        "a: S -> T",
        "ask: S -> NeedHelp\n answer: Human -> T",
        "begin: S -> Tick\n advance: Tick -> Tick|T",
        "choose: S -> L|R\n l: L -> T\n r: R -> T",
        // Side branches: the event is taken elsewhere, too, was sent beside others, or is in a scope that closes.
        "main: S -> T\n log: S -> ()",
        "main: S -> T + Mail\n write: Mail -> Letter\n post: Letter -> ()",
        "split: S -> [A]\n work: A -> B\n log: A -> ()\n join: [B] -> T",
        "split: S -> [A|X]\n work: A -> B\n tick: X -> X\n join: [B] -> T",
        "main: S -> T\n note: HumanNote -> ()",
        "first: S -> [A]\n race: A -> T",
    ] {
        built(lines);
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let mut parts = parts("a: S -> A\n a: A -> T\n b: Missing -> Lost\n c: X -> Y\n d: Y -> X");
    parts.steps[2].workers = 0;
    parts.name = String::new();
    refused(
        parts,
        &[
            "The workflow has an empty name",
            "Two steps are named `a`",
            "Step `b` has 0 workers",
            "Step `b` takes `Missing`, but no step returns or sends it",
            "Step `a` gives out `A`, but no step takes it",
            "Step `b` gives out `Lost`, but no step takes it",
            "Step `c` can never run",
            "Step `d` can never run",
            "No step returns the stop event `T`",
        ],
    );
}

#[test]
fn each_fault_names_its_remedy() {
    for (lines, expected) in [
        ("", "The workflow has no step: add one that takes `S`, and one that returns `T`."),
        ("a: S -> T\n b: Human -> A", "Step `b` gives out `A`, but no step takes it"),
        ("a: S|B -> T", "or declare it as `struct B: External` if it comes from outside."),
        ("a: Human -> T", "No step takes the start event `S`"),
        ("a: S -> ()", "No step returns the stop event `T`, so no run could end: let the last step return it."),
        ("a: S -> [T]", "inside a `Vec`; a run has one outcome: return it instead."),
        ("a: S -> T + T", "Step `a` sends the stop event `T`; a run has one outcome: return it instead."),
        ("a: S -> T\n b: T -> ()", "takes the stop event `T`"),
        ("a: S -> T ~ T", "streams the stop event `T`"),
        ("a: S -> L|R\n l: L -> T\n r: R -> ()", "Step `r` cannot reach an end"),
        ("a: S -> T|L\n l: L -> M\n m: M -> L", "Step `l` cannot reach an end"),
        ("a: S -> A\n b: [A] -> T", "no `A` comes out of a fan-out"),
        ("a: S -> [A]\n b: A -> A|B\n c: B -> [A]\n d: [A] -> T", "at two depths of fan-out"),
        ("a: S -> [A]\n b: A -> NeedHelp|B\n c: [B] -> T", "ask it there with `ctx.ask(NeedHelp { .. })`"),
        ("a: S -> [NeedHelp|B]\n c: [B] -> T", "ask it there with `ctx.ask(NeedHelp { .. })`"),
        ("a: S -> A\n b: A -> B\n c: [A|B] -> T", "no `A` or `B` comes out of a fan-out"),
        ("a: S -> [A]\n b: A -> B ! NeedHelp\n c: [B] -> T", "ask it there with `ctx.ask(NeedHelp { .. })`"),
        ("a: S -> T ! Bad", "Step `a` gives out `Bad`, but no step takes it"),
        ("a: S -> T ? S/B", "`S` is the start event and also a question of step `a`"),
        ("a: S -> T ? B/B", "`B` is a question of step `a` and also an answer that step `a` waits for"),
        ("a: S -> StopEvent|T", "`StopEvent` is the name of a built-in event"),
    ] {
        let faults = Graph::build(parts(lines)).expect_err(lines).to_string();
        assert!(faults.contains(expected), "{lines:?} lacks {expected:?}:\n{faults}");
    }
}

#[test]
fn one_cause_is_one_fault() {
    refused(parts("a: S -> T\n b: Gone -> C\n c: C -> T"), &["Step `b` takes `Gone`"]);
    refused(parts("a: S -> A|T\n b: A -> B\n c: B -> C\n d: C -> ()"), &["Step `d` cannot reach an end"]);
    refused(parts("a: S -> A|T\n b: A -> B\n c: B -> C"), &["Step `c` gives out `C`"]);
}

#[test]
fn two_types_with_one_name_are_reported_once_and_the_same_type_twice_is_fine() {
    let mut same = parts("a: S -> A\n b: A -> T");
    same.events.push(event("A"));
    Graph::build(same).expect("the same type twice");

    let mut module = parts("a: S -> A\n b: A -> T");
    module.events.push(EventType { qualified_name: "other.A".into(), ..event("A") });
    module.events.push(EventType { qualified_name: "third.A".into(), ..event("A") });
    refused(module, &["Two event types are named `A`, `flow.A` and `other.A`"]);

    let mut fields = parts("a: S -> A\n b: A -> T");
    fields.events.push(EventType { schema: serde_json::json!({ "title": "B" }), ..event("A") });
    refused(fields, &["Two event types are named `A`, with differing fields"]);
}

#[test]
fn settings_that_would_stop_every_run_are_refused() {
    let mut settings = parts("a: S -> T");
    settings.timeout = Some(Duration::ZERO);
    settings.max_runs = Some(0);
    settings.module = Some(String::new());
    settings.steps[0].timeout = Some(Duration::ZERO);
    refused(
        settings,
        &[
            "The workflow's module is empty",
            "The workflow's timeout is 0",
            "The workflow's max_runs is 0",
            "Step `a` has a timeout of 0",
        ],
    );
}

#[test]
fn a_type_that_nobody_listed_is_a_fault_and_no_panic() {
    let mut unlisted = parts("a: S -> A\n b: A -> T");
    unlisted.events.retain(|event| &*event.name != "A");
    assert!(Graph::build(unlisted).expect_err("a fault").to_string().contains("`A`, used by step `a`"));
    let mut startless = parts("a: S -> T");
    startless.events.clear();
    assert!(Graph::build(startless).expect_err("a fault").to_string().contains("`S`, used by the start event"));
}

#[test]
fn a_fan_in_closes_the_scope_of_the_step_that_fans_out() {
    let graph = built("split: S -> [A]\n work: A -> B\n more: B -> C\n join: [C] -> T");
    assert_eq!(closers(&graph), ["split>join"]);
    let graph = built("split: S -> () + A\n work: A -> B\n join: [B] -> T");
    assert_eq!(closers(&graph), ["split>join"]);
    let graph = built("split: S -> [A]\n join: [A] -> T\n log: A -> ()");
    assert_eq!(closers(&graph), ["split>join"]);
}

#[test]
fn a_fan_in_of_several_types_closes_the_scope_that_any_of_them_is_in() {
    let graph = built("split: S -> [A]\n work: A -> B ! C\n join: [B|C] -> T");
    assert_eq!(closers(&graph), ["split>join"]);
    let work = graph.step(graph.step_id("work").unwrap());
    assert_eq!(work.on_failure, graph.event_id("C"));
    for event in ["B", "C"] {
        assert_eq!(graph.joiners(graph.event_id(event).unwrap()).len(), 1, "{event}");
    }
    built("a: S -> () ! T");
}

#[test]
fn a_fan_out_without_a_fan_in_opens_nothing() {
    let graph = built("split: S -> [A]\n work: A -> T");
    assert_eq!(closers(&graph), Vec::<String>::new());
}

#[test]
fn two_fan_ins_may_close_one_scope_and_one_fan_in_the_scopes_of_two() {
    let graph = built("split: S -> [A|B]\n a: [A] -> T\n b: [B] -> T");
    assert_eq!(closers(&graph), ["split>a,b"]);
    let graph = built("pick: S -> X|Y\n x: X -> [A]\n y: Y -> [A]\n join: [A] -> T");
    assert_eq!(closers(&graph), ["x>join", "y>join"]);
}

#[test]
fn an_inner_scope_is_closed_by_its_own_fan_in_and_the_outer_continues_from_its_output() {
    let graph = built(
        "outer: S -> [A]
         inner: A -> [B]
         work: B -> C
         innerjoin: [C] -> D
         outerjoin: [D] -> T",
    );
    assert_eq!(closers(&graph), ["inner>innerjoin", "outer>outerjoin"]);
}

#[test]
fn an_event_returned_beside_sends_stays_in_the_outer_scope() {
    let graph = built(
        "outer: S -> [A]
         inner: A -> D + B
         innerjoin: [B] -> ()
         outerjoin: [D] -> T",
    );
    assert_eq!(closers(&graph), ["inner>innerjoin", "outer>outerjoin"]);
}

#[test]
fn a_fan_in_may_fan_out_again() {
    let graph = built(
        "split: S -> [A]
         regroup: [A] -> [B]
         join: [B] -> T",
    );
    assert_eq!(closers(&graph), ["regroup>join", "split>regroup"]);
    let graph = built(
        "plan: S|Again -> [A]
         judge: [A] -> Again|T",
    );
    assert_eq!(closers(&graph), ["plan>judge"]);
}

/// Indexes of types that a step takes, returns and sends; whether it is a fan-in, and whether it fans out.
type Drawn = (Vec<usize>, Vec<usize>, Vec<usize>, bool, bool);

const NAMES: [&str; 7] = ["S", "A", "B", "C", "NeedHelp", "Human", "T"];

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let types = |count| prop::collection::vec(0..NAMES.len(), count);
    prop::collection::vec((types(1..3), types(0..3), types(0..2), any::<bool>(), any::<bool>()), 0..9)
}

fn drawn_parts(steps: &[Drawn]) -> Parts {
    let named = |indexes: &[usize]| indexes.iter().map(|index| NAMES[*index].to_owned()).collect::<Vec<_>>();
    let mut parts = parts("");
    parts.events = NAMES.iter().map(|name| event(name)).collect();
    parts.steps.extend(steps.iter().enumerate().map(|(index, (takes, returns, sends, fan_in, fan_out))| StepParts {
        name: format!("step{index}"),
        takes: named(if *fan_in { &takes[..1] } else { takes }),
        fan_in: *fan_in,
        returns: named(returns),
        fan_out: *fan_out,
        sends: named(sends),
        workers: 1,
        ..StepParts::default()
    }));
    parts
}

/// Corrects the steps so that they are likely to be a valid graph: everything comes from somewhere and leads to an end.
fn mended(steps: &[Drawn]) -> Parts {
    let mut mended = Vec::new();
    for (takes, returns, sends, fan_in, fan_out) in steps {
        let keep = |types: &[usize], bad: &[&str]| -> Vec<usize> {
            types.iter().copied().filter(|index| !bad.contains(&NAMES[*index])).collect()
        };
        let takes = keep(takes, if *fan_in { &["S", "T", "NeedHelp", "Human"] } else { &["T", "NeedHelp"] });
        let unfit = ["S", "T", "NeedHelp", "Human"];
        let returns = keep(returns, if *fan_out { &unfit } else { &["S", "NeedHelp", "Human"] });
        let sends = keep(sends, &unfit);
        if !takes.is_empty() {
            mended.push((takes, returns, sends, *fan_in, *fan_out));
        }
    }
    mended.push((vec![0], vec![1, 2], Vec::new(), false, true));
    mended.push((vec![1, 2, 3], vec![3, 6], Vec::new(), false, false));
    drawn_parts(&mended)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Cycles, islands, fan-outs into themselves: for any graph, building terminates with one of the two results.
    #[test]
    fn any_graph_is_built_or_refused(steps in drawn()) {
        if let Err(faults) = Graph::build(drawn_parts(&steps)) {
            prop_assert!(!faults.0.is_empty() && faults.0.iter().all(|fault| !fault.to_string().is_empty()));
        }
    }
}

/// Closers are fan-ins, only steps that emit many events have some, and every fan-in closes something.
#[test]
fn in_any_graph_that_is_built_each_fan_in_closes_the_scopes_of_a_fan_out() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 2_000, ..ProptestConfig::default() });
    let counts = Cell::new((0, 0));
    let outcome = runner.run(&drawn(), |steps| {
        let Ok(graph) = Graph::build(mended(&steps)) else { return Ok(()) };
        let closed: BTreeSet<_> = graph.steps.iter().flat_map(|step| step.closers.iter().copied()).collect();
        prop_assert!(closed.iter().all(|closer| graph.step(*closer).fan_in));
        for step in &graph.steps {
            prop_assert!(step.closers.is_empty() || step.fan_out || !step.sends.is_empty());
            let id = graph.step_id(&step.name).expect("its own name");
            prop_assert!(!step.fan_in || closed.contains(&id), "{} closes nothing", step.name);
        }
        let (built, with_scopes) = counts.get();
        counts.set((built + 1, with_scopes + usize::from(!closed.is_empty())));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let (built, with_scopes) = counts.get();
    assert!(built > 100 && with_scopes > 50, "{built} graphs, {with_scopes} with scopes: too few to tell");
}

/// In the order of names in which each step learns last of what it depends on: walking all of them again for each
/// would take minutes.
#[test]
fn two_thousand_nested_scopes_are_each_closed_by_their_own_fan_in() {
    const DEPTH: usize = 2_000;
    let event = |letter: char, depth: usize| match (letter, depth) {
        ('E', 0) => "S".to_owned(),
        ('R', 0) => "T".to_owned(),
        _ => format!("{letter}{depth:04}"),
    };
    let mut lines = format!("middle: {} -> {}\n", event('E', DEPTH), event('R', DEPTH));
    for depth in 0..DEPTH {
        writeln!(lines, "open{depth:04}: {} -> [{}]", event('E', depth), event('E', depth + 1)).unwrap();
        writeln!(lines, "close{depth:04}: [{}] -> {}", event('R', depth + 1), event('R', depth)).unwrap();
    }
    let graph = built(&lines);
    for depth in 0..DEPTH {
        let opener = graph.step(graph.step_id(&format!("open{depth:04}")).unwrap());
        assert_eq!(opener.closers[..], [graph.step_id(&format!("close{depth:04}")).unwrap()]);
    }
}
