//! The core of the server: the scheduler, the queries to the store, and the waiting clients. Values go in and come out;
//! there is no socket, thread, clock or random number here. The server's loop drives it with sockets and a store, the
//! simulator in the tests at random with a model.
//!
//! The order of calls in a turn: commands in any order, then [`Driver::settle`]. The outputs of a `handle_*` are to be
//! carried out before anything else happens: a repeated call then certainly finds the handler that was loaded for it.
//!
//! A client has one request at a time. It waits for one thing ([`Core::wait`]) until an [`Output`] names it, or until
//! it is forgotten:
//!
//! ```text
//!            ┌── Handler, Batch, Driver ──► Call ── Output::Call, Output::CallFailed, resume_call ──┐
//!  free ─────┼── Commit ──► Commit ───────── Output::Reply, Output::Refuse ─────────────────────────┼──► free
//!            └── End ──► End ─────────────── Output::RunEnded, Output::Refuse, release_caller ──────┘
//!                                            forget, at any time
//! ```

mod failures;
mod output;
mod queries;
mod reading;
mod replies;
mod settle;
mod stored;
mod table;

use std::{collections::VecDeque, sync::Arc};

pub use output::{Loaded, Output, Refused};
pub use reading::{Begun, Granted, PageFound, ReadFrom, ReadStep, Reading};
pub use settle::Driver;
pub use table::Table;

use crate::{
    awaited::Awaited,
    client_id::ClientId,
    engine::{
        keys::{CallerId, HandlerKey},
        scheduler::{Notice, Scheduler, SchedulerLimits, StepLanes, Waste},
        storage::{Batch, Query, Ticket},
        stored::{Beginning, HandlerAddress, Recovered},
    },
    graph::Graph,
    limits::{BACK_OFF_US, LIST_PAGE_HANDLERS, PAGE_BYTES_MAX},
    now::Now,
};
use failures::Failures;
use queries::{PendingQuery, Queries};
use replies::{HeldCalls, Replies};

/// The scheduler, and the clients that wait for its results.
#[derive(Debug)]
pub struct Core {
    scheduler: Scheduler,
    clients: Table<Wait>,
    /// How many clients wait for the end of a run.
    callers: usize,
    replies: Replies,
    held_calls: HeldCalls,
    queries: Queries,
    failures: Failures,
    outputs: VecDeque<Output>,
    /// Calls whose handler was loaded, or could not be.
    loaded: VecDeque<Output>,
}

/// What a client waits for.
#[derive(Debug)]
enum Wait {
    /// For what its call needs; then the call is repeated.
    Call,
    /// For the batch that commits what its reply says.
    Commit,
    /// For the end of this handler's run.
    End {
        handler: HandlerKey,
        /// When the store first failed the run, on the alive clock.
        delayed_us: Option<u64>,
    },
}

/// What a core begins with.
#[derive(Debug)]
pub struct Start<'a> {
    /// The graphs of the present workflows, and those that only the store knows.
    pub graphs: Vec<Arc<Graph>>,
    /// How many of them are of present workflows; these come first.
    pub registered: usize,
    /// Which executor runs which step: see [`Scheduler::set_lanes`].
    pub lanes: Vec<Vec<StepLanes>>,
    /// What bounds the scheduler.
    pub limits: SchedulerLimits,
    /// Where the store left off.
    pub beginning: &'a Beginning,
}

impl Core {
    /// Creates a core that continues where its store left off. `read` is to pass each handler that the store recovers
    /// to the function that it is given.
    ///
    /// # Errors
    /// That of `read`.
    pub fn recover<E>(
        start: Start<'_>,
        read: impl FnOnce(&mut dyn FnMut(Recovered)) -> Result<(), E>,
        now: Now,
    ) -> Result<Self, E> {
        let Start { graphs, registered, lanes, limits, beginning } = start;
        let mut scheduler = Scheduler::resume(graphs, registered, limits, beginning);
        scheduler.set_lanes(lanes);
        read(&mut |handler| scheduler.recover_any(handler, now))?;
        scheduler.handle_recovered(now);
        Ok(Self::new(scheduler))
    }

