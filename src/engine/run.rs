//! One run: a reducer. [`Run::handle`] is the only way it changes.
//!
//! What a work goes through; a pass of it is with a worker, or on its way there, only while it runs:
//!
//! ```text
//!   new ──► Queued, or Held with a slot at once
//!
//!   Queued ──a slot is free──► Held ──it may start──► Running ──returned──► gone
//!                                                       ├─conflict──► Held, its pass number one on
//!                                                       ├─sleep─────► Sleeping ──over──► Held, in its slot
//!                                                       ├─ask───────► Asking ──answer or time-out──► as new
//!                                                       ├─failed────► Delayed ──due──► as new
//!                                                       └─failed at last──► Held, to give its `on_failure` event;
//!                                                                           without one the run fails
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
    pass::PassInput,
    values::Values,
};
pub use facts::Remains;
use facts::{Facts, Phase, Turn};
pub use question::OpenQuestion;
pub use state::Changed;
use timer::RUN_TIMER;
use work::WorkPhase;

/// One execution of a workflow.
///
/// Give it its [`Input::Started`], carry out the effects in order, and give it what comes of them: [`Input::Noted`] and
/// [`Input::Done`] of passes, [`Input::Due`] of timers, until it says [`Effect::Finish`].
#[derive(Debug)]
pub struct Run {
    graph: Arc<Graph>,
    facts: Facts,
    remains: Option<Box<Remains>>,
}

impl Run {
    /// A run before its [`Input::Started`]. `id` seeds what looks random: the jitter of retries.
    pub fn new(graph: Arc<Graph>, id: uuid::Uuid, handler_id: Arc<str>) -> Self {
        Self { graph, facts: Facts::new(id, handler_id), remains: None }
    }

    /// The same run with a feed that may be as long as it likes, because old events leave it. A journal is to be folded
    /// as it was written: with all of it, or none.
    #[must_use]
    pub fn with_window(mut self) -> Self {
        self.facts.feed_is_window = true;
        self
    }

    /// The same run that defers what comes to more than so many events at once, instead of `EVENTS_AT_ONCE`. A
    /// journal is to be folded as it was written.
    #[must_use]
    pub fn with_events_at_once(mut self, events: u32) -> Self {
        self.facts.events_at_once = events.max(1);
        self
    }

    /// Whether its feed may be as long as it likes.
    pub fn has_window(&self) -> bool {
        self.facts.feed_is_window
    }

    /// Reduces one input. Appends what is to be done to `effects`, in order. Never panics: an input that is late,
    /// twice or unknown changes nothing.
    pub fn handle(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let Self { graph, facts, remains } = self;
        facts.reduce(&mut Turn { graph, now, effects, remains }, input);
    }

    /// What the run no longer needs and would take long to free, if there is anything.
    pub fn take_remains(&mut self) -> Option<Box<Remains>> {
        self.remains.take()
    }

    /// What is still owed: passes to start, timers to arm, parts to go on with. After a crash, exactly what the lost
    /// effects were. Nothing before the run has started and after it has ended.
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

    /// What to hand to a worker for this pass, with the state as it is now; `None` if the pass is stale.
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

    /// The step whose body this pass runs; `None` if the pass is stale.
    pub fn pass_step(&self, pass: PassId) -> Option<StepId> {
        self.facts.running_work(pass).map(|work| work.step)
    }

    /// Whether an event from outside would be taken: asked before it is made an input.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_external(&self, external: &External) -> Result<(), Refusal> {
        match self.facts.phase {
            Phase::New | Phase::Ended(_) => Err(Refusal::Ended),
            _ => self.facts.destination(&self.graph, external).map(drop),
        }
    }

    /// Why the run can never go on, if nothing is left to do in it and nothing from outside can change that.
    pub fn stuck(&self) -> Option<String> {
        let runs = matches!(self.facts.phase, Phase::Waiting | Phase::Admitted);
        runs.then(|| self.facts.stuck(&self.graph)).flatten()
    }

    /// Bytes of what it has published, as `Feed::cost_bytes` counts them.
    pub fn feed_bytes(&self) -> usize {
        self.facts.feed_bytes
    }

    /// Its works: number, step, attempt, and what they do now, in a word.
    pub fn works(&self) -> impl Iterator<Item = (u64, StepId, u32, &'static str)> {
        self.facts.works.iter().map(|(number, work)| (number, work.step, work.attempt, work.phase.name()))
    }

    /// The number that its next event will get.
    pub fn next_sequence(&self) -> u64 {
        self.facts.next_sequence
    }

    /// Whether it may start passes: it has its place under `max_runs`.
    pub fn is_admitted(&self) -> bool {
        matches!(self.facts.phase, Phase::Admitted)
    }

    /// Whether none of its passes runs or is to start, and nothing is deferred: nothing goes on before a timer is due
    /// or something comes from outside.
    pub fn only_waits(&self) -> bool {
        self.facts.running == 0 && self.facts.deferred.is_empty()
    }

    /// The outcome, once there is one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.facts.phase {
            Phase::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The state, for continuing this run's handler.
    pub fn state(&self) -> Values {
        self.facts.state.values().clone()
    }

    /// What of the state has changed since the run began; `None` unless the store keeps apart what it was then.
    pub fn changed(&self) -> Option<Changed> {
        self.facts.state.changed()
    }

    /// What the state cost that the run began with, if the store keeps that apart.
    pub fn kept_state_bytes(&self) -> usize {
        self.facts.state.kept_bytes()
    }

    /// A run of a snapshot has of a state that is kept apart only what has changed since the run began; `state` is what
    /// it was then, or any later one of the same run.
    #[must_use]
    pub fn with_kept_state(mut self, state: &Values) -> Self {
        self.facts.state.rest_on(state);
        self
    }

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

    /// What it costs in memory beside its feed: events, questions, state, what its works remember. Follows from its
    /// inputs; does not count passes that are with workers.
    pub fn cost_bytes(&self) -> usize {
        RUN_BYTES + self.facts.cost_bytes + self.facts.index_bytes() + self.facts.state.values().cost_bytes()
    }

    /// What the answers that its works remember cost of that.
    pub fn answers_bytes(&self) -> usize {
        self.facts.answers_bytes
    }
}

/// A run that has nothing to do.
const RUN_BYTES: usize = cost::boxed::<Run>();
