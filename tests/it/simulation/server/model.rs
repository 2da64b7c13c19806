//! What a batch means: a store as a value, simple enough to be obviously correct.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steprill::{
    engine::{
        feed::Feed,
        ids::HandlerIds,
        input::Outcome,
        keys::{HandlerKey, Issued, RunKey, WorkflowId},
        published::Published,
        run::Changed,
        storage::{Batch, Recall, StartState},
        stored::{Beginning, HandlerAddress, Stored, StoredEnd, StoredHandler, StoredJournal},
        window::Mark,
    },
    graph::Graph,
    now::Now,
    store::{Answer, Query},
    values::Values,
};

/// What is wrong with damaged rows.
pub(crate) const CAUSE: &str = "a page is gone";

/// A graph that the store has seen, in order of arrival.
pub(crate) type Version = usize;

/// Everything that was committed.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) versions: Vec<Arc<Graph>>,
    pub(crate) handlers: BTreeMap<HandlerKey, Row>,
    pub(crate) names: BTreeMap<Arc<str>, HandlerKey>,
    pub(crate) feeds: BTreeMap<RunKey, Events>,
    /// Finished handlers, in the order in which they ended.
    pub(crate) ended: BTreeMap<u64, HandlerKey>,
    pub(crate) newest: Now,
    pub(crate) next_handler: u64,
    /// The secret of the first start.
    secret: Option<u128>,
    first_handler: Option<u64>,
    ids: Option<HandlerIds>,
    next_ended: u64,
}

/// A handler and its newest run.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: Option<Arc<str>>,
    pub(crate) version: Version,
    pub(crate) run: u32,
    pub(crate) run_id: uuid::Uuid,
    pub(crate) started_us: i64,
    pub(crate) updated_us: i64,
    /// The number of the newest run's first event.
    pub(crate) begin: u64,
    /// Where the window of its feed begins, if events have left it.
    pub(crate) window: Option<Mark>,
    pub(crate) cursor: u64,
    pub(crate) journal: StoredJournal,
    /// How many records there were since the run began, including those that a snapshot has replaced.
    pub(crate) records: usize,
    pub(crate) end: Option<End>,
    /// Whether it was set aside.
    pub(crate) is_aside: bool,
}

#[derive(Clone)]
pub(crate) struct End {
    pub(crate) place: u64,
    pub(crate) outcome: Outcome,
    pub(crate) state: Values,
}

/// The events of a run, each with the version of the workflow whose ids it has.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) first: u64,
    pub(crate) list: Vec<(Version, Published)>,
}

/// The graphs of one start of the server: the registered ones, then the others that the store knows.
#[derive(Clone, Default)]
pub(crate) struct Session {
    pub(crate) graphs: Vec<Arc<Graph>>,
    pub(crate) registered: usize,
    /// By workflow id.
    pub(crate) versions: Vec<Version>,
}

impl Session {
    pub(crate) fn version(&self, workflow: WorkflowId) -> Version {
        self.versions[usize::from(workflow.0)]
    }

    pub(crate) fn workflow(&self, version: Version) -> WorkflowId {
        let index = self.versions.iter().position(|&other| other == version).expect("every version has a workflow");
        WorkflowId(index as u16)
    }
}

impl Model {
    /// The server starts with these workflows.
    pub(crate) fn open(&mut self, registered: &[Arc<Graph>], secret: u128) -> (Session, Beginning) {
        let secret = *self.secret.get_or_insert(secret);
        self.ids = Some(HandlerIds::new(secret));
        let mut session = Session { registered: registered.len(), ..Session::default() };
        for graph in registered {
            let stored = graph.to_stored();
            let known = self.versions.iter().position(|other| other.to_stored() == stored);
            session.versions.push(known.unwrap_or(self.versions.len()));
            session.graphs.push(Arc::clone(graph));
            if known.is_none() {
                let read = Graph::from_stored(&stored).expect("a graph is read back");
                self.versions.push(Arc::new(read));
            }
        }
        for version in 0..self.versions.len() {
            if !session.versions.contains(&version) {
                session.versions.push(version);
                session.graphs.push(Arc::clone(&self.versions[version]));
            }
        }
        let aside = self.handlers.iter().filter(|(_, row)| row.is_aside).map(|(key, _)| (*key, CAUSE.into()));
        let first = self.first_handler.unwrap_or(self.next_handler);
        let beginning = Beginning {
            recall: Recall::Everything,
            newest: self.newest,
            issued: Issued { counted: 0, first, next: self.next_handler },
            secret,
            finished: self.ended.len(),
            aside: aside.collect(),
        };
        (session, beginning)
    }

