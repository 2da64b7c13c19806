//! When a run's journal is cut short by a snapshot.

use steprill::{
    engine::{run::Changed, storage::StartState},
    pass::Write,
};

use super::*;

fn large() -> Values {
    let text = Json::parse(&format!("\"{}\"", "x".repeat(1 << 20))).expect("JSON");
    Values::from_iter([("key".into(), text)])
}

#[test]
fn a_large_start_is_not_written_again_at_once() {
    let mut world = World::journaled();
    let limits = SchedulerLimits { record_state_bytes_max: usize::MAX, ..world.limits };
    world.scheduler = Scheduler::new(vec![Arc::clone(&world.graph)], limits, Recall::Everything, 7);
    world.start_with(StartAs::New(None), large());
    let mut journal_bytes = 0;
    while let Some(batch) = world.scheduler.seal() {
        assert!(batch.snapshots.is_empty(), "the start has all that a snapshot would have");
        journal_bytes += batch.records.iter().map(|(_, record)| record.len()).sum::<usize>();
        world.scheduler.handle_committed(batch.number);
    }
    assert!(journal_bytes > 1 << 20, "{journal_bytes}");
}

#[test]
fn a_large_state_is_in_no_record_and_given_to_the_store_once() {
    let mut world = World::journaled();
    let mut handler = world.start_with(StartAs::New(None), large());
    for round in 0..3 {
        let batch = world.scheduler.seal().expect("a start");
        let [(_, record)] = &batch.records[..] else { panic!("{batch:?}") };
        assert!(record.len() < 1_000, "{} bytes", record.len());
        let expected = if round == 0 { StartState::Given(large()) } else { StartState::Inherited };
        assert_eq!(batch.opened[0].head.as_ref().expect("a head").state, expected);
        world.scheduler.handle_committed(batch.number);
        let pass = world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).expect("a pass");
        assert_eq!(pass.input.state.values.get("key"), large().get("key"));
        let write = (Arc::from("n"), Write::Set(Json::from_value(&round).expect("a number")));
        let used = StateUse { version: pass.input.state.version, writes: vec![write], ..StateUse::default() };
        let stop = (world.graph.stop, Json::parse("{}").expect("JSON"));
        let done = Done { end: PassEnd::Returned(vec![stop]), sent: Vec::new(), state: used };
        world.scheduler.handle_done(pass.tag, done, world.now);
        let batch = world.scheduler.seal().expect("an end");
        assert_eq!(batch.ended[0].changed, Some(Changed::Keys([Arc::from("n")].into())));
        world.scheduler.handle_committed(batch.number);
        handler = world.start(StartAs::Continue(handler));
    }
}
