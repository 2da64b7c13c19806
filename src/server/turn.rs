//! One turn of the loop: poll, clock, inputs, commit, effects, flush.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    convert::Infallible,
    io,
    sync::Arc,
    time::Duration,
};

use mio::{Interest, unix::SourceFd};

use super::{
    clients::{Client, Clients},
    clock::SystemClock,
    config::{Config, UsageError},
    descriptors,
    error::ServeError,
    helper::Helper,
    ids::Entropy,
    keeping, log,
    memory::{self, Memory},
    notes::{NotesPace, StoreProgress},
    reader::Finishing,
    shares::Shares,
    sharing::Sharing,
    site::Site,
    stop::Stop,
    trimming::Trimming,
};
use crate::{
    account::Account,
    api::{self, Access, Catalog},
    client_id::ClientId,
    core::{Core, Driver, Output},
    engine::{
        input::Outcome,
        keys::WorkflowId,
        scheduler::{NewRun, StartAs, Waste},
    },
    executors::{
        ExecutorReport,
        all::{Executors, Sizes},
    },
    graph::Graph,
    http,
    json::Json,
    limits::{CALLERS_OF_CONNECTIONS, HEAD_BYTES_MAX, REPORT_BYTES, TURN_REPORTS_MAX, TURN_ROUNDS_MAX},
    net::{Address, EXECUTOR_TOKEN, Reactor},
    now::Now,
    pass,
    store::{Batch, Completed, Recall, Store},
    workflow::{Event, Workflow},
};

/// Whether the loop continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// It does.
    Goes,
    /// It has stopped.
    Ended,
}

/// Everything that the loop's thread owns.
pub(super) struct Loop {
    pub(super) reactor: Reactor,
    pub(super) core: Core,
    pub(super) store: Box<dyn Store>,
    pub(super) executors: Executors,
    pub(super) memory: Memory,
    pub(super) shares: Shares,
    pub(super) sharing: Sharing,
    pub(super) site: Site,
    pub(super) clock: SystemClock,
    pub(super) now: Now,
    /// Connections whose replies are not complete.
    pub(super) clients: Clients,
    pub(super) helper: Helper,
    /// The thread of the store that has ended by a panic.
    pub(super) died: Option<&'static str>,
    pub(super) notes: NotesPace,
    /// Queue readers whose last bytes are not taken yet, by connection and the end of their stream in its output.
    pub(super) finishing: BTreeMap<(ClientId, u64), Finishing>,
    /// Lock time-outs and heartbeats, on the alive clock.
    pub(super) due: BTreeSet<(u64, ClientId)>,
    pub(super) stop: Stop,
}

impl Loop {
    /// Binds and prepares everything, without running yet.
    pub(super) fn new(workflows: Vec<Workflow>, config: &Config, mut clock: SystemClock) -> Result<Self, ServeError> {
        let graphs: Vec<Arc<Graph>> = workflows.iter().map(|workflow| Arc::clone(workflow.graph())).collect();
        let mut names = HashSet::new();
        if let Some(twice) = graphs.iter().find(|graph| !names.insert(&*graph.name)) {
            return Err(ServeError::SameName(twice.name.to_string()));
        }
        let access = Access::new(&config.cors_origins, &config.allow_hosts).map_err(UsageError::Access)?;
        let memory_max = config.memory_max.unwrap_or_else(memory::memory_max_default);
        let account = Account::new(memory_max, config.body_bytes_max.saturating_add(HEAD_BYTES_MAX));
        let limits = http::Limits { body_bytes_max: config.body_bytes_max, ..http::Limits::default() };
        let bound = Reactor::bind(&config.listen, config.socket_mode, limits, config.connections_max);
        let reactor = bound.map_err(ServeError::Listen)?;
        let no_entropy = |error| ServeError::Io("no random bytes", error);
        let mut ids = Entropy::new().map_err(no_entropy)?;
        let secret = ids.secret().map_err(no_entropy)?;
        let waker = reactor.waker();
        let wake_loop = Arc::new(move || {
            if let Err(error) = waker.wake() {
                ::log::error!("the loop cannot be woken: {error}");
            }
        });
        let registered = graphs.len();
        let lanes = Executors::lanes(&workflows);
        let keeping = keeping::open(config, account, &graphs, lanes, secret, Arc::clone(&wake_loop) as _, &mut clock)?;
        let now = clock.read();
        let sizes = Sizes {
            workers: config.workers,
            programs_max: config.programs_max,
            data: config.data.clone(),
            makes_records: keeping.core.scheduler().recall() == Recall::Everything,
        };
        let no_descriptor = |error| ServeError::Io("programs cannot be waited for", error);
        let executors = Executors::new(&workflows, sizes, Arc::clone(&wake_loop) as _).map_err(no_descriptor)?;
        if let Some(descriptor) = executors.descriptor() {
            let mut source = SourceFd(&descriptor);
            let registered = reactor.registry().register(&mut source, EXECUTOR_TOKEN, Interest::READABLE);
            registered.map_err(no_descriptor)?;
        }
        let site = Site {
            workflows,
            catalog: Catalog::new(&keeping.graphs, registered),
            access,
            ids,
            callers_max: callers_max(config.connections_max),
        };
        Ok(Self {
            reactor,
            executors,
            core: keeping.core,
            store: keeping.store,
            memory: Memory { account, trimming: Trimming::default() },
            shares: Shares::default(),
            sharing: Sharing::default(),
            site,
            clock,
            now,
            clients: Clients::default(),
            helper: Helper::new(wake_loop),
            died: None,
            notes: NotesPace::default(),
            finishing: BTreeMap::new(),
            due: BTreeSet::new(),
            stop: Stop::new(config.grace),
        })
    }