    /// The rows of this handler cannot be changed. Returns whether it was among the finished ones, to which it no
    /// longer belongs.
    pub(crate) fn set_aside(&mut self, key: HandlerKey) -> bool {
        let Some(row) = self.handlers.get_mut(&key) else { return false };
        let was_aside = std::mem::replace(&mut row.is_aside, true);
        row.end.as_ref().is_some_and(|end| self.ended.remove(&end.place).is_some()) && !was_aside
    }

    pub(crate) fn apply(&mut self, batch: &Batch, session: &Session) {
        self.newest.wall_us = self.newest.wall_us.max(batch.now.wall_us);
        self.newest.alive_us = self.newest.alive_us.max(batch.now.alive_us);
        self.next_handler = self.next_handler.max(batch.next_handler);
        // Removals come first: a client may give a new handler the id of one that is purged in the same batch.
        let purged_and_new: BTreeSet<_> = batch.purged.iter().filter(|key| !self.handlers.contains_key(key)).collect();
        for key in batch.purged.iter().filter(|key| !purged_and_new.contains(key)) {
            self.purge(*key);
        }
        let purged: BTreeSet<_> = batch.purged.iter().copied().collect();
        let stays = |run: &RunKey| !purged.contains(&run.handler);
        for opened in batch.opened.iter().filter(|opened| stays(&opened.run)) {
            self.open_run(opened, session);
        }
        for (run, record) in batch.records.iter().filter(|(run, _)| stays(run)) {
            let row = self.row(*run);
            row.journal.records.push(record.clone());
            row.records += 1;
        }
        let moves: BTreeMap<RunKey, Version> = batch
            .snapshots
            .iter()
            .map(|snapshotted| (snapshotted.run, session.version(snapshotted.workflow)))
            .collect();
        for (run, version) in moves.iter().filter(|(run, _)| stays(run)) {
            self.row(*run).version = *version;
        }
        for (run, event) in batch.published.iter().filter(|(run, _)| stays(run)) {
            let version = self.row(*run).version;
            self.feeds.get_mut(run).expect("events are of a run").list.push((version, event.clone()));
        }
        for (run, mark) in batch.left.iter().filter(|(run, _)| stays(run)) {
            self.row(*run).window = Some(*mark);
            let events = self.feeds.get_mut(run).expect("events are of a run");
            assert!(mark.sequence >= events.first, "a window moves on");
            events.list.drain(..(mark.sequence - events.first) as usize);
            events.first = mark.sequence;
        }
        for snapshotted in batch.snapshots.iter().filter(|snapshotted| stays(&snapshotted.run)) {
            let row = self.row(snapshotted.run);
            row.updated_us = snapshotted.updated_us;
            row.journal.snapshot = Some(snapshotted.snapshot.clone());
            row.journal.records.clear();
        }
        for ended in batch.ended.iter().filter(|ended| stays(&ended.run)) {
            let place = self.next_ended;
            self.next_ended += 1;
            let row = self.row(ended.run);
            assert!(row.end.is_none(), "a run ends once");
            if let (Outcome::Completed(_), Some(Changed::Keys(keys))) = (&ended.outcome, &ended.changed) {
                let begun = &row.journal.state;
                let all: BTreeSet<_> = begun.keys().chain(ended.state.keys()).collect();
                let mut differ = all.into_iter().filter(|key| begun.get(key) != ended.state.get(key));
                assert!(differ.all(|key| keys.contains(key)), "what has changed is said");
            }
            row.updated_us = ended.updated_us;
            row.end = Some(End { place, outcome: ended.outcome.clone(), state: ended.state.clone() });
            row.journal = StoredJournal::default();
            self.ended.insert(place, ended.run.handler);
        }
        for (run, cursor) in batch.cursors.iter().filter(|(run, _)| stays(run)) {
            self.row(*run).cursor = *cursor;
        }
        for (run, range) in &batch.removed {
            let newest = self.handlers.get(&run.handler).map(|row| row.run);
            assert!(newest.is_none_or(|newest| run.run < newest), "no run needs it");
            self.feeds.retain(|other, events| {
                let is_over = other.handler == run.handler && newest.is_some_and(|newest| other.run < newest);
                !(is_over && range.contains(&events.first))
            });
        }
    }

