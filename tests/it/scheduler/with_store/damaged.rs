//! Runs whose rows are damaged.

use super::*;

const ASKS: &str = "a: S -> T ? NeedQ/HumanA";

#[test]
fn a_run_whose_journal_is_damaged_fails_and_the_others_continue() {
    for is_loaded_late in [false, true] {
        let mut world = World::new(ASKS, None);
        let keys = [(); 2].map(|()| world.start(StartAs::New(None)));
        for tag in world.passes() {
            world.sleep(tag);
        }
        world.settle();
        if is_loaded_late {
            world.restart(ASKS);
        }
        let row = world.model.handlers.get_mut(&keys[0]).expect("it is stored");
        row.journal.records[1] = vec![1, 200];
        if is_loaded_late {
            world.load(keys[0]);
        } else {
            world.restart(ASKS);
        }
        world.settle();
        let end = world.model.handlers[&keys[0]].end.as_ref().expect("it has ended");
        assert!(
            matches!(&end.outcome, steprill::Outcome::Failed(error) if error.contains("journal is damaged")),
            "{:?}",
            end.outcome
        );
        assert!(!world.has_ended(keys[1]));
        assert_eq!(world.scheduler.damaged_count(), 1, "/health says so");
        // A due timer causes the run to be loaded, and is due again once it is resident.
        world.pass_time(3_600_000_000);
        world.pass_time(0);
        assert_eq!(world.passes().len(), 1, "the other continues");
    }
}

#[test]
fn an_answer_from_before_a_reloading_handler_was_found_damaged_is_not_used() {
    let mut world = World::new(ASKS, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.stop(tag);
    // The end of the pass is reported again once the handler is loaded.
    world.fail();
    let while_whole = world.scheduler.begin_read();
    world.scheduler.handle_damaged(key, "a page is damaged", world.now);
    assert!(!world.scheduler.end_read(while_whole), "the pass would run a second time");
    let afterwards = world.scheduler.begin_read();
    assert!(world.scheduler.end_read(afterwards));
}

#[test]
fn a_damaged_run_whose_failure_cannot_be_committed_is_given_up_at_once() {
    let mut world = World::new(ASKS, None);
    let keys = [(); 2].map(|()| world.start(StartAs::New(None)));
    for tag in world.passes() {
        world.sleep(tag);
    }
    world.settle();
    world.model.handlers.get_mut(&keys[0]).expect("it is stored").journal.records[1] = vec![1, 200];
    world.restart(ASKS);
    world.load(keys[0]);
    world.scheduler.await_end(keys[0], CallerId(7));
    let run = world.scheduler.run_of(keys[0]).expect("it is here");
    world.fail();
    let loads = std::iter::from_fn(|| world.scheduler.poll_notice()).filter(|notice| *notice == Notice::Load(keys[0]));
    assert_eq!(loads.count(), 1, "the store is queried for the waiting caller");
    world.load(keys[0]);
    let notices: Vec<_> = std::iter::from_fn(|| world.scheduler.poll_notice()).collect();
    assert!(notices.contains(&Notice::Ended(run, CallerId(7))), "{notices:?}");
    assert!(world.scheduler.seal().is_none(), "nothing of it is tried again");
    assert!(world.scheduler.is_aside(keys[0]) && !world.scheduler.is_aside(keys[1]));
    let outcome = world.scheduler.view(keys[0]).and_then(|view| view.outcome).expect("it counts as ended");
    assert!(matches!(outcome, steprill::Outcome::Failed(error) if error.contains("journal is damaged")), "{outcome:?}");
    world.pass_time(BACK_OFF_US);
    assert!(world.model.handlers[&keys[0]].end.is_none(), "the next start may find it whole");
}

#[test]
fn a_handler_that_is_changed_as_it_is_loaded_is_not_loaded_repeatedly() {
    let mut world = World::new(ASKS, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.sleep(tag);
    world.settle();
    // Under a new version of its workflow, a run is stored anew as soon as it is resident.
    world.restart("a: S -> T ? NeedQ/HumanA\n b: HumanB -> T");
    let mut loads = 0;
    while world.scheduler.seal().map(|batch| world.scheduler.handle_failed(batch.number, world.now)).is_some() {
        while let Some(notice) = world.scheduler.poll_notice() {
            if notice == Notice::Load(key) {
                loads += 1;
                assert!(loads < 20, "it pauses");
                world.load(key);
            }
        }
    }
    world.pass_time(BACK_OFF_US);
    assert!(world.scheduler.run_of(key).is_some(), "it continues once it can be committed");
}

#[test]
fn the_passes_of_a_run_that_cannot_be_reloaded_are_stopped() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    assert_eq!(world.scheduler.cancel(key, world.now), Ok(true));
    world.fail();
    world.model.handlers.get_mut(&key).expect("it is committed").journal.records[0] = vec![1, 200];
    world.load(key);
    assert_eq!(world.scheduler.poll_order(), None, "its end is not committed");
    world.settle();
    assert!(world.has_ended(key));
    assert_eq!(world.scheduler.poll_order(), Some((tag, steprill::pass::Order::Stop(steprill::pass::Stop::Cancelled))));
}
