//! The order in which things complete, and the events of runs.

use steprill::engine::window::Mark;

use super::*;

pub(super) fn batches_complete_in_order(mut kit: Kit) {
    let mut runs = Vec::new();
    for _ in 0..40 {
        let mut batch = kit.batch();
        runs.push(kit.begin(&mut batch, None));
        kit.submit(batch);
    }
    let mut last = 0;
    while last < kit.number {
        let Completed::Batch { number } = kit.completed() else { panic!("only batches were submitted") };
        assert!(number > std::mem::replace(&mut last, number), "{number}");
    }
    assert_eq!(last, kit.number);
    for run in runs {
        assert_eq!(kit.count_events(run), 1);
    }
}

pub(super) fn nothing_is_completed_twice(mut kit: Kit) {
    let mut asked = BTreeSet::new();
    for _ in 0..30 {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch, None);
        kit.submit(batch);
        kit.asked += 1;
        asked.insert(Ticket(kit.asked));
        kit.store.read(Ticket(kit.asked), Query::Page { run, from: 0, until: 9, bytes_max: 99 });
    }
    kit.store.close();
    let mut last = 0;
    while let Some(completed) = kit.store.poll_completed() {
        match completed {
            Completed::Batch { number } => assert!(number > std::mem::replace(&mut last, number), "{number}"),
            Completed::Answer { ticket, answer } => {
                assert!(asked.remove(&ticket), "{ticket:?} was answered before");
                assert!(matches!(answer, Ok(Answer::Page { .. })), "{answer:?}");
            }
            Completed::Size(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((last, asked.len()), (kit.number, 0));
}

pub(super) fn a_query_sees_what_has_completed(mut kit: Kit) {
    for count in 1..100 {
        let mut batch = kit.batch();
        let run = kit.begin(&mut batch, None);
        publish(&mut batch, run, 2);
        kit.commit(batch);
        assert_eq!(kit.count_events(run), 2);
        if kit.recalls_handlers() {
            assert_eq!(kit.list_all().len(), count);
        }
        // Either everything of a pending batch is visible or nothing.
        let mut batch = kit.batch();
        publish(&mut batch, run, 3);
        publish(&mut batch, run, 4);
        let number = batch.number;
        kit.submit(batch);
        kit.asked += 1;
        let bytes_max = usize::MAX;
        kit.store.read(Ticket(kit.asked), Query::Page { run, from: 0, until: u64::MAX, bytes_max });
        let (mut is_answered, mut is_committed) = (false, false);
        while !(is_answered && is_committed) {
            match kit.completed() {
                Completed::Answer { answer: Ok(Answer::Page { feed, .. }), .. } => {
                    assert!(matches!(feed.next(), 2 | 4), "{} events", feed.next());
                    is_answered = true;
                }
                Completed::Batch { number: committed } if committed == number => is_committed = true,
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(super) fn a_page_has_events_of_one_workflow(mut kit: Kit) {
    let knows = |workflow, kit: &Kit| kit.recalls_handlers().then_some(workflow);
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch, None);
    publish(&mut batch, run, 2);
    kit.commit(batch);
    let first = knows(0, &kit);
    let (from, events, workflow) = kit.page(run, 1, 99, 10_000);
    assert_eq!((from, events.len(), workflow), (1, 1, first));
    let (from, events, workflow) = kit.page(run, 0, 99, 0);
    assert_eq!((from, events.len(), workflow), (0, 1, first), "one at least");
    let (from, events, workflow) = kit.page(run, 2, 99, 10_000);
    assert_eq!((from, events.len(), workflow), (2, 0, None), "there are no more");
    if !kit.recalls_handlers() {
        return;
    }
    // A batch carries the run over to the second workflow; later ones know only that.
    let mut batch = kit.batch();
    snapshot(&mut batch, run, 1, b"translated");
    publish(&mut batch, run, 3);
    kit.submit(batch);
    let mut batch = kit.batch();
    publish(&mut batch, run, 4);
    let last = batch.number;
    kit.submit(batch);
    while !matches!(kit.completed(), Completed::Batch { number } if number == last) {}
    for (from, count, workflow) in [(0, 2, 0), (1, 1, 0), (2, 2, 1), (3, 1, 1)] {
        let (first, events, of) = kit.page(run, from, 99, 10_000);
        assert_eq!((first, events.len(), of), (from, count, Some(workflow)));
    }
    assert_eq!(kit.handler(run.handler).expect("the handler").handler.workflow.0, 1);
}

pub(super) fn a_page_begins_with_the_window(mut kit: Kit) {
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch, None);
    kit.commit(batch);
    if !kit.recalls_handlers() {
        return;
    }
    for number in 2..8 {
        let mut batch = kit.batch();
        publish(&mut batch, run, number);
        kit.commit(batch);
    }
    let mut batch = kit.batch();
    publish(&mut batch, run, 8);
    batch.left.push((run, Mark { sequence: 3, bytes: 60 }));
    kit.commit(batch);
    for (from, first) in [(0, 3), (2, 3), (3, 3), (4, 4)] {
        let (begin, events, _) = kit.page(run, from, from + 1, 10_000);
        assert_eq!((begin, events.is_empty()), (first, false), "from {from}");
    }
    let handler = kit.handler(run.handler).expect("the handler").handler;
    assert_eq!(handler.window, Some(Mark { sequence: 3, bytes: 60 }));
    assert_eq!((handler.first_sequence, handler.next_sequence), (0, 8), "numbers stay");
}

pub(super) fn the_events_of_a_run_stay_until_they_are_removed(mut kit: Kit) {
    let first = kit.complete_one("1");
    let second = RunKey { run: 1, ..first };
    let mut batch = kit.batch();
    open(&mut batch, second, 2, None);
    publish(&mut batch, second, 2);
    kit.commit(batch);
    assert_eq!((kit.page(first, 0, 2, 999).1.len(), kit.page(second, 2, 99, 99).1.len()), (2, 1));
    let mut batch = kit.batch();
    batch.removed.push((first, 0..2));
    kit.commit(batch);
    assert_eq!((kit.page(first, 0, 2, 999).1.len(), kit.page(second, 2, 99, 99).1.len()), (0, 1));
    let mut batch = kit.batch();
    batch.removed.push((second, 2..3));
    batch.purged.push(second.handler);
    kit.commit(batch);
    assert_eq!(kit.page(second, 2, 99, 99).1.len(), 0);
}
