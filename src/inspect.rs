//! `steprill inspect` and `steprill backup`: a look into a data directory and a copy of it, beside a running server.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use steprill::{
    api::Timestamp,
    engine::{
        describe::{describe_input, describe_run},
        feed::Item,
        ids::HandlerIds,
        input::Outcome,
        kept::{Address, Kept, KeptHandler},
        record::{self, Names},
        run::Run,
        scheduler::RunKey,
    },
    graph::Graph,
    store::{
        Answer, Query,
        sqlite::{self, Inspector},
    },
};

/// `steprill inspect DIR [HANDLER]`
pub(crate) fn inspect(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let arguments: Vec<OsString> = arguments.collect();
    let (directory, id) = match &arguments[..] {
        [directory] => (directory, None),
        [directory, id] => (directory, Some(id.to_string_lossy().into_owned())),
        _ => return Err(format!("inspect: expected DIR, or DIR and the id of a handler, got {arguments:?}")),
    };
    let inspector = match Inspector::open(Path::new(directory)) {
        Ok(inspector) => inspector,
        Err(error) => return Ok(failed(&error)),
    };
    let look = Look { ids: HandlerIds::new(inspector.secret()), inspector };
    let shown = match id {
        None => look.list(),
        Some(id) => look.show(&id),
    };
    Ok(match shown {
        Err(Fault::Says(error)) => failed(&error),
        // Who no longer reads has read enough.
        Ok(()) | Err(Fault::NotWritten) => ExitCode::SUCCESS,
    })
}

