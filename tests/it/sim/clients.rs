//! Who asks for something, as the API lets them, and what they were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use steprill::{
    Outcome,
    engine::{
        channel::ReaderId,
        input::External,
        kept::{Address, Aside, Kept},
        keys::{CallerId, HandlerKey, RunKey},
        scheduler::{Asked, NewRun, Notice, Residence},
    },
    graph::{EventId, StepId},
    json::Json,
    store::{Answer, Query, StoreError, Ticket},
};

use super::{readers::Reader, world::World};
use crate::simulation::{body, random::hash};

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Start { flow: usize, id: Option<String>, context: bool, waits: bool },
    Post { id: String },
    Cancel { id: String, purge: bool },
    Result { id: String },
    Read { id: String, queue: bool },
}

/// What a client was told is done.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Started(RunKey, uuid::Uuid),
    Posted(RunKey, String),
    Cancelled(RunKey),
    Purged(HandlerKey, uuid::Uuid),
    Result(RunKey, Outcome),
}

impl Told {
    fn handler(&self) -> HandlerKey {
        match self {
            Self::Started(run, _) | Self::Posted(run, _) | Self::Cancelled(run) | Self::Result(run, _) => run.handler,
            Self::Purged(key, _) => *key,
        }
    }
}

#[derive(Default)]
pub(crate) struct Clients {
    /// Ids that were ever heard of.
    ids: Vec<String>,
    /// Replies that wait for a batch.
    unkept: VecDeque<(u64, Told)>,
    /// All that was ever told.
    told: Vec<Told>,
    /// Who waits for the end of a run that they began.
    pub(crate) callers: BTreeMap<u64, (RunKey, uuid::Uuid)>,
    /// Callers that have hung up.
    pub(crate) hung_up: BTreeSet<u64>,
    pub(crate) readers: BTreeMap<ReaderId, Reader>,
    /// The highest number that a queue's readers have taken.
    pub(crate) taken: BTreeMap<RunKey, u64>,
    /// Handlers that somebody wants to be gone.
    pub(crate) purging: BTreeSet<HandlerKey>,
    questions: BTreeMap<Ticket, Question>,
    loads: BTreeMap<Address, Vec<Request>>,
    /// For callers, readers, runs and posts: never used twice.
    drawn: u64,
}

enum Question {
    Page(ReaderId),
    Handler(Address, Asked),
    Oldest(usize, Asked),
}

impl World {
    /// Somebody does something.
    pub(crate) fn act(&mut self) {
        let request = match self.random.below(14) {
            0..4 => self.draw_start(),
            4..7 => Request::Post { id: self.draw_id() },
            7 => Request::Cancel { id: self.draw_id(), purge: self.random.one_in(2) },
            8 => Request::Result { id: self.draw_id() },
            9 | 10 => Request::Read { id: self.draw_id(), queue: self.random.one_in(2) },
            11 => return self.end_one(),
            _ => return self.take_some(),
        };
        self.request(request, false);
    }

    fn draw_start(&mut self) -> Request {
        let id = match self.random.below(4) {
            0 => Some(format!("chosen{}", self.random.below(4))),
            1 => Some(self.draw_id()),
            _ => None,
        };
        let flow = self.random.below(self.flows.len());
        Request::Start { flow, id, context: self.random.one_in(2), waits: self.random.one_in(2) }
    }

    /// Of late more often than of old.
    fn draw_id(&mut self) -> String {
        let ids = &self.clients.ids;
        let recent = &ids[ids.len().saturating_sub(if self.random.one_in(4) { 100 } else { 8 })..];
        if recent.is_empty() { "nobody".into() } else { self.random.pick(recent).clone() }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.clients.drawn += 1;
        self.clients.drawn
    }

    /// `is_read`: the scheduler was given what the store knows.
    pub(crate) fn request(&mut self, request: Request, is_read: bool) {
        self.trace(|| format!("{request:?}, {is_read}"));
        let (id, changes) = match &request {
            Request::Start { id, .. } => (id.clone(), false),
            Request::Post { id } | Request::Cancel { id, .. } => (Some(id.clone()), true),
            Request::Result { id } | Request::Read { id, .. } => (Some(id.clone()), false),
        };
        if let Some(id) = id.as_deref().filter(|_| !is_read)
            && let Residence::Away(address) = self.scheduler.residence(id, changes)
        {
            return self.ask_handler(address, Some(request));
        }
        let key = id.as_deref().and_then(|id| self.scheduler.find(id));
        if changes && key.is_some_and(|key| self.scheduler.is_backing_off(key)) {
            return;
        }
        match (request, key) {
            (Request::Start { flow, id, context, waits }, _) => self.start(flow, id.as_deref(), context, waits),
            (_, None) => {}
            (Request::Post { .. }, Some(key)) => self.post(key),
            (Request::Cancel { purge, .. }, Some(key)) => self.cancel(key, purge),
            (Request::Result { .. }, Some(key)) => self.look(key),
            (Request::Read { queue, .. }, Some(key)) => self.read(key, queue),
        }
    }

