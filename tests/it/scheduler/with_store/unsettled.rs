//! Requests wait for changes that are not committed yet.

use super::*;

#[test]
fn no_request_is_refused_for_an_uncommitted_end_or_removal() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(Some("mine".into())));
    let tag = world.passes()[0];
    assert_eq!(world.scheduler.unsettled("mine", true), None);
    world.stop(tag);
    let batch = world.scheduler.open_batch();
    assert_eq!(world.scheduler.unsettled("mine", true), Some(batch), "a change waits");
    assert_eq!(world.scheduler.unsettled("mine", false), None, "a reader sees what is committed");
    world.fail();
    assert_eq!(world.scheduler.unsettled("mine", true), None, "it is judged again");
    assert!(world.scheduler.first_unsettled() > batch);
    world.settle();
    world.pass_time(BACK_OFF_US);
    assert!(world.has_ended(key) && world.scheduler.unsettled("mine", true).is_none());
    world.scheduler.purge(key, world.now).expect("it is resident");
    let batch = world.scheduler.open_batch();
    assert_eq!(world.scheduler.unsettled("mine", false), Some(batch));
    world.settle();
    assert_eq!(world.scheduler.unsettled("mine", false), None);
    assert_eq!(world.scheduler.place_of("mine"), Some(key), "its place in lists is known");
    let made = world.finish();
    let id = world.scheduler.view(made).expect("it is there").id.to_owned();
    world.scheduler.purge(made, world.now).expect("it is resident");
    assert!(world.scheduler.unsettled(&id, false).is_some());
    world.settle();
    assert_eq!((world.scheduler.find(&id), world.scheduler.place_of(&id)), (None, Some(made)));
    assert_eq!(world.scheduler.place_of("0123456789"), None);
}

#[test]
fn the_removal_of_a_nonresident_chosen_id_is_awaited() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(Some("mine".into())));
    let tag = world.passes()[0];
    world.stop(tag);
    world.settle();
    world.limits.keep_finished = 0;
    world.restart(ONE_STEP);
    let oldest = [(key, world.now.wall_us)];
    world.scheduler.handle_oldest(&oldest, world.now);
    let batch = world.scheduler.open_batch();
    // A reader gets what the store has, which does not count as gone yet.
    world.load(key);
    assert_eq!(world.scheduler.unsettled("mine", false), Some(batch));
    world.fail();
    assert_eq!(world.scheduler.unsettled("mine", false), None);
    world.load(key);
    assert_eq!(world.scheduler.find("mine"), Some(key));
}

#[test]
fn an_uncommitted_start_is_awaited() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(Some("mine".into())));
    let batch = world.scheduler.open_batch();
    assert_eq!(world.scheduler.unsettled("mine", false), Some(batch));
    let sealed = world.seal();
    world.start(StartAs::New(None));
    assert_eq!(world.scheduler.unsettled("mine", false), Some(batch), "also while it is on its way");
    world.commit(&sealed);
    assert_eq!(world.scheduler.unsettled("mine", false), None);
    let tag = world.passes()[0];
    world.stop(tag);
    assert!(world.scheduler.is_changing(key));
    world.settle();
    assert!(!world.scheduler.is_changing(key));
    world.start(StartAs::Restart(key));
    assert_eq!(world.scheduler.unsettled("mine", false), Some(world.scheduler.open_batch()), "and a further run's");
}
