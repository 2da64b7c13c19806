//! The contract of stores, as numbered in `src/engine/storage.rs`: each rule is one test here, which runs on every
//! store. What is specific to one store, such as its files, is tested in the tests of that store.

mod events;
mod faults;
mod handlers;
mod starts;
mod stores;

use std::{collections::BTreeSet, sync::Arc, sync::mpsc};

use steprill::{
    engine::{
        keys::{HandlerKey, RunKey},
        storage::{Batch, Recall},
        stored::{Aside, Beginning, Recovered, Stored, StoredHandler},
    },
    graph::Graph,
    now::Now,
    store::{Answer, Completed, HandlerAddress, Opened, Query, Store, StoreError, Ticket},
};

use crate::support::{PATIENCE, batches::*};
use stores::Medium;

/// Runs each rule as a test on each store.
macro_rules! contract {
    ($($part:ident::$rule:ident,)*) => {
        /// The rules in the order of their numbers.
        const RULES: &[&str] = &[$(stringify!($rule)),*];

        mod in_memory {
            $(#[test]
            fn $rule() {
                super::$part::$rule(super::Kit::open(Box::new(super::stores::InMemory)));
            })*
        }

        #[cfg(feature = "sqlite")]
        mod on_disk {
            $(#[test]
            fn $rule() {
                super::$part::$rule(super::Kit::open(Box::new(super::stores::OnDisk::new())));
            })*
        }

        mod on_the_model {
            $(#[test]
            fn $rule() {
                super::$part::$rule(super::Kit::open(Box::new(super::stores::OnModel::new())));
            })*
        }
    };
}

contract! {
    events::batches_complete_in_order,
    events::nothing_is_completed_twice,
    faults::what_rests_on_a_failed_batch_is_dropped,
    events::a_query_sees_what_has_completed,
    handlers::a_handler_is_found_as_last_committed,
    handlers::a_snapshot_replaces_the_records_before_it,
    handlers::a_state_apart_begins_the_next_run,
    events::a_page_has_events_of_one_workflow,
    events::a_page_begins_with_the_window,
    handlers::lists_are_in_order_of_creation,
    handlers::the_oldest_come_first,
    events::the_events_of_a_run_stay_until_they_are_removed,
    handlers::of_a_purged_handler_nothing_is_left,
    faults::a_handler_that_cannot_be_changed_is_left_out,
    faults::a_damaged_handler_is_set_aside_for_good,
    starts::what_was_committed_is_there_after_a_start,
    starts::a_batch_may_commit_the_time_alone,
    starts::the_secret_is_that_of_the_first_start,
    starts::what_was_committed_under_another_graph_has_its_ids,
    starts::closing_waits_for_what_was_submitted,
    handlers::no_handler_begins_under_an_id_that_a_client_has_chosen,
}

#[test]
fn the_contract_names_the_test_of_each_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/storage.rs");
    let text = std::fs::read_to_string(path).expect("the source");
    let header = text.lines().map_while(|line| line.strip_prefix("//!")).collect::<String>();
    let named = header.split('`').skip(1).step_by(2).filter(|name| RULES.contains(name));
    assert_eq!(named.collect::<Vec<_>>(), RULES);
}

/// An open store, with the calls of a server.
struct Kit {
    medium: Box<dyn Medium>,
    store: Box<dyn Store>,
    woken: mpsc::Receiver<()>,
    beginning: Beginning,
    graphs: Vec<Arc<Graph>>,
    number: u64,
    asked: u64,
    epoch: u32,
    asides_heard: u64,
    now: Now,
    next_handler: u64,
}

/// The workflows of most tests; the second has other ids.
fn graphs() -> [Arc<Graph>; 2] {
    [graph(), graph_of("b: S -> T ~ D|E")]
}

impl Kit {
    fn open(mut medium: Box<dyn Medium>) -> Self {
        let (Opened { store, graphs, beginning, .. }, woken) = medium.open(&graphs(), SECRET);
        let (now, next_handler) = (beginning.newest, beginning.issued.next);
        let (number, asked, epoch, asides_heard) = (0, 0, 0, 0);
        Self { medium, store, woken, beginning, graphs, number, asked, epoch, asides_heard, now, next_handler }
    }

    /// Closes the store and opens it again, with these workflows.
    fn open_again_with(self, registered: &[Arc<Graph>], secret: u128) -> Self {
        let Self { mut medium, mut store, now, next_handler, .. } = self;
        store.close();
        drop(store);
        let (Opened { store, graphs, beginning, .. }, woken) = medium.open(registered, secret);
        let (number, asked, epoch, asides_heard) = (0, 0, 0, 0);
        Self { medium, store, woken, beginning, graphs, number, asked, epoch, asides_heard, now, next_handler }
    }

    fn open_again(self) -> Self {
        self.open_again_with(&graphs(), SECRET)
    }

    fn recalls_handlers(&self) -> bool {
        self.beginning.recall == Recall::Everything
    }

    /// Returns the next batch, a millisecond after the last one.
    fn batch(&mut self) -> Batch {
        self.number += 1;
        self.now.wall_us += 1_000;
        self.now.alive_us += 1_000;
        let Self { number, epoch, asides_heard, now, next_handler, .. } = *self;
        Batch { number, epoch, asides_heard, now, next_handler, ..Batch::default() }
    }

