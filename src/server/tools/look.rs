//! Implements `inspect` and `backup`. Everything printed from a database is on one line, whatever it contains.

use std::{ffi::OsString, fmt, io, path::Path, process::ExitCode, sync::Arc};

use super::super::config::UsageError;
use crate::{
    api::Timestamp,
    engine::{
        describe::{describe_input, describe_run},
        ids::HandlerIds,
        input::Outcome,
        keys::RunKey,
        published::Item,
        record::{self, Names},
        run::Run,
        stored::{HandlerAddress, Stored, StoredHandler},
    },
    graph::Graph,
    limits::{INSPECT_PAGE_BYTES, INSPECT_PAGE_HANDLERS},
    store::{self, Answer, Inspect, OpenError, Query},
    text::OneLine,
};

/// `inspect DIR [HANDLER]`.
pub(super) fn inspect(program: &str, arguments: &[OsString]) -> Result<ExitCode, UsageError> {
    let (directory, id) = match arguments {
        [directory] => (directory, None),
        [directory, id] => (directory, Some(id.to_string_lossy().into_owned())),
        _ => return Err(operands("inspect", "DIR, or DIR and the id of a handler", arguments)),
    };
    if directory.is_empty() {
        return Err(UsageError::NoDirectory { tool: "inspect" });
    }
    let inspector = match store::inspect(Path::new(directory)) {
        Ok(inspector) => inspector,
        Err(error) => return unopened(program, "inspect", &error),
    };
    let look = Look { ids: HandlerIds::new(inspector.secret()), inspector };
    let mut lines = Lines(io::stdout().lock());
    let shown = match id {
        None => look.list(&mut lines),
        Some(id) => look.show(&id, &mut lines),
    };
    Ok(match shown {
        Ok(()) | Err(LookError::NotWritten) => ExitCode::SUCCESS,
        Err(error) => failed(program, &error, error.exit_code()),
    })
}

/// `backup DIR FILE`.
pub(super) fn backup(program: &str, arguments: &[OsString]) -> Result<ExitCode, UsageError> {
    let [directory, file] = arguments else {
        return Err(operands("backup", "DIR and FILE", arguments));
    };
    if directory.is_empty() || Path::new(file).file_name().is_none() {
        return Err(operands("backup", "DIR and the name of a file", arguments));
    }
    match store::backup(Path::new(directory), Path::new(file)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => unopened(program, "backup", &error),
    }
}

fn operands(tool: &'static str, expected: &'static str, got: &[OsString]) -> UsageError {
    UsageError::Operands { tool, expected, got: got.to_vec() }
}

/// The directory cannot be used. A tool that was not built is a usage error.
fn unopened(program: &str, tool: &'static str, error: &OpenError) -> Result<ExitCode, UsageError> {
    match error {
        OpenError::NotBuilt { feature } => Err(UsageError::NotBuilt { of: tool, feature }),
        error => Ok(failed(program, error, error.exit_code())),
    }
}

fn failed(program: &str, error: &dyn fmt::Display, exit_code: u8) -> ExitCode {
    eprintln!("{program}: {}", OneLine::new(&error.to_string(), usize::MAX));
    ExitCode::from(exit_code)
}

/// Writes lines. Nothing that a client, a step or a damaged file put into the database moves a cursor or forges a line.
struct Lines<W>(W);

impl<W: io::Write> Lines<W> {
    fn put(&mut self, line: fmt::Arguments<'_>) -> Result<(), LookError> {
        writeln!(self.0, "{}", OneLine::new(&line.to_string(), usize::MAX))?;
        Ok(())
    }
}

struct Look {
    inspector: Box<dyn Inspect>,
    ids: HandlerIds,
}

/// Why nothing more is shown.
enum LookError {
    /// The database cannot be read.
    Open(OpenError),
    /// No handler has this id.
    NoHandler(String),
    /// Nobody reads the output any more: its reader has read enough.
    NotWritten,
}