    fn open_run(&mut self, opened: &steprill::engine::storage::OpenedRun, session: &Session) {
        let head = opened.head.as_ref().expect("what is begun is recorded");
        let key = opened.run.handler;
        let mut state = match &head.state {
            StartState::Given(state) => state.clone(),
            StartState::Recorded | StartState::Inherited => Values::default(),
        };
        match self.handlers.get(&key) {
            None => assert_eq!(opened.run.run, 0, "a handler begins with its first run"),
            Some(before) => {
                assert_eq!((opened.run.run, head.id.as_ref()), (before.run + 1, before.id.as_ref()));
                let end = before.end.as_ref().expect("a run follows one that has ended");
                self.ended.remove(&end.place);
                if head.state == StartState::Inherited {
                    assert!(!end.state.is_empty(), "an inherited state was stored");
                    state = end.state.clone();
                }
            }
        }
        self.first_handler.get_or_insert(key.0);
        if let Some(id) = &head.id {
            let other = self.names.insert(Arc::clone(id), key);
            assert!(other.is_none_or(|other| other == key), "an id is of one handler");
        }
        let row = Row {
            id: head.id.clone(),
            version: session.version(head.workflow),
            run: opened.run.run,
            run_id: head.run_id,
            started_us: head.started_us,
            updated_us: head.started_us,
            begin: opened.first,
            window: None,
            cursor: opened.first,
            journal: StoredJournal { state, ..StoredJournal::default() },
            records: 0,
            end: None,
            is_aside: false,
        };
        self.handlers.insert(key, row);
        let before = self.feeds.insert(opened.run, Events { first: opened.first, list: Vec::new() });
        assert!(before.is_none(), "a run is opened once");
    }

    fn purge(&mut self, key: HandlerKey) {
        let Some(row) = self.handlers.remove(&key) else { return };
        if let Some(id) = row.id {
            self.names.remove(&id);
        }
        if let Some(end) = row.end {
            self.ended.remove(&end.place);
        }
        self.feeds.retain(|run, _| run.handler != key);
    }

    /// Returns the handlers that must not begin, because a client has chosen the id that follows from their key.
    pub(crate) fn refused(&self, batch: &Batch) -> Vec<HandlerKey> {
        let Some(ids) = &self.ids else { return Vec::new() };
        let made = batch.opened.iter().filter(|opened| opened.head.as_ref().is_some_and(|head| head.id.is_none()));
        let is_chosen = |key: &HandlerKey| self.names.contains_key(&*String::from_utf8_lossy(&ids.spell(*key)));
        made.filter(|opened| opened.run.run == 0).map(|opened| opened.run.handler).filter(is_chosen).collect()
    }

    fn row(&mut self, run: RunKey) -> &mut Row {
        self.handlers.get_mut(&run.handler).filter(|row| row.run == run.run).expect("what changes is the newest run")
    }

    /// Returns how much is stored, in some unit.
    pub(crate) fn bytes(&self) -> u64 {
        let events: usize = self.feeds.values().map(|events| events.list.len()).sum();
        self.handlers.len() as u64 * 100 + events as u64 * 10
    }

