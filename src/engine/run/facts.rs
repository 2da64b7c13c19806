//! What a run comes to so far, and what one reduction has at hand.

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

/// All that the inputs so far come to; with the graph it decides what the next one does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) id: uuid::Uuid,
    pub(super) handler_id: Arc<str>,
    pub(super) phase: Phase,
    pub(super) next_work: u64,
    /// For timers, early answers and scopes. Timer 0 is the run's time-out.
    pub(super) next_number: u64,
    pub(super) next_sequence: u64,
    pub(super) feed_bytes: usize,
    /// What works, scopes and early answers cost in memory.
    #[serde(skip)]
    pub(super) cost_bytes: usize,
    /// What the answers that works remember cost of that.
    #[serde(skip)]
    pub(super) answers_bytes: usize,
    /// When the run's time-out is due on the alive clock: not at its very beginning, so that this takes one word.
    pub(super) timeout_at_us: Option<NonZeroU64>,
    /// Works in [`WorkPhase::Running`].
    pub(super) running: u32,
    /// Inputs that open scopes have collected.
    pub(super) collected: u32,
    /// Whether works may be in [`WorkPhase::Held`] other than those in `alone`.
    pub(super) held: bool,
    pub(super) works: Table<Box<Work>>,
    pub(super) slots: Slots,
    /// Timers that are armed, and their works.
    pub(super) timers: Table<u64>,
    /// Questions that works wait on, by their feed numbers.
    pub(super) questions: Table<Question>,
    /// Those by what they want, if they are many.
    #[serde(skip)]
    pub(super) open_index: Option<Box<OpenIndex>>,
    /// Questions that steps returned and no event has replied to by number, oldest first.
    pub(super) shown: Box<[Shown]>,
    pub(super) scopes: Table<Box<Scope>>,
    /// Answers that wait for a question, in order of arrival.
    pub(super) early: Table<EarlyAnswer>,
    /// Types of answers that were asked for.
    pub(super) asked: Box<[EventId]>,
    /// Works that are to run alone, in order; the first does, or waits for those that run.
    pub(super) alone: Vec<u64>,
    pub(super) state: State,
    /// Whether what it publishes does not add up to a bound: with a store old events leave its feed.
    #[serde(skip)]
    pub(super) feed_is_window: bool,
    /// Events that one input makes work of, or gives to a fan-in; the others are deferred.
    #[serde(skip, default = "events_at_once")]
    pub(super) events_at_once: u32,
    /// What is deferred. In a snapshot it stands behind the rest, if there is anything.
    #[serde(skip)]
    pub(super) deferred: Table<Box<Deferred>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Before `Input::Started`.
    New,
    /// Reduces its inputs, and starts no pass until `Input::Admitted`.
    Waiting,
    /// Runs.
    Admitted,
    /// Has its outcome.
    Ended(Outcome),
}

/// What one reduction has at hand.
pub(super) struct Turn<'a> {
    pub(super) graph: &'a Graph,
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) remains: &'a mut Option<Box<Remains>>,
}

impl Turn<'_> {
    /// Leaves something to be freed elsewhere.
    pub(super) fn leave(&mut self, remnant: Remnant) {
        let others = self.remains.take();
        *self.remains = Some(Box::new(Remains { remnant, others }));
    }

    /// The same with a work that is done, if it had very many events.
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
    /// What a large run had when it ended.
    Facts(Box<Facts>),
    /// What a pass gave out.
    Emitted(Arc<Emitted>),
    /// The work of a fan-in.
    Work(Box<Work>),
}

impl Facts {
    pub(super) fn new(id: uuid::Uuid, handler_id: Arc<str>) -> Self {
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

    pub(super) fn publish(&mut self, turn: &mut Turn<'_>, event: Published) {
        self.count_published(Feed::cost_bytes(&event));
        turn.effects.push(Effect::Publish(event));
    }

    /// An event that took so many bytes of the feed has been published.
    pub(super) fn count_published(&mut self, bytes: usize) {
        self.feed_bytes = self.feed_bytes.saturating_add(bytes);
        self.next_sequence = self.next_sequence.wrapping_add(1);
    }

    /// Whether so many works from outside fit into what the run has to do.
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

    /// Changes a work, and counts what that makes of its cost.
    pub(super) fn change<R>(&mut self, number: u64, change: impl FnOnce(&mut Work) -> R) -> Option<R> {
        let work = self.works.get_mut(number)?;
        self.cost_bytes -= work.kept_bytes();
        self.answers_bytes -= work.answers_bytes();
        let changed = change(work);
        self.cost_bytes += work.kept_bytes();
        self.answers_bytes += work.answers_bytes();
        Some(changed)
    }

    /// A work is no longer there.
    pub(super) fn uncount(&mut self, work: &Work) {
        self.cost_bytes -= work.cost_bytes();
        self.answers_bytes -= work.answers_bytes();
    }

    /// Counts everything, where it was read from bytes.
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

/// What a run defers beyond, unless told.
fn events_at_once() -> u32 {
    EVENTS_AT_ONCE
}

/// So many events take about as many bytes as are freed apart from the loop.
const LARGE_EVENTS: usize = WASTE_BYTES_MIN / 64;
