//! The core of the server: the scheduler, the queries to the store, and who waits for what. Values go in and come out;
//! there is no socket, thread, clock or random number here. The server's loop drives it with sockets and a store, the
//! simulator in the tests at random with a model.
//!
//! The order of calls: commands in any order. Then, until nothing is left: [`Core::poll_output`] until it returns
//! nothing; then what the store has completed, one at a time, to [`Core::handle_completed`]; if there is nothing of
//! that either, [`Core::poll_batch`]. At the end [`Core::retire`], and its outputs. Carry out the outputs of a
//! `handle_*` before anything else happens: a repeated call then certainly finds the handler that was loaded for it.
//!
//! A client has one request at a time. It waits for one thing ([`Core::hold_call`], [`Core::reply_when_committed`],
//! [`Core::await_end`]) until an [`Output`] names it, or until it is forgotten:
//!
//! ```text
//!            ┌── hold_call ──► Call ────── Output::Call, Output::CallFailed, resume_call ──┐
//!  free ─────┼── reply_when_committed ──► Commit ────── Output::Reply, Output::Refuse ─────┼──► free
//!            └── await_end ──► End ─── Output::RunEnded, Output::Refuse, release_caller ───┘
//!                                          forget, at any time
//! ```

mod failures;
mod output;
mod queries;
mod reading;
mod replies;
mod stored;
mod table;

use std::collections::VecDeque;

pub use output::{Loaded, Output, Refused};
pub use reading::{Begun, PageFound, ReadFrom, Reading, Step, Turn};
pub use table::Table;

use crate::{
    client_id::ClientId,
    engine::{
        keys::{CallerId, HandlerKey},
        scheduler::{Notice, Scheduler, Waste},
        storage::{Batch, Query, Ticket},
        stored::Address,
    },
    http::Response,
    limits::{LIST_PAGE_HANDLERS, PAGE_BYTES_MAX, REST_US},
    now::Now,
};
use failures::Failures;
use queries::{PendingQuery, Queries};
use replies::{HeldCalls, Replies};

/// The scheduler, and who waits for its results.
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

/// What a call needs before it can be repeated.
#[derive(Debug)]
pub enum WaitsFor {
    /// The handler at this address, from the store.
    Handler(Address),
    /// The outcome of this batch.
    Batch(u64),
    /// Something that the driver does; then it calls [`Core::resume_call`].
    Driver,
}

impl Core {
    /// Creates the core of a scheduler that has recovered what its store had.
    pub fn new(scheduler: Scheduler) -> Self {
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
    /// Makes the client's call wait until it is to be repeated.
    pub fn hold_call(&mut self, client: ClientId, needs: WaitsFor) {
        self.clients.insert(client, Wait::Call);
        match needs {
            WaitsFor::Handler(address) => self.ask_handler(address, Some(client)),
            WaitsFor::Batch(batch) => self.held_calls.push(batch, client),
            WaitsFor::Driver => {}
        }
    }

    /// The client's call no longer waits. Returns whether it did.
    pub fn resume_call(&mut self, client: ClientId) -> bool {
        self.clients.remove_if(client, |wait| matches!(wait, Wait::Call)).is_some()
    }

    /// Sends `response` once the changes so far are committed, which concern this handler.
    pub fn reply_when_committed(&mut self, client: ClientId, handler: HandlerKey, response: Response) {
        self.clients.insert(client, Wait::Commit);
        self.replies.push(self.scheduler.open_batch(), client, handler, response);
    }

    /// Makes the client wait for the end of the run that this handler has just begun.
    pub fn await_end(&mut self, client: ClientId, handler: HandlerKey) {
        self.scheduler.await_end(handler, client.into());
        self.clients.insert(client, Wait::End { handler, delayed_us: None });
        self.callers += 1;
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
    fn ask_handler(&mut self, address: Address, waiting: Option<ClientId>) {
        if self.queries.join_load(&address, waiting) {
            self.load(address);
        }
    }

    fn load(&mut self, address: Address) {
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
            Notice::Turn(reader) => Some(Output::Turn(reader.0.into())),
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
                self.ask_handler(Address::Key(handler), None);
                None
            }
            Notice::Oldest(count) => {
                self.ask_oldest(count);
                None
            }
        }
    }

    /// The run that a caller waits for has not ended, but the store fails it. That may pass, but a caller is not kept
    /// waiting for it.
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
const CALLER_DELAY_US_MAX: u64 = REST_US;
