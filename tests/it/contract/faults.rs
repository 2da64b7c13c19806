//! What a store may refuse, and what remains then.

use super::*;

pub(super) fn what_rests_on_a_failed_batch_is_dropped(mut kit: Kit) {
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch, None);
    kit.commit(batch);
    if !kit.recalls_handlers() {
        return;
    }
    kit.medium.set_full(true);
    let mut batch = kit.batch();
    let failed = batch.number;
    publish(&mut batch, run, 2);
    batch.records.push((run, vec![1; 200_000]));
    kit.submit(batch);
    // These would fit.
    for _ in 0..3 {
        let mut batch = kit.batch();
        kit.begin(&mut batch, None);
        record(&mut batch, run, "rests on it");
        kit.submit(batch);
    }
    match kit.completed() {
        Completed::Failed { number, error: StoreError::Full { .. } } if number == failed => {}
        other => panic!("expected batch {failed} to fail for want of room, got {other:?}"),
    }
    kit.medium.set_full(false);
    // The scheduler may not know of it yet.
    let mut batch = kit.batch();
    kit.begin(&mut batch, None);
    kit.submit(batch);
    kit.epoch += 1;
    let mut batch = kit.batch();
    let fresh = kit.begin(&mut batch, None);
    record(&mut batch, run, "another");
    kit.commit(batch);
    assert_eq!(kit.list_all(), [run.handler, fresh.handler]);
    assert_eq!((kit.count_events(run), kit.count_events(fresh)), (1, 1));
    assert_eq!(kit.handler(run.handler).expect("the handler").journal.records.len(), 2);
}

pub(super) fn a_handler_that_cannot_be_changed_is_left_out(mut kit: Kit) {
    let mut batch = kit.batch();
    let (blocked, other) = (kit.begin(&mut batch, None), kit.begin(&mut batch, None));
    kit.commit(batch);
    if !kit.recalls_handlers() {
        return;
    }
    let records = |kit: &mut Kit, run: RunKey| kit.handler(run.handler).expect("the handler").journal.records.len();
    kit.medium.block(Some(blocked.handler));
    let mut batch = kit.batch();
    record(&mut batch, blocked, "refused");
    publish(&mut batch, blocked, 2);
    record(&mut batch, other, "more");
    let fresh = kit.begin(&mut batch, None);
    let asides = kit.commit(batch);
    let [aside] = &asides[..] else { panic!("{asides:?}") };
    assert_eq!((aside.handler, aside.is_own, aside.was_finished), (blocked.handler, false, false));
    assert_eq!((records(&mut kit, blocked), records(&mut kit, other), records(&mut kit, fresh)), (1, 2, 1));
    assert_eq!(kit.count_events(blocked), 1);
    kit.medium.block(None);
    // Batches sealed before the scheduler knew depend on changes that were dropped.
    let mut batch = kit.batch();
    record(&mut batch, blocked, "rests on it");
    record(&mut batch, other, "more");
    assert_eq!(kit.commit(batch), []);
    assert_eq!((records(&mut kit, blocked), records(&mut kit, other)), (1, 3));
    kit.asides_heard = aside.serial;
    let mut batch = kit.batch();
    record(&mut batch, blocked, "more");
    assert_eq!(kit.commit(batch), []);
    assert_eq!(records(&mut kit, blocked), 2);
}

pub(super) fn a_damaged_handler_is_set_aside_for_good(mut kit: Kit) {
    if !kit.recalls_handlers() {
        return;
    }
    let whole = kit.complete_one("1");
    let damaged = kit.complete_one(&format!("\"{}\"", "damaged-".repeat(2_000)));
    kit.store.close();
    kit.medium.damage(damaged.handler, "damaged-");
    let mut kit = kit.open_again();
    assert_eq!((kit.beginning.finished, kit.beginning.aside.len()), (2, 0));
    let mut batch = kit.batch();
    batch.purged.extend([whole.handler, damaged.handler]);
    let fresh = kit.begin(&mut batch, None);
    let asides = kit.commit(batch);
    let [aside] = &asides[..] else { panic!("{asides:?}") };
    assert_eq!((aside.handler, aside.is_own, aside.was_finished), (damaged.handler, true, true));
    assert_eq!((kit.handler(whole.handler), kit.oldest(9)), (None, Vec::new()));
    let mut kit = kit.open_again();
    let aside: Vec<_> = kit.beginning.aside.iter().map(|(key, _)| *key).collect();
    assert_eq!((aside, kit.beginning.finished), (vec![damaged.handler], 0));
    assert_eq!(kit.recover().iter().map(|stored| stored.handler.key).collect::<Vec<_>>(), [fresh.handler]);
}
