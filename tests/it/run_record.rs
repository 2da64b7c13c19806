//! Records and snapshots read under a workflow that has changed since they were written.

use std::{collections::BTreeMap, sync::Arc};

use steprill::{
    engine::{
        input::{Effect, Input, PassId},
        record::{Names, RecordError, decode, encode},
        run::Run,
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    now::Now,
    pass::{Done, NewWait, PassEnd, StateUse},
};

use crate::workflow_graph::parts;

const OLD: &str = "m: S -> [E]
    n: E -> F ? NeedQ/HumanA
    o: [F] -> T";
/// The same with more of everything, so that all ids are others.
const NEW: &str = "a: S -> A
    b: A -> A|T
    m: S -> [E]
    n: E -> F ? NeedQ/HumanA
    o: [F] -> T";
/// The same without its step `n`.
const WITHOUT_STEP: &str = "m: S -> [E]
    p: E -> F ? NeedQ/HumanA
    o: [F] -> T";
/// The same without its type `F`.
const WITHOUT_TYPE: &str = "m: S -> [E]
    n: E -> G ? NeedQ/HumanA
    o: [G] -> T";

fn graph(lines: &str) -> Arc<Graph> {
    Arc::new(Graph::build(parts(lines)).unwrap_or_else(|faults| panic!("{faults}")))
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

fn event(graph: &Graph, name: &str) -> EventId {
    graph.event_id(name).expect("a type")
}

fn done(work: u64, end: PassEnd) -> Input {
    Input::Done { pass: PassId { work, pass: 0 }, done: Done { end, sent: Vec::new(), state: StateUse::default() } }
}

/// Two of three elements are through, the third asks.
fn inputs(graph: &Graph) -> Vec<Input> {
    let elements = ["1", "2", "3"].map(|value| (event(graph, "E"), json(value)));
    let through = |value: &str| PassEnd::Returned(vec![(event(graph, "F"), json(value))]);
    let (question, answer) = (event(graph, "NeedQ"), event(graph, "HumanA"));
    let wait = NewWait::Ask { question, answer, value: json("{}"), matching: Vec::new(), timeout: None };
    vec![
        Input::Started { event: json("{}"), state: BTreeMap::new(), admitted: true, sequence: 0 },
        done(0, PassEnd::Returned(elements.to_vec())),
        done(2, through("2")),
        done(1, PassEnd::Waits { ordinal: 0, wait }),
        done(3, through("3")),
    ]
}

fn run(graph: &Arc<Graph>, inputs: Vec<Input>) -> Run {
    let mut run = Run::new(Arc::clone(graph), uuid::Uuid::nil(), "h".into());
    for input in inputs {
        run.handle(input, Now::default(), &mut Vec::new());
    }
    run
}

#[test]
fn a_snapshot_goes_on_under_a_graph_with_other_ids() {
    let (old, new) = (graph(OLD), graph(NEW));
    let snapshot = run(&old, inputs(&old)).snapshot();
    let mut run = Run::restore(&snapshot, &Names::of(&old).translation(&new), Arc::clone(&new)).expect("it goes on");
    let mut effects = Vec::new();
    let answer = Input::External { event: event(&new, "HumanA"), value: json("{}"), step: new.step_id("n") };
    run.handle(answer, Now::default(), &mut effects);
    assert!(effects.contains(&Effect::StartPass(PassId { work: 1, pass: 1 })), "{effects:?}");
    assert_eq!(run.pass_step(PassId { work: 1, pass: 1 }), new.step_id("n"));
    let end = PassEnd::Returned(vec![(event(&new, "F"), json("1"))]);
    let pass = PassId { work: 1, pass: 1 };
    let done = Done { end, sent: Vec::new(), state: StateUse::default() };
    run.handle(Input::Done { pass, done }, Now::default(), &mut effects);
    let fan_in = run.pass_input(PassId { work: 4, pass: 0 }).expect("the fan-in fires");
    assert_eq!(format!("{:?}", fan_in.event), "All([1, 2, 3])");
}

#[test]
fn a_run_that_needs_what_is_gone_says_what() {
    let old = graph(OLD);
    let snapshot = run(&old, inputs(&old)).snapshot();
    let restore = |lines| {
        let new = graph(lines);
        Run::restore(&snapshot, &Names::of(&old).translation(&new), new).map(|_| ())
    };
    let gone = restore(WITHOUT_STEP).expect_err("step n is gone");
    assert_eq!(gone, RecordError::StepGone("n".into()));
    assert!(gone.to_string().contains("step `n`, which the workflow no longer has"));
    assert_eq!(restore(WITHOUT_TYPE), Ok(()), "what is pending speaks of no F");
}

#[test]
fn records_are_translated_by_name() {
    let (old, new) = (graph(OLD), graph(NEW));
    let translation = Names::of(&old).translation(&new);
    let now = Now { wall_us: 5, alive_us: 6 };
    for (input, expected) in inputs(&old).into_iter().zip(inputs(&new)) {
        assert_eq!(decode(&encode(&input, now), &translation), Ok((expected, now)));
    }
    let translation = Names::of(&old).translation(&graph(WITHOUT_TYPE));
    let record = encode(&inputs(&old)[2], now);
    assert_eq!(decode(&record, &translation), Err(RecordError::EventGone("F".into())));
}

#[test]
fn what_is_no_record_is_refused_in_words() {
    let graph = graph(OLD);
    let translation = Names::of(&graph).translation(&graph);
    let record = |text: &str| decode(text.as_bytes(), &translation).expect_err("no record").to_string();
    assert!(record("").starts_with("the record is damaged"));
    assert!(record(r#"[1,0,0,{"Due":{"timer":"x"}}]"#).starts_with("the record is damaged"));
    assert!(record(r#"[2,0,0,{"New":1}]"#).contains("version 2"));
    let external = r#"[1,0,0,{"External":{"event":999,"value":"{}","step":null}}]"#;
    assert!(record(external).contains("event type 999 of 6"), "{}", record(external));
    let value = r#"[1,0,0,{"External":{"event":0,"value":"{","step":null}}]"#;
    assert!(record(value).starts_with("the record is damaged"), "values are checked");
    let cut = encode(&Input::Cancel, Now::default());
    for end in 0..cut.len() {
        assert!(decode(&cut[..end], &translation).is_err());
    }
}

#[test]
fn the_names_of_a_graph_are_in_the_order_of_its_ids() {
    let graph = graph(NEW);
    let names = Names::of(&graph);
    assert_eq!(names.steps[usize::from(graph.step_id("n").unwrap_or(StepId(0)).0)], "n".into());
    assert_eq!(names.events[usize::from(event(&graph, "NeedQ").0)], "NeedQ".into());
}