    fn start(&mut self, flow: usize, id: Option<&str>, context: bool, waits: bool) {
        let Some(workflow) = self.scheduler.workflow(&self.flows[flow].name) else { return };
        let Ok(place) = self.scheduler.check_start(workflow, id, context) else { return };
        let run_id = uuid::Uuid::from_u128(u128::from(self.draw()));
        let event = body::value(1 + self.random.next() % 3, 0);
        let number = |number: u64| Json::from_value(&number).expect("a number");
        let mut state: BTreeMap<std::sync::Arc<str>, Json> = BTreeMap::new();
        if context && self.random.one_in(2) {
            state.insert("a".into(), number(5));
            if self.random.one_in(3) {
                // More than a store keeps in a row.
                let large = Json::from_value(&"x".repeat(20_000)).expect("a text");
                state.extend([("d".into(), number(1)), ("large".into(), large)]);
            }
        }
        let key = self.scheduler.start(NewRun { workflow, place, run_id, event, state: state.into() }, self.now);
        let view = self.scheduler.view(key).expect("it has just begun");
        self.clients.ids.push(view.id.to_owned());
        let run = self.scheduler.run_of(key).expect("it has just begun");
        if waits {
            let caller = self.draw();
            self.clients.callers.insert(caller, (run, run_id));
            self.scheduler.await_end(key, CallerId(caller));
        } else {
            self.clients.unkept.push_back((self.scheduler.open_batch(), Told::Started(run, run_id)));
        }
    }

    fn post(&mut self, key: HandlerKey) {
        let Some(view) = self.scheduler.view(key) else { return };
        let graph = view.graph;
        let is_over = view.outcome.is_some();
        let (events, steps) = (graph.events.len(), graph.steps.len());
        let run = self.scheduler.run_of(key).expect("it is there");
        let version = self.store.session.version(self.scheduler.workflow_of(key).expect("it is there"));
        let questions = self.history.runs.get(&run).filter(|run| run.version == version).map(|run| &run.questions);
        let questions: Vec<_> = questions.into_iter().flatten().map(|(_, question)| *question).collect();
        let serial = self.draw();
        let (event, number, step) = if !questions.is_empty() && !self.random.one_in(4) {
            let (number, event) = *self.random.pick(&questions);
            (event, number, None)
        } else {
            let step = self.random.one_in(3).then(|| StepId(self.random.below(steps) as u16));
            (EventId(self.random.below(events) as u16), self.random.next() % 1_000_000, step)
        };
        let graph = self.scheduler.graph(self.scheduler.workflow_of(key).expect("it is there"));
        let value = if graph.takers(event).is_empty() {
            Json::from_value(&serde_json::json!({ "q": number, "serial": serial })).expect("an object")
        } else {
            body::value(hash(&[number, serial]), 0)
        };
        let text = value.as_str().to_owned();
        let open: Vec<u64> = self.scheduler.open_questions(key).map(|question| question.sequence).collect();
        let in_reply_to = (!open.is_empty() && self.random.one_in(6)).then(|| *self.random.pick(&open));
        let external = External { step, in_reply_to, ..External::new(event, value) };
        if !is_over && self.scheduler.post(key, external, self.now).is_ok() {
            self.clients.unkept.push_back((self.scheduler.open_batch(), Told::Posted(run, text)));
        }
    }

    /// Somebody answers a question of this run.
    pub(crate) fn answer(&mut self, run: RunKey) {
        let id = self.scheduler.view(run.handler).map(|view| view.id.to_owned());
        if let Some(id) = id {
            self.request(Request::Post { id }, false);
        }
    }

    pub(crate) fn cancel(&mut self, key: HandlerKey, purge: bool) {
        let Some(run) = self.scheduler.run_of(key) else { return };
        let run_id = self.scheduler.view(key).expect("it is there").run_id;
        if purge {
            self.history.cancelling.insert(run);
            self.scheduler.purge(key, self.now);
            self.clients.purging.insert(key);
            self.clients.unkept.push_back((self.scheduler.open_batch(), Told::Purged(key, run_id)));
        } else if self.scheduler.cancel(key, self.now) {
            self.history.cancelling.insert(run);
            self.clients.unkept.push_back((self.scheduler.open_batch(), Told::Cancelled(run)));
        }
    }

