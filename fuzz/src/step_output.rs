//! Takes any bytes as the output of a program: however they are cut, they come to the same, and whatever was published
//! is not published again.

use std::{collections::BTreeMap, path::Path};

use steprill::{
    Json,
    command::{Begun, Dialogue, Exit, begin},
    files::parse,
    graph::StepId,
    pass::{Done, FeedOrder, Note, PassInput, SharedList, Snapshot, WorkEvent},
    workflow::Runs,
};

/// The first byte determines the step, the exit code and the size of the pieces in which the rest arrives.
pub fn run(data: &[u8]) {
    let Some((&choice, output)) = data.split_first() else { return };
    let (step, is_failed, size) = (StepId(u16::from(choice % 4)), choice & 4 != 0, 1 + usize::from(choice >> 3));
    let exit = Exit::Code(i32::from(is_failed));
    let whole = talk(dialogue(step, SharedList::default()), &[output], exit);
    let parts: Vec<&[u8]> = output.chunks(size).collect();
    assert_eq!(talk(dialogue(step, SharedList::default()), &parts, exit), whole);
    let hash = |note: &Note| if let Note::Stream { hash, .. } = note { *hash } else { 0 };
    let (again, done) = talk(dialogue(step, whole.0.iter().map(hash).collect()), &parts, exit);
    assert!(again.is_empty());
    assert_eq!(done, whole.1);
}

fn dialogue(step: StepId, published: SharedList<u128>) -> Dialogue {
    let file = parse(Path::new("flow.toml"), FLOW.as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
    let graph = file.workflow.graph();
    let Runs::Command(command) = file.workflow.runs(step) else { panic!("it is data") };
    let input = PassInput {
        run_id: uuid::Uuid::nil(),
        handler_id: "h".into(),
        work: 0,
        attempt: 1,
        event: WorkEvent::One(graph.start, Json::parse("{}").expect("JSON")),
        state: Snapshot { version: 0, values: BTreeMap::new().into() },
        waits: SharedList::default(),
        once: SharedList::default(),
        published,
        failure: None,
    };
    match begin(command, graph, step, input) {
        Begun::Launch(launch) => launch.dialogue,
        Begun::Done(done) => panic!("{done:?}"),
    }
}

fn talk(mut dialogue: Dialogue, parts: &[&[u8]], exit: Exit) -> (Vec<Note>, Done) {
    let mut notes = Vec::new();
    let mut serve = |dialogue: &mut Dialogue| {
        while let Some(bytes) = dialogue.poll_feed_wanted() {
            dialogue.handle_feed(FeedOrder::Grant(bytes));
        }
        notes.extend(dialogue.take_notes());
    };
    for part in parts {
        dialogue.handle_stdout(part);
        serve(&mut dialogue);
        dialogue.handle_stderr(part, &mut |line| assert!(!line.contains('\n')));
    }
    dialogue.handle_exit(exit, &mut |_| {});
    serve(&mut dialogue);
    assert!(dialogue.is_complete());
    (notes, dialogue.finish())
}

/// Steps of each form of output.
const FLOW: &str = r#"
[events.A]
n = "integer"
text = "string?"
[events.Line]
text = "string"
[events.P]
percent = { type = "integer", min = 0, max = 100 }
[steps.a]
accepts = "StartEvent"
emits = ["A", "Line"]
streams = ["P"]
run = ["true"]
[steps.b]
accepts = "StartEvent"
emits = "A"
run = ["true"]
[steps.c]
accepts = "StartEvent"
emits = "Line"
output = "text"
run = ["true"]
[steps.d]
accepts = ["A", "Line", "StartEvent"]
emits = "StopEvent?"
run = ["true"]
"#;
