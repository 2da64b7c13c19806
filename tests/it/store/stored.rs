//! How runs are stored in the database, and what is read back.

use super::*;

/// Returns how many rows a table has.
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
    kit.commit(batch);
    for _ in 0..3 {
        let mut batch = kit.batch();
        for number in 0..10 {
            record(&mut batch, run, "more");
            publish(&mut batch, run, number);
        }
        kit.commit(batch);
    }
    assert_eq!((count(directory.path(), "journal"), count(directory.path(), "feed")), (3, 3));
    let mut batch = kit.batch();
    snapshot(&mut batch, run, 0, b"snapshot");
    kit.commit(batch);
    assert_eq!(count(directory.path(), "journal"), 1);
    let mut batch = kit.batch();
    record(&mut batch, run, "done");
    complete(&mut batch, run, "1");
    kit.commit(batch);
    assert_eq!((count(directory.path(), "journal"), count(directory.path(), "places")), (0, 3));
    assert_eq!(kit.page(run, 0, 99, 100_000).0.len(), 32);
}