    /// Begins a run of a new handler, with a record and an event.
    fn begin(&mut self, batch: &mut Batch, id: Option<&str>) -> RunKey {
        begin(batch, &mut self.next_handler, id)
    }

    /// Passes to the store what a scheduler would pass to it.
    fn submit(&mut self, mut batch: Batch) {
        if !self.recalls_handlers() {
            let Batch { number, epoch, now, opened, published, removed, .. } = batch;
            batch = Batch { number, epoch, now, opened, published, removed, ..Batch::default() };
            batch.opened.iter_mut().for_each(|opened| opened.head = None);
        }
        self.store.submit(batch);
    }

    /// Returns what is completed next, except for what a store may report at any time.
    fn completed(&mut self) -> Completed {
        loop {
            match self.store.poll_completed() {
                Some(Completed::Gone(_) | Completed::Size(_)) => {}
                Some(completed) => return completed,
                None => self.woken.recv_timeout(PATIENCE).expect("the store wakes the loop"),
            }
        }
    }

    /// Commits a batch. Returns the handlers that were left out.
    fn commit(&mut self, batch: Batch) -> Vec<Aside> {
        let (wanted, mut asides) = (batch.number, Vec::new());
        self.submit(batch);
        loop {
            match self.completed() {
                Completed::Aside(aside) => asides.push(aside),
                Completed::Batch { number } if number == wanted => return asides,
                other => panic!("expected batch {wanted}, got {other:?}"),
            }
        }
    }

    /// Creates a handler whose run completes, in two commits.
    fn complete_one(&mut self, result: &str) -> RunKey {
        let mut batch = self.batch();
        let run = self.begin(&mut batch, None);
        self.commit(batch);
        let mut batch = self.batch();
        complete(&mut batch, run, result);
        self.commit(batch);
        run
    }

    fn ask(&mut self, query: Query) -> Result<Answer, StoreError> {
        self.asked += 1;
        let asked = Ticket(self.asked);
        self.store.read(asked, query);
        match self.completed() {
            Completed::Answer { ticket, answer } if ticket == asked => answer,
            other => panic!("expected the answer to {asked:?}, got {other:?}"),
        }
    }

    fn find(&mut self, address: HandlerAddress) -> Option<Stored> {
        match self.ask(Query::Handler(address)) {
            Ok(Answer::Handler(stored)) => stored.map(|stored| *stored),
            other => panic!("expected a handler, got {other:?}"),
        }
    }

    fn handler(&mut self, key: HandlerKey) -> Option<Stored> {
        self.find(HandlerAddress::Key(key))
    }

    /// Returns everything in a list, page by page.
    fn list(&mut self, query: impl Fn(Option<HandlerKey>) -> Query) -> Vec<StoredHandler> {
        let (mut listed, mut after) = (Vec::<StoredHandler>::new(), None);
        loop {
            let answer = self.ask(query(after));
            let Ok(Answer::List { handlers, damaged, is_complete }) = answer else { panic!("{answer:?}") };
            assert_eq!(damaged, []);
            assert!(is_complete || !handlers.is_empty(), "one at least");
            listed.extend(handlers);
            after = listed.last().map(|last| last.key);
            if is_complete {
                return listed;
            }
        }
    }

    fn list_all(&mut self) -> Vec<HandlerKey> {
        let listed = self.list(|after| Query::List { after, count: 100, bytes_max: usize::MAX });
        listed.into_iter().map(|handler| handler.key).collect()
    }

    fn oldest(&mut self, count: usize) -> Vec<HandlerKey> {
        match self.ask(Query::Oldest { count }) {
            Ok(Answer::Oldest(oldest)) => oldest.into_iter().map(|(key, _)| key).collect(),
            other => panic!("expected handlers, got {other:?}"),
        }
    }

    /// Returns events as text from the first one on, and the workflow whose ids they have.
    fn page(&mut self, run: RunKey, from: u64, until: u64, bytes_max: usize) -> (u64, Vec<String>, Option<u16>) {
        match self.ask(Query::Page { run, from, until, bytes_max }) {
            Ok(Answer::Page { feed, workflow }) => {
                let event = |number| format!("{:?}", feed.get(number).expect("an event"));
                let events = (feed.first()..feed.next()).map(event).collect();
                (feed.first(), events, workflow.map(|workflow| workflow.0))
            }
            other => panic!("expected a page, got {other:?}"),
        }
    }

    /// Returns how many events of a run there are from its first one on.
    fn count_events(&mut self, run: RunKey) -> usize {
        self.page(run, 0, u64::MAX, usize::MAX).1.len()
    }

    fn recover(&mut self) -> Vec<Stored> {
        let mut all = Vec::new();
        let each = &mut |recovered| match recovered {
            Recovered::Whole(stored) => all.push(stored),
            Recovered::Damaged { .. } => panic!("{recovered:?}"),
        };
        self.store.recover(each).unwrap_or_else(|error| panic!("{error}"));
        all
    }
}
