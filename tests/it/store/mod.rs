//! The SQLite store: what is stored, what is read back, what a fault loses.

mod damage;
mod failures;
mod ids;
pub(crate) mod isolation;
mod measures;
mod model;
mod opening;
mod retention;
mod states;
mod stored;
mod tools;

use std::{path::Path, sync::Arc, sync::mpsc};

use steprill::{
    engine::{
        keys::{HandlerKey, RunKey, WorkflowId},
        published::Published,
        run::Changed,
        storage::{Batch, Ended, Head, OpenedRun, StartState},
        stored::{Aside, Beginning, Recovered, Stored, StoredHandler},
    },
    graph::{Graph, sketch::parts},
    json::Json,
    now::Now,
    pass::EventRef,
    store::{
        Answer, Completed, Durability, HandlerAddress, OpenError, Query, Store, StoreError, Ticket, sqlite::SqliteStore,
    },
    values::Values,
};

use crate::support::PATIENCE;
pub(crate) use crate::support::batches::*;

/// A store in a directory, with the calls of its loop.
pub(crate) struct Kit {
    store: SqliteStore,
    beginning: Beginning,
    graphs: Vec<Arc<Graph>>,
    woken: mpsc::Receiver<()>,
    number: u64,
    asked: u64,
    epoch: u32,
    now: Now,
    next_handler: u64,
}

impl Kit {
    pub(crate) fn open(directory: &Path) -> Self {
        Self::open_with(directory, &[graph()]).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn open_with(directory: &Path, graphs: &[Arc<Graph>]) -> Result<Self, OpenError> {
        Self::open_as(directory, graphs, Durability::Off)
    }

    pub(crate) fn open_as(directory: &Path, graphs: &[Arc<Graph>], durability: Durability) -> Result<Self, OpenError> {
        let (bell, woken) = mpsc::channel();
        let wake_loop = Arc::new(move || {
            let _ = bell.send(());
        });
        let opened = SqliteStore::open(directory, durability, graphs, SECRET, wake_loop)?;
        Ok(Self {
            store: opened.store,
            now: opened.beginning.newest,
            next_handler: opened.beginning.issued.next,
            beginning: opened.beginning,
            graphs: opened.graphs,
            woken,
            number: 0,
            asked: 0,
            epoch: 0,
        })
    }

    /// Returns the next batch, a millisecond after the last one.
    pub(crate) fn batch(&mut self) -> Batch {
        self.number += 1;
        self.now.wall_us += 1_000;
        self.now.alive_us += 1_000;
        Batch {
            number: self.number,
            epoch: self.epoch,
            now: self.now,
            next_handler: self.next_handler,
            ..Batch::default()
        }
    }

    /// Returns what is completed next.
    pub(crate) fn completed(&mut self) -> Completed {
        loop {
            if let Some(completed) = self.store.poll_completed() {
                if !matches!(completed, Completed::Gone(_)) {
                    return completed;
                }
                continue;
            }
            self.woken.recv_timeout(PATIENCE).expect("the store wakes the loop");
        }
    }

    /// Commits a batch and all before it.
    pub(crate) fn commit(&mut self, batch: Batch) {
        let wanted = batch.number;
        self.store.submit(batch);
        self.wait_for(wanted);
    }

    pub(crate) fn wait_for(&mut self, wanted: u64) {
        loop {
            match self.completed() {
                Completed::Batch { number } if number == wanted => return,
                Completed::Batch { number } if number < wanted => {}
                other => panic!("expected batch {wanted}, got {other:?}"),
            }
        }
    }

    /// Submits a batch that cannot be committed.
    pub(crate) fn fail(&mut self, batch: Batch) -> StoreError {
        let wanted = batch.number;
        self.store.submit(batch);
        match self.completed() {
            Completed::Failed { number, error } if number == wanted => error,
            other => panic!("expected batch {wanted} to fail, got {other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, query: Query) -> Result<Answer, StoreError> {
        self.asked += 1;
        let asked = Ticket(self.asked);
        self.store.read(asked, query);
        match self.completed() {
            Completed::Answer { ticket, answer } if ticket == asked => answer,
            other => panic!("expected the answer to {asked:?}, got {other:?}"),
        }
    }

    pub(crate) fn handler(&mut self, key: u64) -> Option<Stored> {
        match self.ask(Query::Handler(HandlerAddress::Key(HandlerKey(key)))) {
            Ok(Answer::Handler(stored)) => stored.map(|stored| *stored),
            other => panic!("expected a handler, got {other:?}"),
        }
    }

    pub(crate) fn list(&mut self, after: Option<u64>, count: usize) -> Vec<StoredHandler> {
        match self.ask(Query::List { after: after.map(HandlerKey), count, bytes_max: usize::MAX }) {
            Ok(Answer::List { handlers, .. }) => handlers,
            other => panic!("expected a list, got {other:?}"),
        }
    }

    pub(crate) fn oldest(&mut self, count: usize) -> Vec<(u64, i64)> {
        match self.ask(Query::Oldest { count }) {
            Ok(Answer::Oldest(handlers)) => handlers.into_iter().map(|(key, ended_us)| (key.0, ended_us)).collect(),
            other => panic!("expected a list, got {other:?}"),
        }
    }

    /// Returns events as text, and the workflow whose ids they have.
    pub(crate) fn page(&mut self, run: RunKey, from: u64, until: u64, bytes_max: usize) -> (Vec<String>, Option<u16>) {
        match self.ask(Query::Page { run, from, until, bytes_max }) {
            Ok(Answer::Page { feed, workflow }) => {
                assert_eq!(feed.first(), from, "a page begins where it was asked to");
                let events = (from..feed.next()).map(|number| format!("{:?}", feed.get(number).expect("an event")));
                (events.collect(), workflow.map(|workflow| workflow.0))
            }
            other => panic!("expected a page, got {other:?}"),
        }
    }

    pub(crate) fn recover(&mut self) -> Vec<Stored> {
        let mut all = Vec::new();
        self.store.recover(&mut |recovered| all.push(whole(recovered))).unwrap_or_else(|error| panic!("{error}"));
        all
    }

    /// Begins a run of a new handler, with a record and an event.
    pub(crate) fn begin(&mut self, batch: &mut Batch) -> RunKey {
        begin(batch, &mut self.next_handler, None)
    }

    /// Creates a handler whose run completes, in two commits.
    pub(crate) fn complete_one(&mut self) -> RunKey {
        let mut batch = self.batch();
        let run = self.begin(&mut batch);
        self.commit(batch);
        let mut batch = self.batch();
        record(&mut batch, run, "done");
        complete(&mut batch, run, "1");
        self.commit(batch);
        run
    }
}

#[track_caller]
fn whole(recovered: Recovered) -> Stored {
    match recovered {
        Recovered::Whole(stored) => stored,
        Recovered::Damaged { .. } => panic!("{recovered:?}"),
    }
}

/// Returns a copy of the directory as a crash at this point would leave it.
pub(crate) fn crash(from: &Path, to: &Path) {
    for name in ["steprill.db", "steprill.db-wal"] {
        let _ = std::fs::copy(from.join(name), to.join(name));
    }
}
