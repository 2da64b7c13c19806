//! All handlers and their runs: which may start, what is ready, what is due, who reads.
//!
//! The order of calls in a turn of the loop: `handle_*` and commands in any order; [`Scheduler::seal`], and once that
//! batch is committed [`Scheduler::handle_committed`]; then the `poll_*` methods until they return nothing.
//!
//! This implements the write-ahead rule: the effects of an input wait until the batch with that input is committed.

mod asking;
mod channels;
mod commits;
mod compaction;
mod count;
mod cursors;
mod damage;
mod failure;
mod fold;
mod grants;
mod handler;
mod health;
mod held;
mod life;
mod limits;
mod names;
mod new_run;
mod notice;
mod outbox;
mod parking;
mod passes;
mod phase;
mod policies;
mod retention;
mod room;
mod rules;
mod troubles;
mod waste;
mod workflows;

use std::sync::Arc;

use channels::Channels;
use commits::Commits;
use count::Tally;
use cursors::Cursors;
use health::Health;
use life::Handlers;
use names::Names;
use outbox::Outbox;
use parking::Parking;
use passes::Passes;
use policies::Policies;
use retention::Retention;
use workflows::Workflows;

use crate::{
    engine::{
        input::Effect,
        keys::{HandlerKey, RunKey, WorkflowId},
        storage::Recall,
        stored::{Beginning, StoredHandler},
        timers::Timers,
    },
    graph::Graph,
};

/// Handlers, runs, timers and ready passes.
#[derive(Debug)]
pub struct Scheduler {
    workflows: Workflows,
    policies: Policies,
    handlers: Handlers,
    names: Names,
    channels: Channels,
    tally: Tally,
    health: Health,
    retention: Retention,
    parking: Parking,
    cursors: Cursors,
    timers: Timers,
    passes: Passes,
    commits: Commits,
    outbox: Outbox,
    /// Reused for its allocation.
    effects: Vec<Effect>,
}

impl Scheduler {
    /// Creates a scheduler without runs, over an empty store with this recall. The ids of handlers are made from
    /// `secret`.
    pub fn new(graphs: Vec<Arc<Graph>>, limits: SchedulerLimits, recall: Recall, secret: u128) -> Self {
        let registered = graphs.len();
        let beginning = Beginning { recall, secret, ..Beginning::default() };
        Self { timers: Timers::default(), ..Self::resume(graphs, registered, limits, &beginning) }
    }

    /// Creates a scheduler that continues where its store left off; call [`Scheduler::recover`] next. The first
    /// `registered` of the graphs are those of the present workflows, the others come from the store.
    pub fn resume(graphs: Vec<Arc<Graph>>, registered: usize, limits: SchedulerLimits, beginning: &Beginning) -> Self {
        let policies = Policies::new(beginning.recall, limits);
        let workflows = Workflows::new(graphs, registered);
        let tally = Tally::new(workflows.count(), policies.counts_feeds());
        Self {
            workflows,
            policies,
            handlers: Handlers::default(),
            names: Names::new(beginning.secret, beginning.issued),
            channels: Channels::default(),
            tally,
            health: Health::new(&beginning.aside),
            retention: Retention::new(&policies, beginning.finished),
            parking: Parking::new(policies.idle_after),
            cursors: Cursors::default(),
            timers: Timers::new(beginning.newest.alive_us + 1),
            passes: Passes::default(),
            commits: Commits::new(beginning.newest),
            outbox: Outbox::default(),
            effects: Vec::new(),
        }
    }

    /// Returns the graph of a workflow.
    ///
    /// # Panics
    /// If the scheduler does not have it.
    pub fn graph(&self, workflow: WorkflowId) -> &Arc<Graph> {
        self.workflows.graph(workflow)
    }

    /// Returns the workflow with that name.
    pub fn workflow(&self, name: &str) -> Option<WorkflowId> {
        self.workflows.find(name)
    }

    /// Returns the handler with that id, if it is resident: see [`Scheduler::residence`].
    pub fn find(&self, id: &str) -> Option<HandlerKey> {
        let is_made = |key| self.handlers.get(key).is_some_and(|handler| *handler.id == *id);
        self.names.ids.resolve(id, |id| self.names.chosen.get(id).copied(), is_made)
    }

    /// Returns what the API shows of a handler; `None` if it is not resident.
    pub fn view(&self, key: HandlerKey) -> Option<HandlerView<'_>> {
        self.handlers.get(key).map(|handler| handler.view(self.graph(handler.workflow)))
    }

    /// Returns what the API shows of a handler that the store returned, with this id.
    pub fn view_stored<'a>(&'a self, stored: &'a StoredHandler, id: &'a str) -> HandlerView<'a> {
        HandlerView {
            id,
            graph: self.graph(stored.workflow),
            run_id: stored.run_id,
            outcome: stored.end.as_ref().map(|end| &end.outcome).or_else(|| self.health.aside(stored.key)),
            started_us: stored.started_us,
            updated_us: stored.updated_us,
            completed_us: (stored.end.is_some() || self.health.is_aside(stored.key)).then_some(stored.updated_us),
            failed_step: None,
        }
    }

    /// Returns what the store recalls.
    pub fn recall(&self) -> Recall {
        self.policies.recall
    }

    /// Returns whether a handler's run does nothing before something arrives from outside: no pass, no timer.
    pub fn waits_for_outside(&self, key: HandlerKey) -> bool {
        let handler = self.handlers.get(key);
        handler.is_some_and(|handler| {
            handler.armed.is_empty() && handler.life.run().is_some_and(|run| run.is_admitted() && run.only_waits())
        })
    }

    /// Returns the workflow of a handler.
    pub fn workflow_of(&self, key: HandlerKey) -> Option<WorkflowId> {
        self.handlers.get(key).map(|handler| handler.workflow)
    }

    /// Returns the newest run of a handler.
    pub fn run_of(&self, key: HandlerKey) -> Option<RunKey> {
        self.handlers.get(key).map(|handler| RunKey { handler: key, run: handler.run })
    }

    /// Returns the next handler in order of creation.
    pub fn next_handler(&self, after: Option<HandlerKey>) -> Option<HandlerKey> {
        let from = after.map_or(0, |key| key.0 + 1);
        self.handlers.first_from(HandlerKey(from))
    }

    /// Returns whether the newest run of this handler has ended and its queue was read to the end.
    pub fn is_drained(&self, key: HandlerKey) -> bool {
        self.handlers.get(key).is_some_and(|handler| handler.channel.is_drained())
    }

    /// Returns the number of the newest run's first event, whether or not it has left the feed's window.
    pub fn feed_begin(&self, key: HandlerKey) -> Option<u64> {
        self.handlers.get(key).map(|handler| handler.channel.begin())
    }

    /// Returns the first and next number of the newest run's feed, as far as readers may see it.
    pub fn feed_range(&self, key: HandlerKey) -> Option<std::ops::Range<u64>> {
        self.handlers.get(key).map(|handler| handler.channel.first()..handler.channel.visible())
    }
}

pub use asking::Asked;
pub use count::Counts;
pub use fold::{Fold, Folded, JournalError};
pub use handler::HandlerView;
pub use limits::SchedulerLimits;
pub use new_run::{NewRun, StartAs, StartRefused};
pub use notice::{NotResident, Notice, PostRefused};
pub use parking::Residence;
pub use passes::{Capacity, Lane, StartPass, StepLanes};
pub use troubles::{Trouble, TroubleKind};
pub use waste::Waste;