    fn look(&mut self, key: HandlerKey) {
        if self.scheduler.is_aside(key) {
            // It counts as failed, which nothing can keep.
            return;
        }
        let outcome = self.scheduler.view(key).and_then(|view| view.outcome.cloned());
        if let (Some(outcome), Some(run)) = (outcome, self.scheduler.run_of(key)) {
            self.tell(Told::Result(run, outcome));
        }
    }

    /// Somebody was told: that it is so, they may count on.
    fn tell(&mut self, told: Told) {
        self.trace(|| format!("told {told:?}"));
        self.check_told(&told);
        self.clients.told.push(told);
    }

    pub(crate) fn send_kept(&mut self, number: u64) {
        while self.clients.unkept.front().is_some_and(|&(batch, _)| batch <= number) {
            let Some((_, told)) = self.clients.unkept.pop_front() else { return };
            self.tell(told);
        }
    }

    pub(crate) fn handle_not_kept(&mut self, number: u64) {
        self.scheduler.handle_failed(number, self.now);
        let first = self.clients.unkept.partition_point(|&(batch, _)| batch < number);
        let refused = self.clients.unkept.split_off(first);
        self.refuse(refused);
    }

    /// What concerns this handler is not kept, and nothing else is refused.
    pub(crate) fn handle_aside(&mut self, aside: &Aside) {
        self.scheduler.handle_aside(aside, self.now);
        let unkept = std::mem::take(&mut self.clients.unkept).into_iter();
        let (refused, kept) = unkept.partition(|(_, told)| told.handler() == aside.handler);
        self.clients.unkept = kept;
        self.refuse(refused);
    }

    fn refuse(&mut self, unkept: VecDeque<(u64, Told)>) {
        for (_, refused) in unkept {
            match refused {
                Told::Started(_, run_id) => drop(self.history.refused_runs.insert(run_id)),
                Told::Posted(_, text) => drop(self.history.refused_posts.insert(text)),
                Told::Purged(key, _) => {
                    self.clients.purging.remove(&key);
                    self.history.cancelling.retain(|run| run.handler != key);
                }
                Told::Cancelled(run) => drop(self.history.cancelling.remove(&run)),
                Told::Result(..) => {}
            }
        }
    }

    pub(crate) fn carry_out(&mut self, notice: Notice) {
        self.trace(|| format!("{notice:?}"));
        match notice {
            Notice::Ended(_, CallerId(caller))
            | Notice::CallerGone(CallerId(caller))
            | Notice::NotKept(CallerId(caller))
            | Notice::Unread(CallerId(caller))
                if self.clients.hung_up.remove(&caller) => {}
            Notice::Published(run) => self.pump_readers(run),
            Notice::Ended(run, CallerId(caller)) => {
                let waited = self.clients.callers.remove(&caller);
                assert_eq!(waited.map(|(run, _)| run), Some(run), "a caller is told once, of the run that it began");
                self.look(run.handler);
                let is_kept = self.history.runs[&run].end.is_some() || self.scheduler.is_aside(run.handler);
                assert!(is_kept, "nobody is told before it is kept");
            }
            Notice::Turn(reader) => self.take_turn(reader),
            Notice::Gone(reader) | Notice::Lost(reader) => self.end_reader(reader),
            Notice::CallerGone(CallerId(caller)) => {
                let (run, _) = self.clients.callers.remove(&caller).expect("a caller is told once");
                assert!(self.purged.contains(&run.handler), "nobody is told before it is kept");
            }
            Notice::Unread(CallerId(caller)) => {
                let (run, _) = self.clients.callers.remove(&caller).expect("a caller is told once");
                assert!(self.store.unreadable.contains(&run.handler), "only what cannot be read is given up");
            }
            Notice::NotKept(CallerId(caller)) => {
                let (run, run_id) = self.clients.callers.remove(&caller).expect("a caller is told once");
                let is_there = self.history.runs.get(&run).is_some_and(|run| run.run_id == run_id);
                assert!(!is_there, "what is refused is not there");
                self.history.refused_runs.insert(run_id);
            }
            Notice::Delayed(key, CallerId(caller)) => {
                let Some(&(run, _)) = self.clients.callers.get(&caller) else { return };
                let is_there = self.history.runs.contains_key(&run) || self.purged.contains(&key);
                assert!(run.handler == key && is_there, "who is refused is told so");
                if self.random.one_in(2) {
                    // Its run may have ended meanwhile, and the notice of that be on its way.
                    self.clients.callers.remove(&caller);
                    self.clients.hung_up.insert(caller);
                    self.scheduler.forget_caller(key, CallerId(caller));
                }
            }
            Notice::Load(key) => self.ask_handler(Address::Key(key), None),
            Notice::Oldest(count) => {
                self.ask_oldest(count);
            }
        }
    }

