//! One run: a reducer. A run changes only through [`Run::handle`].
//!
//! The phases of a work. An executor has a pass of it, or will get one, only while the work is `Running`:
//!
//! ```text
//!   new ──► Queued, or Held with a slot at once
//!
//!   Queued ──a slot is free──► Held ──it may start──► Running ──returned──► gone
//!                                                       ├─conflict──► Held, with the next pass number
//!                                                       ├─sleep─────► Sleeping ──over──► Held, in its slot
//!                                                       ├─ask───────► Asking ──answer or time-out──► as new
//!                                                       ├─failed────► Delayed ──due──► as new
//!                                                       └─failed for good──► Held, to emit its `on_failure` event
//! ```
//!
//! `Held` has a slot and shows as running, but starts no pass: the run is not admitted yet, or another work runs alone.

mod answer;
mod check;
mod collect;
mod deferred;
mod done;
mod end;
mod facts;
mod launch;
mod lost;
mod matching;
mod note;
mod parts;
mod path;
mod question;
mod reduce;
mod route;
mod scope;
mod slots;
mod snapshot;
mod state;
mod table;
mod timer;
mod wait;
mod work;

use std::sync::Arc;

use crate::{
    cost,
    engine::input::{Effect, External, Input, Outcome, PassId, Refusal},
    graph::{EventId, Graph, StepId},
    json::Json,
    now::{Deadline, Now},
    pass::{PassInput, Wait},
    values::Values,
};
pub use end::timed_out;
pub use facts::Remains;
use facts::{Facts, Reduction, RunPhase};
pub use question::OpenQuestion;
pub use state::Changed;
use timer::RUN_TIMER;
use work::WorkPhase;

/// One execution of a workflow.
///
/// Pass it [`Input::Started`], carry out the effects in order, and pass it their results ([`Input::Noted`] and
/// [`Input::Done`] of passes, [`Input::Due`] of timers) until it emits [`Effect::Finish`].
#[derive(Debug)]
pub struct Run {
    graph: Arc<Graph>,
    facts: Facts,
    remains: Option<Box<Remains>>,
}

/// What the work of a pass has behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassStage {
    /// It has not waited, or is to ask its first question again.
    First,
    /// It has waited.
    Later,
    /// Its last attempt has failed: the pass makes the `on_failure` event.
    Failure,
}

impl Run {
    /// Creates a run, which expects [`Input::Started`]. `id` seeds the jitter of retries.
    pub fn new(graph: Arc<Graph>, id: uuid::Uuid, handler_id: Arc<str>) -> Self {
        Self { graph, facts: Facts::new(id, handler_id), remains: None }
    }

    /// Makes the feed unlimited, because old events leave it. A journal must be folded with the setting with which it
    /// was written.
    #[must_use]
    pub fn with_window(mut self) -> Self {
        self.facts.feed_is_window = true;
        self
    }

    /// Makes the run defer what leads to more than `events` events at once, instead of `EVENTS_AT_ONCE`. A journal must
    /// be folded with the setting with which it was written.
    #[must_use]
    pub fn with_events_at_once(mut self, events: u32) -> Self {
        self.facts.events_at_once = events.max(1);
        self
    }

    /// Returns whether its feed is unlimited.
    pub fn has_window(&self) -> bool {
        self.facts.feed_is_window
    }

    /// Reduces one input. Appends the effects to carry out to `effects`, in order. Never panics: an input that is late,
    /// duplicate or unknown changes nothing.
    pub fn handle(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let Self { graph, facts, remains } = self;
        facts.reduce(&mut Reduction { graph, now, effects, remains }, input);
    }

    /// Returns what the run no longer needs and would take long to free, if anything.
    pub fn take_remains(&mut self) -> Option<Box<Remains>> {
        self.remains.take()
    }

    /// Returns the effects that are still to be carried out: passes to start, timers to arm, deferred parts. After a
    /// crash these are exactly the lost effects. Empty before the run has started and after it has ended.
    pub fn pending(&self) -> Vec<Effect> {
        let timeout = self.facts.timeout_at_us.map(|at_us| Deadline::alive(at_us.get()));
        let of_run = timeout.map(|deadline| Effect::Arm(RUN_TIMER, deadline));
        let of_works = self.facts.works.iter().filter_map(|(number, work)| match work.phase {
            WorkPhase::Running { .. } => Some(Effect::StartPass(PassId { work: number, pass: work.pass })),
            _ => work.timer().map(|timer| Effect::Arm(timer.id, timer.deadline)),
        });
        let of_deferred = (!self.facts.deferred.is_empty()).then_some(Effect::GoOn);
        of_run.into_iter().chain(of_works).chain(of_deferred).collect()
    }

