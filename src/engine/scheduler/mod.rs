//! All handlers and their runs: which may start, what is ready, what is due, who reads.
//!
//! The order of calls in a turn of the loop: `handle_*` and commands in any order; [`Scheduler::seal`], and once that
//! batch is committed [`Scheduler::handle_committed`]; then the `poll_*` methods until they return nothing.
//!
//! This implements the write-ahead rule: the effects of an input wait until the batch with that input is committed.

mod absent;
mod asking;
mod commit;
mod compact;
mod count;
mod damage;
mod failure;
mod fold;
mod gone;
mod grants;
mod handler;
mod life;
mod parking;
mod passes;
mod policies;
mod reading;
mod recovery;
mod reduce;
mod retention;
mod room;
mod starts;
mod troubles;
mod waste;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

pub use asking::Asked;
pub use count::Counts;
pub use fold::{Fold, Folded};
pub use handler::HandlerView;
pub use parking::Residence;
pub use passes::{Capacity, StartPass};
pub use starts::{NewRun, Place, StartRefused};
pub use troubles::{Trouble, TroubleKind};
pub use waste::Waste;

use crate::{
    engine::{
        channel::{Channel, ReaderId},
        ids::HandlerIds,
        input::{Effect, External, Input, Refusal},
        kept::{Beginning, KeptHandler},
        keys::{CallerId, HandlerKey, Keys, RunKey, WorkflowId},
        run::{OpenQuestion, Run},
        storage::{Batch, Recall},
        timers::{Timer, Timers},
        window::FeedKeep,
    },
    graph::Graph,
    limits::{
        COMPACTED_COST_BYTES_MIN, EVENTS_AT_ONCE, FINISHED_BYTES_MAX_DEFAULT, IDLE_AFTER_DEFAULT,
        KEEP_FINISHED_DEFAULT, ROW_STATE_BYTES_MAX, RUNS_MAX_DEFAULT, TURN_TIMERS_MAX,
    },
    now::Now,
};
use absent::Absentees;
use asking::Asking;
use commit::Held;
use count::Tally;
use damage::Damage;
use gone::Gone;
use handler::Handler;
use parking::Parking;
use passes::Passes;
use policies::Policies;
use reading::Cursors;
use retention::Retention;
use room::Room;

/// The limits of a scheduler.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerLimits {
    /// The most runs, including waiting ones; beyond it a start is refused.
    pub runs_max: usize,
    /// The most finished handlers that are retained.
    pub keep_finished: usize,
    /// How long these are retained; `None` for as long as their number allows.
    pub keep_for: Option<Duration>,
    /// The most bytes of outcomes, states and feeds of resident finished handlers; the newest is always retained. If
    /// the store recalls them, they leave memory but not the store.
    pub finished_bytes_max: usize,
    /// If the store recalls everything: how long a run that only waits stays in memory.
    pub idle_after: Duration,
    /// If the store recalls everything: how much of a run's feed is retained.
    pub feed_keep: FeedKeep,
    /// If the store recalls everything: the most bytes that it may take. Beyond, finished handlers are removed, the
    /// longest ended first, and when none is left that may be removed, no run starts. `None` for no limit.
    pub data_bytes_max: Option<u64>,
    /// The most events that one input turns into works: see [`Run::with_events_at_once`].
    pub events_at_once: u32,
    /// If the store recalls everything: the snapshots of runs that cost at least this are made outside the loop.
    pub compacted_cost_bytes_min: usize,
    /// If the store recalls everything: the most that a state in the record of its run's start may cost. A larger one
    /// is stored separately, and a run that continues its handler does not write it again.
    pub record_state_bytes_max: usize,
}

impl Default for SchedulerLimits {
    fn default() -> Self {
        Self {
            runs_max: RUNS_MAX_DEFAULT,
            keep_finished: KEEP_FINISHED_DEFAULT,
            keep_for: None,
            finished_bytes_max: FINISHED_BYTES_MAX_DEFAULT,
            idle_after: IDLE_AFTER_DEFAULT,
            feed_keep: FeedKeep::default(),
            data_bytes_max: None,
            events_at_once: EVENTS_AT_ONCE,
            compacted_cost_bytes_min: COMPACTED_COST_BYTES_MIN,
            record_state_bytes_max: ROW_STATE_BYTES_MAX,
        }
    }
}