impl LookError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Open(error) => error.exit_code(),
            Self::NoHandler(_) => 1,
            Self::NotWritten => 0,
        }
    }
}

impl fmt::Display for LookError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(out, "{error}"),
            Self::NoHandler(id) => write!(out, "there is no handler {id:?} in this directory"),
            Self::NotWritten => out.write_str("nobody reads the output"),
        }
    }
}

impl From<OpenError> for LookError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<io::Error> for LookError {
    fn from(_: io::Error) -> Self {
        Self::NotWritten
    }
}

impl Look {
    /// Prints all handlers, one per line.
    fn list(&self, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
        let mut after = None;
        out.put(format_args!("{:<12} {:<10} {:<32} {:>7} workflow", "handler", "status", "started", "events"))?;
        loop {
            let (handlers, damaged) = self.inspector.handlers(after, INSPECT_PAGE_HANDLERS)?;
            let last = handlers.last().map(|handler| handler.key).max(damaged.last().map(|(key, _)| *key));
            let Some(last) = last else { return Ok(()) };
            after = Some(last);
            for handler in &handlers {
                let (id, status) = (self.id(handler), self.status(handler));
                let (started, workflow) = (Timestamp(handler.started_us), &self.graph(handler).name);
                let events = handler.next_sequence;
                out.put(format_args!("{id:<12} {status:<10} {started:<32} {events:>7} {workflow}"))?;
            }
            for (key, cause) in &damaged {
                let id = String::from_utf8_lossy(&self.ids.spell(*key)).into_owned();
                out.put(format_args!("{id:<12} {DAMAGED:<10} its stored rows cannot be read: {cause}"))?;
            }
        }
    }

    /// Prints one handler, and its journal or its end.
    fn show(&self, id: &str, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
        let Some(stored) = self.inspector.handler(&HandlerAddress::Id(id.into()))? else {
            return Err(LookError::NoHandler(id.to_owned()));
        };
        let handler = &stored.handler;
        out.put(format_args!("handler  {}", self.id(handler)))?;
        out.put(format_args!("workflow {}", self.graph(handler).name))?;
        out.put(format_args!("run      {}, {}", handler.run + 1, handler.run_id))?;
        out.put(format_args!("started  {}", Timestamp(handler.started_us)))?;
        out.put(format_args!("status   {}", self.status(handler)))?;
        if let Some(cause) = self.cause(handler) {
            out.put(format_args!("aside    its stored rows cannot be changed: {cause}"))?;
        }
        out.put(format_args!("events   {} to {}", handler.first_sequence, handler.next_sequence))?;
        if let Some(end) = &handler.end {
            out.put(format_args!("ended    {}", Timestamp(handler.updated_us)))?;
            match &end.outcome {
                Outcome::Completed(value) => out.put(format_args!("gave     {value:?}"))?,
                Outcome::Failed(error) => out.put(format_args!("error    {error}"))?,
                Outcome::Cancelled => {}
            }
            for (key, value) in end.state.iter() {
                out.put(format_args!("state    {key} = {value:?}"))?;
            }
        }
        self.put_failed_attempts(handler, out)?;
        self.put_journal(&stored, out)
    }

    /// Prints the attempts that failed without failing the run, from the feed: a completed run has no journal any
    /// longer.
    fn put_failed_attempts(&self, handler: &StoredHandler, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
        let run = RunKey { handler: handler.key, run: handler.run };
        let (mut from, until, mut is_first) = (handler.first_sequence, handler.next_sequence, true);
        while from < until {
            let page = Query::Page { run, from, until, bytes_max: INSPECT_PAGE_BYTES };
            let Answer::Page { feed, workflow: Some(workflow) } = self.inspector.answer(&page)? else { break };
            let graph = &self.inspector.graphs()[usize::from(workflow.0)];
            for sequence in feed.first()..feed.next() {
                let (step, attempt, error, next) = match feed.get(sequence) {
                    Some(Item::Retried { step, error, attempt, next_us }) => {
                        (step, attempt, error, format!("the next one at {}", Timestamp(next_us.cast_signed())))
                    }
                    Some(Item::StepFailed { step, error, attempts }) => {
                        (step, attempts, error, "its on_failure event follows".to_owned())
                    }
                    _ => continue,
                };
                if std::mem::take(&mut is_first) {
                    put_title("failed attempts", out)?;
                }
                out.put(format_args!("  {} attempt {attempt} failed: {error:?}; {next}", graph.step(step).name))?;
            }
            if feed.next() == from {
                break;
            }
            from = feed.next();
        }
        Ok(())
    }

