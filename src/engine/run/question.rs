//! Questions that steps ask somebody outside, and answers that wait for a question.

use serde::{Deserialize, Serialize};

use super::timer::Timer;
use crate::{
    cost,
    graph::{EventId, Graph, StepId},
    json::{Json, Members},
};

/// An open question: the type that answers it, and the work that waits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) answer: EventId,
    pub(super) work: u64,
}

/// What a work that asks stores of its question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asking {
    /// The question's feed number.
    pub(super) sequence: u64,
    /// Its ordinal among the waits of the work.
    pub(super) ordinal: u32,
    pub(super) question: EventId,
    pub(super) matching: Vec<(String, Json)>,
    pub(super) timer: Option<Timer>,
}

/// A question that a step returned, whose answer another step takes: nothing in the run waits on it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Its feed number.
    pub(super) sequence: u64,
    pub(super) question: EventId,
}

/// An answer that arrived before its question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EarlyAnswer {
    pub(super) event: EventId,
    pub(super) value: Json,
    /// The step that it is for, if one was named.
    pub(super) step: Option<StepId>,
    /// Whether it waits in an inbox of that step.
    pub(super) in_inbox: bool,
    /// Its members, read in advance, so that a question can quickly skip answers that do not match.
    #[serde(skip)]
    pub(super) members: Members,
}

/// A question that may be answered now, as described to people.
#[derive(Debug)]
pub struct OpenQuestion<'a> {
    /// Its type.
    pub question: EventId,
    /// Its number in the feed.
    pub sequence: u64,
    /// The members that its answer must have, with their values.
    pub matching: &'a [(String, Json)],
}

impl Asking {
    pub(super) fn cost_bytes(&self) -> usize {
        let matching = self.matching.iter().map(|(member, value)| {
            size_of::<(String, Json)>() + cost::block(member.len()) + cost::text(value.as_str().len())
        });
        QUESTION_BYTES + matching.sum::<usize>()
    }
}

impl EarlyAnswer {
    pub(super) fn cost_bytes(&self) -> usize {
        size_of::<Self>() + cost::text(self.value.as_str().len()) + self.members.cost_bytes()
    }
}

/// Returns whether any step, or the named one, declares a question that this type answers.
pub(super) fn declared(graph: &Graph, answer: EventId, step: Option<StepId>) -> bool {
    match step {
        Some(step) => graph.step(step).asks.iter().any(|(_, by)| *by == answer),
        None => graph.is_answer(answer),
    }
}

/// The memory of a question in its work and in the table of the run.
const QUESTION_BYTES: usize = cost::boxed::<Asking>() + cost::elements::<(u64, Question)>(1);
