//! A running program: its output, what it streams, how it ends.
//!
//! ```text
//! handle_stdout ──► buffer ──lines──► streamed: notes, taken by take_notes
//!                                  │    └─ beyond its grant: poll_feed_wanted, until handle_feed answers
//!                                  └─► emitted, state: kept
//! handle_exit, when the pipes are drained ──► is_complete ──► finish: the record of the pass
//! ```
//! While [`Dialogue::wants_stdout`] is false, the program has to wait.

use std::{mem, sync::Arc};

use super::{
    Action, Command, Output,
    lines::{self, Said},
    scope::checked,
    stderr::Stderr,
};
use crate::{
    graph::{EventId, Graph, StepId, StepType},
    json::{self, Json},
    limits::{
        ERROR_BYTES_MAX, JSON_DEPTH_MAX, NOTES_BYTES_MAX, PASS_OUTPUT_BYTES_MAX, PROGRAM_ENTRY_BYTES,
        PROGRAM_LINE_BYTES_MAX, QUOTED_BYTES_MAX,
    },
    pass::{self, Done, EventRef, FeedOrder, Note, PassEnd, SharedList, StateUse, Write},
    text::OneLine,
};

/// The dialogue with one program.
#[derive(Debug)]
pub struct Dialogue {
    command: Arc<Command>,
    graph: Arc<Graph>,
    step: StepId,
    state_version: u64,
    /// Hashes of what the attempt has published before.
    published: SharedList<u128>,
    stream_ordinal: u32,
    /// Whether an event differed from what is published, so that it and all later ones are published anew.
    publishes_anew: bool,
    grant_bytes: usize,
    /// An event that needs more than was granted.
    pending: Option<Note>,
    /// Whether a grant was asked for.
    has_asked: bool,
    notes: Vec<Note>,
    notes_bytes: usize,
    /// Output that is not processed yet.
    buffer: Vec<u8>,
    /// How much of it is known to have no line end.
    scanned: usize,
    /// The number of lines so far.
    lines: u64,
    sent: Vec<(EventId, Json)>,
    returned: Vec<(EventId, Json)>,
    writes: Vec<(Arc<str>, Write)>,
    kept_bytes: usize,
    stderr: Stderr,
    fault: Option<Fault>,
    exit: Option<Exit>,
}

/// How a program has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// In a way that the system does not report.
    Unknown,
}

/// Why the pass fails, whatever the program does.
#[derive(Debug)]
struct Fault {
    text: String,
    is_hopeless: bool,
}

impl Dialogue {
    pub(super) fn new(
        command: &Arc<Command>,
        graph: &Arc<Graph>,
        step: StepId,
        published: SharedList<u128>,
        state_version: u64,
    ) -> Self {
        Self {
            command: Arc::clone(command),
            graph: Arc::clone(graph),
            step,
            state_version,
            published,
            stream_ordinal: 0,
            publishes_anew: false,
            grant_bytes: 0,
            pending: None,
            has_asked: false,
            notes: Vec::new(),
            notes_bytes: 0,
            buffer: Vec::new(),
            scanned: 0,
            lines: 0,
            sent: Vec::new(),
            returned: Vec::new(),
            writes: Vec::new(),
            kept_bytes: 0,
            stderr: Stderr::default(),
            fault: None,
            exit: None,
        }
    }

    /// Never shows these texts, neither in the log nor in errors.
    pub fn hide(&mut self, secrets: Vec<String>) {
        self.stderr.hide(secrets);
    }

    /// Takes output.
    pub fn handle_stdout(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        self.take_lines();
        if *self.output() != Output::Events && self.buffer.len() > PASS_OUTPUT_BYTES_MAX {
            self.fail_too_large();
        }
    }

    /// Takes a part of stderr. Complete lines are passed to `log`.
    pub fn handle_stderr(&mut self, bytes: &[u8], log: &mut dyn FnMut(&str)) {
        self.stderr.handle(bytes, log);
    }

    /// The program has ended, and all of its output was handled.
    pub fn handle_exit(&mut self, exit: Exit, log: &mut dyn FnMut(&str)) {
        self.stderr.end(log);
        self.exit = Some(exit);
        self.take_lines();
    }

