//! What happens when something cannot be committed.

use super::*;

/// A limit on the database's size, in bytes, that leaves little room.
fn bound(directory: &Path, room_bytes: u64) -> u64 {
    let size = std::fs::metadata(directory.join("steprill.db")).expect("a database").len();
    size + room_bytes
}

fn large(kit: &mut Kit, bytes: usize) -> Batch {
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    snapshot(&mut batch, run, 0, &vec![1; bytes]);
    batch
}

/// To be run by hand as `mount -t tmpfs -o size=4m none DIR; TMPDIR=DIR cargo test … -- --ignored`.
#[test]
#[ignore = "it fills the disk that TMPDIR is on"]
fn a_full_disk_is_said_and_with_room_again_all_goes_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open_as(directory.path(), &[graph()], Durability::Full).expect("a store");
    kit.complete_one();
    let filler = directory.path().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    let full = (0..100_000).find_map(|_| std::io::Write::write_all(&mut file, &[0; 1_024]).err());
    assert_eq!(full.expect("the disk is full").kind(), std::io::ErrorKind::StorageFull);
    for _ in 0..3 {
        let batch = large(&mut kit, 300_000);
        let error = kit.fail(batch);
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        kit.epoch += 1;
        assert_eq!(kit.list(None, 10).len(), 1);
    }
    drop(file);
    std::fs::remove_file(&filler).expect("it goes");
    let batch = large(&mut kit, 300_000);
    kit.commit(batch);
    kit.complete_one();
    kit.store.close();
    assert_eq!(Kit::open(directory.path()).recover().len(), 1);
}

#[test]
fn what_was_learned_in_a_failed_commit_is_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    let other = kit.begin(&mut batch);
    kit.commit(batch);
    kit.store.set_bytes_max(bound(directory.path(), 50_000));
    let mut batch = kit.batch();
    for number in 0..10 {
        publish(&mut batch, run, number);
        record(&mut batch, run, "lost");
    }
    // The record of the first run is written before this one turns out not to fit.
    batch.records.push((other, vec![1; 200_000]));
    kit.fail(batch);
    kit.store.set_bytes_max(u64::MAX);
    kit.epoch += 1;
    let mut batch = kit.batch();
    record(&mut batch, run, "committed");
    publish(&mut batch, run, 2);
    kit.commit(batch);
    let stored = kit.handler(run.handler.0).expect("the handler");
    assert_eq!((stored.handler.next_sequence, stored.journal.records.len()), (2, 2));
    let (events, _) = kit.page(run, 0, 10, 1_000);
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn a_batch_that_contradicts_what_is_stored_fails_for_that_handler_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let done = kit.complete_one();
    let mut batch = kit.batch();
    kit.begin(&mut batch);
    open(&mut batch, done, 0, None);
    let number = batch.number;
    kit.store.submit(batch);
    let aside = kit.completed();
    assert!(matches!(&aside, Completed::Aside(aside) if aside.handler == done.handler), "{aside:?}");
    kit.wait_for(number);
    assert_eq!(kit.list(None, 10).len(), 2);
    let mut batch = Batch { asides_heard: 1, ..kit.batch() };
    batch.opened.push(OpenedRun { run: run(90, 0), first: 0, head: None });
    let number = batch.number;
    kit.store.submit(batch);
    let aside = kit.completed();
    assert!(matches!(&aside, Completed::Aside(aside) if aside.handler.0 == 90), "{aside:?}");
    kit.wait_for(number);
}

#[test]
fn changes_to_handlers_that_are_gone_have_no_effect() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    kit.complete_one();
    let mut batch = kit.batch();
    record(&mut batch, run(70, 0), "late");
    publish(&mut batch, run(70, 0), 1);
    batch.cursors.push((run(70, 0), 3));
    batch.cursors.push((run(0, 5), 3));
    batch.removed.push((run(70, 0), 0..9));
    batch.purged.push(HandlerKey(70));
    kit.commit(batch);
    assert_eq!(kit.list(None, 10).len(), 1);
    assert_eq!(kit.handler(0).expect("the handler").handler.cursor, 0);
}

#[test]
fn closing_commits_what_was_submitted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for _ in 0..200 {
        let mut batch = kit.batch();
        kit.begin(&mut batch);
        kit.store.submit(batch);
    }
    kit.store.close();
    let number = kit.number;
    kit.wait_for(number);
    assert!(!directory.path().join("steprill.db-wal").exists(), "the log is in the database");
    // Later batches fail at once.
    let batch = kit.batch();
    assert_eq!(kit.fail(batch), StoreError::Closed);
    assert!(kit.ask(Query::Oldest { count: 1 }).is_err());
    assert_eq!(Kit::open(directory.path()).recover().len(), 200);
}

#[test]
fn a_process_that_exits_abruptly_loses_nothing_that_was_committed() {
    let (directory, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut kit = Kit::open_as(directory.path(), &[graph()], Durability::Full).expect("a store");
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    kit.commit(batch);
    let done = kit.complete_one();
    crash(directory.path(), copy.path());
    let (newest, next_handler) = (kit.now, kit.next_handler);
    let mut kit = Kit::open(copy.path());
    assert_eq!((kit.beginning.newest, kit.beginning.issued.next, kit.beginning.finished), (newest, next_handler, 1));
    let recovered = kit.recover();
    assert_eq!(recovered.iter().map(|stored| stored.handler.key).collect::<Vec<_>>(), [run.handler]);
    assert_eq!(kit.page(done, 0, 9, 1_000).0.len(), 2);
}

#[test]
fn a_batch_that_contains_only_the_time_commits_it_and_an_empty_one_nothing() {
    let (directory, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut kit = Kit::open(directory.path());
    kit.complete_one();
    kit.now.alive_us += 30_000_000;
    let batch = Batch { is_clock: true, ..kit.batch() };
    let committed = batch.now;
    kit.commit(batch);
    let log_bytes = || std::fs::metadata(directory.path().join("steprill.db-wal")).expect("a log").len();
    let before = log_bytes();
    kit.now.alive_us += 30_000_000;
    let batch = kit.batch();
    kit.commit(batch);
    assert_eq!(log_bytes(), before, "nothing is written for nothing");
    crash(directory.path(), copy.path());
    assert_eq!(Kit::open(copy.path()).beginning.newest, committed);
}
