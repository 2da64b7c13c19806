//! The stores on which the contract is tested, and how each is made to fail.

use std::{cell::RefCell, rc::Rc, sync::Arc, sync::mpsc};

use steprill::{
    engine::{keys::HandlerKey, storage::Recall, stored::Recovered},
    graph::Graph,
    store::{Completed, Opened, Query, Store, StoreError, Ticket, memory::MemoryStore},
};

use crate::{simulation::random::Random, simulation::server::store::Store as ModelStore};

/// Where a store is opened repeatedly.
pub(super) trait Medium {
    /// Opens the store, which must be closed. Returns it, and what receives its calls that wake the loop.
    fn open(&mut self, graphs: &[Arc<Graph>], secret: u128) -> (Opened<Box<dyn Store>>, mpsc::Receiver<()>);

    /// Sets whether there is no room for the next batches.
    fn set_full(&mut self, is_full: bool);

    /// Refuses records of this handler, which is undamaged; with `None`, of no handler any longer.
    fn block(&mut self, handler: Option<HandlerKey>);

    /// While the store is closed, damages its pages of this handler, which are full of this mark.
    fn damage(&mut self, handler: HandlerKey, mark: &str);
}

/// A store that its medium can control.
struct Held<S>(Rc<RefCell<S>>);

impl<S: Store> Store for Held<S> {
    fn recover(&mut self, each: &mut dyn FnMut(Recovered)) -> Result<(), StoreError> {
        self.0.borrow_mut().recover(each)
    }

    fn submit(&mut self, batch: steprill::engine::storage::Batch) {
        self.0.borrow_mut().submit(batch);
    }

    fn read(&mut self, ticket: Ticket, query: Query) {
        self.0.borrow_mut().read(ticket, query);
    }

    fn poll_completed(&mut self) -> Option<Completed> {
        self.0.borrow_mut().poll_completed()
    }

    fn close(&mut self) {
        self.0.borrow_mut().close();
    }
}

/// The store without `--data`.
pub(super) struct InMemory;

impl Medium for InMemory {
    fn open(&mut self, graphs: &[Arc<Graph>], secret: u128) -> (Opened<Box<dyn Store>>, mpsc::Receiver<()>) {
        let opened = MemoryStore::open(graphs, secret);
        assert_eq!(opened.beginning.recall, Recall::Feeds);
        (opened.boxed(), mpsc::channel().1)
    }

    fn set_full(&mut self, _: bool) {
        unreachable!("it fails no batch");
    }

    fn block(&mut self, _: Option<HandlerKey>) {
        unreachable!("it has no handlers");
    }

    fn damage(&mut self, _: HandlerKey, _: &str) {
        unreachable!("it has no handlers");
    }
}

/// The store of the simulator, randomly slow.
pub(super) struct OnModel(Rc<RefCell<Model>>);

struct Model {
    store: ModelStore,
    random: Random,
    is_open: bool,
}

impl OnModel {
    pub(super) fn new() -> Self {
        let (store, random) = (ModelStore::new(true), Random::new(29));
        Self(Rc::new(RefCell::new(Model { store, random, is_open: false })))
    }
}

impl Medium for OnModel {
    fn open(&mut self, graphs: &[Arc<Graph>], secret: u128) -> (Opened<Box<dyn Store>>, mpsc::Receiver<()>) {
        let mut model = self.0.borrow_mut();
        let Model { store, random, is_open } = &mut *model;
        if std::mem::replace(is_open, true) {
            store.crash(false, random);
        }
        let beginning = store.open(graphs, secret);
        let graphs = store.session.graphs.clone();
        (Opened { store: Box::new(Held(Rc::clone(&self.0))), graphs, beginning, size_max: None }, mpsc::channel().1)
    }

    fn set_full(&mut self, is_full: bool) {
        self.0.borrow_mut().store.failing = if is_full { usize::MAX } else { 0 };
    }

