//! Handlers, their journals and states, and lists of them.

use std::collections::BTreeMap;

use steprill::{
    engine::{ids::HandlerIds, input::Outcome, run::Changed, storage::StartState},
    values::Values,
};

use super::*;

pub(super) fn a_handler_is_found_as_last_committed(mut kit: Kit) {
    let mut batch = kit.batch();
    let (made, chosen) = (kit.begin(&mut batch, None), kit.begin(&mut batch, Some("chosen")));
    kit.commit(batch);
    let key_of = |found: Option<Stored>| found.map(|stored| stored.handler.key);
    let of_id = |id: &str| HandlerAddress::Id(id.into());
    for (address, found) in [
        (HandlerAddress::Key(made.handler), Some(made)),
        (HandlerAddress::Key(chosen.handler), Some(chosen)),
        (HandlerAddress::Key(HandlerKey(77)), None),
        (of_id("chosen"), Some(chosen)),
        (of_id(&spelled(made.handler)), Some(made)),
        (of_id(&spelled(chosen.handler)), None),
        (of_id(&spelled(HandlerKey(77))), None),
        (of_id("other"), None),
    ] {
        let found = found.filter(|_| kit.recalls_handlers()).map(|run| run.handler);
        assert_eq!(key_of(kit.find(address.clone())), found, "{address:?}");
    }
    if !kit.recalls_handlers() {
        return;
    }
    let mut batch = kit.batch();
    publish(&mut batch, chosen, 2);
    complete(&mut batch, chosen, "7");
    batch.cursors.push((chosen, 1));
    let ended_us = batch.now.wall_us;
    kit.commit(batch);
    let Stored { handler, journal } = kit.handler(chosen.handler).expect("the handler");
    assert_eq!((handler.id.as_deref(), handler.run, handler.run_id), (Some("chosen"), 0, run_id(chosen)));
    assert_eq!((handler.first_sequence, handler.next_sequence, handler.cursor), (0, 3, 1));
    assert_eq!(handler.updated_us, ended_us);
    let end = handler.end.expect("it has ended");
    assert!(matches!(&end.outcome, Outcome::Completed(value) if value.as_str() == "7"), "{end:?}");
    assert_eq!((end.state.keys().count(), journal.records.len()), (1, 0));
}

/// Returns the id that follows from a key.
fn spelled(key: HandlerKey) -> String {
    String::from_utf8_lossy(&HandlerIds::new(SECRET).spell(key)).into_owned()
}

pub(super) fn no_handler_begins_under_an_id_that_a_client_has_chosen(mut kit: Kit) {
    if !kit.recalls_handlers() {
        return;
    }
    let mut batch = kit.batch();
    let to_come = [1, 4].map(|ahead| spelled(HandlerKey(kit.next_handler + ahead)));
    let chosen = kit.begin(&mut batch, Some(&to_come[0]));
    kit.commit(batch);
    for (is_new_start, other) in [(false, "one"), (true, "other")] {
        if is_new_start {
            let mut batch = kit.batch();
            kit.begin(&mut batch, Some(&to_come[1]));
            kit.commit(batch);
            kit = kit.open_again();
            kit.recover();
        }
        let mut batch = kit.batch();
        let (refused, other) = (kit.begin(&mut batch, None), kit.begin(&mut batch, Some(other)));
        let asides = kit.commit(batch);
        assert_eq!(
            asides.iter().map(|aside| (aside.handler, aside.is_own)).collect::<Vec<_>>(),
            [(refused.handler, false)]
        );
        assert_eq!((kit.handler(refused.handler), kit.handler(other.handler).is_some()), (None, true));
        kit.asides_heard += 1;
    }
    let found = kit.find(HandlerAddress::Id(to_come[0].clone().into())).expect("the handler");
    assert_eq!(found.handler.key, chosen.handler);
}

pub(super) fn a_snapshot_replaces_the_records_before_it(mut kit: Kit) {
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch, None);
    kit.commit(batch);
    let mut batch = kit.batch();
    record(&mut batch, run, "more");
    kit.commit(batch);
    let Some(stored) = kit.handler(run.handler) else { return assert!(!kit.recalls_handlers()) };
    assert_eq!((stored.journal.snapshot, stored.journal.records.len()), (None, 2));
    let mut batch = kit.batch();
    record(&mut batch, run, "in it");
    snapshot(&mut batch, run, 0, b"as of now");
    kit.commit(batch);
    let mut batch = kit.batch();
    record(&mut batch, run, "behind it");
    let behind = batch.records[0].1.clone();
    kit.commit(batch);
    let stored = kit.handler(run.handler).expect("the handler");
    assert_eq!((stored.journal.snapshot.as_deref(), stored.journal.records), (Some(&b"as of now"[..]), vec![behind]));
}

