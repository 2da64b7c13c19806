//! The talk with a program, without one.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::json;
use steprill::{
    command::{Begun, Dialogue, Exit, Output, Program, begin},
    graph::{Graph, StepId},
    pass::{Done, FeedOrder, Note, PassEnd, PassInput, SharedList, Snapshot, WorkEvent},
    workflow::Runs,
};

use super::{Flow, Step, json_text, sh};

/// Begins a pass whose attempt has published these hashes before.
fn dialogue(output: Output, published: SharedList<u128>) -> Dialogue {
    let step = Step::run("only", "StartEvent", "Item|StopEvent", Program { output, ..sh("true") });
    let flow = Flow::new("talk")
        .event("Item", &json!({ "n": { "type": "integer" } }))
        .event("Progress", &json!({ "percent": { "type": "integer" } }))
        .step(step.with(|parts| parts.streams.push("Progress".into())))
        .step(Step::sh("other", "Item", "StopEvent", "true"));
    let workflow = flow.build();
    let graph: &Arc<Graph> = workflow.graph();
    let Runs::Command(command) = workflow.runs(StepId(0)) else { panic!("it is data") };
    let input = PassInput {
        run_id: uuid::Uuid::nil(),
        handler_id: "h".into(),
        work: 0,
        attempt: 1,
        event: WorkEvent::One(graph.start, json_text(&json!({}))),
        state: Snapshot { version: 3, values: BTreeMap::new().into() },
        waits: SharedList::default(),
        once: SharedList::default(),
        published,
        failure: None,
    };
    match begin(command, graph, StepId(0), input) {
        Begun::Launch(launch) => launch.dialogue,
        Begun::Done(done) => panic!("{done:?}"),
    }
}

/// Runs a dialogue to its end: takes notes after each part of the output, and grants what is requested.
fn talk<'a>(
    mut dialogue: Dialogue,
    parts: impl IntoIterator<Item = &'a [u8]>,
    exit: Exit,
) -> (Vec<Note>, Vec<String>, Done) {
    let (mut notes, mut lines) = (Vec::new(), Vec::new());
    let mut serve = |dialogue: &mut Dialogue| {
        while let Some(bytes) = dialogue.poll_feed_wanted() {
            assert!(!dialogue.wants_stdout());
            dialogue.handle_feed(FeedOrder::Grant(bytes));
            notes.extend(dialogue.take_notes());
        }
        notes.extend(dialogue.take_notes());
    };
    for part in parts {
        dialogue.handle_stdout(part);
        serve(&mut dialogue);
        dialogue.handle_stderr(part, &mut |line| lines.push(line.to_owned()));
    }
    dialogue.handle_exit(exit, &mut |line| lines.push(line.to_owned()));
    serve(&mut dialogue);
    assert!(dialogue.is_complete());
    (notes, lines, dialogue.finish())
}

fn hashes(notes: &[Note]) -> SharedList<u128> {
    let hash = |note: &Note| if let Note::Stream { hash, .. } = note { *hash } else { 0 };
    notes.iter().map(hash).collect()
}

const TALK: &str = r#"{"type":"Progress","value":{"percent":1}}
{"state":{"set":{"a":1}}}
{"type":"Progress","value":{"percent":2}}
{"type":"Progress","value":{"percent":3}}
{"type":"Item","value":{"n":1}}
"#;

#[test]
fn an_attempt_that_runs_again_shows_nothing_twice() {
    let talk_of = |text: &str, published| talk(dialogue(Output::Events, published), [text.as_bytes()], Exit::Code(0));
    let (first, _, done) = talk_of(TALK, SharedList::default());
    assert_eq!(first.len(), 3);
    assert!(matches!(&done.end, PassEnd::Returned(events) if events.len() == 1) && done.state.writes.len() == 1);
    assert_eq!((done.state.version, done.state.reads.len()), (3, 0));
    let (again, _, same) = talk_of(TALK, hashes(&first));
    assert_eq!((again, same), (Vec::new(), done));
    let (part, _, _) = talk_of(TALK, hashes(&first[..2]));
    assert_eq!(part, first[2..]);
    let other = TALK.replace("\"percent\":2", "\"percent\":7");
    let (other, _, _) = talk_of(&other, hashes(&first));
    assert_eq!(other.len(), 2, "from the first that differs all are shown");
}

#[test]
fn a_full_feed_fails_the_step() {
    let mut full = dialogue(Output::Events, SharedList::default());
    full.handle_stdout(TALK.as_bytes());
    assert!(full.poll_feed_wanted().is_some() && full.poll_feed_wanted().is_none() && !full.wants_stdout());
    assert_eq!(full.handle_feed(FeedOrder::TakeBack), 0);
    full.handle_feed(FeedOrder::Refuse);
    assert!(full.is_faulty());
    full.handle_exit(Exit::Code(0), &mut |_| {});
    let PassEnd::Failed { error, retry } = full.finish().end else { panic!("it fails") };
    assert!(error.contains("the feed of this run is full") && !retry, "{error}");
}

#[test]
fn an_unused_grant_is_given_back() {
    let mut idle = dialogue(Output::Events, SharedList::default());
    idle.handle_feed(FeedOrder::Grant(100));
    assert_eq!(idle.handle_feed(FeedOrder::TakeBack), 100);
    assert_eq!(idle.handle_feed(FeedOrder::TakeBack), 0);
}

/// Lines of the protocol, good and bad.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..5_i32).prop_map(|n| format!(r#"{{"type":"Progress","value":{{"percent":{n}}}}}"#).into_bytes()),
        2 => (0..5_i32).prop_map(|n| format!(r#"{{"state":{{"add":{{"k":{n}}}}}}}"#).into_bytes()),
        1 => Just(br#"{"type":"Item","value":{"n":1}}"#.to_vec()),
        1 => Just(br#"{"type":"Item","value":{"n":"x"}}"#.to_vec()),
        1 => Just(Vec::new()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn the_result_is_the_same_however_the_output_is_cut(
        lines in prop::collection::vec(line(), 0..20),
        is_ended in any::<bool>(),
        cuts in prop::collection::vec(1_usize..40, 1..20),
        output in prop_oneof![Just(Output::Events), Just(Output::Value), Just(Output::Text("result".into()))],
        exit in prop_oneof![3 => Just(Exit::Code(0)), 1 => Just(Exit::Code(1))],
    ) {
        let mut text = lines.join(&b'\n');
        text.extend(is_ended.then_some(b'\n'));
        let mut parts = Vec::new();
        let (mut rest, mut sizes) = (&text[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, others) = rest.split_at(rest.len().min(*sizes.next().expect("a cycle")));
            parts.push(part);
            rest = others;
        }
        let whole = talk(dialogue(output.clone(), SharedList::default()), [&text[..]], exit);
        prop_assert_eq!(talk(dialogue(output.clone(), SharedList::default()), parts, exit), whole.clone());
        let (again, _, done) = talk(dialogue(output, hashes(&whole.0)), [&text[..]], exit);
        prop_assert_eq!((again, done), (Vec::new(), whole.2));
    }
}