    /// Returns where it listens, as clients write it.
    pub(super) fn addresses(&self) -> Vec<String> {
        let text = |address: &Address| match address {
            Address::Tcp(address) => format!("http://{address}"),
            Address::Unix(_) => address.to_string(),
        };
        self.reactor.local_addresses().map(text).collect()
    }

    /// Before the first turn: carries out the pending effects of the store's runs.
    pub(super) fn begin(&mut self) {
        self.settle();
        self.hand_out();
    }

    /// Executes one turn.
    pub(super) fn turn(&mut self) -> io::Result<Flow> {
        let wakes = self.reactor.poll(self.poll_timeout())?;
        self.now = self.clock.read();
        api::note_time(self.now);
        self.shares.begin_turn();
        self.executors.handle_ready(self.now.alive_us);
        self.handle_reports();
        self.handle_helped();
        self.core.scheduler_mut().handle_time(self.now);
        self.balance_memory();
        self.reactor.handle_ready(self.now);
        for _ in 0..TURN_ROUNDS_MAX {
            self.handle_connections();
            // After all input: the lock may have been granted, or its waiter may have left, before the wait timed out.
            self.handle_due();
            self.share_out();
            self.settle();
            self.hand_out();
            self.reactor.flush(self.now);
            if !self.reactor.has_ready() {
                break;
            }
        }
        self.sharing.forget_unused();
        self.executors.handle_time(self.now.alive_us);
        self.trim_memory();
        self.handle_stop_wanted();
        if wakes.signal {
            self.handle_signals();
        }
        self.check_store()?;
        Ok(self.flow())
    }

    /// Fails if one of the store's threads has ended: nothing is committed any longer, so the process must end.
    pub(super) fn check_store(&self) -> io::Result<()> {
        let text = |thread| format!("the store's {thread} thread has panicked: what it had not committed is lost");
        self.died.map_or(Ok(()), |thread| Err(io::Error::other(text(thread))))
    }

    /// Runs one workflow to its end.
    pub(super) fn run_one<S: Event>(&mut self, start: &S) -> Result<Outcome, ServeError> {
        let io = |error| ServeError::Io("the loop has failed", error);
        let graph = Arc::clone(self.site.workflows[0].graph());
        let (expected, name) = (graph.event(graph.start), S::name());
        if *expected.name != *name {
            let (workflow, expected) = (graph.name.to_string(), expected.name.to_string());
            return Err(ServeError::WrongStart { workflow, expected, got: name.to_string() });
        }
        let event = Json::from_value(start).map_err(|error| ServeError::StartEvent(name.to_string(), error))?;
        let run_id = self.site.ids.draw().map_err(io)?;
        let (workflow, start_as, state) = (WorkflowId(0), StartAs::New(None), crate::values::Values::default());
        let new = NewRun { workflow, start_as, run_id, event, state };
        let key = self.core.scheduler_mut().start(new, self.now);
        self.settle();
        self.hand_out();
        loop {
            if let Some(outcome) = self.core.scheduler().view(key).and_then(|view| view.outcome) {
                return Ok(outcome.clone());
            }
            if self.core.scheduler().waits_for_outside(key) {
                return Ok(Outcome::Failed(
                    "the run waits for an event from outside, which nobody can send here".into(),
                ));
            }
            self.turn().map_err(io)?;
        }
    }

    /// Returns how long the poll may wait.
    fn poll_timeout(&self) -> Option<Duration> {
        let until = |at_us: u64| Duration::from_micros(at_us.saturating_sub(self.now.alive_us));
        let due = self.due.first().map(|&(at_us, _)| until(at_us));
        let at_once = (self.shares.is_wanted() || self.helper.is_ready()).then_some(Duration::ZERO);
        let notes =
            self.executors.has_left_notes().then(|| self.notes.poll_timeout(self.store_progress(), self.now.alive_us));
        let timeouts = [
            self.executors.poll_timeout(self.now.alive_us),
            self.memory.trimming.poll_timeout(self.now.alive_us),
            notes.flatten(),
            self.core.scheduler().poll_timeout(self.now),
            self.reactor.poll_timeout().map(until),
            due,
            self.stop.time_left(self.now),
            at_once,
        ];
        timeouts.into_iter().flatten().min()
    }

    fn store_progress(&self) -> StoreProgress {
        let scheduler = self.core.scheduler();
        StoreProgress { is_settled: scheduler.is_settled(), behind_us: scheduler.behind_us(self.now) }
    }

