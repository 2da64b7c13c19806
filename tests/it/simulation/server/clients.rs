//! Clients, and what they were told.

use std::collections::{BTreeMap, BTreeSet};

use steprill::{
    Outcome,
    awaited::Awaited,
    client_id::ClientId,
    core::{Driver, Loaded, Output, Refused},
    engine::{
        keys::{HandlerKey, RunKey},
        scheduler::Fold,
    },
    http::Response,
    store::StoreError,
};

use super::{
    calls::Call,
    lists::Listing,
    readers::Reader,
    world::{Going, World},
};

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Start { flow: usize, id: Option<String>, context: bool, waits: bool },
    Post { id: String },
    Cancel { id: String, purge: bool },
    Result { id: String },
    Read { id: String, queue: bool },
    List { only_running: bool },
}

/// What a client was told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Started(RunKey, uuid::Uuid),
    Posted(RunKey, String),
    Cancelled(RunKey),
    Purged(HandlerKey, uuid::Uuid),
    Result(RunKey, Outcome),
    /// That its request is refused, because of a change that may not be committed yet.
    Refused,
}

/// What a client waits for.
pub(crate) enum Doing {
    /// For its call to be repeated.
    Calling(Call),
    /// For a reply that waits for the batch with this number.
    Promised { batch: u64, told: Told, response: Response },
    /// For the end of the run that it started.
    Awaiting(RunKey, uuid::Uuid),
    /// For more of a list.
    Listing(Listing),
}

#[derive(Default)]
pub(crate) struct Clients {
    /// All ids that any client has learned of.
    pub(crate) ids: Vec<String>,
    /// The newest client of each slot.
    generations: Vec<u32>,
    pub(crate) doing: BTreeMap<ClientId, Doing>,
    pub(crate) readers: BTreeMap<ClientId, Reader>,
    /// The batch of the last reply.
    replied: u64,
    /// Everything that was ever reported.
    told: Vec<Told>,
    /// The highest number that readers of a queue have taken.
    pub(crate) taken: BTreeMap<RunKey, u64>,
    /// Handlers that a client wants to purge.
    pub(crate) purging: BTreeSet<HandlerKey>,
    /// Journals that are being folded.
    folding: Vec<(Loaded, Fold)>,
    /// Whether a failure of the store was reported, and its recovery was not yet.
    is_store_failing: bool,
    /// The value of the next run or post; never used twice.
    drawn: u64,
}

