//! A fault of one handler's rows affects only that handler.

use std::fs;

use steprill::store::{Inspect as _, sqlite::Inspector};

use super::*;

const PAGE_BYTES: usize = 1_024;

/// Creates a handler that completed with a result that fills its own pages.
fn complete_large(kit: &mut Kit, mark: &str) -> RunKey {
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    kit.commit(batch);
    let mut batch = kit.batch();
    complete(&mut batch, run, &format!("\"{}\"", mark.repeat(2_000)));
    kit.commit(batch);
    run
}

/// Damages every page that contains nothing but this mark, while the database is closed.
pub(crate) fn damage(directory: &Path, mark: &str) {
    let path = directory.join("steprill.db");
    let mut bytes = fs::read(&path).expect("a database");
    let mut count = 0;
    for page in bytes.chunks_exact_mut(PAGE_BYTES) {
        let marks = page.windows(mark.len()).filter(|window| *window == mark.as_bytes()).count();
        if (marks + 2) * mark.len() >= PAGE_BYTES {
            // The number of the row's next page, which does not exist.
            page[..4].fill(0xFF);
            count += 1;
        }
    }
    assert!(count > 2, "{mark} has {count} pages");
    fs::write(&path, bytes).expect("a database");
}

impl Kit {
    /// Commits a batch. Returns the handlers that were set aside.
    pub(crate) fn commit_some(&mut self, batch: Batch) -> Vec<Aside> {
        let (wanted, mut asides) = (batch.number, Vec::new());
        self.store.submit(batch);
        loop {
            match self.completed() {
                Completed::Aside(aside) => asides.push(aside),
                Completed::Batch { number } if number == wanted => return asides,
                other => panic!("expected batch {wanted}, got {other:?}"),
            }
        }
    }
}

#[test]
fn a_handler_that_cannot_be_removed_is_set_aside_and_the_rest_of_its_batch_is_committed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let [before, damaged, behind] = ["before--", "damaged-", "behind--"].map(|mark| complete_large(&mut kit, mark));
    let number = kit.number;
    drop(kit);
    damage(directory.path(), "damaged-");

    let mut kit = Kit { number, ..Kit::open(directory.path()) };
    let mut batch = kit.batch();
    batch.purged = vec![before.handler, damaged.handler];
    let fresh = kit.begin(&mut batch);
    let asides = kit.commit_some(batch);
    let [aside] = &asides[..] else { panic!("{asides:?}") };
    assert_eq!((aside.handler, aside.was_finished, aside.serial), (damaged.handler, true, 1));
    assert!(aside.cause.contains("malformed"), "{aside:?}");
    assert!(kit.handler(before.handler.0).is_none());
    assert!(kit.handler(fresh.handler.0).is_some());
    assert_eq!(kit.oldest(9).iter().map(|(key, _)| *key).collect::<Vec<_>>(), [behind.handler.0]);
    // Batches sealed before the scheduler knew depend on dropped changes.
    let mut late = kit.batch();
    late.cursors.push((damaged, 1));
    late.purged.push(damaged.handler);
    kit.commit(late);
    // Another removal, by a scheduler that knows, has the same result.
    let mut again = Batch { asides_heard: 1, ..kit.batch() };
    again.purged.push(damaged.handler);
    let asides = kit.commit_some(again);
    assert_eq!(
        asides.iter().map(|aside| (aside.handler, aside.was_finished)).collect::<Vec<_>>(),
        [(damaged.handler, false)]
    );
    drop(kit);

    let mut kit = Kit::open(directory.path());
    assert_eq!(kit.beginning.finished, 1);
    assert_eq!(kit.beginning.aside.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [damaged.handler]);
    assert_eq!(kit.recover().len(), 1);
    drop(kit);
    let inspector = Inspector::open(directory.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(inspector.aside().len(), 1);
}

#[test]
fn lists_skip_handlers_that_cannot_be_read_and_report_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let runs: Vec<RunKey> = (0..9).map(|index| complete_large(&mut kit, &format!("mark-{index}-"))).collect();
    drop(kit);
    for index in [0, 4, 5, 8] {
        damage(directory.path(), &format!("mark-{index}-"));
    }
    let mut kit = Kit::open(directory.path());
    for count in 1..=10 {
        let (mut listed, mut damaged, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let query = Query::List { after, count, bytes_max: usize::MAX };
            let Ok(Answer::List { handlers, damaged: unread, is_complete }) = kit.ask(query) else { panic!("a list") };
            listed.extend(handlers.iter().map(|handler| handler.key.0));
            damaged.extend(unread.iter().map(|(key, _)| key.0));
            after = handlers.last().map(|handler| handler.key).or(after);
            if is_complete {
                break;
            }
        }
        damaged.dedup();
        assert_eq!((listed, damaged), (vec![1, 2, 3, 6, 7], vec![0, 4, 5, 8]), "{count} at a time");
    }
    let asked = kit.ask(Query::Handler(HandlerAddress::Key(runs[4].handler)));
    assert!(matches!(&asked, Err(StoreError::Damaged { handler, .. }) if *handler == runs[4].handler), "{asked:?}");
    assert!(kit.handler(3).is_some());
}