    /// Returns the answer to a query.
    pub(crate) fn answer(&self, query: &Query, session: &Session) -> Answer {
        match query {
            Query::Page { run, from, until, bytes_max } => self.page(*run, *from..*until, *bytes_max, session),
            Query::Handler(address) => {
                Answer::Handler(self.find(address).map(|key| Box::new(self.stored(key, session))))
            }
            Query::List { after, count, bytes_max } => {
                let from = after.map_or(HandlerKey(0), |key| HandlerKey(key.0 + 1));
                let mut bytes = 0;
                let mut has_room = |row: &Row| {
                    let is_within = bytes < *bytes_max;
                    bytes += row.end.as_ref().map_or(0, |end| end.outcome.cost_bytes());
                    is_within
                };
                let listed = self.handlers.range(from..).take(*count).take_while(|(_, row)| has_room(row));
                let handlers: Vec<_> = listed.map(|(&key, _)| self.listed(key, session)).collect();
                let next = handlers.last().map_or(from, |last: &StoredHandler| HandlerKey(last.key.0 + 1));
                let is_complete = handlers.len() < *count && self.handlers.range(next..).next().is_none();
                Answer::List { handlers, damaged: Vec::new(), is_complete }
            }
            Query::Running { after, count } => {
                let live = self.live(session).into_iter().map(|stored| stored.handler);
                let handlers: Vec<_> = live.filter(|stored| Some(stored.key) > *after).take(*count).collect();
                let is_complete = handlers.len() < *count;
                Answer::List { handlers, damaged: Vec::new(), is_complete }
            }
            Query::Oldest { count } => {
                let oldest = self.ended.values().take(*count);
                Answer::Oldest(oldest.map(|key| (*key, self.handlers[key].updated_us)).collect())
            }
        }
    }

    pub(crate) fn find(&self, address: &HandlerAddress) -> Option<HandlerKey> {
        match address {
            HandlerAddress::Key(key) => Some(*key).filter(|key| self.handlers.contains_key(key)),
            HandlerAddress::Id(id) => {
                let is_made = |key| self.handlers.get(&key).is_some_and(|row| row.id.is_none());
                self.ids.as_ref()?.resolve(id, |id| self.names.get(id).copied(), is_made)
            }
        }
    }

    pub(crate) fn stored(&self, key: HandlerKey, session: &Session) -> Stored {
        let row = &self.handlers[&key];
        let events = &self.feeds[&RunKey { handler: key, run: row.run }];
        let end = row.end.as_ref().map(|end| StoredEnd { outcome: end.outcome.clone(), state: end.state.clone() });
        let handler = StoredHandler {
            key,
            id: row.id.clone(),
            workflow: session.workflow(row.version),
            run: row.run,
            run_id: row.run_id,
            started_us: row.started_us,
            updated_us: row.updated_us,
            first_sequence: row.begin,
            next_sequence: events.first + events.list.len() as u64,
            window: row.window,
            cursor: row.cursor,
            end,
        };
        Stored { handler, journal: row.journal.clone() }
    }

    /// Returns a handler as in lists: without its state.
    fn listed(&self, key: HandlerKey, session: &Session) -> StoredHandler {
        let mut handler = self.stored(key, session).handler;
        handler.end.iter_mut().for_each(|end| end.state = Values::default());
        handler
    }

    /// Returns the handlers whose runs have not ended.
    pub(crate) fn live(&self, session: &Session) -> Vec<Stored> {
        let live = self.handlers.iter().filter(|(_, row)| row.end.is_none() && !row.is_aside);
        live.map(|(&key, _)| self.stored(key, session)).collect()
    }

    /// Encodes and decodes events of one version.
    fn page(&self, run: RunKey, range: std::ops::Range<u64>, bytes_max: usize, session: &Session) -> Answer {
        let Some(events) = self.feeds.get(&run) else {
            return Answer::Page { feed: Feed::new(range.start), workflow: None };
        };
        let mut range = range;
        if range.start < events.first {
            // It has left the window.
            range = events.first..range.end.max(events.first + events.list.len() as u64);
        }
        let from = range.start;
        let rest = events.list.get((from - events.first) as usize..).unwrap_or_default();
        let Some(&(version, _)) = rest.first() else {
            return Answer::Page { feed: Feed::new(from), workflow: None };
        };
        let mut feed = Feed::new(from);
        for (_, event) in rest.iter().take_while(|(other, _)| *other == version) {
            feed.push(event);
        }
        let page = feed.page(from..range.end, bytes_max);
        let graph = &self.versions[version];
        let feed = Feed::decode_events(page.first(), &page.encode_events(), graph).expect("events are read back");
        assert_eq!(feed, page);
        Answer::Page { feed, workflow: Some(session.workflow(version)) }
    }
}
