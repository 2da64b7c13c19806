//! The beginning of a pass: what needs no program is done at once, else the program's launch follows from the input.

use std::{fmt::Write as _, sync::Arc};

use super::{
    Action, AskFirst, Case, Command, Program,
    dialogue::Dialogue,
    scope::{Failure, Scope, completed, quoted},
};
use crate::{
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::{ARGUMENTS_BYTES_MAX, QUOTED_BYTES_MAX},
    pass::{Done, NewWait, PassEnd, PassInput, Snapshot, Wait, WorkEvent},
    text::OneLine,
};

/// How a pass begins.
#[derive(Debug)]
pub enum Begun {
    /// It has ended already.
    Done(Done),
    /// A program is to be started.
    Launch(Box<Launch>),
}

/// What a program is started with.
#[derive(Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// What it gets on stdin.
    pub stdin: Vec<u8>,
    /// Variables that tell it what it processes.
    pub variables: Vec<(&'static str, String)>,
    /// The run's state as JSON, unless it is empty.
    pub state: Option<String>,
    /// Takes the program's output.
    pub dialogue: Dialogue,
}

/// Begins a pass of a step.
///
/// # Panics
/// If the graph does not have the step.
pub fn begin(command: &Arc<Command>, graph: &Arc<Graph>, step: StepId, mut input: PassInput) -> Begun {
    let version = input.state.version;
    let done = |end| Begun::Done(Done::of(end).with_version(version));
    let begun = completed_event(graph, &input.event).and_then(|event| {
        input.event = event;
        Beginning { command, graph, step, input: &input }.begin()
    });
    match begun {
        Ok(Next::Return(events)) => done(PassEnd::Returned(events)),
        Ok(Next::End(end)) => done(end),
        Ok(Next::Run { argv, stdin, variables }) => {
            let state = state_text(&input.state);
            let dialogue = Dialogue::new(command, graph, step, input.published, version);
            Begun::Launch(Box::new(Launch { argv, stdin, variables, state, dialogue }))
        }
        Err(error) => done(PassEnd::Failed { error, retry: false }),
    }
}

/// Returns what a step takes, with the defaults of absent fields.
fn completed_event(graph: &Graph, event: &WorkEvent) -> Result<WorkEvent, String> {
    let all = |(event, value): &(EventId, Json)| Ok((*event, completed(graph, *event, value)?));
    Ok(match event {
        WorkEvent::One(event, value) => WorkEvent::One(*event, completed(graph, *event, value)?),
        WorkEvent::All(events) => WorkEvent::All(Arc::new(events.iter().map(all).collect::<Result<_, String>>()?)),
    })
}

struct Beginning<'a> {
    command: &'a Command,
    graph: &'a Graph,
    step: StepId,
    input: &'a PassInput,
}

