//! How runs lie in the database, and what is given back of them.

use super::*;

/// How many rows a table has.
fn count(directory: &Path, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(directory.join("steprill.db")).expect("a database");
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
}

#[test]
fn a_short_run_is_one_row_and_a_long_one_has_a_row_for_each_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    kit.complete_one();
    assert_eq!((count(directory.path(), "journal"), count(directory.path(), "feed")), (0, 0));
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    kit.keep(batch);
    for _ in 0..3 {
        let mut batch = kit.batch();
        for number in 0..10 {
            record(&mut batch, run, "more");
            publish(&mut batch, run, number);
        }
        kit.keep(batch);
    }
    assert_eq!((count(directory.path(), "journal"), count(directory.path(), "feed")), (3, 3));
    let mut batch = kit.batch();
    snapshot(&mut batch, run, 0, b"snapshot");
    kit.keep(batch);
    assert_eq!(count(directory.path(), "journal"), 1);
    let mut batch = kit.batch();
    record(&mut batch, run, "done");
    complete(&mut batch, run, "1");
    kit.keep(batch);
    assert_eq!((count(directory.path(), "journal"), count(directory.path(), "places")), (0, 3));
    assert_eq!(kit.page(run, 0, 99, 100_000).0.len(), 32);
}

#[test]
fn a_page_has_events_of_one_version_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let graphs = [graph(), graph_of("b: S -> T ~ E")];
    let mut kit = Kit::open_with(directory.path(), &graphs).expect("a store");
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    kit.keep(batch);
    let mut batch = kit.batch();
    publish(&mut batch, run, 2);
    kit.store.submit(batch);
    let mut batch = kit.batch();
    snapshot(&mut batch, run, 1, b"translated");
    publish(&mut batch, run, 3);
    kit.store.submit(batch);
    let mut batch = kit.batch();
    publish(&mut batch, run, 4);
    complete(&mut batch, run, "1");
    kit.keep(batch);
    let of = |(events, workflow): (Vec<String>, Option<u16>)| (events.len(), workflow);
    assert_eq!(of(kit.page(run, 0, 99, 10_000)), (2, Some(0)));
    assert_eq!(of(kit.page(run, 1, 99, 10_000)), (1, Some(0)));
    assert_eq!(of(kit.page(run, 2, 99, 10_000)), (3, Some(1)));
    assert_eq!(of(kit.page(run, 4, 99, 10_000)), (1, Some(1)));
    assert_eq!(of(kit.page(run, 5, 99, 10_000)), (0, None));
    assert_eq!(kit.handler(0).expect("the handler").handler.workflow, WorkflowId(1));
}

#[test]
fn a_query_sees_every_batch_that_was_kept_before_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for count in 1..200 {
        let mut batch = kit.batch();
        kit.begin(&mut batch);
        kit.keep(batch);
        assert_eq!(kit.list(None, 1_000).len(), count);
    }
}

#[test]
fn a_list_ends_with_so_many_bytes_and_says_whether_more_follows() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for _ in 0..3 {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch);
        complete(&mut batch, run, &format!(r#""{}""#, "r".repeat(1_000)));
        kit.keep(batch);
    }
    let mut list = |count, bytes_max| match kit.ask(Query::List { after: None, count, bytes_max }) {
        Ok(Answer::List { handlers, is_complete, .. }) => (handlers.len(), is_complete),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(10, 10_000), (3, true));
    assert_eq!(list(10, 1), (1, false));
    assert_eq!(list(10, 1_500), (2, false));
    assert_eq!(list(2, 10_000), (2, false));
}