    /// Creates the core of a scheduler.
    fn new(scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            clients: Table::default(),
            callers: 0,
            replies: Replies::default(),
            held_calls: HeldCalls::default(),
            queries: Queries::default(),
            failures: Failures::default(),
            outputs: VecDeque::new(),
            loaded: VecDeque::new(),
        }
    }

    /// Returns the scheduler, with all handlers and their runs.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Returns the scheduler, for calls, passes and the time.
    pub fn scheduler_mut(&mut self) -> &mut Scheduler {
        &mut self.scheduler
    }

    /// Returns whether the client waits for something.
    pub fn is_waiting(&self, client: ClientId) -> bool {
        self.clients.get(client).is_some()
    }

    /// Returns whether the client's call waits to be repeated.
    pub fn holds_call(&self, client: ClientId) -> bool {
        matches!(self.clients.get(client), Some(Wait::Call))
    }

    /// Returns how many clients wait for the end of a run.
    pub fn caller_count(&self) -> usize {
        self.callers
    }

    /// Iterates over the clients that wait for the end of a run.
    pub fn callers(&self) -> impl Iterator<Item = ClientId> {
        self.clients.clients().filter(|(_, wait)| matches!(wait, Wait::End { .. })).map(|(client, _)| client)
    }

    /// Returns whether nobody waits for a batch and no query is pending.
    pub fn is_quiet(&self) -> bool {
        self.replies.first_batch().is_none() && self.queries.is_empty()
    }
}

/// Commands.
impl Core {
    /// Makes the client wait.
    pub fn wait(&mut self, client: ClientId, awaited: Awaited) {
        let wait = match awaited {
            Awaited::Handler(address) => {
                self.ask_handler(address, Some(client));
                Wait::Call
            }
            Awaited::Batch(batch) => {
                self.held_calls.push(batch, client);
                Wait::Call
            }
            Awaited::Driver => Wait::Call,
            Awaited::Commit(handler, response) => {
                self.replies.push(self.scheduler.open_batch(), client, handler, response);
                Wait::Commit
            }
            Awaited::End(handler) => {
                self.scheduler.await_end(handler, client.into());
                self.callers += 1;
                Wait::End { handler, delayed_us: None }
            }
        };
        self.clients.insert(client, wait);
    }

    /// The client's call no longer waits. Returns whether it did.
    pub fn resume_call(&mut self, client: ClientId) -> bool {
        self.clients.remove_if(client, |wait| matches!(wait, Wait::Call)).is_some()
    }

    /// The client no longer waits for the end of a run. Returns the handler that it waited for.
    pub fn release_caller(&mut self, client: ClientId) -> Option<HandlerKey> {
        let handler = self.take_caller(client, None)?;
        self.scheduler.forget_caller(handler, client.into());
        Some(handler)
    }

    /// Forgets a client that is gone.
    pub fn forget(&mut self, client: ClientId) {
        if self.release_caller(client).is_none() {
            self.clients.remove(client);
        }
    }

    /// Queries the store for events, for a client's stream.
    fn ask_page(&mut self, client: ClientId, query: Query) -> Ticket {
        self.ask(query, PendingQuery::Page(client))
    }

    /// The client's stream no longer wants them.
    fn forget_page(&mut self, ticket: Ticket) {
        self.queries.take(ticket);
    }

    /// Queries the store for handlers, for a client's list.
    pub fn ask_list(&mut self, client: ClientId, after: Option<HandlerKey>, only_running: bool) {
        let count = LIST_PAGE_HANDLERS;
        let query = if only_running {
            Query::Running { after, count }
        } else {
            Query::List { after, count, bytes_max: PAGE_BYTES_MAX }
        };
        self.ask(query, PendingQuery::List(client));
    }

    /// Removes what is no longer needed. To be called once a turn.
    pub fn retire(&mut self) {
        self.scheduler.retire();
    }

    fn ask(&mut self, query: Query, question: PendingQuery) -> Ticket {
        let ticket = self.queries.ask(question);
        self.outputs.push_back(Output::Ask(ticket, query));
        ticket
    }

    fn ask_oldest(&mut self, count: usize) {
        let asked = self.scheduler.begin_read();
        self.ask(Query::Oldest { count }, PendingQuery::Oldest(count, asked));
    }

    /// Loads a handler that a run, or the call of this client, needs.
    fn ask_handler(&mut self, address: HandlerAddress, waiting: Option<ClientId>) {
        if self.queries.join_load(&address, waiting) {
            self.load(address);
        }
    }

    fn load(&mut self, address: HandlerAddress) {
        let asked = self.scheduler.begin_read();
        self.queries.begin_load(&address);
        self.ask(Query::Handler(address.clone()), PendingQuery::Handler(address, asked));
    }

    /// Stops a caller from waiting, and returns the handler for whose end it waited. With `of`, only if it is that one.
    fn take_caller(&mut self, client: ClientId, of: Option<HandlerKey>) -> Option<HandlerKey> {
        let is_wanted = |wait: &Wait| matches!(wait, Wait::End { handler, .. } if of.is_none_or(|of| of == *handler));
        let Some(Wait::End { handler, .. }) = self.clients.remove_if(client, is_wanted) else { return None };
        self.callers -= 1;
        Some(handler)
    }
}

