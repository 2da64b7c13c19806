//! Records and snapshots read under a workflow that has changed since they were written.

use std::{fmt::Write as _, sync::Arc};

use steprill::{
    engine::{
        input::{Effect, External, Input, PassId},
        record::{LargeDone, Names, RecordError, decode, encode},
        run::Run,
    },
    graph::{EventId, Graph, StepId, sketch::parts},
    json::Json,
    now::Now,
    pass::{Done, Emitted, NewWait, PassEnd, StateUse, WorkEvent, Write},
    values::Values,
};

const OLD: &str = "m: S -> [E]
    n: E -> F ? NeedQ/HumanA
    o: [F] -> T";
/// The same with more of everything, so that all ids differ.
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
    Input::Done { pass: PassId { work, pass: 0 }, done: Done::of(end) }
}

/// Returns inputs after which two of three elements have finished and the third asks.
fn inputs(graph: &Graph) -> Vec<Input> {
    let elements = ["1", "2", "3"].map(|value| (event(graph, "E"), json(value)));
    let through = |value: &str| PassEnd::Returned(vec![(event(graph, "F"), json(value))]);
    let (question, answer) = (event(graph, "NeedQ"), event(graph, "HumanA"));
    let wait = NewWait::Ask { question, answer, value: json("{}"), matching: Vec::new(), timeout: None };
    vec![
        Input::Started { event: json("{}"), state: Values::default(), admitted: true, sequence: 0 },
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
fn a_snapshot_continues_under_a_graph_with_other_ids() {
    let (old, new) = (graph(OLD), graph(NEW));
    let snapshot = run(&old, inputs(&old)).snapshot();
    let mut run = Run::restore(&snapshot, &Names::of(&old).translation(&new), Arc::clone(&new)).expect("it goes on");
    let mut effects = Vec::new();
    let answer =
        Input::External(External { step: new.step_id("n"), ..External::new(event(&new, "HumanA"), json("{}")) });
    run.handle(answer, Now::default(), &mut effects);
    assert!(effects.contains(&Effect::StartPass(PassId { work: 1, pass: 1 })), "{effects:?}");
    assert_eq!(run.pass_step(PassId { work: 1, pass: 1 }), new.step_id("n"));
    let end = PassEnd::Returned(vec![(event(&new, "F"), json("1"))]);
    let pass = PassId { work: 1, pass: 1 };
    let done = Done::of(end);
    run.handle(Input::Done { pass, done }, Now::default(), &mut effects);
    let fan_in = run.pass_input(PassId { work: 4, pass: 0 }).expect("the fan-in fires");
    let elements = ["1", "2", "3"].map(|value| (event(&new, "F"), json(value)));
    assert_eq!(fan_in.event, WorkEvent::All(elements.to_vec().into()));
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
    let gone = restore(WITHOUT_TYPE).expect_err("the fan-in has gathered what is gone");
    assert_eq!(gone, RecordError::EventGone("F".into()));
}

#[test]
fn a_record_is_read_under_the_graph_that_it_was_written_under() {
    let (old, new) = (graph(OLD), graph(NEW));
    let now = Now { wall_us: 5, alive_us: 6 };
    for input in inputs(&old) {
        assert_eq!(decode(&encode(&input, now), &old), Ok((input, now)));
    }
    let answer = |event, step| encode(&external(event, "{}", step), now);
    let refused = |bytes: &[u8]| decode(bytes, &old).expect_err("an id of another graph").to_string();
    let event = answer(EventId(new.events.len() as u16 - 1), None);
    assert!(refused(&event).contains("event type 6 of 6"), "{}", refused(&event));
    let step = answer(EventId(0), Some(StepId(3)));
    assert!(refused(&step).contains("step 3 of 3"), "{}", refused(&step));
}

fn external(event: EventId, value: &str, step: Option<StepId>) -> Input {
    Input::External(External { step, ..External::new(event, json(value)) })
}

#[test]
fn what_is_no_record_is_refused_in_words() {
    let graph = graph(OLD);
    let refused = |bytes: &[u8]| decode(bytes, &graph).expect_err("no record").to_string();
    assert!(refused(b"").starts_with("the record is damaged: it is empty"));
    assert!(refused(&[9, 0, 0, 5]).ends_with("version 9, and this program reads 3: use a newer program"));
    assert!(refused(&[1, 0, 0, 5]).contains("version 1, and this program reads 3: an earlier development version"));
    assert!(refused(&[2, 0, 0, 99]).starts_with("the record is damaged"), "there is no such input");
    let whole = encode(&external(EventId(0), "[17]", None), Now::default());
    assert!(refused(&[&whole[..], &[0]].concat()).contains("something stands behind it"));
    for end in 0..whole.len() {
        assert!(decode(&whole[..end], &graph).is_err());
    }
    let place = whole.windows(4).position(|bytes| bytes == b"[17]").expect("the value");
    let spoilt = [&whole[..place], b"[17}", &whole[place + 4..]].concat();
    assert!(refused(&spoilt).starts_with("the record is damaged"), "values are checked");
}

/// Later programs read these journals, so their bytes never change. A change of a recorded type requires a new
/// version.
#[test]
fn the_bytes_of_version_3_stay_as_they_are() {
    let graph = graph(OLD);
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let now = Now { wall_us: 1_764_000_000_000_000, alive_us: 300 };
    let journal: Vec<String> = inputs(&graph).iter().map(|input| hex(&encode(input, now))).collect();
    assert_eq!(
        journal,
        [
            "0300027b7d00010080809296a896a206ac02",
            "030400000003000131000132000133000000000080809296a896a206ac02",
            "030402000001010132000000000080809296a896a206ac02",
            "030401000100010302027b7d0000000000000080809296a896a206ac02",
            "030403000001010133000000000080809296a896a206ac02",
        ]
    );
    for (input, record) in inputs(&graph).into_iter().zip(VERSION_2) {
        let bytes: Vec<u8> = (0..record.len()).step_by(2).map(|at| from_hex(&record[at..at + 2])).collect();
        assert_eq!(decode(&bytes, &graph), Ok((input, now)), "an earlier version is read");
    }
    let state = [("k".into(), json("1"))].into_iter().collect();
    let from = Input::StartedFrom { event: json("{}"), state, admitted: true, sequence: 5 };
    assert_eq!(hex(&encode(&from, now)), "0308027b7d010580809296a896a206ac02");
    let reply = External { in_reply_to: Some(7), ..External::new(event(&graph, "HumanA"), json("{}")) };
    assert_eq!(hex(&encode(&Input::External(reply), now)), "030202027b7d00010780809296a896a206ac02");
    assert_eq!(
        [hex(&run(&graph, inputs(&graph)).snapshot()), hex(&graph.to_stored())],
        [
            "03100000000000000000000000000000000001680204020979000002000101010000013101010100000101010000\
             04070003000000000000010702010001010000010202020100010000010101320202020001000001010133000102\
             000000000000",
            "0204666c6f7704666c6f7706014506666c6f772e45000000014606666c6f772e460000000648756d616e410b666c\
             6f772e48756d616e41040000054e656564510a666c6f772e4e65656451030000015306666c6f772e530100000154\
             06666c6f772e5402000003016d0104000100010000000000040100000000000102016e0100000101000000010302\
             00000401000000000000016f0101010105000000000000040100000000000004050000",
        ]
    );
}

/// The same journal in version 2.
const VERSION_2: [&str; 5] = [
    "0280809296a896a206ac0200027b7d000100",
    "0280809296a896a206ac0204000000030001310001320001330000000000",
    "0280809296a896a206ac0204020000010101320000000000",
    "0280809296a896a206ac020401000100010302027b7d00000000000000",
    "0280809296a896a206ac0204030000010101330000000000",
];

fn from_hex(digits: &str) -> u8 {
    u8::from_str_radix(digits, 16).expect("two digits")
}

/// A worker makes the same record of a large end as the loop would.
#[test]
fn the_record_of_a_large_end_is_that_of_its_input() {
    let graph = graph(OLD);
    let (sent, returned) = (vec![(event(&graph, "F"), json("{}"))], vec![(event(&graph, "E"), json("1"))]);
    let emitted = Emitted { sent, returned };
    let state = StateUse { version: 3, writes: vec![("k".into(), Write::Set(json("2")))], ..StateUse::default() };
    let pass = PassId { work: 300, pass: 2 };
    let now = Now { wall_us: 1_764_000_000_000_000, alive_us: 300 };
    let input = Input::LargeDone { emitted: Arc::new(emitted.clone()), state: state.clone(), pass };
    let (made, record) = LargeDone::new(emitted, state).complete(pass, now);
    assert_eq!((&made, &record), (&input, &encode(&input, now)));
    assert_eq!(decode(&record, &graph), Ok((input, now)));
}

/// Events that a pass emitted and that are not routed yet are translated, each to its new type.
#[test]
fn deferred_work_continues_under_a_changed_workflow() {
    let (old, new) = (graph(OLD), graph(NEW));
    let values = |events: &[(EventId, Json)]| events.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let elements: Vec<Json> = (0..7).map(|index| json(&index.to_string())).collect();
    let returned = elements.iter().map(|value| (event(&old, "E"), value.clone())).collect();
    let emitted = Arc::new(Emitted { sent: Vec::new(), returned });
    let spread = Input::LargeDone { emitted, state: StateUse::default(), pass: PassId { work: 0, pass: 0 } };
    let mut run = run(&old, Vec::new()).with_events_at_once(3);
    let mut effects = Vec::new();
    for input in [inputs(&old)[0].clone(), spread, Input::GoOn] {
        run.handle(input, Now::default(), &mut effects);
    }
    assert_eq!(run.works().count(), 3, "a part of them are works");
    let translation = Names::of(&old).translation(&new);
    let moved = Run::restore(&run.snapshot(), &translation, Arc::clone(&new)).expect("it is carried over");
    let mut moved = moved.with_events_at_once(3);
    assert_eq!(moved.pending().last(), Some(&Effect::GoOn));
    for _ in 0..2 {
        moved.handle(Input::GoOn, Now::default(), &mut effects);
    }
    let works: Vec<_> = moved.works().map(|(work, step, ..)| (work, step)).collect();
    assert_eq!(works, (1..=7).map(|work| (work, new.step_id("n").expect("n"))).collect::<Vec<_>>());
    for work in 1..=7 {
        // The fan-in gets them in this order, whatever the order in which they arrive.
        let work = [4, 1, 2, 5, 3, 7, 6][work - 1];
        let end = PassEnd::Returned(vec![(event(&new, "F"), elements[work as usize - 1].clone())]);
        moved.handle(done(work, end), Now::default(), &mut effects);
    }
    assert!(matches!(effects.last(), Some(Effect::GoOn)), "{effects:?}");
    moved.handle(Input::GoOn, Now::default(), &mut effects);
    let same = Names::of(&new).translation(&new);
    let restored = Run::restore(&moved.snapshot(), &same, Arc::clone(&new)).expect("it is read back");
    let mut moved = restored.with_events_at_once(3);
    while moved.pending().contains(&Effect::GoOn) {
        moved.handle(Input::GoOn, Now::default(), &mut effects);
    }
    let pass = PassId { work: 8, pass: 0 };
    assert_eq!(moved.pass_step(pass), new.step_id("o"));
    let WorkEvent::All(events) = moved.pass_input(pass).expect("the fan-in runs").event else { panic!("a fan-in") };
    assert_eq!(values(&events), elements);
}

#[test]
fn the_names_of_a_graph_are_in_the_order_of_its_ids() {
    let graph = graph(NEW);
    let names = Names::of(&graph);
    assert_eq!(names.steps[usize::from(graph.step_id("n").unwrap_or(StepId(0)).0)], "n".into());
    assert_eq!(names.events[usize::from(event(&graph, "NeedQ").0)], "NeedQ".into());
}
