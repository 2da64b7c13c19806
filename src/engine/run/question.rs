//! Questions that steps ask somebody outside, and the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Facts, Run, Turn,
    route::Destination,
    work::{Timer, WorkPhase},
};
use crate::{
    engine::input::{Effect, External, Refusal},
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::{EARLY_ANSWERS_MAX, SHOWN_QUESTIONS_MAX},
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
    /// The question's feed number.
    pub(super) sequence: u64,
    /// Its place among the waits of the work.
    pub(super) ordinal: u32,
    pub(super) question: EventId,
    pub(super) matching: Vec<(String, Json)>,
    pub(super) timer: Option<Timer>,
}

/// A question that a step returned, for an event that another step takes: nothing of the run waits on it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Its feed number.
    pub(super) sequence: u64,
    pub(super) question: EventId,
}

/// An answer that came before its question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EarlyAnswer {
    pub(super) event: EventId,
    pub(super) value: Json,
    /// The step it is for.
    pub(super) step: Option<StepId>,
    /// Whether it waits in an inbox of that step.
    pub(super) in_inbox: bool,
}

/// A question that may be answered now, as people are told of it.
#[derive(Debug)]
pub struct OpenQuestion<'a> {
    /// Its type.
    pub question: EventId,
    /// Its number in the feed.
    pub sequence: u64,
    /// The members that its answer must have, with their values.
    pub matching: &'a [(String, Json)],
}

impl Run {
    /// The answers that wait for a question, in order of arrival: type, value, and the step that they are for.
    pub fn waiting_answers(&self) -> impl Iterator<Item = (EventId, &Json, Option<StepId>)> {
        self.facts.early.iter().map(|(_, early)| (early.event, &early.value, early.step))
    }

    /// How many questions may be answered now.
    pub fn open_question_count(&self) -> usize {
        self.facts.questions.len() + self.facts.shown.len()
    }

    /// The questions that may be answered now: those that works wait on, then those that steps returned; each oldest
    /// first.
    pub fn open_questions(&self) -> impl Iterator<Item = OpenQuestion<'_>> {
        let asked = self.facts.questions.iter().filter_map(|(sequence, question)| {
            let asking = self.facts.asking(question)?;
            Some(OpenQuestion { question: asking.question, sequence, matching: &asking.matching })
        });
        let shown = self.facts.shown.iter();
        asked.chain(shown.map(|shown| OpenQuestion {
            question: shown.question,
            sequence: shown.sequence,
            matching: &[],
        }))
    }
}

impl Facts {
    /// The oldest open question that an event from outside answers: the work that asked it.
    pub(super) fn find_question(&self, event: EventId, value: &Json, step: Option<StepId>) -> Option<u64> {
        let mut members = Members::new(value);
        let open = self.questions.iter().map(|(_, question)| question);
        let mut of_type = open.filter(|question| question.answer == event);
        of_type.find(|question| self.fits(question, &mut members, step)).map(|question| question.work)
    }

    /// The work that waits on the question of this number, if the event answers it; `None` if a step returned that
    /// question, so that no work waits on it.
    pub(super) fn replied(&self, sequence: u64, external: &External) -> Result<Option<u64>, Refusal> {
        let Some(question) = self.questions.get(sequence) else {
            let is_shown = self.shown.iter().any(|shown| shown.sequence == sequence);
            return if is_shown { Ok(None) } else { Err(Refusal::NotThatQuestion) };
        };
        if question.answer != external.event {
            return Err(Refusal::AnswersOther);
        }
        let fits = self.fits(question, &mut Members::new(&external.value), external.step);
        if fits { Ok(Some(question.work)) } else { Err(Refusal::NotThatQuestion) }
    }

    /// Whether an answer of the right type, maybe for this step alone, answers the question.
    fn fits(&self, question: &Question, members: &mut Members<'_>, step: Option<StepId>) -> bool {
        step.is_none_or(|step| self.works.get(question.work).is_some_and(|work| work.step == step))
            && self.asking(question).is_some_and(|asking| members.match_all(&asking.matching))
    }

    fn asking(&self, question: &Question) -> Option<&Asking> {
        match &self.works.get(question.work)?.phase {
            WorkPhase::Asking(asking) => Some(asking),
            _ => None,
        }
    }

