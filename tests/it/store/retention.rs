//! What is removed is gone completely, and its space is reused.

use rusqlite::Connection;

use super::*;

/// All tables but `gone`, which remembers ids.
const TABLES: [&str; 6] = ["handlers", "journal", "states", "feed", "names", "trash"];

/// Returns how many rows a table has.
pub(super) fn count(directory: &Path, table: &str) -> i64 {
    let connection = Connection::open(directory.join("steprill.db")).expect("a database");
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
}

/// Returns how many rows each table has, `places` without the clock.
pub(super) fn rows(directory: &Path) -> Vec<(&'static str, i64)> {
    let mut rows: Vec<_> = TABLES.into_iter().map(|table| (table, count(directory, table))).collect();
    rows.push(("places", count(directory, "places") - 1));
    rows.retain(|(_, count)| *count > 0);
    rows
}

fn publish_large(batch: &mut Batch, run: RunKey, bytes: usize) {
    let event = graph().event_id("E").expect("E");
    let value = json(&format!(r#""{}""#, "x".repeat(bytes)));
    batch.published.push((run, Published::Event(EventRef::Known(event), value)));
}

/// Creates a handler with rows in every table, whose run has not ended.
fn begin_wide(kit: &mut Kit, id: &str) -> RunKey {
    let mut batch = kit.batch();
    let run = run(kit.next_handler, 0);
    kit.next_handler += 1;
    batch.next_handler = kit.next_handler;
    open(&mut batch, run, 0, Some(id));
    record(&mut batch, run, "start");
    publish(&mut batch, run, 1);
    kit.commit(batch);
    for number in 0..5 {
        let mut batch = kit.batch();
        record(&mut batch, run, "more");
        publish(&mut batch, run, number);
        kit.commit(batch);
    }
    run
}

#[test]
fn of_a_purged_handler_nothing_is_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let failed = begin_wide(&mut kit, "failed");
    let mut batch = kit.batch();
    record(&mut batch, failed, "last");
    fail(&mut batch, failed, "it broke");
    kit.commit(batch);
    let running = begin_wide(&mut kit, "running");
    let short = kit.complete_one();
    let of_all = ["handlers", "journal", "feed", "names", "places"];
    assert_eq!(rows(directory.path()).iter().map(|(table, _)| *table).collect::<Vec<_>>(), of_all);
    let mut batch = kit.batch();
    batch.purged = vec![failed.handler, running.handler, short.handler];
    kit.commit(batch);
    assert_eq!(rows(directory.path()), []);
    assert!(kit.handler(0).is_none() && kit.list(None, 9).is_empty() && kit.oldest(9).is_empty());
    // The id is free for another handler.
    let again = begin_wide(&mut kit, "failed");
    let found = kit.ask(Query::Handler(HandlerAddress::Id("failed".into())));
    let Ok(Answer::Handler(Some(found))) = found else { panic!("{found:?}") };
    assert_eq!(found.handler.key, again.handler);
    let finished = Kit::open_with(directory.path(), &[graph()]).err();
    assert!(finished.is_some(), "it is in use");
    drop(kit);
    assert_eq!(Kit::open(directory.path()).beginning.finished, 0);
}

#[test]
fn a_large_feed_goes_bit_by_bit_even_after_a_new_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    (0..160).for_each(|_| publish_large(&mut batch, run, 50_000));
    kit.commit(batch);
    let mut batch = kit.batch();
    batch.purged.push(run.handler);
    kit.store.submit(batch);
    // This does not wait until everything is gone.
    drop(kit);
    let left = rows(directory.path());
    assert!(matches!(left[..], [("feed", 10..150), ("trash", 1)]), "{left:?}");
    // Each commit removes a part, and so does the idle writer.
    let mut kit = Kit::open(directory.path());
    for _ in 0..10 {
        kit.complete_one();
    }
    assert_eq!(rows(directory.path()), [("handlers", 10), ("places", 10)]);
}

#[test]
fn under_a_steady_load_the_file_does_not_grow() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut sizes = Vec::new();
    for round in 0..40 {
        let mut batch = kit.batch();
        let runs: Vec<RunKey> = (0..50).map(|_| kit.begin(&mut batch)).collect();
        for run in &runs[..5] {
            publish_large(&mut batch, *run, 9_000);
        }
        kit.commit(batch);
        let mut batch = kit.batch();
        for run in &runs {
            complete(&mut batch, *run, "1");
        }
        batch.purged = kit.oldest(50).into_iter().map(|(key, _)| HandlerKey(key)).collect();
        kit.commit(batch);
        if round % 10 == 9 {
            kit.store.close();
            sizes.push(std::fs::metadata(directory.path().join("steprill.db")).expect("a database").len());
            kit = Kit { number: kit.number, ..Kit::open(directory.path()) };
        }
    }
    assert!(sizes[3] <= sizes[0] * 11 / 10, "{sizes:?}");
}

#[test]
fn the_log_does_not_grow_without_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for _ in 0..30 {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch);
        (0..20).for_each(|_| publish_large(&mut batch, run, 50_000));
        kit.commit(batch);
        let log = std::fs::metadata(directory.path().join("steprill.db-wal")).expect("a log");
        let (bound, one) = (steprill::limits::WAL_BYTES_MAX as u64, 1_200_000);
        assert!(log.len() <= bound + 2 * one, "{} bytes", log.len());
    }
}

#[test]
fn the_file_becomes_shorter_when_most_of_it_is_free() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let bytes = || std::fs::metadata(directory.path().join("steprill.db")).expect("a database").len();
    let (mut runs, large) = (Vec::new(), 12 << 20);
    for _ in 0..large / (20 * 50_000) {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch);
        (0..20).for_each(|_| publish_large(&mut batch, run, 50_000));
        complete(&mut batch, run, "1");
        kit.commit(batch);
        runs.push(run);
    }
    let retained = kit.complete_one();
    assert!(bytes() > large / 2, "{} bytes", bytes());
    let mut batch = kit.batch();
    batch.purged = runs.iter().map(|run| run.handler).collect();
    kit.commit(batch);
    let begun = std::time::Instant::now();
    while bytes() > u64::from(2 * steprill::limits::FREE_BYTES_MAX) {
        assert!(begun.elapsed() < PATIENCE, "{} bytes are left", bytes());
        // A reader has it open meanwhile.
        assert!(kit.handler(retained.handler.0).is_some());
    }
    println!("{:?}", begun.elapsed());
    assert_eq!(kit.page(retained, 0, 9, 1_000).0.len(), 2);
}