    /// Takes an order about what it may stream. Returns what it gives back.
    pub fn handle_feed(&mut self, order: FeedOrder) -> usize {
        match order {
            FeedOrder::Grant(bytes) => {
                self.grant_bytes = self.grant_bytes.saturating_add(bytes);
                self.has_asked = false;
            }
            FeedOrder::Refuse if self.pending.is_some() => {
                self.pending = None;
                self.fail(pass::feed_full(), true);
            }
            FeedOrder::TakeBack if self.pending.is_none() => return mem::take(&mut self.grant_bytes),
            FeedOrder::Refuse | FeedOrder::TakeBack => return 0,
        }
        if let Some(note) = self.pending.take() {
            self.note(note);
        }
        self.take_lines();
        0
    }

    /// The server holds too much output of all programs.
    pub fn handle_shortage(&mut self) {
        self.fail("the programs of this server have too much output at a time that is not used yet".to_owned(), false);
    }

    /// Returns how many bytes more it must be granted before it continues. Each request is returned once.
    pub fn poll_feed_wanted(&mut self) -> Option<usize> {
        let note = self.pending.as_ref().filter(|_| !self.has_asked)?;
        self.has_asked = true;
        Some(note.feed_bytes().saturating_sub(self.grant_bytes))
    }

    /// Returns whether there are notes to take.
    pub fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Takes what was streamed.
    pub fn take_notes(&mut self) -> Vec<Note> {
        let notes = mem::take(&mut self.notes);
        let was_full = mem::take(&mut self.notes_bytes) >= NOTES_BYTES_MAX;
        if was_full {
            self.take_lines();
        }
        notes
    }

    /// Returns whether output can be taken now.
    pub fn wants_stdout(&self) -> bool {
        self.pending.is_none() && self.notes_bytes < NOTES_BYTES_MAX
    }

    /// Returns whether the pass fails, whatever the program still does.
    pub fn is_faulty(&self) -> bool {
        self.fault.is_some()
    }

    /// Returns whether the program has ended and all of its output is processed, so that [`Dialogue::finish`] may
    /// follow.
    pub fn is_complete(&self) -> bool {
        let is_used = self.wants_stdout() && (*self.output() != Output::Events || !self.has_line());
        self.exit.is_some() && (self.fault.is_some() || is_used)
    }

