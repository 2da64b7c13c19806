//! Opens, answers and closes questions.

use super::{
    facts::{Facts, Reduction},
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
    limits::{EARLY_ANSWERS_MAX, INDEXED_QUESTIONS_MIN, SHOWN_QUESTIONS_MAX},
    pass::Wait,
};

impl Facts {
    /// Returns the work that asked the oldest open question that an event from outside answers.
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

    /// Records that a work now waits for an answer.
    pub(super) fn open_question(&mut self, sequence: u64, question: Question) {
        if let Some(mut index) = self.open_index.take() {
            self.index_question(&mut index, sequence, &question);
            self.open_index = Some(index);
        }
        self.questions.push(sequence, question);
        self.index_questions();
    }

    /// Builds an index of the open questions, once they are enough to be worth its memory.
    pub(super) fn index_questions(&mut self) {
        if self.open_index.is_none() && self.questions.len() > INDEXED_QUESTIONS_MIN {
            let mut index = Box::<OpenIndex>::default();
            for (sequence, question) in self.questions.iter() {
                self.index_question(&mut index, sequence, question);
            }
            self.open_index = Some(index);
        }
    }

    /// Returns the cost of the index. It does not count if there are few questions, where it exists only if there were
    /// more before: the cost of a run must follow from its state.
    pub(super) fn index_bytes(&self) -> usize {
        let index = self.open_index.as_ref().filter(|_| self.questions.len() > INDEXED_QUESTIONS_MIN);
        index.map_or(0, |index| index.cost_bytes())
    }

    fn index_question(&self, index: &mut OpenIndex, sequence: u64, question: &Question) {
        if let (Some(work), Some(asking)) = (self.works.get(question.work), self.asking(question)) {
            index.insert(question.answer, work.step, &asking.matching, sequence);
        }
    }

    /// Returns the work that waits on the question with this number, if the event answers it; `None` if a step returned
    /// the question, so that no work waits.
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

    /// Returns whether an answer of the right type, perhaps for a named step only, answers the question.
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

    /// Returns where an answer waits if no question is open: as an early answer until its type is first asked for, or
    /// in the first inbox that has room.
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

    /// Removes and returns the oldest waiting answer that fits a question of `step`.
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

    pub(super) fn store_early(&mut self, external: External, step: Option<StepId>, in_inbox: bool) {
        let External { event, value, members, .. } = external;
        members.read(&value);
        let early = EarlyAnswer { event, value, step, in_inbox, members };
        self.cost_bytes += early.cost_bytes();
        let number = self.number();
        self.early.push(number, early);
    }

    /// Records that a step has returned a question, which got this feed number.
    pub(super) fn note_shown(&mut self, sequence: u64, question: EventId) {
        let forgotten = (self.shown.len() + 1).saturating_sub(SHOWN_QUESTIONS_MAX);
        let known = self.shown[forgotten..].iter().copied();
        self.shown = known.chain([Shown { sequence, question }]).collect();
    }

    /// Forgets a question that a step returned, as somebody has replied to it.
    pub(super) fn forget_shown(&mut self, sequence: u64) {
        self.shown = self.shown.iter().copied().filter(|shown| shown.sequence != sequence).collect();
    }

    /// Answers the work's question, so that its body runs again.
    pub(super) fn answer(&mut self, reduction: &mut Reduction<'_>, number: u64, value: Json) {
        if let Some(timer) = self.close_question(number, Some(value)) {
            self.timers.remove(timer.id.0);
            reduction.effects.push(Effect::Disarm(timer.id));
        }
        self.enter(reduction, number);
    }

    /// Closes the work's question, with or without an answer. Returns its timer.
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
