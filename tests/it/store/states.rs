//! Large states, which are stored beside the rows of their handlers.

use steprill::store::{Inspect as _, sqlite::Inspector};

use super::{
    isolation::damage,
    retention::{count, rows},
    *,
};

/// Returns a state whose texts consist of this mark.
fn state(mark: &str, bytes: usize) -> Values {
    [("n", json("0")), ("large", json(&format!("\"{}\"", mark.repeat(bytes / mark.len()))))]
        .into_iter()
        .map(|(key, value)| (Arc::from(key), value))
        .collect()
}

fn with_n(mut state: Values, n: usize) -> (Values, Option<Changed>) {
    state.insert("n".into(), json(&n.to_string()));
    (state, Some(Changed::Keys(["n".into()].into())))
}

impl Kit {
    /// Creates a handler that completed with this state, with which its run began except for `n`.
    fn complete_apart(&mut self, state: &Values) -> RunKey {
        let run = run(self.next_handler, 0);
        self.next_handler += 1;
        let mut batch = self.batch();
        open_with(&mut batch, run, 0, None, StartState::Given(state.clone()));
        self.commit(batch);
        self.go_on_with(run, state, 1);
        run
    }

    fn go_on_with(&mut self, run: RunKey, state: &Values, n: usize) -> Values {
        let mut batch = self.batch();
        let (state, changed) = with_n(state.clone(), n);
        complete_with(&mut batch, run, "1", state.clone(), changed);
        self.commit(batch);
        state
    }

    fn begin_again(&mut self, run: RunKey, state: StartState) -> RunKey {
        let next = RunKey { run: run.run + 1, ..run };
        let mut batch = self.batch();
        open_with(&mut batch, next, u64::from(next.run), None, state);
        self.commit(batch);
        next
    }
}

#[test]
fn changes_are_added_until_they_come_to_as_much_as_the_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut now = state("mark", 100_000);
    let mut run = kit.complete_apart(&now);
    let mut counts = Vec::new();
    for n in 2..60 {
        run = kit.begin_again(run, StartState::Inherited);
        let stored = kit.handler(run.handler.0).expect("a handler");
        assert_eq!(stored.journal.state.get("n"), Some(json(&(n - 1).to_string())));
        now = kit.go_on_with(run, &now, n);
        let end = kit.handler(run.handler.0).expect("a handler").handler.end.expect("an end");
        assert_eq!(end.state, now);
        counts.push(count(directory.path(), "states"));
    }
    // A change counts for the 4 KiB that a commit writes.
    assert_eq!((counts[0], counts.iter().max(), counts.iter().filter(|count| **count == 1).count()), (3, Some(&25), 2));
}

#[test]
fn a_state_goes_with_its_handler_and_when_another_takes_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let large = state("mark", 50_000);
    let run = kit.complete_apart(&large);
    assert_eq!(count(directory.path(), "states"), 2);
    let other = state("another", 9_000);
    let run = kit.begin_again(run, StartState::Given(other.clone()));
    assert_eq!((count(directory.path(), "states"), count(directory.path(), "blobs")), (1, 1));
    assert_eq!(kit.handler(run.handler.0).expect("a handler").journal.state, other);
    let mut batch = kit.batch();
    complete_with(&mut batch, run, "1", Values::default(), Some(Changed::Much));
    kit.commit(batch);
    assert_eq!((count(directory.path(), "states"), count(directory.path(), "blobs")), (0, 0));
    let run = kit.begin_again(run, StartState::Given(large.clone()));
    let mut batch = kit.batch();
    fail(&mut batch, run, "it broke");
    kit.commit(batch);
    // It shows why the run failed, and no run continues with it.
    let stored = kit.handler(run.handler.0).expect("a handler");
    assert_eq!(
        (stored.handler.end.expect("an end").state, stored.journal.state),
        (Values::default(), Values::default())
    );
    let looked = Inspector::open(directory.path()).unwrap_or_else(|error| panic!("{error}"));
    let stored = looked.handler(&HandlerAddress::Key(run.handler)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stored.expect("a handler").journal.state, large);
    let run = kit.begin_again(run, StartState::Recorded);
    assert_eq!(count(directory.path(), "states"), 0);
    let run = kit.begin_again(run, StartState::Given(large));
    let mut batch = kit.batch();
    batch.purged.push(run.handler);
    kit.commit(batch);
    assert_eq!(rows(directory.path()), []);
}

#[test]
fn a_damaged_state_is_its_handlers_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let marks = ["before--", "damaged-", "running-", "behind--"];
    let [before, damaged, running, behind] = marks.map(|mark| kit.complete_apart(&state(mark, 30_000)));
    let running = kit.begin_again(running, StartState::Inherited);
    let number = kit.number;
    drop(kit);
    damage(directory.path(), "damaged-");
    damage(directory.path(), "running-");

    let mut kit = Kit { number, ..Kit::open(directory.path()) };
    let mut recovered = Vec::new();
    kit.store.recover(&mut |one| recovered.push(one)).unwrap_or_else(|error| panic!("{error}"));
    let [Recovered::Damaged { key, handler: Some(_), .. }] = &recovered[..] else { panic!("{recovered:?}") };
    assert_eq!(*key, running.handler);
    for run in [before, behind] {
        assert!(kit.handler(run.handler.0).is_some());
    }
    assert_eq!(kit.list(None, 9).len(), 4, "a list reads no states");
    let read = kit.ask(Query::Handler(HandlerAddress::Key(damaged.handler)));
    assert!(matches!(read, Err(StoreError::Damaged { handler, .. }) if handler == damaged.handler), "{read:?}");
    // Others continue.
    for run in [before, behind] {
        let run = kit.begin_again(run, StartState::Inherited);
        kit.go_on_with(run, &state("other", 9_000), 2);
    }
    let mut batch = kit.batch();
    batch.purged = vec![before.handler, damaged.handler];
    let asides = kit.commit_some(batch);
    // Pages may be freed without being read; if not, only this handler is set aside.
    assert!(asides.iter().all(|aside| aside.handler == damaged.handler && aside.is_own), "{asides:?}");
    assert!(kit.handler(before.handler.0).is_none());
}

#[test]
fn a_damaged_page_of_states_affects_only_handlers_with_a_state_on_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let [done, other] = [(); 2].map(|()| kit.complete_one());
    let number = kit.number;
    drop(kit);
    let path = directory.path().join("steprill.db");
    let database = rusqlite::Connection::open(&path).expect("a database");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'states'";
    let root: u32 = database.query_row(sql, [], |row| row.get(0)).expect("the table");
    drop(database);
    let mut bytes = std::fs::read(&path).expect("a database");
    bytes[(root as usize - 1) * 1_024..][..1_024].fill(0);
    std::fs::write(&path, bytes).expect("a database");

    let mut kit = Kit { number, ..Kit::open(directory.path()) };
    let mut batch = kit.batch();
    batch.purged.push(done.handler);
    assert_eq!(kit.commit_some(batch), []);
    assert!(kit.handler(done.handler.0).is_none() && kit.handler(other.handler.0).is_some());
}
