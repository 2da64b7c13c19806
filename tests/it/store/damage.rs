//! Truncated or changed files: what was synced before is read back, or the damage is reported. Never a panic.

use std::fs;

use super::*;

/// A database whose last commits are only in the log, as after a crash: its files, and everything that was committed.
struct Sample {
    database: Vec<u8>,
    log: Vec<u8>,
    handlers: Vec<StoredHandler>,
}

impl Sample {
    fn new() -> Self {
        let (directory, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let mut kit = Kit::open(directory.path());
        fill(&mut kit);
        kit.store.close();
        let mut kit = Kit { number: kit.number, now: kit.now, ..Kit::open(directory.path()) };
        fill(&mut kit);
        let handlers = kit.list(None, 100);
        crash(directory.path(), copy.path());
        let read = |name: &str| fs::read(copy.path().join(name)).expect("a file");
        Self { database: read("steprill.db"), log: read("steprill.db-wal"), handlers }
    }
}

/// Returns how many rows each table has.
fn fill(kit: &mut Kit) {
    kit.complete_one();
    let mut batch = kit.batch();
    let waiting = run(kit.next_handler, 0);
    kit.next_handler += 1;
    batch.next_handler = kit.next_handler;
    open(&mut batch, waiting, 0, Some(&format!("mine-{}", waiting.handler.0)));
    record(&mut batch, waiting, "start");
    kit.commit(batch);
    for number in 0..3 {
        let mut batch = kit.batch();
        record(&mut batch, waiting, "more");
        publish(&mut batch, waiting, number);
        kit.commit(batch);
    }
    let mut batch = kit.batch();
    snapshot(&mut batch, waiting, 0, &[1; 300]);
    kit.commit(batch);
    let mut batch = kit.batch();
    record(&mut batch, waiting, "more");
    kit.commit(batch);
}

/// Opens the directory and reads everything. Returns how many handlers it has, if nothing fails.
fn read_all(directory: &Path) -> Result<Vec<StoredHandler>, String> {
    let text = |error: OpenError| {
        let line = error.to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    let mut kit = Kit::open_with(directory, &[graph()]).map_err(text)?;
    let mut keys = Vec::new();
    kit.store.recover(&mut |recovered| keys.push(recovered)).map_err(|error| error.to_string())?;
    let said = |error: StoreError| error.to_string();
    kit.ask(Query::Oldest { count: 100 }).map_err(said)?;
    let answer = kit.ask(Query::List { after: None, count: 100, bytes_max: usize::MAX }).map_err(said)?;
    let Answer::List { handlers, .. } = answer else { panic!("{answer:?}") };
    for handler in &handlers {
        kit.ask(Query::Handler(HandlerAddress::Key(handler.key))).map_err(said)?;
        let run = run(handler.key.0, handler.run);
        let (from, until) = (handler.first_sequence, handler.next_sequence);
        let answer = kit.ask(Query::Page { run, from, until, bytes_max: 10_000 }).map_err(said)?;
        let Answer::Page { feed, .. } = answer else { panic!("{answer:?}") };
        for number in feed.first()..feed.next().min(feed.first() + 100) {
            feed.get(number).expect("what was decoded can be rendered");
        }
    }
    // It can be written, or reports why not.
    let mut batch = kit.batch();
    kit.begin(&mut batch);
    let number = batch.number;
    kit.store.submit(batch);
    match kit.completed() {
        Completed::Batch { number: completed } if completed == number => Ok(handlers),
        Completed::Failed { error, .. } => Err(error.to_string()),
        Completed::Aside(aside) if !aside.is_own => Err(aside.cause.into()),
        other => panic!("{other:?}"),
    }
}

fn check(directory: &Path, database: &[u8], log: &[u8]) -> Result<Vec<StoredHandler>, String> {
    for name in ["lock", "steprill.db-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    fs::write(directory.join("steprill.db"), database).expect("a file");
    fs::write(directory.join("steprill.db-wal"), log).expect("a file");
    read_all(directory)
}

const PAGE_BYTES: usize = 1_024;

/// A frame of the log: a header, and a page.
const FRAME_BYTES: usize = 24 + PAGE_BYTES;

#[test]
fn a_log_that_is_cut_or_changed_yields_what_was_committed_before() {
    let (sample, directory) = (Sample::new(), tempfile::tempdir().expect("a directory"));
    let (database, log) = (&sample.database, &sample.log);
    assert_eq!(check(directory.path(), database, log), Ok(sample.handlers.clone()));
    // At every byte of the last frame, and at some places before it.
    let last = log.len() - FRAME_BYTES;
    let cuts = (0..last).step_by(251).chain(last..log.len());
    let mut counts = Vec::new();
    for length in cuts {
        let handlers = check(directory.path(), database, &log[..length]);
        let handlers = handlers.unwrap_or_else(|error| panic!("cut to {length}: {error}"));
        // A prefix of what was committed: no handler without the earlier ones, and none in a later state.
        let is_prefix = handlers.iter().zip(&sample.handlers).all(|(handler, last)| {
            handler.key == last.key && handler.next_sequence <= last.next_sequence && handler.run_id == last.run_id
        });
        assert!(is_prefix && handlers.len() <= sample.handlers.len(), "cut to {length}");
        counts.push(handlers.len());
    }
    assert!(counts.is_sorted() && counts[0] < sample.handlers.len(), "a longer log holds no less: {counts:?}");
    for place in last..log.len() {
        let mut changed = log.clone();
        changed[place] ^= 1 << (place % 8);
        let handlers = check(directory.path(), database, &changed);
        assert!(handlers.is_ok_and(|handlers| handlers.len() <= sample.handlers.len()), "changed at {place}");
    }
}

#[test]
fn a_database_that_is_cut_or_changed_is_read_or_refused() {
    let (sample, directory) = (Sample::new(), tempfile::tempdir().expect("a directory"));
    let database = &sample.database;
    // At every byte of the last page, and at some places before it.
    let last = database.len() - PAGE_BYTES;
    for length in (0..last).step_by(251).chain(last..database.len()) {
        let read = check(directory.path(), &database[..length], &[]);
        // The missing part of a page that begins in the file counts as zeros.
        assert!(read.is_err() || length > last, "cut to {length}");
    }
    let mut said = 0;
    for place in (0..last).step_by(13).chain(last..database.len()) {
        let mut changed = database.clone();
        changed[place] ^= 1 << (place % 8);
        said += usize::from(check(directory.path(), &changed, &[]).is_err());
    }
    assert!(said > 100, "{said} changes were noticed");
}
