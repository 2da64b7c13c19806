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

mod check;
mod deferred;
mod done;
mod end;
mod matching;
mod memory;
mod note;
mod path;
mod question;
mod route;
mod scope;
mod slots;
mod snapshot;
mod state;
mod table;
mod wait;
mod work;

use std::{num::NonZeroU64, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{
        feed::Feed,
        input::{Effect, External, Input, Outcome, PassId, Refusal, TimerId},
        published::Published,
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::{EVENTS_AT_ONCE, RUN_EVENT_BYTES_MAX, RUN_WORKS_MAX, WASTE_BYTES_MIN},
    now::{Clock, Deadline, Now},
    pass::{Emitted, PassInput, WorkEvent},
    values::Values,
};
use deferred::Deferred;
use matching::OpenIndex;
pub use question::OpenQuestion;
use question::{EarlyAnswer, Question, Shown};
use scope::Scope;
use slots::Slots;
pub use state::Changed;
use state::State;
use table::Table;
use work::{Work, WorkPhase};

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

/// What a run no longer needs and takes long to free.
#[derive(Debug)]
#[expect(dead_code, reason = "it is only dropped")]
pub struct Remains {
    remnant: Remnant,
    others: Option<Box<Remains>>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "it is only dropped")]
enum Remnant {
    /// What a large run had when it ended.
    Facts(Box<Facts>),
    /// What a pass gave out.
    Emitted(Arc<Emitted>),
    /// The work of a fan-in.
    Work(Box<Work>),
}

/// All that the inputs so far come to; with the graph it decides what the next one does.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    id: uuid::Uuid,
    handler_id: Arc<str>,
    phase: Phase,
    next_work: u64,
    /// For timers, early answers and scopes. Timer 0 is the run's time-out.
    next_number: u64,
    next_sequence: u64,
    feed_bytes: usize,
    /// What works, scopes and early answers cost in memory.
    #[serde(skip)]
    cost_bytes: usize,
    /// What the answers that works remember cost of that.
    #[serde(skip)]
    answers_bytes: usize,
    /// When the run's time-out is due on the alive clock: not at its very beginning, so that this takes one word.
    timeout_at_us: Option<NonZeroU64>,
    /// Works in [`WorkPhase::Running`].
    running: u32,
    /// Inputs that open scopes have collected.
    collected: u32,
    /// Whether works may be in [`WorkPhase::Held`] other than those in `alone`.
    held: bool,
    works: Table<Box<Work>>,
    slots: Slots,
    /// Timers that are armed, and their works.
    timers: Table<u64>,
    /// Questions that works wait on, by their feed numbers.
    questions: Table<Question>,
    /// Those by what they want, if they are many.
    #[serde(skip)]
    open_index: Option<Box<OpenIndex>>,
    /// Questions that steps returned and no event has replied to by number, oldest first.
    shown: Box<[Shown]>,
    scopes: Table<Box<Scope>>,
    /// Answers that wait for a question, in order of arrival.
    early: Table<EarlyAnswer>,
    /// Types of answers that were asked for.
    asked: Box<[EventId]>,
    /// Works that are to run alone, in order; the first does, or waits for those that run.
    alone: Vec<u64>,
    state: State,
    /// Whether what it publishes does not add up to a bound: with a store old events leave its feed.
    #[serde(skip)]
    feed_is_window: bool,
    /// Events that one input makes work of, or gives to a fan-in; the others are deferred.
    #[serde(skip, default = "events_at_once")]
    events_at_once: u32,
    /// What is deferred. In a snapshot it stands behind the rest, if there is anything.
    #[serde(skip)]
    deferred: Table<Box<Deferred>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Phase {
    /// Before [`Input::Started`].
    New,
    /// Reduces its inputs, and starts no pass until [`Input::Admitted`].
    Waiting,
    /// Runs.
    Admitted,
    /// Has its outcome.
    Ended(Outcome),
}

/// What one reduction has at hand.
struct Turn<'a> {
    graph: &'a Graph,
    now: Now,
    effects: &'a mut Vec<Effect>,
    remains: &'a mut Option<Box<Remains>>,
}

impl Turn<'_> {
    /// Leaves something to be freed elsewhere.
    fn leave(&mut self, remnant: Remnant) {
        let others = self.remains.take();
        *self.remains = Some(Box::new(Remains { remnant, others }));
    }

    /// The same with a work that is done, if it had very many events.
    fn leave_work(&mut self, work: Box<Work>) {
        if matches!(&work.event, WorkEvent::All(events) if events.len() >= LARGE_EVENTS) {
            self.leave(Remnant::Work(work));
        }
    }
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

    /// The same run that defers what comes to more than so many events at once, instead of [`EVENTS_AT_ONCE`]. A
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

    /// Bytes of what it has published, as [`Feed::cost_bytes`] counts them.
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
}

