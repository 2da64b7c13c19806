//! How questions are opened, answered and closed.

use super::{
    facts::{Facts, Turn},
    matching::{OpenIndex, wanted},
    question::{Asking, EarlyAnswer, Question, Shown},
    route::Destination,
    timer::Timer,
    work::WorkPhase,
};
use crate::{
    engine::input::{Effect, External, Refusal},
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::{EARLY_ANSWERS_MAX, SHOWN_QUESTIONS_MAX},
    pass::Wait,
};

impl Facts {
    /// The oldest open question that an event from outside answers: the work that asked it.
    pub(super) fn find_question(&self, external: &External) -> Option<u64> {
        let External { event, ref value, step, ref members, .. } = *external;
        if let Some(index) = &self.open_index {
            return index.oldest(event, step, (value, members), |sequence| {
                let question = self.questions.get(sequence)?;
                self.fits(question, external).then_some(question.work)
            });
        }
        let open = self.questions.iter().map(|(_, question)| question);
        let mut of_type = open.filter(|question| question.answer == event);
        of_type.find(|question| self.fits(question, external)).map(|question| question.work)
    }

    /// A work waits on a question now.
    pub(super) fn open_question(&mut self, sequence: u64, question: Question) {
        if let Some(mut index) = self.open_index.take() {
            self.index_question(&mut index, sequence, &question);
            self.open_index = Some(index);
        }
        self.questions.push(sequence, question);
        self.index_questions();
    }

    /// Makes an index of the open questions if there are so many that it is worth its memory.
    pub(super) fn index_questions(&mut self) {
        if self.open_index.is_none() && self.questions.len() > INDEXED_QUESTIONS_MIN {
            let mut index = Box::<OpenIndex>::default();
            for (sequence, question) in self.questions.iter() {
                self.index_question(&mut index, sequence, question);
            }
            self.open_index = Some(index);
        }
    }

    /// What the index costs. With few questions it is there only if there were more, which is not counted: what a run
    /// counts follows from what it is.
    pub(super) fn index_bytes(&self) -> usize {
        let index = self.open_index.as_ref().filter(|_| self.questions.len() > INDEXED_QUESTIONS_MIN);
        index.map_or(0, |index| index.cost_bytes())
    }

    fn index_question(&self, index: &mut OpenIndex, sequence: u64, question: &Question) {
        if let (Some(work), Some(asking)) = (self.works.get(question.work), self.asking(question)) {
            index.insert(question.answer, work.step, &asking.matching, sequence);
        }
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
        if self.fits(question, external) { Ok(Some(question.work)) } else { Err(Refusal::NotThatQuestion) }
    }

    /// Whether an answer of the right type, maybe for this step alone, answers the question.
    fn fits(&self, question: &Question, external: &External) -> bool {
        let External { value, step, members, .. } = external;
        step.is_none_or(|step| self.works.get(question.work).is_some_and(|work| work.step == step))
            && self.asking(question).is_some_and(|asking| members.have(value, &wanted(&asking.matching)))
    }

    pub(super) fn asking(&self, question: &Question) -> Option<&Asking> {
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
        if self.early.is_empty() {
            return None;
        }
        let wanted = wanted(matching);
        let fits = |early: &EarlyAnswer| {
            early.event == answer
                && early.step.is_none_or(|named| named == step)
                && early.members.have(&early.value, &wanted)
        };
        let (number, _) = self.early.iter().find(|(_, early)| fits(early))?;
        let early = self.early.remove(number)?;
        self.cost_bytes -= early.cost_bytes();
        self.early.shrink();
        Some(early.value)
    }

    pub(super) fn keep_early(&mut self, external: External, step: Option<StepId>, in_inbox: bool) {
        let External { event, value, members, .. } = external;
        members.read(&value);
        let early = EarlyAnswer { event, value, step, in_inbox, members };
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
            let Asking { sequence, ordinal, question, timer, matching } = *asking;
            work.memory_mut().remember(ordinal, Wait::Asked { question, answer });
            Some((work.step, sequence, timer, matching))
        });
        let (step, sequence, timer, matching) = closed.flatten()?;
        let question = self.questions.remove(sequence);
        if let (Some(index), Some(question)) = (&mut self.open_index, question) {
            index.remove(question.answer, step, &matching, sequence);
            if self.questions.is_empty() {
                self.open_index = None;
            }
        }
        timer
    }
}

/// A run with no more open questions than this has no index of them: to look at each costs less than its memory.
const INDEXED_QUESTIONS_MIN: usize = 32;
