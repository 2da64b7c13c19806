//! `steprill run`: starts a run, follows it, answers its questions, and prints its result.

use std::io::{self, IsTerminal as _};

use serde_json::{Map, Value};

use super::{
    arguments::Arguments,
    calls::{self, Client},
    failure::{Exit, Failure, Result},
    feed::{Event, Feed, Next},
    feeds, fields,
    handlers::note_unknown,
    link,
    prompt::{self, Typed},
    questions::{Answered, Question, Questions},
    show,
};

/// Runs a workflow of a server.
pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    let name = arguments.first();
    let handler = client.start(name, &start_event(&client, arguments)?)?;
    let id = show::text(&handler, "handler_id").to_owned();
    if arguments.has("--no-wait") {
        if arguments.has("--ndjson") {
            show::json(&handler)?;
        } else {
            show::line(&show::escaped(&id))?;
        }
        return Ok(Exit::Done);
    }
    link::watch_interrupts()?;
    if io::stderr().is_terminal() && !arguments.has("--quiet") {
        show::note(&show::escaped(&format!("{name} runs as {id}")));
    }
    let mut following = Following { client: &client, arguments, workflow: name, id: &id, questions: None };
    following.follow()?;
    let handler = client.handler(&id)?;
    if !arguments.has("--ndjson") {
        return calls::finish(&handler);
    }
    match calls::exit_of(&handler) {
        // The last event is the result.
        Exit::Done => Ok(Exit::Done),
        exit => calls::finish(&handler).map(|_| exit),
    }
}

/// Returns the fields of the start event: those of `--json`, and on top of them those of the operands.
fn start_event(client: &Client, arguments: &Arguments) -> Result<Map<String, Value>> {
    let mut fields = arguments.value("--json").map(fields::read).transpose()?.unwrap_or_default();
    let given = &arguments.operands()[1..];
    if !given.is_empty() {
        let schema = client.schema(arguments.first())?["start"].take();
        let unknown = fields::add(&mut fields, given, &schema)?;
        note_unknown(&unknown, show::text(&schema, "title"), &schema);
    }
    Ok(fields)
}

/// A run that is followed.
struct Following<'a> {
    client: &'a Client,
    arguments: &'a Arguments,
    workflow: &'a str,
    id: &'a str,
    /// Read from the server at the first question.
    questions: Option<Questions<'a>>,
}

impl Following<'_> {
    /// Follows the run to its end.
    fn follow(&mut self) -> Result<()> {
        let mut feed = Feed::new(self.client, self.id, -1, false);
        loop {
            match feed.next(None)? {
                Next::Event(event) => {
                    self.show(&event)?;
                    if let Some(question) = Question::of(&event) {
                        self.ask(&question)?;
                    }
                }
                Next::End => return Ok(()),
                Next::Silent => {}
                Next::Interrupted => {
                    interrupted(self.client, self.id)?;
                }
            }
        }
    }

    fn show(&self, event: &Event) -> Result<()> {
        if self.arguments.has("--ndjson") {
            return show::json(&event.json());
        }
        // The result contains the same.
        if self.arguments.has("--quiet") || event.is_stop() { Ok(()) } else { feeds::shown(event) }
    }

    /// Asks a question at the terminal until the server has its answer, or prints how to answer it.
    fn ask(&mut self, question: &Question) -> Result<()> {
        if !prompt::is_possible() {
            show::note(&show::escaped(&format!("waiting for an answer: `steprill answer {} FIELD=VALUE...`", self.id)));
            return Ok(());
        }
        let questions = match self.questions.take() {
            Some(questions) => questions,
            None => Questions::of(self.client, self.workflow)?,
        };
        let questions = self.questions.insert(questions);
        loop {
            match questions.ask(self.id, question) {
                Ok(Answered::Sent(_)) => return Ok(()),
                Ok(Answered::Left) => {
                    show::note(&format!("the question is open; `steprill answer {}` answers it", self.id));
                    return Ok(());
                }
                Ok(Answered::Interrupt) => {
                    if interrupted(self.client, self.id)? == Choice::Cancelled {
                        return Ok(());
                    }
                }
                // The server checks more than the form does.
                Err(failure) if failure.exit == Exit::Failed && failure.text.ends_with("(status 400)") => {
                    show::note(&show::escaped(&failure.text));
                }
                // Another client has answered, or the run has ended: the feed shows which.
                Err(failure) if failure.exit == Exit::Failed && failure.text.ends_with("(status 409)") => {
                    show::note(&show::escaped(&failure.text));
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// What a person has chosen after Ctrl-C. Leaving the run is not among it, as that ends the program.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    GoOn,
    Cancelled,
}

/// Ctrl-C: asks what to do with the run.
fn interrupted(client: &Client, id: &str) -> Result<Choice> {
    let left = || {
        let text = format!("left the run; `steprill events {id} --follow` follows it, `steprill cancel {id}` ends it");
        Failure { exit: Exit::Interrupted, text }
    };
    if !prompt::is_possible() {
        return Err(left());
    }
    show::note("");
    loop {
        let typed = prompt::ask("Cancel the run (c), leave it running (d), or go on (Enter)? ")?;
        let Typed::Line(text) = typed else { return Err(left()) };
        match text.trim().to_lowercase().as_str() {
            "c" | "cancel" => {
                match client.cancel(id, false) {
                    // The feed ends, and the handler shows how.
                    Ok(_) => {}
                    Err(failure) => show::note(&show::escaped(&failure.text)),
                }
                return Ok(Choice::Cancelled);
            }
            "d" | "detach" | "l" | "leave" => return Err(left()),
            "" => return Ok(Choice::GoOn),
            _ => {}
        }
    }
}