impl Facts {
    fn new(id: uuid::Uuid, handler_id: Arc<str>) -> Self {
        Self {
            id,
            handler_id,
            phase: Phase::New,
            next_work: 0,
            next_number: RUN_TIMER.0 + 1,
            next_sequence: 0,
            feed_bytes: 0,
            cost_bytes: 0,
            answers_bytes: 0,
            timeout_at_us: None,
            running: 0,
            collected: 0,
            held: false,
            works: Table::default(),
            slots: Slots::default(),
            timers: Table::default(),
            questions: Table::default(),
            open_index: None,
            shown: Box::default(),
            scopes: Table::default(),
            early: Table::default(),
            asked: Box::default(),
            alone: Vec::new(),
            state: State::default(),
            feed_is_window: false,
            events_at_once: EVENTS_AT_ONCE,
            deferred: Table::default(),
        }
    }

    fn reduce(&mut self, turn: &mut Turn<'_>, input: Input) {
        let is_owed = !self.deferred.is_empty() && !matches!(input, Input::GoOn);
        match (&self.phase, input) {
            (Phase::New, Input::Started { event, state, admitted, sequence }) => {
                self.start(turn, event, State::new(state), admitted, sequence);
            }
            (Phase::New, Input::StartedFrom { event, state, admitted, sequence }) => {
                self.start(turn, event, State::kept(state), admitted, sequence);
            }
            (Phase::Waiting, Input::Admitted) => self.admit(turn),
            (Phase::New | Phase::Ended(_), _)
            | (_, Input::Started { .. } | Input::StartedFrom { .. } | Input::Admitted) => return,
            (_, Input::External(external)) => self.external(turn, external),
            (_, Input::Noted { pass, notes }) => self.noted(turn, pass, notes),
            (_, Input::Done { pass, done }) => self.done(turn, pass, done),
            (_, Input::LargeDone { pass, emitted, state }) => self.large_done(turn, pass, emitted, state),
            (_, Input::GoOn) => self.go_on(turn),
            (_, Input::Due { timer }) => self.due(turn, timer),
            (_, Input::Cancel) => self.cancel(turn),
            (_, Input::Fail(error)) => self.fail(turn, None, error, 0),
        }
        self.settle(turn);
        if !is_owed && !self.deferred.is_empty() {
            turn.effects.push(Effect::GoOn);
        }
    }

    fn start(&mut self, turn: &mut Turn<'_>, event: Json, state: State, admitted: bool, sequence: u64) {
        self.state = state;
        self.next_sequence = sequence;
        self.phase = Phase::Waiting;
        if admitted {
            self.admit(turn);
        }
        self.route(turn, (turn.graph.start, event), None, 0);
    }

    fn admit(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Admitted;
        if let Some(timeout) = turn.graph.timeout {
            let deadline = turn.now.deadline(Clock::Alive, timeout);
            self.timeout_at_us = Some(NonZeroU64::new(deadline.at_us).unwrap_or(NonZeroU64::MIN));
            turn.effects.push(Effect::Arm(RUN_TIMER, deadline));
        }
    }

    /// What follows from where a reduction has led.
    fn settle(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Ended(_)) || self.end_if_over(turn) {
            return;
        }
        if self.running == 0 {
            self.state.forget_changes();
        }
        if matches!(self.phase, Phase::Admitted) {
            match self.alone.first() {
                Some(&first) if self.running == 0 => self.launch(turn, first),
                None if self.held => self.release_held(turn),
                _ => {}
            }
        }
        if self.works.is_empty() {
            self.works.shrink();
            self.slots.shrink();
            self.timers.shrink();
            self.questions.shrink();
            self.scopes.shrink();
        }
    }

    fn publish(&mut self, turn: &mut Turn<'_>, event: Published) {
        self.count_published(Feed::cost_bytes(&event));
        turn.effects.push(Effect::Publish(event));
    }

    /// An event that took so many bytes of the feed has been published.
    fn count_published(&mut self, bytes: usize) {
        self.feed_bytes = self.feed_bytes.saturating_add(bytes);
        self.next_sequence = self.next_sequence.wrapping_add(1);
    }

    /// Whether so many works from outside fit into what the run has to do.
    fn takes_more(&self, works: usize) -> bool {
        self.works.len() + self.owed().works + works <= RUN_WORKS_MAX && self.cost_bytes <= RUN_EVENT_BYTES_MAX
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn running_work(&self, pass: PassId) -> Option<&Work> {
        let work = &**self.works.get(pass.work)?;
        (work.pass == pass.pass && matches!(work.phase, WorkPhase::Running { .. })).then_some(work)
    }
}

/// What a run defers beyond, unless told.
fn events_at_once() -> u32 {
    EVENTS_AT_ONCE
}

/// So many events take about as many bytes as are freed apart from the loop.
const LARGE_EVENTS: usize = WASTE_BYTES_MIN / 64;

/// The timer of the run's time-out.
const RUN_TIMER: TimerId = TimerId(0);