    /// Returns what an executor needs for this pass, with the present state; `None` if the pass is stale.
    pub fn pass_input(&self, pass: PassId) -> Option<PassInput> {
        let work = self.facts.running_work(pass)?;
        let memory = work.memory.as_deref();
        Some(PassInput {
            run_id: self.facts.id,
            handler_id: Arc::clone(&self.facts.handler_id),
            work: pass.work,
            attempt: work.attempt,
            event: work.event.clone(),
            state: self.facts.state.snapshot(),
            waits: memory.map(|memory| memory.waits.clone()).unwrap_or_default(),
            once: memory.map(|memory| memory.once.clone()).unwrap_or_default(),
            published: memory.map(|memory| memory.published.clone()).unwrap_or_default(),
            failure: memory.and_then(|memory| memory.failure.clone()),
        })
    }

    /// Returns the step whose body this pass runs; `None` if the pass is stale.
    pub fn pass_step(&self, pass: PassId) -> Option<StepId> {
        self.facts.running_work(pass).map(|work| work.step)
    }

    /// Returns that step, and what its work has behind it; `None` if the pass is stale.
    pub fn pass_stage(&self, pass: PassId) -> Option<(StepId, PassStage)> {
        let work = self.facts.running_work(pass)?;
        let stage = work.memory.as_deref().map_or(PassStage::First, |memory| {
            let has_waited = !matches!(memory.waits.get(0), None | Some(Wait::Forgotten { .. }));
            match memory.failure {
                Some(_) => PassStage::Failure,
                None if has_waited => PassStage::Later,
                None => PassStage::First,
            }
        });
        Some((work.step, stage))
    }

    /// Checks whether the run would accept an event from outside. To be called before it becomes an input.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_external(&self, external: &External) -> Result<(), Refusal> {
        match self.facts.phase {
            RunPhase::New | RunPhase::Ended(_) => Err(Refusal::Ended),
            _ => self.facts.destination(&self.graph, external).map(drop),
        }
    }

    /// Returns why the run can never continue, if it has nothing left to do and nothing from outside can change that.
    pub fn stuck(&self) -> Option<String> {
        let runs = matches!(self.facts.phase, RunPhase::Waiting | RunPhase::Admitted);
        runs.then(|| self.facts.stuck(&self.graph)).flatten()
    }

    /// Returns the size of what it has published, as counted by `Feed::cost_bytes`.
    pub fn feed_bytes(&self) -> usize {
        self.facts.feed_bytes
    }

    /// Iterates over its works: number, step, attempt, and the present phase in a word.
    pub fn works(&self) -> impl Iterator<Item = (u64, StepId, u32, &'static str)> {
        self.facts.works.iter().map(|(number, work)| (number, work.step, work.attempt, work.phase.name()))
    }

    /// Returns the number that its next event will get.
    pub fn next_sequence(&self) -> u64 {
        self.facts.next_sequence
    }

    /// Returns whether it was admitted under `max_runs` and may start passes.
    pub fn is_admitted(&self) -> bool {
        matches!(self.facts.phase, RunPhase::Admitted)
    }

    /// Returns whether no pass runs or is to start and nothing is deferred, so that nothing happens before a timer is
    /// due or something arrives from outside.
    pub fn only_waits(&self) -> bool {
        self.facts.running == 0 && self.facts.deferred.is_empty()
    }

    /// Returns the outcome, once there is one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.facts.phase {
            RunPhase::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Returns the state, for continuing this run's handler.
    pub fn state(&self) -> Values {
        self.facts.state.values().clone()
    }

    /// Returns which keys of the state have changed since the run began; `None` unless the store has its initial state.
    pub fn changed(&self) -> Option<Changed> {
        self.facts.state.changed()
    }

    /// Returns the cost of the state with which the run began, if the store has that separately.
    pub fn initial_state_bytes(&self) -> usize {
        self.facts.state.initial_bytes()
    }

    /// Completes a restored run whose snapshot contains only changes to a state that is stored separately. `state` is
    /// the state with which the run began, or any later one of the same run.
    #[must_use]
    pub fn with_initial_state(mut self, state: &Values) -> Self {
        self.facts.state.complete_from(state);
        self
    }

    /// Iterates over the answers that wait for a question, in order of arrival: type, value, and the step that they are
    /// for.
    pub fn waiting_answers(&self) -> impl Iterator<Item = (EventId, &Json, Option<StepId>)> {
        self.facts.early.iter().map(|(_, early)| (early.event, &early.value, early.step))
    }

    /// Returns how many questions may be answered now.
    pub fn open_question_count(&self) -> usize {
        self.facts.questions.len() + self.facts.shown.len()
    }

    /// Iterates over the questions that may be answered now: those for which works wait, then those that steps
    /// returned; each from the oldest.
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

    /// Returns the memory that the run takes besides its feed: events, questions, state, what its works remember. It
    /// follows from the inputs; passes that executors have do not count.
    pub fn cost_bytes(&self) -> usize {
        RUN_BYTES + self.facts.cost_bytes + self.facts.index_bytes() + self.facts.state.values().cost_bytes()
    }

    /// Returns how much of that the answers take that its works remember.
    pub fn answers_bytes(&self) -> usize {
        self.facts.answers_bytes
    }
}

/// The cost of a run that has nothing to do.
const RUN_BYTES: usize = cost::boxed::<Run>();
