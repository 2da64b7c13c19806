//! `steprill answer`: finds the question that a run asks, and answers it.

use serde_json::Map;
use steprill::limits::{CLIENT_DRAINED_WAIT, CLIENT_QUESTION_WAITS_MAX};

use super::{
    arguments::Arguments,
    calls::Client,
    failure::{Exit, Failure, Result},
    feed::{Feed, Next},
    fields, form,
    handlers::{note_unknown, sent},
    link, prompt,
    questions::{Answered, Question, Questions, Seen},
    show,
};

/// Answers a question of a run.
pub(super) fn answer(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    let (id, given) = (arguments.first(), &arguments.operands()[1..]);
    if given.is_empty() && !prompt::is_possible() {
        return Err(Failure::usage("answer: expected FIELD=VALUE, as stdin is no terminal at which to ask"));
    }
    let handler = client.handler(id)?;
    if show::text(&handler, "status") != "running" {
        let status = show::text(&handler, "status");
        return Err(Failure::new(format!("the run asks nothing: it has ended ({status})")));
    }
    let questions = Questions::of(&client, show::text(&handler, "workflow_name"))?;
    let open = open_questions(&client, id, &questions)?;
    let question = match arguments.number("--question")? {
        Some(number) => open.iter().find(|question| question.number == Some(number)),
        None => open.first(),
    };
    let Some(question) = question else {
        let numbers: Vec<String> = open.iter().filter_map(|question| Some(question.number?.to_string())).collect();
        return Err(Failure::new(if numbers.is_empty() {
            "the run asks nothing now".to_owned()
        } else {
            format!("there is no open question of this number; open: {}", numbers.join(", "))
        }));
    };
    if open.len() > 1 {
        show::note(&format!("{} questions are open; --question N chooses one", open.len()));
    }
    if given.is_empty() {
        link::watch_interrupts()?;
        return match questions.ask(id, question)? {
            Answered::Sent(reply) => sent(arguments, &reply),
            Answered::Left => Err(Failure::new("no answer was given; the question is still open")),
            Answered::Interrupt => Err(Failure::interrupted()),
        };
    }
    let kind = questions.answer_of(&question.kind)?;
    let schema = questions.schema(kind)?;
    let mut fields = Map::new();
    note_unknown(&fields::add(&mut fields, given, &schema)?, kind, &schema);
    if prompt::is_possible() {
        // Ask for the missing fields.
        link::watch_interrupts()?;
        fields = match form::fill(kind, &schema, fields)? {
            form::Filled::Fields(fields) => fields,
            form::Filled::Left => return Err(Failure::new("no answer was given; the question is still open")),
            form::Filled::Interrupt => return Err(Failure::interrupted()),
        };
    }
    sent(arguments, &questions.send(id, kind, &fields, question)?)
}

/// Reads the feed for the questions that seem to be open, and waits a moment for one.
fn open_questions(client: &Client, id: &str, questions: &Questions<'_>) -> Result<Vec<Question>> {
    let mut feed = Feed::new(client, id, -1, true);
    let (mut seen, mut waits) = (Seen::default(), 0);
    loop {
        match feed.next(Some(CLIENT_DRAINED_WAIT))? {
            Next::Event(event) => seen.note(questions, &event),
            Next::Silent if seen.open().is_empty() && waits < CLIENT_QUESTION_WAITS_MAX => waits += 1,
            Next::End | Next::Silent => return Ok(seen.open().to_vec()),
            Next::Interrupted => return Err(Failure::interrupted()),
        }
    }
}
