//! What the passes of a run may stream into its feed in memory, as it is granted to them.

use std::collections::BTreeMap;

use super::*;
use crate::simulation::random::Random;
use steprill::{
    engine::{feed::Feed, published::Published},
    event,
    graph::EventId,
    limits::{FEED_BYTES_MAX, FEED_BYTES_RESERVED, GRANT_BYTES_FIRST},
    pass::{EventRef, FeedOrder, NOTE_OVERHEAD_BYTES, Note},
};

event! {
    struct Token {}
}

/// What its runs may stream.
const ROOM_BYTES: usize = FEED_BYTES_MAX - FEED_BYTES_RESERVED;

/// More than the steps of a run publish, and what a note counts for beyond what it takes of the feed.
const SLACK_BYTES: usize = 4 << 10;

/// The executor's end of a pass.
#[derive(Default)]
struct Streaming {
    granted: usize,
    ordinal: u32,
    wants: Option<usize>,
    is_refused: bool,
}

impl World {
    /// As many steps as there are passes take the start event.
    fn parallel(passes: usize, recall: Recall) -> Self {
        let step = |index: usize| Step::new(format!("s{index:02}"), |_: &Ctx, _: StartEvent| Ok(StopEvent::new(1)));
        let builder = Workflow::new::<StartEvent, StopEvent>("w");
        let builder = (0..passes).fold(builder, |builder, index| builder.add(step(index).streams::<Token>()));
        let graph = Arc::clone(builder.build().expect("a good graph").graph());
        let world = World::with_recall(100, None, None, recall);
        let scheduler = Scheduler::new(vec![Arc::clone(&graph)], world.limits, recall, 7);
        Self { scheduler, graph, ..world }
    }

    /// A run whose passes are all out.
    fn streaming(&mut self) -> BTreeMap<u64, Streaming> {
        self.begin();
        let streaming = |pass: &StartPass| Streaming { granted: pass.grant_bytes, ..Streaming::default() };
        self.passes().iter().map(|pass| (pass.tag, streaming(pass))).collect()
    }

    fn token(&self) -> EventId {
        self.graph.event_id("Token").expect("it is declared")
    }

    /// Streams this value.
    fn stream(&mut self, tag: u64, streaming: &mut Streaming, value: Json) {
        let bytes = cost_of(&value);
        let (ordinal, hash) = (streaming.ordinal, u128::from(streaming.ordinal));
        let note = Note::Stream { ordinal, hash, event: EventRef::Known(self.token()), value };
        streaming.granted -= bytes;
        streaming.ordinal += 1;
        self.scheduler.handle_notes(tag, vec![note], self.now);
    }

    /// Carries orders out as an executor does: a pass that waits keeps what it has.
    fn obey(&mut self, all: &mut BTreeMap<u64, Streaming>) {
        while let Some((tag, order)) = self.scheduler.poll_order() {
            let (Order::Feed(order), Some(streaming)) = (order, all.get_mut(&tag)) else { continue };
            match order {
                FeedOrder::Grant(bytes) => {
                    streaming.granted += bytes;
                    streaming.wants = None;
                }
                FeedOrder::Refuse => streaming.is_refused = streaming.wants.take().is_some(),
                FeedOrder::TakeBack => {
                    let bytes = if streaming.wants.is_some() { 0 } else { std::mem::take(&mut streaming.granted) };
                    self.scheduler.handle_feed_given_back(tag, bytes);
                }
            }
        }
    }

    fn want(&mut self, tag: u64, all: &mut BTreeMap<u64, Streaming>, bytes: usize) {
        let streaming = all.get_mut(&tag).expect("it is out");
        let missing = bytes - streaming.granted;
        streaming.wants = Some(bytes);
        self.scheduler.handle_feed_wanted(tag, missing);
        self.obey(all);
    }
}

/// Returns a value of this many bytes.
fn value(bytes: usize) -> Json {
    Json::parse(&format!("{{\"t\":\"{}\"}}", "x".repeat(bytes - 8))).expect("JSON")
}

/// What an event of this value uses up.
fn cost_of(value: &Json) -> usize {
    value.as_str().len() + NOTE_OVERHEAD_BYTES
}

#[test]
fn one_pass_may_stream_all_that_the_others_leave_and_no_more() {
    let mut world = World::parallel(3, Recall::Feeds);
    let mut all = world.streaming();
    let tags: Vec<u64> = all.keys().copied().collect();
    assert!(all.values().all(|streaming| streaming.granted == GRANT_BYTES_FIRST));
    let most = value(ROOM_BYTES - SLACK_BYTES);
    world.want(tags[0], &mut all, cost_of(&most));
    assert_eq!(
        (all[&tags[0]].wants, all[&tags[1]].granted, all[&tags[2]].granted),
        (None, 0, 0),
        "the others gave back"
    );
    let mut first = all.remove(&tags[0]).expect("it is out");
    world.stream(tags[0], &mut first, most);
    all.insert(tags[0], first);
    world.obey(&mut all);
    for tag in tags {
        world.want(tag, &mut all, 2 * SLACK_BYTES);
        assert!(all[&tag].is_refused);
    }
    assert_eq!(world.scheduler.counts(), world.scheduler.recounts());
}

#[test]
fn with_a_store_a_pass_may_stream_without_end() {
    let mut world = World::parallel(2, Recall::Everything);
    world.begin();
    let passes = world.passes();
    assert_eq!(passes.iter().map(|pass| pass.grant_bytes).collect::<Vec<_>>(), [usize::MAX; 2]);
}

#[test]
fn a_feed_is_never_overdrawn_and_every_request_for_a_grant_is_answered() {
    let values = [64, 5_000, 70_000, 900_000, 6_000_000].map(value);
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut used = 0;
        let mut world = World::parallel(1 + random.below(5), Recall::Feeds);
        let mut all = world.streaming();
        while let Some((&tag, _)) = all.iter().nth(random.below(all.len().max(1))) {
            let granted: usize = all.values().map(|streaming| streaming.granted).sum();
            assert!(used + granted <= ROOM_BYTES, "seed {seed}: {used} used and {granted} granted");
            let value = random.pick(&values).clone();
            let bytes = cost_of(&value);
            assert!(all[&tag].wants.is_none(), "seed {seed}: pass {tag} gets no answer");
            if all[&tag].granted < bytes {
                world.want(tag, &mut all, bytes);
            }
            if std::mem::take(&mut all.get_mut(&tag).expect("it is out").is_refused) {
                assert!(used + bytes + SLACK_BYTES > ROOM_BYTES, "seed {seed}: {bytes} were refused at {used}");
                all.remove(&tag);
                let end = PassEnd::Returned(Vec::new());
                let done = Done::of(end);
                world.scheduler.handle_done(tag, done, world.now);
            } else if let Some(mut streaming) = all.remove(&tag) {
                used += Feed::cost_bytes(&Published::Event(EventRef::Known(world.token()), value.clone()));
                world.stream(tag, &mut streaming, value);
                all.insert(tag, streaming);
            }
            world.obey(&mut all);
            assert_eq!(world.scheduler.counts(), world.scheduler.recounts(), "seed {seed}");
        }
    }
}
