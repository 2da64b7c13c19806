//! Steps that are data: programs, pauses, events from fields. Workflows are made from parts, and programs are real.

mod actions;
#[cfg(all(feature = "sqlite", feature = "files"))]
mod crash;
mod ends;
mod environment;
mod faults;
mod outputs;
mod protocol;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process,
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use steprill::{
    EventKind, Json, Outcome, Retry, Runtime, StartEvent, Workflow,
    command::{Action, AskFirst, Command, Construct, Output, Program, Source, template::Template},
    graph::{EventType, Graph, Parts, Shape, StepParts},
    workflow::Runs,
};
use tempfile::TempDir;

use crate::support::within;

/// A workflow that is being made.
pub(crate) struct Flow {
    name: String,
    events: Vec<EventType>,
    steps: Vec<Step>,
}

/// A step that is being made.
pub(crate) struct Step {
    parts: StepParts,
    action: Make<Action>,
    ask: Option<Make<AskFirst>>,
    on_failure: Option<Make<Construct>>,
    may_emit_nothing: bool,
}

type Make<T> = Box<dyn Fn(&Graph) -> T>;

/// Returns an event type whose members have these schemas, all required.
pub(crate) fn event(name: &str, kind: EventKind, members: &Value) -> EventType {
    let required: Vec<&String> = members.as_object().expect("members").keys().collect();
    let schema = json!({ "type": "object", "properties": members, "required": required });
    let shape = Shape::compile(&schema, &|_| None);
    let qualified_name = format!("test.{name}").into();
    EventType { name: name.into(), qualified_name, kind, builtin: false, external: false, schema, shape }
}

impl Flow {
    /// It begins with the open start event and ends with the open stop event.
    pub(crate) fn new(name: &str) -> Self {
        let builtin = |name: &str, kind| EventType {
            qualified_name: format!("workflows.events.{name}").into(),
            builtin: true,
            shape: Shape::default(),
            ..event(name, kind, &json!({}))
        };
        let events = vec![builtin("StartEvent", EventKind::Start), builtin("StopEvent", EventKind::Stop)];
        Self { name: name.to_owned(), events, steps: Vec::new() }
    }

    pub(crate) fn event(self, name: &str, members: &Value) -> Self {
        self.kind(name, EventKind::Plain, members)
    }

    pub(crate) fn kind(mut self, name: &str, kind: EventKind, members: &Value) -> Self {
        self.events.push(event(name, kind, members));
        self
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn build(self) -> Workflow {
        let graph = Graph::build(Parts {
            name: self.name,
            module: None,
            events: self.events,
            steps: self.steps.iter().map(|step| step.parts.clone()).collect(),
            start: "StartEvent".into(),
            stop: "StopEvent".into(),
            timeout: None,
            max_runs: None,
        });
        let graph = graph.unwrap_or_else(|faults| panic!("{faults}"));
        let mut steps = self.steps;
        steps.sort_by(|one, other| one.parts.name.cmp(&other.parts.name));
        let command = |step: &Step| Command {
            step: step.parts.name.as_str().into(),
            ask: step.ask.as_ref().map(|make| make(&graph)),
            action: (step.action)(&graph),
            on_failure: step.on_failure.as_ref().map(|make| make(&graph)),
            may_emit_nothing: step.may_emit_nothing,
        };
        let runs = steps.iter().map(|step| Runs::Command(Arc::new(command(step)))).collect();
        Workflow::from_parts(graph, runs)
    }

    /// Runs it. Returns the stop event, or the error.
    pub(crate) fn run(self, start: &Value) -> Result<Value, String> {
        let workflow = self.build();
        let members = start.as_object().expect("an object");
        let start = members.iter().fold(StartEvent::new(), |start, (name, value)| start.with(name, value));
        match within(move || Runtime::run(&workflow, start)) {
            Outcome::Completed(stop) => Ok(serde_json::from_str(stop.as_str()).expect("JSON")),
            Outcome::Failed(error) => Err(error),
            Outcome::Cancelled => Err("cancelled".into()),
        }
    }
}

impl Step {
    /// A step from one type to another: `X`, `X[]` of a fan-out or fan-in, `X?`, several with `|`, or nothing.
    pub(crate) fn new(name: &str, takes: &str, returns: &str, action: impl Fn(&Graph) -> Action + 'static) -> Self {
        let names = |types: &str| -> Vec<String> {
            let types = types.trim_end_matches(['?', '[', ']']);
            types.split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let parts = StepParts {
            name: name.into(),
            takes: names(takes),
            fan_in: takes.ends_with("[]"),
            returns: names(returns),
            fan_out: returns.ends_with("[]"),
            workers: 4,
            // As the reader of files has it for a step without a policy, but without its delay.
            retry: Retry::fixed(Duration::ZERO).attempts(3),
            ..StepParts::default()
        };
        let may_emit_nothing = returns.is_empty() || returns.ends_with('?');
        Self { parts, action: Box::new(action), ask: None, on_failure: None, may_emit_nothing }
    }

    /// A step that runs a shell script. Its output is one value.
    pub(crate) fn sh(name: &str, takes: &str, returns: &str, script: &str) -> Self {
        Self::run(name, takes, returns, sh(script))
    }

    pub(crate) fn run(name: &str, takes: &str, returns: &str, program: Program) -> Self {
        Self::new(name, takes, returns, move |_| Action::Run(program.clone()))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut StepParts)) -> Self {
        change(&mut self.parts);
        self
    }

