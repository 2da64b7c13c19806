//! What is large leaves the scheduler to be freed elsewhere.

use super::*;
use steprill::limits::WASTE_BYTES_MIN;

impl World {
    fn waste(&mut self) -> usize {
        std::iter::from_fn(|| self.scheduler.poll_waste()).count()
    }
}

fn large_state() -> Values {
    let one = Json::parse("1").expect("JSON");
    (0..WASTE_BYTES_MIN / 100).map(|key| (format!("key {key}").into(), one.clone())).collect()
}

#[test]
fn a_large_handler_that_leaves_memory_is_waste_and_a_small_one_is_not() {
    let mut world = World::new(0, None, None);
    world.finish();
    assert_eq!(world.waste(), 0);
    let key = world.start_with(StartAs::New(None), large_state());
    let tag = world.passes()[0].tag;
    world.stop(tag);
    world.settle();
    assert!(world.scheduler.view(key).is_none(), "nothing finished is retained");
    assert_eq!(world.waste(), 2, "the run, when it ended, and the handler with its state");
    let key = world.start_with(StartAs::New(None), large_state());
    world.settle();
    world.scheduler.purge(key, world.now).expect("it is resident");
    world.settle();
    assert_eq!(world.waste(), 1);
}