#[test]
fn a_damaged_page_of_handlers_hides_those_on_it_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for _ in 0..200 {
        kit.complete_one();
    }
    drop(kit);
    // A leaf of the table that contains a row in the middle.
    let path = directory.path().join("steprill.db");
    let mut bytes = fs::read(&path).expect("a database");
    let run_id = run_id(run(100, 0));
    let place = bytes.windows(16).position(|window| window == run_id.as_bytes()).expect("the row");
    let page = place / PAGE_BYTES * PAGE_BYTES;
    assert_eq!(bytes[page], 13, "a leaf");
    bytes[page..page + 100].fill(0xA5);
    fs::write(&path, bytes).expect("a database");

    let mut kit = Kit::open(directory.path());
    let query = Query::List { after: None, count: 1_000, bytes_max: usize::MAX };
    let Ok(Answer::List { handlers, damaged, is_complete: true }) = kit.ask(query) else { panic!("a list") };
    let damaged: Vec<u64> = damaged.iter().map(|(key, _)| key.0).collect();
    assert!(damaged.contains(&100) && damaged.len() < 20, "{damaged:?}");
    assert_eq!(handlers.len() + damaged.len(), 200, "{damaged:?}");
    assert_eq!(kit.oldest(1_000).len(), 200);
    // All that can be removed are, in one batch.
    let mut batch = kit.batch();
    batch.purged = (0..200).map(HandlerKey).collect();
    let asides = kit.commit_some(batch);
    let (own, whole): (Vec<_>, Vec<_>) = asides.iter().partition(|aside| aside.is_own);
    let keys = |asides: &[&Aside]| asides.iter().map(|aside| aside.handler.0).collect::<Vec<_>>();
    assert_eq!(keys(&own), damaged, "{asides:?}");
    // A page beside the damaged one cannot be merged with it, so its last rows stay as well; they are not blamed.
    assert!(whole.len() < 40, "{asides:?}");
    assert_eq!(kit.oldest(1_000).iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys(&whole));
    kit.complete_one();
}

#[test]
fn a_start_recovers_live_runs_despite_damaged_ones() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut begin = |mark: &str| {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch);
        record(&mut batch, run, &mark.repeat(2_000));
        kit.commit(batch);
        run.handler
    };
    let [first, damaged, last] = ["first---", "damaged-", "last----"].map(&mut begin);
    drop(kit);
    damage(directory.path(), "damaged-");
    let mut kit = Kit::open(directory.path());
    let (mut whole, mut lost) = (Vec::new(), Vec::new());
    let recovered = kit.store.recover(&mut |recovered| match recovered {
        Recovered::Whole(stored) => whole.push(stored.handler.key),
        Recovered::Damaged { key, handler, .. } => lost.push((key, handler.is_some())),
    });
    recovered.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((whole, lost), (vec![first, last], vec![(damaged, true)]));
}

#[test]
fn a_fault_of_the_whole_database_is_blamed_on_no_handler() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mut batch = kit.batch();
    let running = kit.begin(&mut batch);
    kit.commit(batch);
    let other = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    other
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END")
        .expect("a trigger");
    let mut batch = kit.batch();
    record(&mut batch, running, "more");
    let asides = kit.commit_some(batch);
    let [aside] = &asides[..] else { panic!("{asides:?}") };
    assert_eq!((aside.handler, aside.is_own), (running.handler, false));
    other.execute_batch("DROP TRIGGER no").expect("it goes");
    let mut batch = Batch { asides_heard: 1, ..kit.batch() };
    record(&mut batch, running, "more");
    kit.commit(batch);
}

