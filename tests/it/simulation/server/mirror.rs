//! The SQLite store beside the model: it gets the same batches, and must return the same answers.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
};

use steprill::{
    engine::{
        feed::Feed,
        ids::HandlerIds,
        keys::{HandlerKey, RunKey, WorkflowId},
        record,
        storage::Batch,
        stored::{Beginning, HandlerAddress, Recovered, Stored, StoredHandler},
    },
    graph::Graph,
    store::{Answer, Completed, Durability, Opened, Query, Store as _, Ticket, sqlite::SqliteStore},
    values::Values,
};

pub(crate) use super::history::SECRET;
use super::{
    model::{Model, Session},
    store::copy,
};

pub(crate) struct Mirror {
    directory: tempfile::TempDir,
    store: Option<SqliteStore>,
    graphs: Vec<Arc<Graph>>,
    bell: Receiver<()>,
    submitted: u64,
    committed: u64,
}

impl Mirror {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, bell) = channel();
        Self { directory, store: None, graphs: Vec::new(), bell, submitted: 0, committed: 0 }
    }

    /// The server starts with these workflows: both stores must know the same.
    pub(crate) fn open(&mut self, registered: &[Arc<Graph>], model: &Model, session: &Session) -> Beginning {
        if let Some(mut store) = self.store.take() {
            store.close();
        }
        let (wake_loop, bell) = channel();
        let wake_loop = Arc::new(move || wake_loop.send(()).unwrap_or_default());
        let path: PathBuf = self.directory.path().join("data");
        let opened = SqliteStore::open(&path, Durability::Off, registered, SECRET, wake_loop);
        let Opened { mut store, graphs, beginning, .. } = opened.expect("the store is opened");
        (self.graphs, self.bell, self.submitted, self.committed) = (graphs, bell, 0, 0);
        assert_eq!((beginning.secret, beginning.finished), (SECRET, model.ended.len()));
        assert!(beginning.issued.next >= model.next_handler, "no key comes twice");
        let (mut expected, mut newest) = (model.live(session).into_iter(), beginning.newest);
        store
            .recover(&mut |recovered| {
                let Recovered::Whole(stored) = recovered else { panic!("{recovered:?}") };
                let live = expected.next().expect("no more than go on");
                self.check(&stored, &live, session);
                for record in &stored.journal.records {
                    let graph = &self.graphs[usize::from(stored.handler.workflow.0)];
                    let (_, now) = record::decode(record, graph).expect("a record is read back");
                    newest.wall_us = newest.wall_us.max(now.wall_us);
                    newest.alive_us = newest.alive_us.max(now.alive_us);
                }
            })
            .expect("handlers are read");
        assert!(expected.next().is_none(), "all that go on");
        assert_eq!(newest, beginning.newest, "no record is newer");
        assert!(newest.wall_us <= model.newest.wall_us && newest.alive_us <= model.newest.alive_us);
        self.store = Some(store);
        beginning
    }

    pub(crate) fn submit(&mut self, batch: &Batch) {
        self.submitted = batch.number;
        self.store().submit(copy(batch));
    }

    fn store(&mut self) -> &mut SqliteStore {
        self.store.as_mut().expect("it is open")
    }

    fn next_completed(&mut self) -> Completed {
        loop {
            match self.store().poll_completed() {
                Some(Completed::Gone(_)) => {}
                Some(completed) => return completed,
                None => self.bell.recv().expect("the store wakes the loop"),
            }
        }
    }

    fn settle(&mut self) {
        while self.committed < self.submitted {
            let Completed::Batch { number } = self.next_completed() else { panic!("every batch is committed") };
            assert!(number > self.committed);
            self.committed = number;
        }
    }

    fn ask(&mut self, query: Query) -> Answer {
        let asked = Ticket(self.submitted);
        self.store().read(asked, query);
        let Completed::Answer { ticket, answer } = self.next_completed() else { panic!("only this is asked") };
        assert_eq!(ticket, asked);
        answer.expect("it can be read")
    }

    /// Makes all possible queries. `runs`: runs whose events are requested, besides the newest runs.
    pub(crate) fn compare(&mut self, model: &Model, session: &Session, runs: impl Iterator<Item = RunKey>) {
        self.settle();
        let ids = HandlerIds::new(SECRET);
        let keys: BTreeSet<_> = model.handlers.keys().flat_map(|key| [*key, HandlerKey(key.0 + 1)]).collect();
        let addresses = keys.into_iter().flat_map(|key| {
            let id = String::from_utf8_lossy(&ids.spell(key)).into();
            [HandlerAddress::Key(key), HandlerAddress::Id(id)]
        });
        let chosen = (0..6).map(|number| HandlerAddress::Id(format!("chosen{number}").into()));
        for address in addresses.chain(chosen) {
            let expected = model.find(&address).map(|key| model.stored(key, session));
            let Answer::Handler(stored) = self.ask(Query::Handler(address.clone())) else { panic!("a handler") };
            assert_eq!(stored.is_some(), expected.is_some(), "{address:?}");
            if let (Some(stored), Some(expected)) = (stored, expected) {
                self.check(&stored, &expected, session);
            }
        }
        self.compare_lists(model, session);
        let newest = model.handlers.iter().map(|(&handler, row)| RunKey { handler, run: row.run });
        for run in newest.chain(runs.filter(|run| model.feeds.contains_key(run))).collect::<Vec<_>>() {
            let events = &model.feeds[&run];
            let all = events.first..events.first + events.list.len() as u64;
            self.compare_events(run, all, 400, model, session);
        }
    }

    fn compare_lists(&mut self, model: &Model, session: &Session) {
        let count = model.ended.len() + 1;
        for count in [1, count] {
            let (Answer::Oldest(oldest), Answer::Oldest(expected)) =
                (self.ask(Query::Oldest { count }), model.answer(&Query::Oldest { count }, session))
            else {
                panic!("the oldest")
            };
            assert_eq!(oldest, expected);
        }
        let after = model.handlers.keys().nth(1).copied();
        for (after, count) in [(None, 2), (None, 1_000), (after, 1_000)] {
            let query = Query::Running { after, count };
            let Answer::List { handlers, is_complete, .. } = self.ask(query.clone()) else { panic!("a list") };
            let Answer::List { handlers: expected, is_complete: is_last, .. } = model.answer(&query, session) else {
                panic!("a list")
            };
            assert_eq!((handlers.len(), is_complete), (expected.len(), is_last), "{query:?}");
            handlers.iter().zip(&expected).for_each(|(stored, expected)| self.check_handler(stored, expected, session));
        }
        let (mut after, mut handlers) = (None, Vec::new());
        loop {
            let query = Query::List { after, count: 3, bytes_max: 200 };
            let Answer::List { handlers: some, is_complete, .. } = self.ask(query) else { panic!("a list") };
            after = some.last().map(|stored| stored.key).or(after);
            assert!(is_complete || !some.is_empty(), "one at least");
            handlers.extend(some);
            if is_complete {
                break;
            }
        }
        assert_eq!(handlers.len(), model.handlers.len());
        for (stored, key) in handlers.iter().zip(model.handlers.keys()) {
            let mut expected = model.stored(*key, session).handler;
            // A list shows no states, so none are read for it.
            expected.end.iter_mut().for_each(|end| end.state = Values::default());
            self.check_handler(stored, &expected, session);
        }
    }

    /// Requests these events, which are there, in pages.
    pub(crate) fn compare_events(
        &mut self,
        run: RunKey,
        range: Range<u64>,
        bytes_max: usize,
        model: &Model,
        session: &Session,
    ) {
        let events = &model.feeds[&run];
        let (mut next, end) = (range.start, range.end);
        while next < end {
            let query = Query::Page { run, from: next, until: end, bytes_max };
            let Answer::Page { feed, workflow } = self.ask(query) else { panic!("a page") };
            assert!(feed.first() == next && feed.next() > next && feed.next() <= end, "{run:?}: {feed:?} from {next}");
            let mut bytes = 0;
            for sequence in feed.first()..feed.next() {
                let (version, event) = &events.list[(sequence - events.first) as usize];
                let mut expected = Feed::new(sequence);
                expected.push(event);
                bytes += if sequence > next { expected.bytes() } else { 0 };
                assert_eq!(feed.get(sequence), expected.get(sequence), "{run:?}");
                self.check_workflow(workflow.expect("it is known"), session.workflow(*version), session);
            }
            let count = (feed.next() - next) as usize;
            assert!(bytes <= 2 * bytes_max + 80 * count, "{bytes} bytes in a page of {bytes_max}");
            next = feed.next();
        }
        let is_newest = model.handlers.get(&run.handler).is_some_and(|row| row.run == run.run);
        if is_newest && next == events.first + events.list.len() as u64 {
            let query = Query::Page { run, from: next, until: u64::MAX, bytes_max };
            let Answer::Page { feed, workflow } = self.ask(query) else { panic!("a page") };
            assert_eq!((feed.first()..feed.next(), workflow), (next..next, None), "{run:?}");
        }
    }

    fn check(&self, stored: &Stored, expected: &Stored, session: &Session) {
        self.check_handler(&stored.handler, &expected.handler, session);
        assert_eq!(stored.journal, expected.journal);
    }

    fn check_handler(&self, stored: &StoredHandler, expected: &StoredHandler, session: &Session) {
        self.check_workflow(stored.workflow, expected.workflow, session);
        assert_eq!(*stored, StoredHandler { workflow: stored.workflow, ..expected.clone() });
    }

    fn check_workflow(&self, workflow: WorkflowId, expected: WorkflowId, session: &Session) {
        let (graph, expected) = (&self.graphs[usize::from(workflow.0)], &session.graphs[usize::from(expected.0)]);
        assert!(graph.to_stored() == expected.to_stored(), "what is stored has its version: {} ", graph.name);
    }
}
