//! Snapshots of large runs, which are made from the stored journal.

use steprill::{engine::stored::Stored, limits::SNAPSHOT_BYTES_MIN};

use super::*;

const LOOP: &str = "a: S -> L
    b: L -> L|T";

impl World {
    /// A world in which every run is large.
    fn compacting() -> Self {
        let mut world = Self::new(LOOP, None);
        world.limits.compacted_cost_bytes_min = 0;
        world.limits.idle_after = Duration::from_hours(1);
        world.restart(LOOP);
        world
    }

    /// Runs one round of the workflow's loop, which emits an event of a third of the size that makes a snapshot due.
    /// Returns its batch.
    fn round(&mut self, number: usize) -> Batch {
        let tag = self
            .scheduler
            .poll_pass(self.now, steprill::engine::scheduler::Lane(0), steprill::engine::scheduler::Capacity::UNBOUNDED)
            .expect("a pass")
            .tag;
        let event = self.graph.event_id("L").expect("L");
        let text = format!("\"{number}{}\"", "x".repeat(SNAPSHOT_BYTES_MIN / 3));
        self.done(tag, PassEnd::Returned(vec![(event, Json::parse(&text).expect("JSON"))]));
        self.seal()
    }

    /// Runs rounds from the start until the store is asked for the journal of this handler. Returns how many.
    fn until_load(&mut self, key: HandlerKey) -> usize {
        let start = self.seal();
        self.commit(&start);
        self.until_load_from(key)
    }

    fn until_load_from(&mut self, key: HandlerKey) -> usize {
        for round in 0..100 {
            let batch = self.round(round);
            assert!(batch.snapshots.is_empty(), "the loop makes none");
            assert_eq!(self.scheduler.poll_notice(), None, "the store does not have it yet");
            self.commit(&batch);
            if let Some(notice) = self.scheduler.poll_notice() {
                assert_eq!(notice, Notice::Load(key));
                return round + 1;
            }
        }
        panic!("no snapshot is made");
    }

    fn stored(&self, key: HandlerKey) -> Stored {
        self.model.stored(key, &self.session)
    }

    /// Checks that after a start it continues where it was, and ends.
    fn check_goes_on(&mut self, key: HandlerKey) {
        let row = self.stored(key).handler.next_sequence;
        self.restart(LOOP);
        let tag = self.passes()[0];
        self.stop(tag);
        self.settle();
        assert!(self.stored(key).handler.next_sequence > row);
        assert!(self.model.handlers[&key].end.is_some(), "it ends");
    }
}

#[test]
fn a_snapshot_made_from_the_store_is_followed_by_records_that_arrived_meanwhile() {
    // How many rounds are committed before the store reads, and how many before its answer arrives.
    for (before, after) in [(0, 0), (1, 0), (0, 1), (2, 3)] {
        let mut world = World::compacting();
        let key = world.start(StartAs::New(None));
        let mut round = world.until_load(key);
        for _ in 0..before {
            let batch = world.round(round);
            world.commit(&batch);
            round += 1;
        }
        let asked = world.scheduler.begin_read();
        let stored = world.stored(key);
        for _ in 0..after {
            let batch = world.round(round);
            world.commit(&batch);
            assert!(batch.snapshots.is_empty(), "the answer is not there");
            round += 1;
        }
        assert!(world.scheduler.end_read(asked));
        world.scheduler.handle_loaded(&stored, world.now);
        let batch = world.round(round);
        let [snapshotted] = &batch.snapshots[..] else { panic!("{:?}", batch.snapshots.len()) };
        let (_, records) = steprill::engine::record::split(&snapshotted.snapshot).expect("it is whole");
        assert_eq!(records.len(), after + 1, "those that the store's answer was without");
        world.commit(&batch);
        let journal = world.stored(key).journal;
        assert!(journal.records.is_empty() && journal.bytes() < (after + 4) * SNAPSHOT_BYTES_MIN / 2);
        world.check_goes_on(key);
    }
}

#[test]
fn a_snapshot_that_cannot_be_made_now_is_made_later() {
    let mut world = World::compacting();
    let key = world.start(StartAs::New(None));
    // An answer to a query from before the journal was long.
    let too_old = world.scheduler.begin_read();
    let start = world.seal();
    world.commit(&start);
    let stored = world.stored(key);
    let batch = world.round(0);
    world.commit(&batch);
    let rounds = world.until_load_from(key);
    assert!(world.scheduler.end_read(too_old));
    world.scheduler.handle_loaded(&stored, world.now);
    let again = world.until_load_from(key);
    assert!(again >= rounds, "{again} after {rounds}: it may grow as long again");
    world.scheduler.handle_unread(key, world.now);
    world.until_load_from(key);
    world.load(key);
    let batch = world.round(0);
    assert_eq!(batch.snapshots.len(), 1);
    world.commit(&batch);
    world.check_goes_on(key);
}