enum Next {
    Return(Vec<(EventId, Json)>),
    End(PassEnd),
    Run { argv: Vec<String>, stdin: Vec<u8>, variables: Vec<(&'static str, String)> },
}

impl Beginning<'_> {
    /// # Errors
    /// A fault of the workflow, which no retry can mend.
    fn begin(&self) -> Result<Next, String> {
        let Self { command, graph, input, .. } = *self;
        if let Some(error) = &input.failure {
            let on_failure = command.on_failure.as_ref().ok_or("its on_failure event is gone from the workflow")?;
            let failure = Failure { error, attempts: input.attempt, step: &command.step };
            let event = Scope::of_failure(&input.event, failure).make(graph, on_failure)?;
            return Ok(Next::Return(vec![event]));
        }
        let (mut answer, mut waits) = (None, 0);
        if let Some(ask) = &command.ask {
            match self.ask(ask)? {
                Ok(given) => answer = Some(completed(graph, ask.answer, given)?),
                Err(end) => return Ok(Next::End(end)),
            }
            waits = 1;
        }
        let answer = answer.as_ref();
        let scope = Scope::new(&input.event, answer);
        match &command.action {
            Action::Wait(duration, event) => match input.waits.get(waits) {
                Some(Wait::Slept) => {
                    Ok(Next::Return(event.iter().map(|e| scope.make(graph, e)).collect::<Result<_, _>>()?))
                }
                None => Ok(Next::End(PassEnd::Waits { ordinal: waits as u32, wait: NewWait::Sleep(*duration) })),
                Some(other) => Ok(Next::End(self.diverged(waits, other, "a sleep"))),
            },
            Action::Emit(cases) => self.emit(cases, &scope).map(Next::Return),
            Action::Run(program) => {
                let argv = arguments(program, &scope)?;
                Ok(Next::Run { argv, stdin: self.stdin(answer), variables: self.variables() })
            }
        }
    }

    /// Returns the answer to the question, or how the pass ends without one.
    fn ask(&self, ask: &AskFirst) -> Result<Result<&Json, PassEnd>, String> {
        let question = ask.question.event;
        match self.input.waits.get(0) {
            Some(Wait::Asked { question: before, answer }) if *before == question => {
                Ok(answer.as_ref().ok_or_else(|| {
                    let error = format!("nobody answered {} in time", self.graph.event(question).name);
                    PassEnd::Failed { error, retry: self.command.retries() }
                }))
            }
            None | Some(Wait::Forgotten { .. }) => {
                let (question, value) = Scope::new(&self.input.event, None).make(self.graph, &ask.question)?;
                let (answer, timeout) = (ask.answer, ask.timeout);
                let wait = NewWait::Ask { question, answer, value, matching: Vec::new(), timeout };
                Ok(Err(PassEnd::Waits { ordinal: 0, wait }))
            }
            Some(other) => {
                Ok(Err(self.diverged(0, other, &format!("the question {}", self.graph.event(question).name))))
            }
        }
    }

    fn diverged(&self, ordinal: usize, before: &Wait, now: &str) -> PassEnd {
        let before = match before {
            Wait::Slept => "a sleep".to_owned(),
            Wait::Asked { question, .. } | Wait::Forgotten { question } => {
                format!("the question {}", self.graph.event(*question).name)
            }
        };
        PassEnd::Diverged(format!(
            "step {} made wait {ordinal} with {before} and now makes it with {now}: its workflow has changed",
            self.command.step
        ))
    }

    fn emit(&self, cases: &[Case], scope: &Scope<'_>) -> Result<Vec<(EventId, Json)>, String> {
        let value = scope.object();
        let applies = |case: &&Case| case.when.as_ref().is_none_or(|when| when.check(&value).is_ok());
        match cases.iter().find(applies) {
            Some(case) => Ok(vec![scope.make(self.graph, &case.event)?]),
            None if self.command.may_emit_nothing => Ok(Vec::new()),
            None => Err(format!(
                "no case of `emit` applies to {}: add one without `when`, or let the step emit nothing",
                OneLine::new(&value, QUOTED_BYTES_MAX)
            )),
        }
    }

    /// Returns the event's value as a line of JSON, an array for a fan-in; with an answer, both.
    fn stdin(&self, answer: Option<&Json>) -> Vec<u8> {
        let mut text = String::new();
        if answer.is_some() {
            text.push_str("{\"event\":");
        }
        match &self.input.event {
            WorkEvent::One(_, value) => text.push_str(value.as_str()),
            WorkEvent::All(events) => {
                let has_types = self.graph.step(self.step).takes.len() > 1;
                text.push('[');
                for (index, (event, value)) in events.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    if has_types {
                        let name = quoted(&self.graph.event(*event).name);
                        let _ = write!(text, "{{\"type\":{name},\"value\":{}}}", value.as_str());
                    } else {
                        text.push_str(value.as_str());
                    }
                }
                text.push(']');
            }
        }
        if let Some(answer) = answer {
            let _ = write!(text, ",\"answer\":{}}}", answer.as_str());
        }
        // A value from outside may have line ends between its tokens.
        let mut line = text.into_bytes();
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.push(b'\n');
        line
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let Self { graph, step, input, .. } = self;
        let name = |event: EventId| &*graph.event(event).name;
        let event = match &input.event {
            WorkEvent::One(event, _) => name(*event).to_owned(),
            WorkEvent::All(_) => graph.step(*step).takes.iter().map(|event| name(*event)).collect::<Vec<_>>().join(","),
        };
        vec![
            ("STEPRILL_EVENT", event),
            ("STEPRILL_STEP", graph.step(*step).name.to_string()),
            ("STEPRILL_WORKFLOW", graph.name.to_string()),
            ("STEPRILL_HANDLER_ID", input.handler_id.to_string()),
            ("STEPRILL_RUN_ID", input.run_id.to_string()),
            ("STEPRILL_ATTEMPT", input.attempt.to_string()),
            ("STEPRILL_WORK_ID", input.work_id()),
        ]
    }
}

impl Command {
    /// Returns whether failures are retried under the step's policy.
    pub(super) fn retries(&self) -> bool {
        if let Action::Run(program) = &self.action { program.has_retry } else { true }
    }
}

fn arguments(program: &Program, scope: &Scope<'_>) -> Result<Vec<String>, String> {
    let argv: Vec<String> = program.argv.iter().map(|template| template.fill(|field| scope.text(field))).collect();
    let bytes: usize = argv.iter().map(|argument| argument.len() + 1).sum();
    if bytes > ARGUMENTS_BYTES_MAX {
        return Err(format!(
            "the arguments of its program have {bytes} bytes; they may have {ARGUMENTS_BYTES_MAX}: read the event from \
             stdin instead"
        ));
    }
    if let Some(index) = argv.iter().position(|argument| argument.contains('\0')) {
        return Err(format!(
            "argument {index} of its program has a character that no argument can have, U+0000: read the event from \
             stdin instead"
        ));
    }
    if argv.first().is_none_or(String::is_empty) {
        return Err("`run` names no program".to_owned());
    }
    Ok(argv)
}

fn state_text(state: &Snapshot) -> Option<String> {
    if state.values.is_empty() {
        return None;
    }
    let mut text = String::from("{");
    for (key, value) in state.values.iter() {
        if text.len() > 1 {
            text.push(',');
        }
        let _ = write!(text, "{}:{}", quoted(key), value.json().as_str());
    }
    text.push('}');
    Some(text)
}
