//! Describes a journal in lines for people.

use std::fmt::{self, Display, Write as _};

use crate::{
    engine::{
        input::{External, Input, PassId},
        run::Run,
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    pass::{Done, EventRef, NewWait, Note, PassEnd, StateUse, Write},
};

/// Describes one record of a journal. `run` is the run before that record, which knows the steps of its works.
pub fn describe_input(input: &Input, graph: &Graph, run: &Run) -> String {
    let pass_name = |pass: PassId| {
        let step = run.pass_step(pass).map_or("?", |step| &*graph.step(step).name);
        format!("work {} ({step}) pass {}", pass.work, pass.pass)
    };
    match input {
        Input::Started { event, state, admitted, .. } | Input::StartedFrom { event, state, admitted, .. } => {
            let mut line = format!("started with {event:?}");
            for (key, value) in state.iter() {
                let _ = write!(line, ", {key} = {value:?}");
            }
            line + if *admitted { "" } else { ", waits for a place" }
        }
        Input::Admitted => "has its place under max_runs".to_owned(),
        Input::External(External { event, value, step, in_reply_to, .. }) => {
            let step = step.map_or(String::new(), |step| format!(" for step {}", graph.step(step).name));
            let reply = in_reply_to.map_or(String::new(), |sequence| format!(" in reply to event {sequence}"));
            format!("came {}{step}{reply}", Shown(graph, *event, value))
        }
        Input::Noted { pass, notes } => {
            let notes: Vec<String> = notes.iter().map(|note| describe_note(note, graph)).collect();
            format!("{} {}", pass_name(*pass), notes.join(", "))
        }
        Input::Done { pass, done } => format!("{} {}", pass_name(*pass), describe_done(done, graph)),
        Input::LargeDone { pass, emitted, .. } => {
            format!("{} gave out {} events, which are taken up in parts", pass_name(*pass), emitted.len())
        }
        Input::PassLost { pass } => format!("{} was lost with what ran it", pass_name(*pass)),
        Input::GoOn => "took up the next part of what it had deferred".to_owned(),
        Input::Due { timer } => format!("timer {} was due", timer.0),
        Input::Cancel => "was cancelled".to_owned(),
        Input::Fail(error) => format!("could not go on: {error}"),
    }
}

fn describe_note(note: &Note, graph: &Graph) -> String {
    let name = |event: &EventRef| match event {
        EventRef::Known(event) => graph.event(*event).name.to_string(),
        EventRef::Other(other) => other.name.to_string(),
    };
    match note {
        Note::Stream { ordinal, event, value, .. } => format!("streamed #{ordinal} {} {value:?}", name(event)),
        Note::Recorded { ordinal, event: Some(event), .. } => {
            format!("streamed #{ordinal} {}", graph.event(*event).name)
        }
        Note::Recorded { ordinal, event: None, .. } => {
            format!("streamed #{ordinal}, an event of a type that no step declares")
        }
        Note::Once { ordinal, value } => format!("noted once #{ordinal} {:?}", value.value),
    }
}

fn describe_done(done: &Done, graph: &Graph) -> String {
    let events = |events: &[(EventId, Json)]| {
        let texts: Vec<String> = events.iter().map(|(event, value)| Shown(graph, *event, value).to_string()).collect();
        texts.join(", ")
    };
    let mut line = match &done.end {
        PassEnd::Returned(returned) if returned.is_empty() => "returned nothing".to_owned(),
        PassEnd::Returned(returned) => format!("returned {}", events(returned)),
        PassEnd::Waits { wait: NewWait::Sleep(duration), .. } => format!("sleeps for {duration:?}"),
        PassEnd::Waits { wait: NewWait::Ask { question, answer, value, timeout, .. }, .. } => {
            let answer = &graph.event(*answer).name;
            let timeout = timeout.map_or(String::new(), |timeout| format!(" for {timeout:?}"));
            format!("asks {} and waits{timeout} for {answer}", Shown(graph, *question, value))
        }
        PassEnd::Failed { error, retry } => {
            format!("failed: {error}{}", if *retry { "" } else { " (not to be tried again)" })
        }
        PassEnd::Panicked(message) => format!("panicked: {message}"),
        PassEnd::TimedOut => "timed out".to_owned(),
        PassEnd::Diverged(error) => format!("took another way: {error}"),
    };
    if !done.sent.is_empty() {
        let _ = write!(line, "; sent {}", events(&done.sent));
    }
    describe_state(&done.state, &mut line);
    line
}

fn describe_state(state: &StateUse, line: &mut String) {
    for (key, write) in &state.writes {
        let _ = match write {
            Write::Set(value) => write!(line, "; {key} = {value:?}"),
            Write::Remove => write!(line, "; {key} removed"),
            Write::Add(value) => write!(line, "; {key} + {value:?}"),
            Write::Push(value) => write!(line, "; {key} and {value:?}"),
            Write::Extend(values) => write!(line, "; {key} and each of {values:?}"),
        };
    }
}

/// Displays an event: its type and its value.
struct Shown<'a>(&'a Graph, EventId, &'a Json);

impl Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(graph, event, value) = self;
        write!(formatter, "{} {value:?}", graph.event(*event).name)
    }
}

/// Describes the present state of a run: its works, one per line, answers that wait for a question, and its values.
pub fn describe_run(run: &Run, graph: &Graph) -> Vec<String> {
    let name = |step: StepId| &*graph.step(step).name;
    let works = run.works().map(|(number, step, attempt, phase)| {
        let attempt = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        format!("work {number} ({}) {phase}{attempt}", name(step))
    });
    let answers = run.waiting_answers().map(|(event, value, step)| {
        let step = step.map_or(String::new(), |step| format!(" of step {}", name(step)));
        format!("{} waits for a question{step}", Shown(graph, event, value))
    });
    let state = run.state();
    works.chain(answers).chain(state.iter().map(|(key, value)| format!("{key} = {value:?}"))).collect()
}