    pub(crate) fn ask(mut self, question: &'static str, answer: &'static str, timeout: Option<Duration>) -> Self {
        self.parts.asks.push((question.into(), answer.into()));
        self.ask = Some(Box::new(move |graph| AskFirst {
            question: construct(graph, question, &[]),
            answer: graph.event_id(answer).expect("the answer"),
            timeout,
        }));
        self
    }

    pub(crate) fn on_failure(mut self, event: &'static str) -> Self {
        self.parts.on_failure = Some(event.into());
        self.on_failure = Some(Box::new(move |graph| construct(graph, event, &[])));
        self
    }
}

/// Returns an event of these fields; without any, of the input's fields with the names of its own.
pub(crate) fn construct(graph: &Graph, event: &str, fields: &[(&str, Source)]) -> Construct {
    let id = graph.event_id(event).expect("the event");
    if !fields.is_empty() {
        let fields = fields.iter().map(|(name, source)| ((*name).into(), source.clone())).collect();
        return Construct { event: id, fields };
    }
    let own = graph.event(id).schema["properties"].as_object().cloned().unwrap_or_default();
    let like_named = |name: &String| (name.as_str().into(), Source::Field(name.as_str().into()));
    Construct { event: id, fields: own.keys().map(like_named).collect() }
}

pub(crate) fn sh(script: &str) -> Program {
    program(&["sh", "-c", &script.replace('{', "{{").replace('}', "}}")])
}

pub(crate) fn program(argv: &[&str]) -> Program {
    Program {
        argv: argv.iter().map(|argument| Template::parse(argument).expect("a template")).collect(),
        directory: std::env::temp_dir(),
        env: Box::default(),
        secrets: Box::default(),
        pass_env: Box::default(),
        output: Output::Value,
        memory_bytes_max: None,
        cpu_max: None,
        has_retry: false,
    }
}

/// A workflow of one step that runs a script.
pub(crate) fn one(program: Program) -> Flow {
    Flow::new("one").step(Step::run("only", "StartEvent", "StopEvent", program))
}

/// Knows whether the processes that have opened it for writing are alive.
pub(crate) struct Fifo {
    directory: TempDir,
}

impl Fifo {
    pub(crate) fn new() -> Self {
        let fifo = Self { directory: tempfile::tempdir().expect("a directory") };
        assert!(process::Command::new("mkfifo").arg(fifo.path()).status().expect("mkfifo is there").success());
        fifo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("fifo")
    }

    /// The script that opens it, and says so.
    pub(crate) fn open_in_script(&self) -> String {
        format!("exec 9>'{}'; echo ready >&9; ", self.path().display())
    }

    /// Waits until a process has opened it.
    pub(crate) fn opened(&self) -> Opened {
        let path = self.path();
        within(move || {
            let mut reader = BufReader::new(File::open(path).expect("the fifo is there"));
            let mut line = String::new();
            reader.read_line(&mut line).expect("it is read");
            assert_eq!(line, "ready\n");
            Opened(reader)
        })
    }
}

/// A fifo that processes have opened.
pub(crate) struct Opened(BufReader<File>);

impl Opened {
    /// Waits until no process has it open any longer. Returns what they have written.
    pub(crate) fn all_ended(mut self) -> String {
        within(move || {
            let mut text = String::new();
            self.0.read_to_string(&mut text).expect("it is read");
            text
        })
    }
}

fn json_text(value: &Value) -> Json {
    Json::parse(&value.to_string()).expect("JSON")
}