    /// Returns the bytes of output that it holds.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len() + self.kept_bytes + self.notes_bytes
    }

    fn output(&self) -> &Output {
        match &self.command.action {
            Action::Run(program) => &program.output,
            Action::Wait(..) | Action::Emit(_) => &Output::Value,
        }
    }

    fn fail(&mut self, text: String, is_hopeless: bool) {
        self.fault.get_or_insert(Fault { text, is_hopeless });
        self.buffer = Vec::new();
        (self.scanned, self.kept_bytes) = (0, 0);
        (self.sent, self.returned, self.writes) = Default::default();
    }

    fn fail_too_large(&mut self) {
        let text = format!("the output of its program exceeds {PASS_OUTPUT_BYTES_MAX} bytes: split the work");
        self.fail(text, true);
    }

    fn fail_long_line(&mut self, line: u64) {
        self.fail(format!("line {line} of its output exceeds {PROGRAM_LINE_BYTES_MAX} bytes"), false);
    }

    /// Returns whether the buffer has something to process: a line, or the last one of a program that ended well.
    fn has_line(&self) -> bool {
        let is_last = self.exit == Some(Exit::Code(0));
        if is_last { !self.buffer.is_empty() } else { memchr::memchr(b'\n', &self.buffer[self.scanned..]).is_some() }
    }

    /// Uses complete lines, as far as they may be streamed.
    fn take_lines(&mut self) {
        if *self.output() != Output::Events {
            return;
        }
        let buffer = mem::take(&mut self.buffer);
        let (mut at, mut scanned) = (0, mem::take(&mut self.scanned));
        while self.fault.is_none() && self.wants_stdout() && at < buffer.len() {
            let end = memchr::memchr(b'\n', &buffer[scanned..]).map(|found| scanned + found);
            let is_last = self.exit == Some(Exit::Code(0));
            scanned = buffer.len();
            let line = match end {
                Some(end) => &buffer[at..end],
                None if is_last => &buffer[at..],
                None => break,
            };
            at = end.map_or(buffer.len(), |end| end + 1);
            scanned = at;
            self.lines += 1;
            self.take_line(line);
        }
        if self.fault.is_some() {
            return;
        }
        self.scanned = scanned.max(at) - at;
        self.buffer = if at == 0 { buffer } else { buffer[at..].to_vec() };
        if self.buffer.len() > PROGRAM_LINE_BYTES_MAX && self.wants_stdout() {
            self.fail_long_line(self.lines + 1);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        if line.len() > PROGRAM_LINE_BYTES_MAX {
            return self.fail_long_line(self.lines);
        }
        if line.trim_ascii().is_empty() {
            return;
        }
        let graph = Arc::clone(&self.graph);
        let step = graph.step(self.step);
        match lines::read(&graph, step, line) {
            Ok(Said::Streamed(event, value)) => self.stream(event, value),
            Ok(Said::Emitted(event, value)) => self.emit(step, event, value),
            Ok(Said::State(writes)) => {
                for (key, write) in writes {
                    self.count(key.len() + write.bytes());
                    self.writes.push((key, write));
                }
            }
            Err(fault) => {
                let error = self.stderr.without_secrets(format!("line {} of its output{fault}", self.lines));
                self.fail(error, false);
            }
        }
    }

    fn emit(&mut self, step: &StepType, event: EventId, value: Json) {
        self.count(value.as_str().len());
        if !step.returns.contains(&event) {
            self.sent.push((event, value));
        } else if step.fan_out || self.returned.is_empty() {
            self.returned.push((event, value));
        } else {
            let error =
                format!("line {} of its output: the step has emitted already, and may emit one event", self.lines);
            self.fail(error, false);
        }
    }

    /// Counts bytes that are held until the end.
    fn count(&mut self, bytes: usize) {
        self.kept_bytes += bytes + PROGRAM_ENTRY_BYTES;
        if self.kept_bytes > PASS_OUTPUT_BYTES_MAX {
            self.fail_too_large();
        }
    }

    fn stream(&mut self, event: EventId, value: Json) {
        let hash = pass::stream_hash(&self.graph.event(event).name, value.as_str());
        let ordinal = self.stream_ordinal;
        self.stream_ordinal += 1;
        if !self.publishes_anew && self.published.get(ordinal as usize) == Some(&hash) {
            return;
        }
        self.publishes_anew = true;
        self.note(Note::Stream { ordinal, hash, event: EventRef::Known(event), value });
    }

    fn note(&mut self, note: Note) {
        let feed_bytes = note.feed_bytes();
        if feed_bytes > self.grant_bytes {
            self.pending = Some(note);
            return;
        }
        self.grant_bytes -= feed_bytes;
        self.notes_bytes += note.bytes();
        self.notes.push(note);
    }

    /// Returns the record of the pass, in time proportional to the output. [`Dialogue::is_complete`] must hold.
    pub fn finish(mut self) -> Done {
        match self.end() {
            Ok(()) => {
                let state = StateUse { version: self.state_version, writes: self.writes, ..StateUse::default() };
                Done { end: PassEnd::Returned(self.returned), sent: self.sent, state }
            }
            Err(Fault { text, is_hopeless }) => {
                let code = self.exit.filter(|_| self.fault.is_none());
                let retry = match code {
                    Some(Exit::Code(NEVER_AGAIN)) => false,
                    Some(Exit::Code(TRY_AGAIN)) => true,
                    _ => !is_hopeless && self.command.retries(),
                };
                let mut error = text;
                error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
                Done::of(PassEnd::Failed { error, retry }).with_version(self.state_version)
            }
        }
    }

    /// Checks how the program ended, and uses an output that is one value.
    fn end(&mut self) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(Fault { text: fault.text.clone(), is_hopeless: fault.is_hopeless });
        }
        let exit = self.exit.unwrap_or(Exit::Code(0));
        if exit != Exit::Code(0) {
            let tail = self.stderr.tail();
            let text = if tail.is_empty() { exit.to_string() } else { format!("{exit}: {tail}") };
            return Err(Fault { text, is_hopeless: false });
        }
        let read = match self.output().clone() {
            Output::Events => Ok(()),
            Output::Value => self.read_value(),
            Output::Text(field) => self.read_text(&field),
        };
        let checked = read.and_then(|()| self.check_emitted());
        checked.map_err(|text| Fault { text: self.stderr.without_secrets(text), is_hopeless: false })
    }

    fn check_emitted(&self) -> Result<(), String> {
        let step = self.graph.step(self.step);
        let may_be_empty = self.command.may_emit_nothing || step.fan_out || step.returns.is_empty();
        if may_be_empty || !self.returned.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = step.returns.iter().map(|event| &*self.graph.event(*event).name).collect();
        Err(format!("its program ended without an event; the step emits {}", names.join(" or ")))
    }

    fn read_value(&mut self) -> Result<(), String> {
        let output = mem::take(&mut self.buffer);
        let text = str::from_utf8(&output).map_err(|error| format!("the output of its program is no text: {error}"))?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        let graph = Arc::clone(&self.graph);
        let step = graph.step(self.step);
        let shown = OneLine::new(text, QUOTED_BYTES_MAX);
        let Some(&event) = step.returns.first() else {
            return Err(format!("the step emits nothing, but its program printed `{shown}`"));
        };
        let check = |text: &str, depth_max| {
            json::check(text.as_bytes(), depth_max)
                .map_err(|error| format!("the output of its program is not one value of JSON: {error}; got `{shown}`"))
        };
        let of = |value: &str| {
            checked(&graph, event, value).map(|value| (event, value)).map_err(|fault| format!("its output: {fault}"))
        };
        if !step.fan_out {
            check(text, JSON_DEPTH_MAX)?;
            if !(text == "null" && self.command.may_emit_nothing) {
                self.returned.push(of(text)?);
            }
            return Ok(());
        }
        check(text, JSON_DEPTH_MAX + 1)?;
        let elements: Vec<&serde_json::value::RawValue> = serde_json::from_str(text).map_err(|_| {
            let name = &graph.event(event).name;
            format!("its output: expected an array of {name}, got {}: `{shown}`", json::with_article(json::kind(text)))
        })?;
        for (index, element) in elements.into_iter().enumerate() {
            self.count(element.get().len());
            let value = of(element.get()).map_err(|fault| format!("element {index} of {fault}"))?;
            self.returned.push(value);
        }
        self.fault.take().map_or(Ok(()), |fault| Err(fault.text))
    }

    fn read_text(&mut self, field: &str) -> Result<(), String> {
        let output = mem::take(&mut self.buffer);
        let text = str::from_utf8(&output).map_err(|error| format!("the output of its program is no text: {error}"))?;
        let Some(&event) = self.graph.step(self.step).returns.first() else {
            return Err("the step emits nothing, but its output is the text of a field".to_owned());
        };
        if text.is_empty() {
            return Ok(());
        }
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        let object = serde_json::json!({ field: text }).to_string();
        let value = checked(&self.graph, event, &object).map_err(|fault| format!("its output: {fault}"))?;
        self.returned.push((event, value));
        Ok(())
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Unknown => formatter.write_str("ended, but another part of this process has asked for its exit code"),
            Self::Signal(signal) => match SIGNALS.iter().find(|(number, _)| number == signal) {
                Some((_, name)) => write!(formatter, "killed by signal {signal} ({name})"),
                None => write!(formatter, "killed by signal {signal}"),
            },
        }
    }
}

/// `EX_DATAERR` of sysexits.h: the input is at fault.
const NEVER_AGAIN: i32 = 65;
/// `EX_TEMPFAIL`.
const TRY_AGAIN: i32 = 75;

/// Signals that have the same number on every Unix.
const SIGNALS: [(i32, &str); 12] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
];