    /// Where an answer waits for which no question is open: until its type is asked for the first time as an early
    /// answer, and in the first inbox that has room.
    pub(super) fn waiting_place(
        &self,
        graph: &Graph,
        event: EventId,
        step: Option<StepId>,
    ) -> Result<Destination<'static>, Refusal> {
        let is_early = !self.asked.contains(&event);
        if is_early && self.early.iter().filter(|(_, early)| !early.in_inbox).count() < EARLY_ANSWERS_MAX {
            return Ok(Destination::Early);
        }
        let mut refusal = if is_early { Refusal::EarlyAnswersFull } else { Refusal::NoQuestion };
        for (index, declared) in graph.steps.iter().enumerate() {
            let owner = StepId(index as u16);
            let inbox = declared.inboxes.iter().find(|(answer, _)| *answer == event);
            let Some((_, count)) = inbox.filter(|_| step.is_none_or(|step| step == owner)) else { continue };
            let for_owner = |early: &EarlyAnswer| early.event == event && early.step.is_none_or(|step| step == owner);
            if self.early.iter().filter(|(_, early)| for_owner(early)).count() < *count as usize {
                return Ok(Destination::Inbox(owner));
            }
            refusal = Refusal::InboxFull;
        }
        Err(refusal)
    }

    /// Takes the oldest early answer that fits a question of `step`.
    pub(super) fn take_early(&mut self, answer: EventId, step: StepId, matching: &[(String, Json)]) -> Option<Json> {
        let fits = |early: &EarlyAnswer| {
            early.event == answer
                && early.step.is_none_or(|named| named == step)
                && Members::new(&early.value).match_all(matching)
        };
        let (number, _) = self.early.iter().find(|(_, early)| fits(early))?;
        let early = self.early.remove(number)?;
        self.cost_bytes -= early.cost_bytes();
        self.early.shrink();
        Some(early.value)
    }

    pub(super) fn keep_early(&mut self, early: EarlyAnswer) {
        self.cost_bytes += early.cost_bytes();
        let number = self.number();
        self.early.push(number, early);
    }

    /// A step has returned a question, which got this feed number.
    pub(super) fn note_shown(&mut self, sequence: u64, question: EventId) {
        let forgotten = (self.shown.len() + 1).saturating_sub(SHOWN_QUESTIONS_MAX);
        let known = self.shown[forgotten..].iter().copied();
        self.shown = known.chain([Shown { sequence, question }]).collect();
    }

    /// Somebody has replied to a question that a step returned.
    pub(super) fn forget_shown(&mut self, sequence: u64) {
        self.shown = self.shown.iter().copied().filter(|shown| shown.sequence != sequence).collect();
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
            let Asking { sequence, ordinal, question, timer, .. } = *asking;
            work.memory_mut().remember(ordinal, Wait::Asked { question, answer });
            Some((sequence, timer))
        });
        let (sequence, timer) = closed.flatten()?;
        self.questions.remove(sequence);
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
    read: Option<Map<String, Value>>,
    /// The texts of those that questions look at: thousands of them may look at one.
    texts: BTreeMap<String, String>,
}

impl<'a> Members<'a> {
    fn new(value: &'a Json) -> Self {
        Self { value, read: None, texts: BTreeMap::new() }
    }

    fn match_all(&mut self, matching: &[(String, Json)]) -> bool {
        matching.iter().all(|(member, wanted)| {
            let members = self.read.get_or_insert_with(|| self.value.decode().unwrap_or_default());
            let Some(found) = members.get(member) else { return false };
            let text = match self.texts.get(member) {
                Some(text) => text,
                None => self.texts.entry(member.clone()).or_insert_with(|| found.to_string()),
            };
            is_same(found, text, wanted)
        })
    }
}

/// Whether a member has the wanted value. The texts tell it without decoding, where equal values have equal texts.
fn is_same(found: &Value, text: &str, wanted: &Json) -> bool {
    let wanted_text = wanted.as_str();
    let is_integer = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && text != "-0";
    let decided = match found {
        _ if text == wanted_text => return true,
        Value::Null | Value::Bool(_) => true,
        Value::String(_) => !wanted_text.contains('\\'),
        Value::Number(_) => is_integer(text) && is_integer(wanted_text),
        Value::Array(_) | Value::Object(_) => false,
    };
    !decided && wanted.decode().is_ok_and(|wanted| equal(found, &wanted))
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
        check(r#"{"n":"a\nb"}"#, "n", r#""a\u000ab""#, true);
        check(r#"{"n":"a"}"#, "n", r#""b""#, false);
        check(r#"{"n":true}"#, "n", "1", false);
        check(r#"{"n":2}"#, "n", "2e0", true);
        check("[1]", "n", "1", false);
    }
}
