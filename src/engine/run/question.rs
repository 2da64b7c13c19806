//! Questions that steps ask somebody outside, and the answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Facts, Turn,
    work::{Timer, WorkPhase},
};
use crate::{
    engine::input::Effect,
    graph::{EventId, Graph, StepId},
    json::Json,
    pass::Wait,
};

/// A question that is open: the type that answers it, and the work that waits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) answer: EventId,
    pub(super) work: u64,
}

/// What a work that asks keeps of its question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asking {
    /// Its place in the run's questions.
    pub(super) number: u64,
    /// Its place among the waits of the work.
    pub(super) ordinal: u32,
    pub(super) question: EventId,
    pub(super) matching: Vec<(String, Json)>,
    pub(super) timer: Option<Timer>,
}

/// An answer that came before its question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EarlyAnswer {
    pub(super) event: EventId,
    pub(super) value: Json,
    /// The step it is for.
    pub(super) step: Option<StepId>,
}

impl Facts {
    /// The oldest open question that an event from outside answers: the work that asked it.
    pub(super) fn find_question(&self, event: EventId, value: &Json, step: Option<StepId>) -> Option<u64> {
        let mut members = Members::new(value);
        let fits = |question: &&Question| {
            let Some(work) = self.works.get(question.work).filter(|work| step.is_none_or(|step| step == work.step))
            else {
                return false;
            };
            matches!(&work.phase, WorkPhase::Asking(asking) if members.match_all(&asking.matching))
        };
        let open = self.questions.iter().map(|(_, question)| question);
        open.filter(|question| question.answer == event).find(fits).map(|question| question.work)
    }

    /// Takes the oldest early answer that fits a question of `step`.
    pub(super) fn take_early(&mut self, answer: EventId, step: StepId, matching: &[(String, Json)]) -> Option<Json> {
        let fits = |early: &EarlyAnswer| {
            early.event == answer
                && early.step.is_none_or(|named| named == step)
                && Members::new(&early.value).match_all(matching)
        };
        let place = self.early.iter().position(fits)?;
        let early = self.early.remove(place);
        self.cost_bytes -= early.cost_bytes();
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        Some(early.value)
    }

    pub(super) fn keep_early(&mut self, event: EventId, value: Json, step: Option<StepId>) {
        let early = EarlyAnswer { event, value, step };
        self.cost_bytes += early.cost_bytes();
        self.early.push(early);
    }

    /// The work's question is answered: its body runs again.
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>, number: u64, value: Json) {
        if let Some(timer) = self.close_question(number, Some(value)) {
            self.timers.remove(timer.id.0);
            turn.effects.push(Effect::Disarm(timer.id));
        }
        self.enter(turn, number);
    }

    /// The work's question is over, with an answer or without: gives the timer that it had.
    pub(super) fn close_question(&mut self, number: u64, answer: Option<Json>) -> Option<Timer> {
        let closed = self.change(number, |work| {
            let WorkPhase::Asking(asking) = std::mem::replace(&mut work.phase, WorkPhase::Queued) else { return None };
            let Asking { number, ordinal, question, timer, .. } = *asking;
            work.memory_mut().remember(ordinal, Wait::Asked { question, answer });
            Some((number, timer))
        });
        let (question, timer) = closed.flatten()?;
        self.questions.remove(question);
        timer
    }
}

/// Whether a step, or the named one, declares a question that this type answers.
pub(super) fn declared(graph: &Graph, answer: EventId, step: Option<StepId>) -> bool {
    let asks = |step: StepId| graph.step(step).asks.iter().any(|(_, by)| *by == answer);
    match step {
        Some(step) => asks(step),
        None => (0..graph.steps.len()).any(|index| asks(StepId(index as u16))),
    }
}

/// The members of an answer, read only if a question looks at them.
struct Members<'a> {
    value: &'a Json,
    members: Option<Map<String, Value>>,
}

impl<'a> Members<'a> {
    fn new(value: &'a Json) -> Self {
        Self { value, members: None }
    }

    fn match_all(&mut self, matching: &[(String, Json)]) -> bool {
        matching.is_empty() || {
            let members = self.members.get_or_insert_with(|| self.value.decode().unwrap_or_default());
            matching.iter().all(|(member, wanted)| {
                members.get(member).is_some_and(|found| wanted.decode().is_ok_and(|wanted| equal(found, &wanted)))
            })
        }
    }
}

/// Equal as JSON: `1` and `1.0` are one number, because clients write either.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i128(), other.as_i128()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, one): (&String, &Value)| other.get(name).is_some_and(|other| equal(one, other));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, member: &str, wanted: &str, expected: bool) {
        let json = |text: &str| Json::parse(text).expect("good JSON");
        let matches = Members::new(&json(answer)).match_all(&[(member.to_owned(), json(wanted))]);
        assert_eq!(matches, expected, "{answer} {member} {wanted}");
    }

    #[test]
    fn an_answer_matches_by_the_exact_value_of_its_member() {
        check(r#"{"n":1,"m":2}"#, "n", "1", true);
        check(r#"{"n":1.0}"#, "n", "1", true);
        check(r#"{"n":"1"}"#, "n", "1", false);
        check(r#"{"n":9007199254740993}"#, "n", "9007199254740992", false);
        check(r#"{"n":[{"a":1,"b":null}]}"#, "n", r#"[{"b":null,"a":1.0}]"#, true);
        check(r#"{"n":{"a":1}}"#, "n", r#"{"a":1,"b":2}"#, false);
        check("{}", "n", "null", false);
        check("[1]", "n", "1", false);
    }
}
