//! A handler: an id, and its newest run.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicUsize},
};

use uuid::Uuid;

use crate::{
    engine::{
        channel::Channel,
        input::{Outcome, TimerId},
        run::Run,
        scheduler::{CallerId, HandlerView, WorkflowId},
    },
    graph::Graph,
    json::Json,
    now::Deadline,
};

/// What the scheduler keeps of a handler.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) id: Arc<str>,
    pub(super) workflow: WorkflowId,
    /// Counts the runs of this handler, from 0.
    pub(super) run: u32,
    pub(super) run_id: Uuid,
    pub(super) phase: Phase,
    /// Whether the run has a place under `max_runs`.
    pub(super) admitted: bool,
    pub(super) started_us: i64,
    pub(super) updated_us: i64,
    /// The number that the next event gets.
    pub(super) next_sequence: u64,
    pub(super) channel: Channel,
    /// Timers of the run that are armed.
    pub(super) armed: BTreeMap<TimerId, Deadline>,
    /// Tags of its passes that are with a worker.
    pub(super) passes: Vec<u64>,
    /// What the feed can still take of stream writes; shared with the lines of its passes, made with the first of them.
    pub(super) feed_room_bytes: Option<Arc<AtomicUsize>>,
    /// Whom to tell when the run has ended.
    pub(super) caller: Option<CallerId>,
}

/// Where a handler's newest run stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits for a place under `max_runs`, or runs.
    Running(Box<Run>),
    /// It has ended.
    Ended {
        outcome: Outcome,
        /// For continuing it; empty unless it completed.
        state: BTreeMap<Arc<str>, Json>,
        completed_us: i64,
        /// What is kept of the run: outcome, state, feed.
        bytes: usize,
    },
}

impl Handler {
    /// What the API shows. A run counts as ended only once its end is kept.
    pub(super) fn view<'a>(&'a self, graph: &'a Graph) -> HandlerView<'a> {
        let (outcome, completed_us) = match &self.phase {
            Phase::Ended { outcome, completed_us, .. } if self.channel.is_ended() => {
                (Some(outcome), Some(*completed_us))
            }
            _ => (None, None),
        };
        HandlerView {
            id: &self.id,
            graph,
            run_id: self.run_id,
            outcome,
            started_us: self.started_us,
            updated_us: self.updated_us,
            completed_us,
        }
    }

    /// Whether its newest run has ended and that is kept.
    pub(super) fn is_over(&self) -> bool {
        self.finished_bytes().is_some()
    }

    /// Bytes that are kept of its newest run, if that has ended and that is kept.
    pub(super) fn finished_bytes(&self) -> Option<usize> {
        match self.phase {
            Phase::Ended { bytes, .. } if self.channel.is_ended() => Some(bytes),
            _ => None,
        }
    }

    /// Whether retention may remove it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_over() && !self.channel.is_busy()
    }
}