/// What the server is to do, once the cause is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The run has new events, or its end, for its readers.
    Published(RunKey),
    /// The run has ended; reply to the caller who waits for it.
    Ended(RunKey, CallerId),
    /// This waiting reader now has the queue's lock.
    Turn(ReaderId),
    /// The handler that this reader reads, or waits to read, was purged.
    Gone(ReaderId),
    /// The run that this reader reads, or waits to read, could not be committed and does not exist.
    Lost(ReaderId),
    /// The handler whose end this caller waits for was removed.
    CallerGone(CallerId),
    /// The run that this caller began could not be committed and does not exist.
    NotKept(CallerId),
    /// The run whose end this caller waits for is rolled back, because the store has failed: its end cannot be
    /// committed or read now. Repeated with each failure.
    Delayed(HandlerKey, CallerId),
    /// The run whose end this caller waits for cannot continue, and nothing of it can be read.
    Unread(CallerId),
    /// Load this handler and pass it to [`Scheduler::handle_kept`]: something has arrived for its run.
    Load(HandlerKey),
    /// Query this many of the longest ended handlers, and pass them to [`Scheduler::handle_oldest`].
    Oldest(usize),
}

/// The run of this handler is only in the store. Once [`Scheduler::handle_kept`] has got the handler, the command can
/// be repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotResident(pub HandlerKey);

/// Why an event from outside is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostRefused {
    /// The run is not resident.
    NotResident(NotResident),
    /// The run refuses it.
    ByRun(Refusal),
}

impl From<NotResident> for PostRefused {
    fn from(not_resident: NotResident) -> Self {
        Self::NotResident(not_resident)
    }
}

/// Handlers, runs, timers and ready passes.
#[derive(Debug)]
pub struct Scheduler {
    graphs: Vec<Arc<Graph>>,
    /// How many of the graphs are registered.
    registered: usize,
    workflows: HashMap<Box<str>, WorkflowId>,
    limits: SchedulerLimits,
    policies: Policies,
    handlers: BTreeMap<HandlerKey, Box<Handler>>,
    ids: HandlerIds,
    /// Ids that clients chose, of resident handlers. For lookup only; never iterated.
    names: HashMap<Arc<str>, HandlerKey>,
    gone: Gone,
    keys: Keys,
    /// Channels of earlier runs that still have readers, and of handlers that are not resident.
    earlier: BTreeMap<RunKey, Channel>,
    absent: Absentees,
    tally: Tally,
    asking: Asking,
    damage: Damage,
    /// Why the last commit failed, if it did.
    store_fault: Option<String>,
    /// How often the store has failed recently.
    failing: failure::Failing,
    retention: Retention,
    room: Room,
    parking: Parking,
    cursors: Cursors,
    timers: Timers,
    passes: Passes,
    /// Runs that have deferred something, in order; each once.
    deferring: VecDeque<RunKey>,
    batch: Batch,
    held: Held,
    committing: VecDeque<(u64, Held)>,
    notices: VecDeque<Notice>,
    troubles: VecDeque<Trouble>,
    waste: Vec<Waste>,
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
        let named = |(index, graph): (usize, &Arc<Graph>)| (graph.name.clone(), WorkflowId(index as u16));
        let workflows = graphs.iter().take(registered).enumerate().map(named).collect();
        let policies = Policies::new(beginning.recall, &limits);
        let tally = Tally::new(graphs.len(), policies.counts_feeds());
        Self {
            graphs,
            registered,
            workflows,
            limits,
            policies,
            handlers: BTreeMap::new(),
            ids: HandlerIds::new(beginning.secret),
            names: HashMap::new(),
            gone: Gone::default(),
            keys: Keys::resume(beginning.issued),
            earlier: BTreeMap::new(),
            absent: Absentees::default(),
            failing: failure::Failing::default(),
            tally,
            asking: Asking::default(),
            store_fault: None,
            damage: Damage::new(&beginning.aside),
            retention: Retention::new(policies.retained, beginning.finished),
            room: Room::default(),
            parking: Parking::new(policies.idle_after),
            cursors: Cursors::default(),
            timers: Timers::new(beginning.newest.alive_us + 1),
            passes: Passes::default(),
            deferring: VecDeque::new(),
            batch: Batch { number: 1, now: beginning.newest, ..Batch::default() },
            held: Held::default(),
            committing: VecDeque::new(),
            notices: VecDeque::new(),
            troubles: VecDeque::new(),
            waste: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Returns the graph of a workflow.
    ///
    /// # Panics
    /// If the scheduler does not have it.
    pub fn graph(&self, workflow: WorkflowId) -> &Arc<Graph> {
        &self.graphs[usize::from(workflow.0)]
    }

    /// Returns the workflow with that name.
    pub fn workflow(&self, name: &str) -> Option<WorkflowId> {
        self.workflows.get(name).copied()
    }

    /// Returns the handler with that id, if it is resident: see [`Scheduler::residence`].
    pub fn find(&self, id: &str) -> Option<HandlerKey> {
        let is_made = |key| self.handlers.get(&key).is_some_and(|handler| *handler.id == *id);
        self.ids.resolve(id, |id| self.names.get(id).copied(), is_made)
    }

    /// Returns what the API shows of a handler; `None` if it is not resident.
    pub fn view(&self, key: HandlerKey) -> Option<HandlerView<'_>> {
        self.handlers.get(&key).map(|handler| handler.view(self.graph(handler.workflow)))
    }

