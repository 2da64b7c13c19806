//! What workflow files say.

use std::{path::Path, time::Duration};

use serde_json::json;
use steprill::{
    EventKind, Retry,
    command::{Action, Command, Output, Source},
    files::{WorkflowFile, parse},
    graph::StepType,
    workflow::Runs,
};

use super::{ORDER, good};

fn step<'f>(file: &'f WorkflowFile, name: &str) -> (&'f StepType, &'f Command) {
    let graph = file.workflow.graph();
    let id = graph.step_id(name).expect("the step");
    let Runs::Command(command) = file.workflow.runs(id) else { panic!("{name} is no command") };
    (graph.step(id), command)
}

#[test]
fn a_file_says_the_whole_graph_and_what_its_steps_run() {
    let file = good(ORDER);
    let graph = file.workflow.graph();
    let name = |id| &*graph.event(id).name;
    assert_eq!((&*graph.name, graph.timeout, graph.max_runs), ("order", Some(Duration::from_mins(10)), Some(4)));
    assert_eq!((name(graph.start), name(graph.stop)), ("Order", "Receipt"));
    let kinds = |event: &str| graph.event(graph.event_id(event).expect("the event")).kind;
    assert_eq!((kinds("Confirm"), kinds("Approval")), (EventKind::InputRequired, EventKind::HumanResponse));

    let (split, command) = step(&file, "split");
    assert!(split.fan_out && !split.fan_in && command.may_emit_nothing);
    let Action::Run(program) = &command.action else { panic!("a program") };
    assert_eq!((program.directory.as_path(), &program.output), (Path::new("dir"), &Output::Value));
    assert!(!program.has_retry);

    let (price, command) = step(&file, "price");
    assert_eq!((price.workers, price.timeout), (2, Some(Duration::from_secs(30))));
    assert_eq!(price.retry, Retry::exponential(Duration::from_secs(1)).attempts(3).longest(Duration::from_mins(1)));
    assert_eq!(
        price.asks.iter().map(|(ask, answer)| (name(*ask), name(*answer))).next(),
        Some(("Confirm", "Approval"))
    );
    assert_eq!(price.inboxes.iter().map(|(answer, count)| (name(*answer), *count)).next(), Some(("Approval", 2)));
    assert_eq!(price.on_failure.map(name), Some("Unpriced"));
    let ask = command.ask.as_ref().expect("a question");
    assert_eq!((name(ask.question.event), ask.timeout), ("Confirm", Some(Duration::from_hours(24))));
    assert!(matches!(&*ask.question.fields, [(field, Source::Field(from))] if **field == **from && **from == *"name"));
    let failure = command.on_failure.as_ref().expect("an event");
    assert_eq!(failure.fields.iter().map(|(field, _)| &**field).collect::<Vec<_>>(), ["name", "error"]);
    let Action::Run(program) = &command.action else { panic!("a program") };
    let argv: Vec<String> = program.argv.iter().map(|text| text.fill(|field| format!("<{field}>").into())).collect();
    assert_eq!(argv, ["./price", "--name=<name>", "{}", "<approved>"]);
    assert_eq!(
        program.secrets.iter().map(|(_, path)| path.as_path()).collect::<Vec<_>>(),
        [Path::new("/run/secrets/key"), Path::new("dir/key")]
    );
    assert_eq!((program.memory_bytes_max, program.cpu_max), (Some(64 << 20), Some(Duration::from_secs(10))));
    assert_eq!((&program.output, program.has_retry), (&Output::Events, true));

    let (total, _) = step(&file, "total");
    assert_eq!((total.fan_in, total.takes.len()), (true, 2));
}

#[test]
fn json_says_the_same_as_toml() {
    let json = json!({
        "start": { "In": { "n": "integer" } },
        "steps": { "b": { "accepts": "In", "emits": "StopEvent", "emit": { "result": "{n}" } } }
    });
    let file = parse(Path::new("twin.json"), json.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
    let twin =
        good("[start.In]\nn = 'integer'\n[steps.b]\naccepts = 'In'\nemits = 'StopEvent'\nemit = { result = '{n}' }");
    assert_eq!(file.workflow.graph().steps, twin.workflow.graph().steps);
    assert_eq!((&*file.workflow.graph().name, &*twin.workflow.graph().name), ("twin", "flow"));
}