    fn handle_reports(&mut self) {
        let takes_notes = self.notes.take(self.store_progress(), self.now.alive_us);
        let mut handled = 0;
        while handled < TURN_REPORTS_MAX {
            let Some(report) = self.executors.poll_report(takes_notes) else { return };
            handled += effort(&report);
            report.deliver(self.core.scheduler_mut(), self.now);
        }
    }

    /// Serves every connection that is ready.
    fn handle_connections(&mut self) {
        loop {
            // First, as another connection may have the slot of one that has closed.
            while let Some(closed) = self.reactor.next_closed() {
                self.forget_client(closed.id, closed.taken_position);
            }
            let Some(id) = self.reactor.next_ready() else { return };
            self.serve(id);
        }
    }

    /// Settles the turn: see [`Driver::settle`].
    pub(super) fn settle(&mut self) {
        let Ok(()) = Driver::settle(self);
    }

    /// Carries out the core's outputs.
    pub(super) fn carry_out_all(&mut self) {
        let Ok(()) = Driver::carry_out_all(self);
    }

    fn do_output(&mut self, output: Output) {
        match output {
            Output::Ask(ticket, query) => self.store.read(ticket, query),
            Output::Fold(loaded, fold) => self.helper.fold(loaded, fold),
            Output::Reply(client, response) => self.respond(client, &response),
            Output::Refuse(client, refused) => self.refuse(client, &refused),
            Output::RunEnded(client, handler) => self.answer_caller(client, handler),
            Output::Call { client, is_read: true } => self.answer_read(client),
            Output::Call { client, is_read: false } => self.answer_all(client),
            Output::CallFailed(client, error) => {
                self.answer_with(client, |errors| errors.not_read(&error.to_string()));
            }
            Output::Published(run) => self.pump_readers(run),
            Output::LockGranted(client) => self.take_lock(client),
            Output::ReaderGone(client) => self.end_reader(client),
            Output::ReaderLost(client) => self.lose_reader(client),
            Output::Page(client, ticket, Ok((feed, workflow))) => {
                self.give_page(client, ticket, feed, workflow);
            }
            Output::Page(client, ticket, Err(error)) => self.cut_reader(client, ticket, &error),
            Output::ListPage(client, page) => self.take_list_page(client, page),
            Output::Trouble(trouble) => log::warn_of(&trouble),
            Output::StoreFails(error) => {
                ::log::error!("the store fails: {error}; what cannot be stored is refused until it can");
            }
            Output::StoreWorks => ::log::info!("the store works again: what is to be stored is stored"),
            Output::StoreDied(thread) => self.died = Some(thread),
        }
    }

    /// Passes orders and passes on to the executors.
    pub(super) fn hand_out(&mut self) {
        let starts = !self.stop.has_begun();
        self.executors.hand_out(self.core.scheduler_mut(), starts, self.now);
    }

    /// Handles lock time-outs and heartbeats.
    fn handle_due(&mut self) {
        while let Some(&(at_us, id)) = self.due.first() {
            if at_us > self.now.alive_us {
                return;
            }
            self.due.pop_first();
            self.handle_reader_due(id);
        }
    }

    /// Lets waiting connections write, up to this turn's share. Each is visited once; those that have not finished wait
    /// again.
    pub(super) fn share_out(&mut self) {
        for _ in 0..self.shares.waiting_count() {
            let Some(id) = self.shares.next() else { return };
            match self.clients.get(id) {
                Some(Client::Reading(_)) => self.pump_now(id),
                Some(Client::Listing(_)) => self.write_list_now(id),
                Some(Client::Answering(_)) | None => {}
            }
        }
    }
}

impl Driver for Loop {
    type Stopped = Infallible;

    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&self) -> Now {
        self.now
    }

    fn carry_out(&mut self, output: Output) -> Result<(), Infallible> {
        self.do_output(output);
        Ok(())
    }

    fn poll_completed(&mut self) -> Result<Option<Completed>, Infallible> {
        Ok(self.store.poll_completed())
    }

    fn submit(&mut self, batch: Batch) -> Result<(), Infallible> {
        self.store.submit(batch);
        Ok(())
    }

    fn free(&mut self, waste: Waste) {
        self.helper.free(waste);
    }
}

/// Returns how many POST run calls may wait at a time, so that others still find a connection.
fn callers_max(connections_max: usize) -> usize {
    let (part, of) = CALLERS_OF_CONNECTIONS;
    let connections = connections_max.min(descriptors::available());
    (connections / of * part + connections % of * part / of).max(1)
}

/// Returns the cost of handling a report, in notes.
fn effort(report: &ExecutorReport) -> usize {
    match report {
        ExecutorReport::Of(_, pass::Report::Noted(notes)) => notes.len(),
        ExecutorReport::Of(_, pass::Report::Done(done)) => 1 + done.bytes() / REPORT_BYTES,
        // As much as a whole turn.
        ExecutorReport::LargeDone(..) => TURN_REPORTS_MAX,
        ExecutorReport::Of(..) => 1,
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
