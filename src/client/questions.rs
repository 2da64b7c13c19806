//! Questions that a run asks, and which event answers them.

use serde_json::{Map, Value};
use steprill::limits::CLIENT_QUESTIONS_MAX;

use super::{
    calls::{Client, Destination},
    failure::{Failure, Result},
    feed::Event,
    form::{self, Filled},
    prompt::{self, Typed},
    show,
};

/// What the graph of a workflow contains about its questions.
#[derive(Debug)]
pub(super) struct Questions<'a> {
    client: &'a Client,
    workflow: String,
    /// Pairs of nodes.
    edges: Vec<(String, String)>,
}

/// A question that was asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Its number in the feed, if the server has numbers.
    pub(super) number: Option<i64>,
    pub(super) kind: String,
    pub(super) value: Value,
}

/// How answering has ended.
#[derive(Debug)]
pub(super) enum Answered {
    /// The server's reply.
    Sent(Value),
    Left,
    Interrupt,
}

impl Question {
    pub(super) fn of(event: &Event) -> Option<Self> {
        let is_question = event.is_a("InputRequiredEvent");
        is_question.then(|| Self { number: event.number, kind: event.kind().to_owned(), value: event.value().clone() })
    }
}

impl<'a> Questions<'a> {
    pub(super) fn of(client: &'a Client, workflow: &str) -> Result<Self> {
        let graph = client.graph(workflow)?;
        let edges = graph["edges"].as_array().into_iter().flatten();
        let edge = |edge: &Value| (show::text(edge, "source").to_owned(), show::text(edge, "target").to_owned());
        Ok(Self { client, workflow: workflow.to_owned(), edges: edges.map(edge).collect() })
    }

    fn has(&self, source: &str, target: &str) -> bool {
        self.edges.iter().any(|(from, to)| from == source && to == target)
    }

    /// Returns the steps that wait for the question's answer themselves: the question goes out of them, the answer in.
    fn askers<'b>(&'b self, question: &str) -> impl Iterator<Item = &'b str> {
        self.edges.iter().filter(move |(_, to)| to == question).map(|(from, _)| from.as_str())
    }

    /// Returns whether a step asks this question and waits for the answer.
    fn is_asked(&self, question: &str, answer: &str) -> bool {
        self.askers(question).any(|step| self.has(answer, step))
    }

    /// Returns the events that may answer a question.
    fn answers(&self, question: &str) -> Vec<&str> {
        let outside = self.edges.iter().find(|(from, _)| from == question).map_or("", |(_, to)| to.as_str());
        let all: Vec<&str> = self.edges.iter().filter(|(from, _)| from == outside).map(|(_, to)| to.as_str()).collect();
        let asked: Vec<&str> = all.iter().copied().filter(|answer| self.is_asked(question, answer)).collect();
        if asked.is_empty() { all } else { asked }
    }

    /// Returns the one event that answers a question, as far as the graph shows.
    pub(super) fn answer_of(&self, question: &str) -> Result<&str> {
        match self.answers(question)[..] {
            [answer] => Ok(answer),
            [] => Err(Failure::new(format!("workflow {} has no answer to {question}", self.workflow))),
            ref several => Err(Failure::usage(format!(
                "several events may answer {question}: {}; use `steprill send ID TYPE`",
                several.join(", ")
            ))),
        }
    }

    /// Returns the schema of an event.
    pub(super) fn schema(&self, kind: &str) -> Result<Value> {
        Ok(self.client.event_schema(&self.workflow, kind)?.unwrap_or_default())
    }

    /// Shows a question at the terminal, and asks for its answer until the server takes it.
    pub(super) fn ask(&self, id: &str, question: &Question) -> Result<Answered> {
        show::note(&show::event(&question.kind, &question.value));
        let answers = self.answers(&question.kind);
        let answer = match answers[..] {
            [answer] => answer,
            [] => return self.answer_of(&question.kind).map(|_| Answered::Left),
            _ => match prompt::ask(&format!("  answer with ({}): ", answers.join(" or ")))? {
                Typed::Line(text) => {
                    answers.iter().copied().find(|answer| *answer == text.trim()).unwrap_or(answers[0])
                }
                Typed::Closed => return Ok(Answered::Left),
                Typed::Interrupt => return Ok(Answered::Interrupt),
            },
        };
        let schema = self.schema(answer)?;
        match form::fill(answer, &schema, Map::new())? {
            Filled::Fields(fields) => self.send(id, answer, &fields, question).map(Answered::Sent),
            Filled::Left => Ok(Answered::Left),
            Filled::Interrupt => Ok(Answered::Interrupt),
        }
    }

    /// Sends an answer to exactly this question, if a step waits for it; else to the steps that take it.
    pub(super) fn send(&self, id: &str, answer: &str, fields: &Map<String, Value>, to: &Question) -> Result<Value> {
        let number = to.number.and_then(|number| u64::try_from(number).ok());
        let in_reply_to = number.filter(|_| self.is_asked(&to.kind, answer));
        self.client.send(id, answer, fields, Destination { in_reply_to, step: None })
    }
}

/// Questions in a feed, those that seem to be open first.
#[derive(Default, Debug)]
pub(super) struct Seen {
    open: Vec<Question>,
}

impl Seen {
    /// Notes an event of a feed with internal events: a step that runs again has its answer.
    pub(super) fn note(&mut self, questions: &Questions<'_>, event: &Event) {
        if let Some(question) = Question::of(event) {
            if self.open.len() == CLIENT_QUESTIONS_MAX {
                self.open.remove(0);
            }
            self.open.push(question);
        } else if event.kind() == "StepStateChanged" && show::text(event.value(), "step_state") == "running" {
            let step = show::text(event.value(), "name");
            let input = show::text(event.value(), "input_event_name");
            let is_answered = |question: &Question| {
                let by_itself = questions.askers(&question.kind).any(|asker| asker == step);
                by_itself || questions.answers(&question.kind).contains(&input)
            };
            if let Some(at) = self.open.iter().position(is_answered) {
                self.open.remove(at);
            }
        }
    }

    pub(super) fn open(&self) -> &[Question] {
        &self.open
    }
}