    fn ask_handler(&mut self, address: Address, waiting: Option<Request>) {
        if let Some(others) = self.clients.loads.get_mut(&address) {
            return others.extend(waiting);
        }
        self.counts.loads += 1;
        self.clients.loads.insert(address.clone(), waiting.into_iter().collect());
        let ticket = self.store.read(Query::Handler(address.clone()), &mut self.random);
        let asked = self.scheduler.begin_read();
        self.clients.questions.insert(ticket, Question::Handler(address, asked));
    }

    fn ask_oldest(&mut self, count: usize) {
        let ticket = self.store.read(Query::Oldest { count }, &mut self.random);
        let asked = self.scheduler.begin_read();
        self.clients.questions.insert(ticket, Question::Oldest(count, asked));
    }

    pub(crate) fn ask_page(&mut self, reader: ReaderId, query: Query) -> Ticket {
        let ticket = self.store.read(query, &mut self.random);
        self.clients.questions.insert(ticket, Question::Page(reader));
        ticket
    }

    pub(crate) fn handle_answer(&mut self, ticket: Ticket, answer: Result<Answer, StoreError>) {
        if let Err(StoreError::Damaged(key, cause)) = &answer {
            self.scheduler.note_damaged(*key, cause);
        }
        let question = self.clients.questions.remove(&ticket).expect("a question is answered once");
        match (question, answer) {
            (Question::Page(reader), Ok(Answer::Page { feed, workflow })) => self.give_page(reader, &feed, workflow),
            (Question::Page(reader), _) => self.leave(reader),
            (Question::Handler(address, asked), answer) => match (self.scheduler.end_read(asked), answer) {
                (false, _) => {
                    let waiting = self.clients.loads.remove(&address).unwrap_or_default();
                    self.ask_handler(address.clone(), None);
                    self.clients.loads.insert(address, waiting);
                }
                (true, Ok(Answer::Handler(kept))) => self.give_handler(&address, kept, false),
                (true, Ok(Answer::Damaged { handler, cause })) => {
                    self.scheduler.handle_head(&handler, &cause, self.now);
                    for request in self.clients.loads.remove(&address).unwrap_or_default() {
                        self.request(request, true);
                    }
                }
                (true, Err(StoreError::Damaged(key, cause))) if matches!(address, Address::Key(_)) => {
                    self.scheduler.handle_damaged(key, &cause, self.now);
                    self.clients.loads.remove(&address);
                }
                (true, _) => self.give_handler(&address, None, true),
            },
            (Question::Oldest(count, asked), answer) => match (self.scheduler.end_read(asked), answer) {
                (false, _) => self.ask_oldest(count),
                (true, Ok(Answer::Oldest(oldest))) => self.scheduler.handle_oldest(&oldest, self.now),
                (true, _) => self.scheduler.handle_oldest_unread(self.now),
            },
        }
    }

    fn give_handler(&mut self, address: &Address, kept: Option<Box<Kept>>, unread: bool) {
        match (kept, address) {
            (Some(kept), _) => self.scheduler.handle_kept(&kept, self.now),
            (None, Address::Key(key)) if !unread => self.scheduler.handle_absent(*key, self.now),
            (None, Address::Key(key)) => self.scheduler.handle_unread(*key, self.now),
            (None, Address::Id(..)) => {}
        }
        for request in self.clients.loads.remove(address).unwrap_or_default() {
            if !unread {
                self.request(request, true);
            }
        }
    }

    /// Everybody's connection is lost. What they were told is there, unless the power was lost with it.
    pub(crate) fn handle_crash(&mut self, power_lost: bool) {
        let clients = &mut self.clients;
        clients.unkept.clear();
        clients.callers.clear();
        clients.hung_up.clear();
        clients.readers.clear();
        clients.questions.clear();
        clients.loads.clear();
        clients.purging.clear();
        let told = std::mem::take(&mut clients.told);
        if power_lost {
            self.clients.told = told.into_iter().filter(|told| self.is_so(told)).collect();
            let runs = &self.history.runs;
            self.clients.taken.retain(|run, taken| {
                runs.get(run).is_some_and(|history| {
                    *taken = (*taken).min(history.next_sequence());
                    true
                })
            });
        } else {
            for told in &told {
                self.check_told(told);
            }
            self.clients.told = told;
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.clients.unkept.is_empty() && self.clients.questions.is_empty()
    }
}