/// Output.
impl Core {
    /// Returns the next thing to do.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front().or_else(|| self.poll_reply()) {
                return Some(output);
            }
            let Some(notice) = self.scheduler.poll_notice() else { break };
            if let Some(output) = self.handle_notice(notice, now) {
                return Some(output);
            }
        }
        // Calls are repeated after all notices: one may begin the next run of a handler whose last one has just ended,
        // or remove it before the caller of that run is notified.
        self.loaded
            .pop_front()
            .or_else(|| self.poll_call())
            .or_else(|| self.scheduler.poll_trouble().map(Output::Trouble))
    }

    /// Returns the next batch for the store, if something has changed.
    pub fn poll_batch(&mut self) -> Option<Batch> {
        let batch = self.scheduler.seal()?;
        self.failures.handle_submitted(&batch);
        Some(batch)
    }

    /// Returns something that takes long to free.
    pub fn poll_waste(&mut self) -> Option<Waste> {
        self.scheduler.poll_waste()
    }

    /// Returns a reply whose batch is committed, or for which there was nothing to commit.
    fn poll_reply(&mut self) -> Option<Output> {
        loop {
            let batch = self.replies.first_batch()?;
            let is_settled = self.scheduler.is_settled() && !self.scheduler.has_changes();
            if batch >= self.scheduler.first_unsettled() && !is_settled {
                return None;
            }
            let (client, response) = self.replies.pop()?;
            if self.stop_waiting_for_commit(client) {
                return Some(Output::Reply(client, response));
            }
        }
    }

    fn stop_waiting_for_commit(&mut self, client: ClientId) -> bool {
        self.clients.remove_if(client, |wait| matches!(wait, Wait::Commit)).is_some()
    }

    /// Returns a call that waited to know whether something is committed, once that is known.
    fn poll_call(&mut self) -> Option<Output> {
        loop {
            let client = self.held_calls.pop(self.scheduler.first_unsettled())?;
            if self.resume_call(client) {
                return Some(Output::Call { client, is_read: false });
            }
        }
    }

    fn handle_notice(&mut self, notice: Notice, now: Now) -> Option<Output> {
        match notice {
            Notice::Published(run) => Some(Output::Published(run)),
            Notice::LockGranted(reader) => Some(Output::LockGranted(reader.0.into())),
            Notice::Gone(reader) => Some(Output::ReaderGone(reader.0.into())),
            Notice::Lost(reader) => Some(Output::ReaderLost(reader.0.into())),
            Notice::Ended(run, CallerId(caller)) => {
                let client = caller.into();
                let handler = self.take_caller(client, Some(run.handler))?;
                Some(Output::RunEnded(client, Some(handler)))
            }
            Notice::CallerGone(CallerId(caller)) => {
                let client = caller.into();
                self.take_caller(client, None).map(|_| Output::RunEnded(client, None))
            }
            Notice::Unread(CallerId(caller)) => {
                let client = caller.into();
                self.take_caller(client, None).map(|_| Output::Refuse(client, Refused::RunUnreadable))
            }
            Notice::NotCommitted(CallerId(caller)) => {
                let client = caller.into();
                let error = self.scheduler.last_fault();
                self.take_caller(client, None).map(|_| Output::Refuse(client, Refused::NotStored(error)))
            }
            Notice::Delayed(handler, CallerId(caller)) => self.delay_caller(handler, caller.into(), now),
            Notice::Load(handler) => {
                self.ask_handler(HandlerAddress::Key(handler), None);
                None
            }
            Notice::Oldest(count) => {
                self.ask_oldest(count);
                None
            }
        }
    }

    /// The run that a caller waits for has not ended, but the store fails it. That may be temporary, but the caller
    /// does not wait for long.
    fn delay_caller(&mut self, of: HandlerKey, client: ClientId, now: Now) -> Option<Output> {
        let Some(Wait::End { handler, delayed_us }) = self.clients.get_mut(client) else { return None };
        if *handler != of || now.alive_us < *delayed_us.get_or_insert(now.alive_us) + CALLER_DELAY_US_MAX {
            return None;
        }
        self.release_caller(client)?;
        Some(Output::Refuse(client, Refused::RunDelayed(self.scheduler.known_id(of))))
    }
}

/// How long a caller waits for a run that the store fails: its changes are retried once or twice in the meantime.
const CALLER_DELAY_US_MAX: u64 = BACK_OFF_US;