#[test]
fn a_long_row_of_one_handler_is_read_by_no_search_for_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let mark = |number: usize| format!("mark-{number:02}-");
    let runs: Vec<RunKey> = (0..40)
        .map(|number| {
            let mut batch = kit.batch();
            let run = kit.begin(&mut batch);
            kit.commit(batch);
            let mut batch = kit.batch();
            record(&mut batch, run, &mark(number).repeat(900));
            let event = EventRef::Known(graph().event_id("E").expect("E"));
            let value = json(&format!("\"{}\"", mark(number).repeat(900)));
            batch.published.push((run, Published::Event(event, value)));
            kit.commit(batch);
            run
        })
        .collect();
    let number = kit.number;
    drop(kit);
    damage(directory.path(), &mark(20));

    let mut kit = Kit { number, ..Kit::open(directory.path()) };
    let mut batch = kit.batch();
    for &run in &runs {
        record(&mut batch, run, "more");
        publish(&mut batch, run, 3);
    }
    let fresh = kit.begin(&mut batch);
    assert_eq!(kit.commit_some(batch), [], "none of those rows is looked at");
    let asked = kit.ask(Query::Handler(HandlerAddress::Key(runs[20].handler)));
    assert!(matches!(asked, Ok(Answer::Damaged { .. })), "{asked:?}");
    let mut batch = kit.batch();
    let others = runs.iter().step_by(2).map(|run| run.handler).filter(|key| *key != runs[20].handler);
    batch.purged = others.chain([fresh.handler]).collect();
    assert_eq!(kit.commit_some(batch), []);
    for run in runs.iter().skip(1).step_by(2) {
        assert_eq!(kit.handler(run.handler.0).expect("a handler").journal.records.len(), 3);
        assert_eq!(kit.page(*run, 0, 9, 100_000).0.len(), 3);
    }
}

#[test]
fn a_handler_that_was_set_aside_but_is_whole_is_back_after_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let [first, last] = [(); 2].map(|()| kit.complete_one());
    let mut batch = kit.batch();
    let running = kit.begin(&mut batch);
    kit.commit(batch);
    let damaged = complete_large(&mut kit, "damaged-");
    drop(kit);
    damage(directory.path(), "damaged-");
    let database = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    let aside = |key: HandlerKey, place: i64| {
        database.execute("INSERT INTO aside VALUES (?1, 'a page')", [key.0.cast_signed()]).expect("a row");
        assert_eq!(database.execute("DELETE FROM places WHERE place = ?1", [place]).expect("a place"), 1);
    };
    aside(first.handler, 1);
    aside(running.handler, (1 << 62) + running.handler.0.cast_signed());
    aside(damaged.handler, 3);
    // Another handler has the place of the last one.
    aside(last.handler, 2);
    let sql = "INSERT INTO places (place, handler, wall_us) VALUES (2, 77, 0)";
    database.execute(sql, []).expect("a place");
    drop(database);

    let mut kit = Kit::open(directory.path());
    assert_eq!(kit.beginning.aside.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [damaged.handler]);
    assert_eq!(kit.beginning.finished, 3);
    let oldest: Vec<u64> = kit.oldest(9).into_iter().map(|(key, _)| key).collect();
    assert_eq!(oldest, [first.handler.0, 77, last.handler.0]);
    assert_eq!(kit.recover().len(), 1);
    let mut batch = kit.batch();
    batch.purged = vec![first.handler, last.handler];
    kit.commit(batch);
    assert_eq!(kit.oldest(9).len(), 1);
}

#[test]
fn removals_that_fail_through_no_fault_of_a_handler_do_not_stop_other_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    let done: Vec<HandlerKey> = (0..20).map(|_| kit.complete_one().handler).collect();
    let mut batch = kit.batch();
    let running = kit.begin(&mut batch);
    kit.commit(batch);
    let other = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    // No handler can be deleted, and the database as a whole is not sound.
    let triggers = "CREATE TRIGGER stays BEFORE DELETE ON handlers BEGIN SELECT RAISE(ABORT, 'no'); END;
                    CREATE TRIGGER no BEFORE INSERT ON states BEGIN SELECT RAISE(ABORT, 'no'); END";
    other.execute_batch(triggers).expect("triggers");
    let mut batch = kit.batch();
    batch.purged.clone_from(&done);
    record(&mut batch, running, "more");
    let asides = kit.commit_some(batch);
    let of_all: Vec<_> = done.iter().map(|key| (*key, false)).collect();
    assert_eq!(asides.iter().map(|aside| (aside.handler, aside.is_own)).collect::<Vec<_>>(), of_all);
    assert_eq!(kit.handler(running.handler.0).expect("the handler").journal.records.len(), 2);
    assert_eq!(kit.oldest(99).len(), done.len());
}
