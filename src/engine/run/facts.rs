//! The facts of a run, and the context of one reduction.

use std::{num::NonZeroU64, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    deferred::Deferred,
    matching::OpenIndex,
    question::{EarlyAnswer, Question, Shown},
    scope::Scope,
    slots::Slots,
    state::State,
    table::Table,
    timer::RUN_TIMER,
    work::{Work, WorkPhase},
};
use crate::{
    engine::{
        feed::Feed,
        input::{Effect, Outcome, PassId},
        published::Published,
    },
    graph::{EventId, Graph},
    limits::{EVENTS_AT_ONCE, RUN_EVENT_BYTES_MAX, RUN_WORKS_MAX, WASTE_BYTES_MIN},
    now::Now,
    pass::{Emitted, WorkEvent},
};

/// Everything that follows from the inputs so far. Together with the graph it determines the effect of the next one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) id: uuid::Uuid,
    pub(super) handler_id: Arc<str>,
    pub(super) phase: RunPhase,
    pub(super) next_work: u64,
    /// The next number of a timer, early answer or scope. Timer 0 is the run's time-out.
    pub(super) next_number: u64,
    pub(super) next_sequence: u64,
    pub(super) feed_bytes: usize,
    /// The memory that works, scopes and early answers take.
    #[serde(skip)]
    pub(super) cost_bytes: usize,
    /// How much of that the answers take that works remember.
    #[serde(skip)]
    pub(super) answers_bytes: usize,
    /// When the run's time-out is due on the alive clock. Never 0, so that this takes one word.
    pub(super) timeout_at_us: Option<NonZeroU64>,
    /// How many works are in [`WorkPhase::Running`].
    pub(super) running: u32,
    /// How many inputs the open scopes have collected.
    pub(super) collected: u32,
    /// Whether works other than those in `alone` may be in [`WorkPhase::Held`].
    pub(super) held: bool,
    pub(super) works: Table<Box<Work>>,
    pub(super) slots: Slots,
    /// The armed timers, and their works.
    pub(super) timers: Table<u64>,
    /// The questions on which works wait, by feed number.
    pub(super) questions: Table<Question>,
    /// An index of those, if they are many.
    #[serde(skip)]
    pub(super) open_index: Option<Box<OpenIndex>>,
    /// Questions that steps returned and that no event has replied to by number, oldest first.
    pub(super) shown: Box<[Shown]>,
    pub(super) scopes: Table<Box<Scope>>,
    /// Answers that wait for a question, in order of arrival.
    pub(super) early: Table<EarlyAnswer>,
    /// The types of answers that were asked for.
    pub(super) asked: Box<[EventId]>,
    /// Works that must run alone, in order. The first runs, or waits for the running ones to end.
    pub(super) alone: Vec<u64>,
    pub(super) state: State,
    /// Whether the feed is unlimited: with a store, old events leave it.
    #[serde(skip)]
    pub(super) feed_is_window: bool,
    /// The most events that one input turns into works or passes to a fan-in; others are deferred.
    #[serde(skip, default = "events_at_once")]
    pub(super) events_at_once: u32,
    /// What is deferred. A snapshot contains this at its end, if it is not empty.
    #[serde(skip)]
    pub(super) deferred: Table<Box<Deferred>>,
    /// How many passes in a row were lost of works that run. A snapshot contains this at its end, too.
    #[serde(skip)]
    pub(super) lost: Table<u32>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum RunPhase {
    /// Expects `Input::Started`.
    New,
    /// Reduces inputs, but starts no pass before `Input::Admitted`.
    Waiting,
    /// May start passes.
    Admitted,
    /// Has its outcome.
    Ended(Outcome),
}

/// The context of one reduction.
pub(super) struct Reduction<'a> {
    pub(super) graph: &'a Graph,
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) remains: &'a mut Option<Box<Remains>>,
}