pub(super) fn a_state_apart_begins_the_next_run(mut kit: Kit) {
    let state = |text: &str| Values::from(BTreeMap::from([("key".into(), json(text)), ("same".into(), json("1"))]));
    let mut batch = kit.batch();
    let first = run(kit.next_handler, 0);
    kit.next_handler += 1;
    batch.next_handler = kit.next_handler;
    open_with(&mut batch, first, 0, None, StartState::Given(state("1")));
    record(&mut batch, first, "start");
    kit.commit(batch);
    let Some(stored) = kit.handler(first.handler) else { return assert!(!kit.recalls_handlers()) };
    assert_eq!(stored.journal.state, state("1"));
    let mut batch = kit.batch();
    let changed = Changed::Keys(BTreeSet::from(["key".into()]));
    complete_with(&mut batch, first, "1", state("2"), Some(changed));
    kit.commit(batch);
    let mut kit = kit.open_again();
    let end = kit.handler(first.handler).expect("the handler").handler.end.expect("it has ended");
    assert_eq!(end.state, state("2"));
    let second = RunKey { run: 1, ..first };
    let mut batch = kit.batch();
    open_with(&mut batch, second, 1, None, StartState::Inherited);
    kit.commit(batch);
    let stored = kit.handler(first.handler).expect("the handler");
    assert_eq!((stored.handler.run, stored.handler.end, stored.journal.state), (1, None, state("2")));
}

pub(super) fn lists_are_in_order_of_creation(mut kit: Kit) {
    let mut batch = kit.batch();
    let runs: Vec<RunKey> = (0..7).map(|_| kit.begin(&mut batch, None)).collect();
    kit.commit(batch);
    let mut batch = kit.batch();
    for index in [5, 1, 2] {
        complete(&mut batch, runs[index], &format!(r#""{}""#, "r".repeat(1_000)));
    }
    kit.commit(batch);
    let all = |indexes: &[usize], kit: &Kit| {
        let all = indexes.iter().filter(|_| kit.recalls_handlers());
        all.map(|&index| runs[index].handler).collect::<Vec<_>>()
    };
    for (count, bytes_max) in [(1, usize::MAX), (3, usize::MAX), (100, usize::MAX), (100, 1), (100, 1_500)] {
        let listed = kit.list(|after| Query::List { after, count, bytes_max });
        let keys: Vec<_> = listed.iter().map(|handler| handler.key).collect();
        assert_eq!(keys, all(&[0, 1, 2, 3, 4, 5, 6], &kit), "{count} of {bytes_max} bytes");
        assert!(listed.iter().filter_map(|handler| handler.end.as_ref()).all(|end| end.state.is_empty()));
        let listed = kit.list(|after| Query::Running { after, count });
        let keys: Vec<_> = listed.iter().map(|handler| handler.key).collect();
        assert_eq!(keys, all(&[0, 3, 4, 6], &kit));
    }
    let answer = kit.ask(Query::List { after: None, count: 100, bytes_max: 1_500 });
    let Ok(Answer::List { handlers, is_complete, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(is_complete, !kit.recalls_handlers(), "bounded by bytes");
    assert!(handlers.len() < runs.len());
}

pub(super) fn the_oldest_come_first(mut kit: Kit) {
    let mut batch = kit.batch();
    let runs: Vec<RunKey> = (0..5).map(|_| kit.begin(&mut batch, None)).collect();
    kit.commit(batch);
    for index in [3, 0, 4, 1] {
        let mut batch = kit.batch();
        complete(&mut batch, runs[index], "1");
        kit.commit(batch);
    }
    let keys = |indexes: &[usize]| indexes.iter().map(|&index| runs[index].handler).collect::<Vec<_>>();
    if !kit.recalls_handlers() {
        return assert_eq!(kit.oldest(9), []);
    }
    assert_eq!((kit.oldest(2), kit.oldest(9)), (keys(&[3, 0]), keys(&[3, 0, 4, 1])));
    // One begins anew, one is removed.
    let mut batch = kit.batch();
    open(&mut batch, RunKey { run: 1, ..runs[0] }, 2, None);
    batch.purged.push(runs[4].handler);
    kit.commit(batch);
    assert_eq!(kit.oldest(9), keys(&[3, 1]));
    let mut batch = kit.batch();
    complete(&mut batch, RunKey { run: 1, ..runs[0] }, "1");
    kit.commit(batch);
    assert_eq!(kit.oldest(9), keys(&[3, 1, 0]));
}

pub(super) fn of_a_purged_handler_nothing_is_left(mut kit: Kit) {
    let mut batch = kit.batch();
    let (running, ended) = (kit.begin(&mut batch, Some("running")), kit.begin(&mut batch, Some("ended")));
    kit.commit(batch);
    let mut batch = kit.batch();
    complete(&mut batch, ended, "1");
    kit.commit(batch);
    let mut batch = kit.batch();
    batch.removed.extend([(running, 0..1), (ended, 0..2)]);
    batch.purged.extend([running.handler, ended.handler]);
    // Their ids are free at once, even that of a handler that was never committed.
    let (short, again) = (kit.begin(&mut batch, Some("short")), kit.begin(&mut batch, Some("ended")));
    batch.removed.push((short, 0..1));
    batch.purged.push(short.handler);
    kit.commit(batch);
    for gone in [running, ended, short] {
        assert_eq!((kit.handler(gone.handler), kit.count_events(gone)), (None, 0));
    }
    assert_eq!(kit.count_events(again), 1);
    for (id, found) in [("running", None), ("short", None), ("ended", Some(again.handler))] {
        let found = found.filter(|_| kit.recalls_handlers());
        assert_eq!(kit.find(HandlerAddress::Id(id.into())).map(|stored| stored.handler.key), found, "{id}");
    }
    assert_eq!(kit.oldest(9), []);
    let mut kit = kit.open_again();
    assert_eq!((kit.beginning.finished, kit.count_events(ended)), (0, 0));
}