/// `steprill backup DIR FILE`
pub(crate) fn backup(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let arguments: Vec<OsString> = arguments.collect();
    let [directory, file] = &arguments[..] else {
        return Err(format!("backup: expected DIR and FILE, got {arguments:?}"));
    };
    Ok(match sqlite::backup(&PathBuf::from(directory), &PathBuf::from(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    })
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("steprill: {error}");
    ExitCode::from(1)
}

struct Look {
    inspector: Inspector,
    ids: HandlerIds,
}

enum Fault {
    Says(String),
    NotWritten,
}

impl From<sqlite::OpenError> for Fault {
    fn from(error: sqlite::OpenError) -> Self {
        Self::Says(error.to_string())
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Self {
        Self::NotWritten
    }
}

impl Look {
    /// All handlers, a line each.
    fn list(&self) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        let mut after = None;
        writeln!(out, "{:<12} {:<10} {:<32} {:>7} workflow", "handler", "status", "started", "events")?;
        loop {
            let handlers = self.inspector.handlers(after, PAGE_HANDLERS)?;
            let Some(last) = handlers.last() else { return Ok(()) };
            after = Some(last.key);
            for handler in &handlers {
                let (id, status) = (self.id(handler), status(handler));
                let (started, workflow) = (Timestamp(handler.started_us), &self.graph(handler).name);
                writeln!(out, "{id:<12} {status:<10} {started:<32} {:>7} {workflow}", handler.next_sequence)?;
            }
        }
    }

    /// One handler: what it is, and its journal or its end.
    fn show(&self, id: &str) -> Result<(), Fault> {
        let address = Address::Id(id.into(), self.ids.key(id));
        let Some(kept) = self.inspector.handler(&address)? else {
            return Err(Fault::Says(format!("there is no handler {id:?} in this directory")));
        };
        let handler = &kept.handler;
        let mut out = io::stdout().lock();
        let (workflow, run) = (&self.graph(handler).name, handler.run + 1);
        writeln!(out, "handler  {}\nworkflow {workflow}\nrun      {run}, {}", self.id(handler), handler.run_id)?;
        writeln!(out, "started  {}\nstatus   {}", Timestamp(handler.started_us), status(handler))?;
        writeln!(out, "events   {} to {}", handler.first_sequence, handler.next_sequence)?;
        if let Some(end) = &handler.end {
            writeln!(out, "ended    {}", Timestamp(handler.updated_us))?;
            match &end.outcome {
                Outcome::Completed(value) => writeln!(out, "gave     {value:?}")?,
                Outcome::Failed(error) => writeln!(out, "error    {error}")?,
                Outcome::Cancelled => {}
            }
            for (key, value) in &end.state {
                writeln!(out, "state    {key} = {value:?}")?;
            }
        }
        self.write_retries(&mut out, handler)?;
        out.write_all(self.journal(&kept).as_bytes())?;
        Ok(())
    }

    /// The attempts that failed and were followed by another one, as the feed has them: the journal of a completed run
    /// is gone.
    fn write_retries(&self, out: &mut impl io::Write, handler: &KeptHandler) -> Result<(), Fault> {
        let run = RunKey { handler: handler.key, run: handler.run };
        let (mut from, until, mut title) = (handler.first_sequence, handler.next_sequence, "\nretries\n");
        while from < until {
            let page = Query::Page { run, from, until, bytes_max: PAGE_BYTES };
            let Answer::Page { feed, workflow: Some(workflow) } = self.inspector.answer(&page)? else { break };
            let graph = &self.inspector.graphs()[usize::from(workflow.0)];
            for sequence in feed.first()..feed.next() {
                let Some(Item::Retried { step, error, attempt, next_us }) = feed.get(sequence) else { continue };
                let (name, next) = (&graph.step(step).name, Timestamp(next_us.cast_signed()));
                writeln!(out, "{title}  {name} attempt {attempt} failed: {error:?}; the next one at {next}")?;
                title = "";
            }
            if feed.next() == from {
                break;
            }
            from = feed.next();
        }
        Ok(())
    }

    /// The journal in lines, and what it comes to. A record that cannot be read is said, and ends it.
    fn journal(&self, kept: &Kept) -> String {
        let (handler, graph) = (&kept.handler, self.graph(&kept.handler));
        let mut text = String::new();
        if kept.journal.snapshot.is_none() && kept.journal.records.is_empty() {
            return text;
        }
        let fresh = || Run::new(Arc::clone(graph), handler.run_id, self.id(handler).into());
        let restore = |bytes: &Vec<u8>| Run::restore(bytes, &Names::of(graph).translation(graph), Arc::clone(graph));
        let mut run = match kept.journal.snapshot.as_ref().map(restore) {
            None => fresh(),
            Some(Ok(run)) => {
                text.push_str("\nsnapshot\n");
                describe(&run, graph, &mut text);
                run
            }
            Some(Err(error)) => return format!("\nsnapshot\n  {error}\n"),
        };
        text.push_str("\njournal\n");
        let mut effects = Vec::new();
        for record in &kept.journal.records {
            match record::decode(record, graph) {
                Ok((input, now)) => {
                    let _ = writeln!(text, "  {} {}", Timestamp(now.wall_us), describe_input(&input, graph, &run));
                    run.handle(input, now, &mut effects);
                    effects.clear();
                }
                Err(error) => {
                    let _ = writeln!(text, "  {error}");
                    return text;
                }
            }
        }
        if run.outcome().is_none() {
            text.push_str("\nnow\n");
            describe(&run, graph, &mut text);
            if run.works().next().is_none() {
                text.push_str("  waits for an event from outside\n");
            }
        }
        text
    }

    fn id(&self, handler: &KeptHandler) -> String {
        let spelled = || String::from_utf8_lossy(&self.ids.spell(handler.key)).into_owned();
        handler.id.as_ref().map_or_else(spelled, ToString::to_string)
    }

    fn graph(&self, handler: &KeptHandler) -> &Arc<Graph> {
        &self.inspector.graphs()[usize::from(handler.workflow.0)]
    }
}

fn describe(run: &Run, graph: &Graph, text: &mut String) {
    for line in describe_run(run, graph) {
        let _ = writeln!(text, "  {line}");
    }
}

fn status(handler: &KeptHandler) -> &'static str {
    match handler.end.as_ref().map(|end| &end.outcome) {
        None => "running",
        Some(Outcome::Completed(_)) => "completed",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
    }
}

const PAGE_HANDLERS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