    fn block(&mut self, handler: Option<HandlerKey>) {
        self.0.borrow_mut().store.blocked = handler.map(|key| (key, usize::MAX)).into_iter().collect();
    }

    fn damage(&mut self, handler: HandlerKey, _: &str) {
        let store = &mut self.0.borrow_mut().store;
        store.unwritable.insert(handler);
        store.unreadable.insert(handler);
    }
}

impl Model {
    /// Makes something happen. Returns whether anything was left to do.
    fn work(&mut self) -> bool {
        let has_batches = !self.store.submitted.is_empty();
        match () {
            () if self.store.has_queries() && (!has_batches || self.random.one_in(2)) => {
                self.store.answer(&mut self.random);
            }
            () if has_batches && self.store.failing > 0 => self.store.fail(),
            () if has_batches => {
                let aside = self.store.set_aside();
                self.store.commit(aside);
            }
            () => return false,
        }
        true
    }
}

impl Store for Model {
    fn recover(&mut self, each: &mut dyn FnMut(Recovered)) -> Result<(), StoreError> {
        self.store.recovered().into_iter().for_each(each);
        Ok(())
    }

    fn submit(&mut self, batch: steprill::engine::storage::Batch) {
        self.store.submit(batch);
    }

    fn read(&mut self, ticket: Ticket, query: Query) {
        self.store.read(ticket, query, &mut self.random);
    }

    fn poll_completed(&mut self) -> Option<Completed> {
        while self.store.completed.is_empty() && self.work() {}
        self.store.completed.pop_front()
    }

    fn close(&mut self) {
        while self.work() {}
    }
}

#[cfg(feature = "sqlite")]
pub(super) use on_disk::OnDisk;

#[cfg(feature = "sqlite")]
mod on_disk {
    use steprill::store::{Durability, sqlite::SqliteStore};

    use super::*;
    use crate::store::isolation::damage;

    /// The SQLite store in a directory.
    pub(in crate::contract) struct OnDisk {
        directory: tempfile::TempDir,
        store: Option<Rc<RefCell<SqliteStore>>>,
    }

    impl OnDisk {
        pub(in crate::contract) fn new() -> Self {
            Self { directory: tempfile::tempdir().expect("a directory"), store: None }
        }
    }

    impl Medium for OnDisk {
        fn open(&mut self, graphs: &[Arc<Graph>], secret: u128) -> (Opened<Box<dyn Store>>, mpsc::Receiver<()>) {
            let (bell, woken) = mpsc::channel();
            let wake_loop = Arc::new(move || bell.send(()).unwrap_or_default());
            let opened = SqliteStore::open(self.directory.path(), Durability::Off, graphs, secret, wake_loop);
            let Opened { store, graphs, beginning, .. } = opened.unwrap_or_else(|error| panic!("{error}"));
            let store = Rc::new(RefCell::new(store));
            self.store = Some(Rc::clone(&store));
            (Opened { store: Box::new(Held(store)), graphs, beginning, size_max: None }, woken)
        }

        fn set_full(&mut self, is_full: bool) {
            let size = std::fs::metadata(self.directory.path().join("steprill.db")).expect("a database").len();
            let store = self.store.as_ref().expect("it is open");
            store.borrow_mut().set_bytes_max(if is_full { size + 50_000 } else { u64::MAX });
        }

        fn block(&mut self, handler: Option<HandlerKey>) {
            let other = rusqlite::Connection::open(self.directory.path().join("steprill.db")).expect("a database");
            let sql = match handler {
                Some(HandlerKey(key)) => format!(
                    "CREATE TRIGGER no BEFORE INSERT ON journal WHEN NEW.handler = {key}
                     BEGIN SELECT RAISE(ABORT, 'no'); END"
                ),
                None => "DROP TRIGGER no".to_owned(),
            };
            other.execute_batch(&sql).expect("a trigger");
        }

        fn damage(&mut self, _: HandlerKey, mark: &str) {
            damage(self.directory.path(), mark);
        }
    }
}
