//! When a run's journal is cut short by a snapshot.

use super::*;

#[test]
fn a_large_start_is_not_written_again_at_once() {
    let mut world = World::journaled();
    let large = Json::parse(&format!("\"{}\"", "x".repeat(1 << 20))).expect("JSON");
    let state = Values::from_iter([("key".into(), large)]);
    world.start_with(Place::New(None), state);
    let mut journal_bytes = 0;
    while let Some(batch) = world.scheduler.seal() {
        assert!(batch.snapshots.is_empty(), "the start has all that a snapshot would have");
        journal_bytes += batch.records.iter().map(|(_, record)| record.len()).sum::<usize>();
        world.scheduler.handle_committed(batch.number);
    }
    assert!(journal_bytes > 1 << 20, "{journal_bytes}");
}
