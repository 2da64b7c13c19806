//! What the next start finds, and how a store ends.

use super::*;

pub(super) fn what_was_committed_is_there_after_a_start(mut kit: Kit) {
    let mut batch = kit.batch();
    let (first, second) = (kit.begin(&mut batch, None), kit.begin(&mut batch, Some("mine")));
    kit.commit(batch);
    let done = kit.complete_one("1");
    let mut batch = kit.batch();
    record(&mut batch, second, "more");
    publish(&mut batch, second, 2);
    batch.cursors.push((second, 1));
    kit.commit(batch);
    let last = kit.begin_apart();
    let before: Vec<_> = [first, second, last].map(|run| kit.handler(run.handler)).into_iter().flatten().collect();
    let mut kit = kit.open_again();
    assert_eq!(kit.recover(), before);
    if !kit.recalls_handlers() {
        return assert_eq!((kit.count_events(first), kit.count_events(done), before.len()), (0, 0, 0));
    }
    assert_eq!(before.iter().map(|stored| stored.journal.records.len()).collect::<Vec<_>>(), [1, 2, 1]);
    let Beginning { newest, issued, finished, ref aside, .. } = kit.beginning;
    assert_eq!((newest, issued.next, finished, aside.len()), (kit.now, kit.next_handler, 1, 0));
    assert!([first, second, done, last].iter().all(|run| issued.contains(run.handler)), "{issued:?}");
    assert_eq!((kit.count_events(second), kit.count_events(done), kit.oldest(9)), (2, 2, vec![done.handler]));
    assert_eq!(kit.list_all(), [first, second, done, last].map(|run| run.handler));
    // And it continues.
    let mut batch = kit.batch();
    record(&mut batch, first, "more");
    kit.commit(batch);
    assert_eq!(kit.handler(first.handler).expect("the handler").journal.records.len(), 2);
}

impl Kit {
    fn begin_apart(&mut self) -> RunKey {
        let mut batch = self.batch();
        let run = self.begin(&mut batch, None);
        self.commit(batch);
        run
    }
}

pub(super) fn a_batch_may_commit_the_time_alone(mut kit: Kit) {
    kit.complete_one("1");
    kit.now.alive_us += 30_000_000;
    let batch = Batch { is_clock: true, ..kit.batch() };
    let committed = batch.now;
    kit.commit(batch);
    // An empty one completes, too.
    let batch = kit.batch();
    kit.commit(batch);
    let kit = kit.open_again();
    if kit.recalls_handlers() {
        assert!((committed..=kit.now).contains(&kit.beginning.newest), "{:?}", kit.beginning);
    }
}

pub(super) fn the_secret_is_that_of_the_first_start(kit: Kit) {
    assert_eq!(kit.beginning.secret, SECRET);
    let kit = kit.open_again_with(&graphs(), SECRET + 1);
    let secret = if kit.recalls_handlers() { SECRET } else { SECRET + 1 };
    assert_eq!(kit.beginning.secret, secret);
}

pub(super) fn what_was_committed_under_another_graph_has_its_ids(mut kit: Kit) {
    let done = kit.complete_one("1");
    let (first, second, third) = (graph(), graphs()[1].clone(), graph_of("c: S -> T ~ C|D|E"));
    let mut kit = kit.open_again_with(&[Arc::clone(&third), Arc::clone(&second)], SECRET);
    let stored = |graphs: &[Arc<Graph>]| graphs.iter().map(|graph| graph.to_stored()).collect::<Vec<_>>();
    assert_eq!(stored(&kit.graphs[..2]), stored(&[third, second]));
    let Some(found) = kit.handler(done.handler) else { return assert!(!kit.recalls_handlers()) };
    let of = usize::from(found.handler.workflow.0);
    assert_eq!(stored(&kit.graphs[of..=of]), stored(std::slice::from_ref(&first)));
    assert_eq!(kit.page(done, 0, 9, 1_000).2, Some(found.handler.workflow.0));
    let mut kit = kit.open_again();
    assert_eq!(kit.handler(done.handler).expect("the handler").handler.workflow.0, 0);
    assert_eq!(kit.graphs.len(), 3);
}

pub(super) fn closing_waits_for_what_was_submitted(mut kit: Kit) {
    let mut last = None;
    for _ in 0..100 {
        let mut batch = kit.batch();
        last = Some(kit.begin(&mut batch, None));
        kit.submit(batch);
    }
    kit.store.close();
    let number = kit.number;
    while !matches!(kit.completed(), Completed::Batch { number: last } if last == number) {}
    let mut kit = kit.open_again();
    if kit.recalls_handlers() {
        assert_eq!((kit.recover().len(), kit.count_events(last.expect("a run"))), (100, 1));
    }
}