    /// Prints the journal in lines, and the state that follows from it. Stops at a record that cannot be read.
    fn put_journal(&self, stored: &Stored, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
        let (handler, graph) = (&stored.handler, self.graph(&stored.handler));
        if stored.journal.snapshot.is_none() && stored.journal.records.is_empty() {
            return Ok(());
        }
        let mut run = Run::new(Arc::clone(graph), handler.run_id, self.id(handler).into()).with_window();
        let mut joined = Vec::new();
        if let Some(snapshot) = &stored.journal.snapshot {
            put_title("snapshot", out)?;
            let snapshot = match record::split(snapshot) {
                Ok((snapshot, records)) => {
                    joined = records;
                    snapshot
                }
                Err(error) => return out.put(format_args!("  {error}")),
            };
            match Run::restore(snapshot, &Names::of(graph).translation(graph), Arc::clone(graph)) {
                Ok(restored) => run = restored.with_window().with_initial_state(&stored.journal.state),
                Err(error) => return out.put(format_args!("  {error}")),
            }
            put_run(&run, graph, out)?;
        }
        put_title("journal", out)?;
        let mut effects = Vec::new();
        for record in joined.into_iter().chain(stored.journal.records.iter().map(Vec::as_slice)) {
            let (mut input, now) = match record::decode(record, graph) {
                Ok(record) => record,
                Err(error) => return out.put(format_args!("  {error}")),
            };
            stored.journal.complete(&mut input);
            out.put(format_args!("  {} {}", Timestamp(now.wall_us), describe_input(&input, graph, &run)))?;
            run.handle(input, now, &mut effects);
            effects.clear();
        }
        if run.outcome().is_none() {
            put_title("now", out)?;
            put_run(&run, graph, out)?;
            if run.works().next().is_none() {
                out.put(format_args!("  waits for an event from outside"))?;
            }
        }
        Ok(())
    }

    /// Returns why the handler was set aside, if it was.
    fn cause(&self, handler: &StoredHandler) -> Option<&str> {
        let aside = self.inspector.aside();
        let place = aside.binary_search_by_key(&handler.key, |(key, _)| *key).ok()?;
        Some(&aside[place].1)
    }

    fn status(&self, handler: &StoredHandler) -> &'static str {
        if self.cause(handler).is_some() { DAMAGED } else { status(handler) }
    }

    fn id(&self, handler: &StoredHandler) -> String {
        let spelled = || String::from_utf8_lossy(&self.ids.spell(handler.key)).into_owned();
        handler.id.as_ref().map_or_else(spelled, ToString::to_string)
    }

    fn graph(&self, handler: &StoredHandler) -> &Arc<Graph> {
        &self.inspector.graphs()[usize::from(handler.workflow.0)]
    }
}

fn put_title(title: &str, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
    out.put(format_args!(""))?;
    out.put(format_args!("{title}"))
}

fn put_run(run: &Run, graph: &Graph, out: &mut Lines<impl io::Write>) -> Result<(), LookError> {
    describe_run(run, graph).iter().try_for_each(|line| out.put(format_args!("  {line}")))
}

fn status(handler: &StoredHandler) -> &'static str {
    match handler.end.as_ref().map(|end| &end.outcome) {
        None => "running",
        Some(Outcome::Completed(_)) => "completed",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
    }
}

/// The status of a handler whose rows cannot be read or changed.
const DAMAGED: &str = "damaged";