impl Reduction<'_> {
    /// Leaves something to be freed elsewhere.
    pub(super) fn leave(&mut self, remnant: Remnant) {
        let others = self.remains.take();
        *self.remains = Some(Box::new(Remains { remnant, others }));
    }

    /// Leaves a finished work to be freed elsewhere, if it has very many events.
    pub(super) fn leave_work(&mut self, work: Box<Work>) {
        if matches!(&work.event, WorkEvent::All(events) if events.len() >= LARGE_EVENTS) {
            self.leave(Remnant::Work(work));
        }
    }
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
pub(super) enum Remnant {
    /// The facts of a large run that has ended.
    Facts(Box<Facts>),
    /// The events of a pass.
    Emitted(Arc<Emitted>),
    /// The work of a fan-in.
    Work(Box<Work>),
}

impl Facts {
    pub(super) fn new(id: uuid::Uuid, handler_id: Arc<str>) -> Self {
        Self {
            id,
            handler_id,
            phase: RunPhase::New,
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
            lost: Table::default(),
        }
    }

    pub(super) fn publish(&mut self, reduction: &mut Reduction<'_>, event: Published) {
        self.count_published(Feed::cost_bytes(&event));
        reduction.effects.push(Effect::Publish(event));
    }

    /// Counts a published event that takes `bytes` of the feed.
    pub(super) fn count_published(&mut self, bytes: usize) {
        self.feed_bytes = self.feed_bytes.saturating_add(bytes);
        self.next_sequence = self.next_sequence.wrapping_add(1);
    }

    /// Returns whether there is room for this many works from outside.
    pub(super) fn takes_more(&self, works: usize) -> bool {
        self.works.len() + self.owed().works + works <= RUN_WORKS_MAX && self.cost_bytes <= RUN_EVENT_BYTES_MAX
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    pub(super) fn running_work(&self, pass: PassId) -> Option<&Work> {
        let work = &**self.works.get(pass.work)?;
        (work.pass == pass.pass && matches!(work.phase, WorkPhase::Running { .. })).then_some(work)
    }

    /// Changes a work and updates the costs.
    pub(super) fn change<R>(&mut self, number: u64, change: impl FnOnce(&mut Work) -> R) -> Option<R> {
        let work = self.works.get_mut(number)?;
        self.cost_bytes -= work.variable_bytes();
        self.answers_bytes -= work.answers_bytes();
        let changed = change(work);
        self.cost_bytes += work.variable_bytes();
        self.answers_bytes += work.answers_bytes();
        Some(changed)
    }

    /// Subtracts the costs of a removed work.
    pub(super) fn uncount(&mut self, work: &Work) {
        self.cost_bytes -= work.cost_bytes();
        self.answers_bytes -= work.answers_bytes();
    }

    /// Computes all counts, after decoding.
    pub(super) fn count(&mut self) {
        for (_, work) in self.works.iter_mut() {
            if let Some(memory) = &mut work.memory {
                memory.count();
            }
        }
        for (_, early) in self.early.iter() {
            early.members.read(&early.value);
        }
        self.index_questions();
        let works: usize = self.works.iter().map(|(_, work)| work.cost_bytes()).sum();
        let scopes: usize = self.scopes.iter().map(|(_, scope)| scope.cost_bytes()).sum();
        let early: usize = self.early.iter().map(|(_, early)| early.cost_bytes()).sum();
        let deferred: usize = self.deferred.iter().map(|(_, deferred)| deferred.cost_bytes()).sum();
        self.cost_bytes = works + scopes + early + deferred;
        self.answers_bytes = self.works.iter().map(|(_, work)| work.answers_bytes()).sum();
    }
}

/// The default of [`Facts::events_at_once`].
fn events_at_once() -> u32 {
    EVENTS_AT_ONCE
}

/// This many events take about as many bytes as make it worth freeing them outside the loop.
const LARGE_EVENTS: usize = WASTE_BYTES_MIN / 64;