impl World {
    /// A client does something.
    pub(crate) fn act(&mut self) {
        let request = match self.random.below(15) {
            0..4 => self.draw_start(),
            4..7 => Request::Post { id: self.draw_id() },
            7 => Request::Cancel { id: self.draw_id(), purge: self.random.one_in(2) },
            8 => Request::Result { id: self.draw_id() },
            9 | 10 => Request::Read { id: self.draw_id(), queue: self.random.one_in(2) },
            11 => Request::List { only_running: self.random.one_in(3) },
            12 => return self.hang_up_one(),
            _ => return self.take_some(),
        };
        self.request(request);
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

    /// Newer ones more often than older ones.
    fn draw_id(&mut self) -> String {
        let ids = &self.clients.ids;
        let recent = &ids[ids.len().saturating_sub(if self.random.one_in(4) { 100 } else { 8 })..];
        if recent.is_empty() { "nobody".into() } else { self.random.pick(recent).clone() }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.clients.drawn += 1;
        self.clients.drawn
    }

    /// An idle connection sends a request.
    pub(crate) fn request(&mut self, request: Request) {
        let Some(client) = self.connect() else { return };
        let call = self.compose(request);
        self.trace(|| format!("{client:?} {call:?}"));
        self.call(client, call, false);
    }

    /// Slots are reused, by the same client or by the next one.
    fn connect(&mut self) -> Option<ClientId> {
        let generations = &self.clients.generations;
        let client = |slot: usize| ClientId { slot: slot as u32, generation: generations[slot] };
        let is_free = |slot: &usize| {
            !(self.clients.doing.contains_key(&client(*slot)) || self.clients.readers.contains_key(&client(*slot)))
        };
        let free: Vec<usize> = (0..generations.len()).filter(is_free).collect();
        if !free.is_empty() {
            return Some(client(*self.random.pick(&free)));
        }
        let slot = generations.len();
        (slot < SLOTS_MAX || self.is_closing).then(|| {
            self.clients.generations.push(0);
            ClientId { slot: slot as u32, generation: 0 }
        })
    }

    /// A client answers a question of this run.
    pub(crate) fn answer(&mut self, run: RunKey) {
        let id = self.core.scheduler().view(run.handler).map(|view| view.id.to_owned());
        if let Some(id) = id {
            self.request(Request::Post { id });
        }
    }

    /// A connection is lost, whatever it is waiting for.
    fn hang_up_one(&mut self) {
        let waiting = self.clients.doing.keys().chain(self.clients.readers.keys());
        let waiting: Vec<ClientId> = waiting.copied().collect();
        if waiting.is_empty() {
            return;
        }
        let client = *self.random.pick(&waiting);
        self.trace(|| format!("{client:?} hangs up"));
        if self.clients.readers.contains_key(&client) {
            self.leave(client);
        } else {
            self.clients.doing.remove(&client);
            self.core.forget(client);
        }
        self.clients.generations[client.slot as usize] += 1;
    }

    /// Makes the client wait for the reply to its change.
    pub(crate) fn promise(&mut self, client: ClientId, key: HandlerKey, told: Told, response: Response) {
        let batch = self.core.scheduler().open_batch();
        self.core.wait(client, Awaited::Commit(key, response.clone()));
        self.clients.doing.insert(client, Doing::Promised { batch, told, response });
    }

    /// A client reads how a run ended.
    pub(crate) fn look(&mut self, key: HandlerKey) {
        if self.core.scheduler().is_aside(key) {
            // It counts as failed, although that cannot be stored.
            return;
        }
        let outcome = self.core.scheduler().view(key).and_then(|view| view.outcome.cloned());
        if let (Some(outcome), Some(run)) = (outcome, self.core.scheduler().run_of(key)) {
            self.tell(Told::Result(run, outcome));
        }
    }

    /// A client was told something, on which it may rely.
    fn tell(&mut self, told: Told) {
        self.trace(|| format!("told {told:?}"));
        self.check_told(&told);
        self.clients.told.push(told);
    }

    pub(crate) fn do_output(&mut self, output: Output) {
        self.trace(|| format!("{output:?}"));
        match output {
            Output::Ask(ticket, query) => {
                self.counts.loads += u64::from(matches!(query, steprill::store::Query::Handler(_)));
                self.store.read(ticket, query, &mut self.random);
            }
            Output::Fold(loaded, fold) => self.clients.folding.push((loaded, fold)),
            Output::Reply(client, response) => self.take_reply(client, &response),
            Output::Refuse(client, refused) => self.take_refusal(client, refused),
            Output::RunEnded(client, handler) => self.take_end(client, handler),
            Output::Call { client, is_read } => {
                let call = self.take_call(client);
                self.call(client, call, is_read);
            }
            Output::CallFailed(client, error) => {
                drop(self.take_call(client));
                let is_damaged =
                    matches!(&error, StoreError::Damaged { handler, .. } if self.store.unreadable.contains(handler));
                assert!(is_damaged || matches!(error, StoreError::Failed { .. }), "what can be read is read: {error}");
            }
            Output::Published(run) => self.pump_readers(run),
            Output::LockGranted(client) => self.take_lock(client),
            Output::ReaderGone(client) | Output::ReaderLost(client) => self.end_reader(client),
            Output::Page(client, ticket, page) => self.take_page(client, ticket, page),
            Output::ListPage(client, page) => self.take_list_page(client, page),
            Output::Trouble(_) => {}
            Output::StoreFails(_) => self.clients.is_store_failing = true,
            Output::StoreWorks => {
                let was_failing = std::mem::take(&mut self.clients.is_store_failing);
                assert!(was_failing, "a recovery is reported only after a failure");
            }
            Output::StoreDied(thread) => unreachable!("{thread}"),
        }
    }

    fn take_call(&mut self, client: ClientId) -> Call {
        match self.clients.doing.remove(&client) {
            Some(Doing::Calling(call)) => call,
            _ => panic!("{client:?}: a call is made again for whom it waits"),
        }
    }

    fn take_reply(&mut self, client: ClientId, sent: &Response) {
        let Some(Doing::Promised { batch, told, response }) = self.clients.doing.remove(&client) else {
            panic!("{client:?}: a client that gets a reply waits for one")
        };
        assert_eq!(response, *sent, "everybody gets the reply to the own request");
        assert!(self.clients.replied <= batch, "replies go out in the order of what they tell");
        self.clients.replied = batch;
        self.tell(told);
    }

    fn take_refusal(&mut self, client: ClientId, refused: Refused) {
        match (self.clients.doing.remove(&client).expect("a refused client waits"), refused) {
            (Doing::Promised { told, .. }, Refused::NotStored(_)) => match told {
                Told::Started(_, run_id) => drop(self.history.refused_runs.insert(run_id)),
                Told::Posted(_, text) => drop(self.history.refused_posts.insert(text)),
                Told::Purged(key, _) => {
                    self.clients.purging.remove(&key);
                    self.history.cancelling.retain(|run| run.handler != key);
                }
                Told::Cancelled(run) => drop(self.history.cancelling.remove(&run)),
                Told::Result(..) | Told::Refused => {}
            },
            (Doing::Awaiting(run, run_id), Refused::NotStored(_)) => {
                let is_there = self.history.runs.get(&run).is_some_and(|run| run.run_id == run_id);
                assert!(!is_there, "what is refused is not there");
                self.history.refused_runs.insert(run_id);
            }
            (Doing::Awaiting(run, _), Refused::RunUnreadable) => {
                assert!(self.store.unreadable.contains(&run.handler), "only a run that cannot be read is given up");
            }
            (Doing::Awaiting(run, _), Refused::RunDelayed(id)) => {
                let is_there = self.history.runs.contains_key(&run) || self.purged.contains(&run.handler);
                assert!(is_there, "a refused client gets the reason");
                assert_eq!(self.core.scheduler().known_id(run.handler), id);
            }
            (_, refused) => panic!("{client:?} waits for something else than {refused:?}"),
        }
    }

    fn take_end(&mut self, client: ClientId, handler: Option<HandlerKey>) {
        let Some(Doing::Awaiting(run, run_id)) = self.clients.doing.remove(&client) else {
            panic!("{client:?}: a caller gets one reply, about the run that it began")
        };
        let Some(key) = handler else {
            return assert!(self.purged.contains(&run.handler), "no reply is sent before it is committed");
        };
        assert_eq!(key, run.handler);
        let view = self.core.scheduler().view(key).expect("a run that has ended can be shown");
        assert!(view.run_id == run_id && view.outcome.is_some(), "a caller learns how its run ended");
        self.look(key);
        let is_committed = self.history.runs[&run].end.is_some() || self.core.scheduler().is_aside(key);
        assert!(is_committed, "no reply is sent before it is committed");
    }

    /// Completes work that is done outside the loop.
    pub(crate) fn help(&mut self) -> Going {
        while !self.clients.folding.is_empty() && (self.is_closing || self.random.one_in(2)) {
            let index = self.random.below(self.clients.folding.len());
            let (loaded, fold) = self.clients.folding.swap_remove(index);
            let folded = fold.fold(&loaded.stored);
            self.core.handle_folded(loaded, folded, self.now);
            self.carry_out_all()?;
        }
        self.parse_some();
        self.write_lists();
        Ok(())
    }

    /// All connections are lost. What clients were told still holds, unless the power was lost.
    pub(crate) fn handle_crash(&mut self, power_lost: bool) {
        let clients = &mut self.clients;
        clients.generations.clear();
        clients.doing.clear();
        clients.readers.clear();
        clients.purging.clear();
        clients.folding.clear();
        (clients.replied, clients.is_store_failing) = (0, false);
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

    /// Checks that the core and the clients agree on who is waiting.
    pub(crate) fn check_waiting(&self) {
        let waits = |doing: &Doing| !matches!(doing, Doing::Listing(_));
        let waiting = self.clients.doing.iter().filter(|(_, doing)| waits(doing)).map(|(client, _)| *client);
        for (slot, &generation) in self.clients.generations.iter().enumerate() {
            let client = ClientId { slot: slot as u32, generation };
            let waits = self.clients.doing.get(&client).is_some_and(waits);
            assert_eq!(self.core.is_waiting(client), waits, "{client:?}");
        }
        let awaiting = |client: &ClientId| matches!(self.clients.doing[client], Doing::Awaiting(..));
        assert_eq!(self.core.caller_count(), waiting.filter(awaiting).count());
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let is_awaiting = |doing: &Doing| matches!(doing, Doing::Awaiting(..));
        self.core.is_quiet() && self.clients.folding.is_empty() && self.clients.doing.values().all(is_awaiting)
    }
}

/// How many connections there are at a time.
const SLOTS_MAX: usize = 40;
