//! Handlers whose changes are dropped from a batch because of a damaged page that is not their own.

use steprill::engine::stored::Aside;

use super::*;

const CAUSE: &str = "a page is damaged";

/// Commits the open batch without its changes to this handler, and reports that to the scheduler.
fn commit_without(world: &mut World, key: HandlerKey) {
    let aside = Aside { handler: key, cause: CAUSE.into(), is_own: false, was_finished: false, serial: 1 };
    commit_and_set_aside(world, &aside);
}

fn commit_and_set_aside(world: &mut World, aside: &Aside) {
    let mut batch = world.seal();
    batch.drop_handler(aside.handler);
    world.model.apply(&batch, &world.session);
    world.scheduler.handle_aside(aside, world.now);
    world.scheduler.handle_committed(batch.number);
}

#[test]
fn a_run_whose_end_is_dropped_counts_and_no_other_is_admitted_beside_it() {
    for is_parked in [false, true] {
        let mut world = World::new(ONE_STEP, Some(1));
        let keys = [(); 4].map(|()| world.start(StartAs::New(None)));
        let first = world.passes()[0];
        if is_parked {
            world.pass_time(BACK_OFF_US);
        }
        assert_eq!(world.scheduler.counts().parked, if is_parked { 3 } else { 0 });
        world.stop(first);
        // The second gets the place in the same batch.
        commit_without(&mut world, keys[0]);
        let second = world.passes();
        assert_eq!((second.len(), world.scheduler.counts().places[0]), (1, [2, 2]), "the second runs beside the first");
        world.stop(second[0]);
        assert!(world.passes().is_empty(), "the first still has the only place");
        assert_eq!((world.has_ended(keys[0]), world.has_ended(keys[1])), (false, true));
        // The report of the first is repeated.
        world.pass_time(BACK_OFF_US);
        assert!(world.has_ended(keys[0]));
        assert_eq!((world.passes().len(), world.scheduler.counts().places[0]), (1, [1, 1]), "the third has the place");
    }
}

#[test]
fn a_start_counts_all_that_were_admitted() {
    let mut world = World::new(ONE_STEP, Some(1));
    let keys = [(); 3].map(|()| world.start(StartAs::New(None)));
    let first = world.passes()[0];
    world.stop(first);
    let mut batch = world.seal();
    batch.drop_handler(keys[0]);
    world.model.apply(&batch, &world.session);
    world.reopen(&Arc::clone(&world.graph));
    assert_eq!(world.scheduler.counts().places[0], [2, 1]);
    let passes = world.passes();
    assert_eq!(passes.len(), 2, "both go on");
    world.stop(passes[0]);
    assert!(world.passes().is_empty(), "one of them still has the only place");
    world.stop(passes[1]);
    assert_eq!((world.passes().len(), world.scheduler.counts().places[0]), (1, [1, 0]));
}

#[test]
fn a_pass_whose_run_is_cancelled_by_a_dropped_change_continues() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let pass = world.passes()[0];
    assert_eq!(world.scheduler.cancel(key, world.now), Ok(true));
    commit_without(&mut world, key);
    assert_eq!((world.scheduler.poll_order(), world.passes().len()), (None, 0), "it is not started again");
    world.pass_time(BACK_OFF_US);
    world.stop(pass);
    assert!(world.passes().is_empty() && world.has_ended(key));
}

#[test]
fn an_answer_older_than_what_a_dropped_change_falls_back_to_is_not_used() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let before = world.scheduler.begin_read();
    world.settle();
    let after = world.scheduler.begin_read();
    assert_eq!(world.scheduler.cancel(key, world.now), Ok(true));
    commit_without(&mut world, key);
    assert!(!world.scheduler.end_read(before), "it does not know of the run, which is committed");
    assert!(world.scheduler.end_read(after));
}

#[test]
fn a_finished_handler_that_is_set_aside_twice_is_counted_out_once() {
    let mut world = World::new(ONE_STEP, None);
    let keys = [world.finish(), world.finish()];
    assert_eq!(world.scheduler.retained_count(), 2);
    world.load(keys[0]);
    world.scheduler.purge(keys[0], world.now).expect("it is resident");
    // First its removal meets a page of another handler, then one of its own.
    commit_without(&mut world, keys[0]);
    world.settle();
    assert_eq!(world.scheduler.retained_count(), 1, "what cannot be removed does not count");
    world.load(keys[0]);
    world.scheduler.purge(keys[0], world.now).expect("it is resident");
    let own = Aside { handler: keys[0], cause: CAUSE.into(), is_own: true, was_finished: true, serial: 2 };
    commit_and_set_aside(&mut world, &own);
    assert_eq!(world.scheduler.retained_count(), 1);
}