    /// Returns what the API shows of a handler that the store returned, with this id.
    pub fn view_kept<'a>(&'a self, kept: &'a KeptHandler, id: &'a str) -> HandlerView<'a> {
        HandlerView {
            id,
            graph: self.graph(kept.workflow),
            run_id: kept.run_id,
            outcome: kept.end.as_ref().map(|end| &end.outcome).or_else(|| self.damage.aside(kept.key)),
            started_us: kept.started_us,
            updated_us: kept.updated_us,
            completed_us: (kept.end.is_some() || self.is_aside(kept.key)).then_some(kept.updated_us),
            failed_step: None,
        }
    }

    /// Returns what the store recalls.
    pub fn recall(&self) -> Recall {
        self.policies.recall
    }

    /// Returns whether a handler's run does nothing before something arrives from outside: no pass, no timer.
    pub fn waits_for_outside(&self, key: HandlerKey) -> bool {
        let handler = self.handlers.get(&key);
        handler.is_some_and(|handler| {
            handler.armed.is_empty() && handler.life.run().is_some_and(|run| run.is_admitted() && run.only_waits())
        })
    }

    /// Returns the workflow of a handler.
    pub fn workflow_of(&self, key: HandlerKey) -> Option<WorkflowId> {
        self.handlers.get(&key).map(|handler| handler.workflow)
    }

    /// Returns the newest run of a handler.
    pub fn run_of(&self, key: HandlerKey) -> Option<RunKey> {
        self.handlers.get(&key).map(|handler| RunKey { handler: key, run: handler.run })
    }

    /// Returns the next handler in order of creation.
    pub fn next_handler(&self, after: Option<HandlerKey>) -> Option<HandlerKey> {
        let from = after.map_or(0, |key| key.0 + 1);
        self.handlers.range(HandlerKey(from)..).next().map(|(&key, _)| key)
    }

    /// Returns whether the newest run of this handler has ended and its queue was read to the end.
    pub fn is_drained(&self, key: HandlerKey) -> bool {
        self.handlers.get(&key).is_some_and(|handler| handler.channel.is_drained())
    }

    /// Returns the number of the newest run's first event, whether or not it has left the feed's window.
    pub fn feed_begin(&self, key: HandlerKey) -> Option<u64> {
        self.handlers.get(&key).map(|handler| handler.channel.begin())
    }

    /// Returns the first and next number of the newest run's feed, as far as readers may see it.
    pub fn feed_range(&self, key: HandlerKey) -> Option<std::ops::Range<u64>> {
        self.handlers.get(&key).map(|handler| handler.channel.first()..handler.channel.visible())
    }

    /// Passes an event from outside to a handler's run.
    ///
    /// # Errors
    /// Why the run refuses it; nothing has changed then.
    pub fn post(&mut self, key: HandlerKey, external: External, now: Now) -> Result<(), PostRefused> {
        let handler = self.resident(key)?;
        let run = handler.life.run().ok_or(PostRefused::ByRun(Refusal::Ended))?;
        if !self.is_served(handler.workflow) {
            return Err(PostRefused::ByRun(Refusal::NotServed));
        }
        run.check_external(&external).map_err(PostRefused::ByRun)?;
        self.reduce(key, Input::External(external), now);
        Ok(())
    }

    /// Iterates over the questions of a handler's run that may be answered now.
    pub fn open_questions(&self, key: HandlerKey) -> impl Iterator<Item = OpenQuestion<'_>> {
        self.live_run(key).into_iter().flat_map(Run::open_questions)
    }

    /// Returns the number of those, without examining each.
    pub fn open_question_count(&self, key: HandlerKey) -> usize {
        self.live_run(key).map_or(0, Run::open_question_count)
    }

    fn live_run(&self, key: HandlerKey) -> Option<&Run> {
        self.handlers.get(&key)?.life.run()
    }

    /// Cancels a running handler. Returns `false` if it is not running.
    ///
    /// # Errors
    /// If its run is not resident; nothing has changed then.
    pub fn cancel(&mut self, key: HandlerKey, now: Now) -> Result<bool, NotResident> {
        self.resident(key)?;
        let is_running = self.live_run(key).is_some();
        if is_running {
            self.reduce(key, Input::Cancel, now);
        }
        Ok(is_running)
    }

    /// Removes a handler, running or not. Its readers end after the events that they have been given.
    ///
    /// # Errors
    /// If its run is not resident; nothing has changed then.
    pub fn purge(&mut self, key: HandlerKey, now: Now) -> Result<(), NotResident> {
        self.cancel(key, now)?;
        self.remove(key);
        Ok(())
    }

    /// Returns a handler whose run is resident or has ended.
    fn resident(&self, key: HandlerKey) -> Result<&Handler, NotResident> {
        let handler = self.handlers.get(&key).filter(|handler| !handler.life.is_parked());
        handler.map(Box::as_ref).ok_or(NotResident(key))
    }

    /// The pass with this tag has noted something.
    pub fn handle_notes(&mut self, tag: u64, notes: Vec<crate::pass::Note>, now: Now) {
        let Some((run, pass)) = self.passes.get(tag) else { return };
        let spent_bytes = self.spent_bytes(tag, &notes);
        self.report(run, Input::Noted { pass, notes }, now);
        if spent_bytes > 0 {
            self.spend(run, tag, spent_bytes);
        }
    }

    /// Passes due timers to their runs, [`TURN_TIMERS_MAX`] at most, and lets one run continue with what it has
    /// deferred; while there is more of either, [`Scheduler::poll_timeout`] returns zero. Also does periodic work.
    pub fn handle_time(&mut self, now: Now) {
        for _ in 0..TURN_TIMERS_MAX {
            let Some(timer) = self.timers.poll_due(now) else { break };
            match timer {
                Timer::Run(run, timer) => self.handle_due(run, timer, now),
                Timer::Pass(tag) => self.handle_pass_timed_out(tag, now),
                Timer::Straggler(tag) => self.abandon(tag),
                Timer::Again(key) => self.handle_pause_over(key, now),
            }
        }
        self.go_on(now);
        self.handle_ages(now);
        self.park_some(now);
        self.cursors.handle_time(now);
        self.handle_clock(now);
        self.handle_excess(now);
    }

    /// Returns how long until something is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if !self.deferring.is_empty() {
            return Some(Duration::ZERO);
        }
        let until = |at_us: u64| Duration::from_micros(at_us.saturating_sub(now.alive_us));
        let cursors_us = self.cursors.due_us(now);
        let parking_us = self.parking.due_us(&self.tally);
        let clock_us = self.clock_due_us();
        let ages_us = self.retention.due_us().filter(|_| self.limits.keep_for.is_some());
        let excess_us = self.excess_due_us(now);
        let due = [cursors_us, parking_us, clock_us, ages_us, excess_us].into_iter().flatten().min().map(until);
        self.timers.poll_timeout(now).into_iter().chain(due).min()
    }

    /// Returns what is to be done next, in order.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Returns whether this program serves the workflow. A run of a workflow that is not served may only end: it gets
    /// no other input, is not admitted, starts no pass and arms no timer until a program serves the workflow again.
    fn is_served(&self, workflow: WorkflowId) -> bool {
        is_served(workflow, self.registered)
    }

    /// Returns the registered workflow with the same name; `None` if this program no longer has it.
    fn current(&self, workflow: WorkflowId) -> Option<WorkflowId> {
        if self.is_served(workflow) {
            return Some(workflow);
        }
        self.workflow(&self.graph(workflow).name)
    }
}

/// [`Scheduler::is_served`], for use while a handler is borrowed.
fn is_served(workflow: WorkflowId, registered: usize) -> bool {
    usize::from(workflow.0) < registered
}

/// Returns the handler of a run, if that is still its newest.
fn newest(handlers: &mut BTreeMap<HandlerKey, Box<Handler>>, run: RunKey) -> Option<&mut Handler> {
    handlers.get_mut(&run.handler).map(Box::as_mut).filter(|handler| handler.run == run.run)
}
