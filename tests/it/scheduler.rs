//! The scheduler: which runs may start, what is retained, which notices it gives, which passes count. Without threads,
//! sockets or clocks.

mod grants;
mod snapshots;
mod turns;
mod waste;
mod with_store;

use std::{sync::Arc, time::Duration};

use steprill::{
    Ctx, StartEvent, Step, StopEvent, Workflow,
    engine::{
        channel::ReaderId,
        input::{Input, Outcome},
        keys::{CallerId, HandlerKey, RunKey, WorkflowId},
        record,
        scheduler::{
            Capacity, Lane, NewRun, Notice, Scheduler, SchedulerLimits, StartAs, StartPass, StartRefused, StepLanes,
            TroubleKind,
        },
        storage::Recall,
    },
    graph::Graph,
    json::Json,
    limits::{PASS_LOSSES_MAX, STRAGGLER_GRACE_US},
    now::Now,
    pass::{Done, Order, PassEnd, Report, StateUse, Stop},
    values::Values,
};

/// Room for everything in these tests, except where a test makes something large.
const FINISHED_BYTES_MAX: usize = 10_000;

struct World {
    scheduler: Scheduler,
    limits: SchedulerLimits,
    graph: Arc<Graph>,
    now: Now,
    drawn: u32,
    removed: Vec<RunKey>,
}

impl World {
    /// One step, of two workers' time; `change` sets the workflow up.
    fn new(keep_finished: usize, max_runs: Option<usize>, timeout: Option<Duration>) -> Self {
        Self::with_recall(keep_finished, max_runs, timeout, Recall::Feeds)
    }

    /// As with a store that survives the process.
    fn journaled() -> Self {
        Self::with_recall(100, None, None, Recall::Everything)
    }

    fn with_recall(keep_finished: usize, max_runs: Option<usize>, timeout: Option<Duration>, recall: Recall) -> Self {
        let step = Step::new("w", |_: &Ctx, _: StartEvent| Ok(StopEvent::new(1)));
        let step = if let Some(timeout) = timeout { step.timeout(timeout) } else { step };
        let builder = Workflow::new::<StartEvent, StopEvent>("w").add(step);
        let builder = if let Some(max_runs) = max_runs { builder.max_runs(max_runs) } else { builder };
        let graph = Arc::clone(builder.build().expect("a good graph").graph());
        let limits = SchedulerLimits {
            runs_max: 100,
            keep_finished,
            keep_for: None,
            finished_bytes_max: FINISHED_BYTES_MAX,
            ..SchedulerLimits::default()
        };
        let scheduler = Scheduler::new(vec![Arc::clone(&graph)], limits, recall, 7);
        Self { scheduler, limits, graph, now: Now::default(), drawn: 0, removed: Vec::new() }
    }

    fn start(&mut self, start_as: StartAs) -> HandlerKey {
        self.start_with(start_as, Values::default())
    }

    fn start_with(&mut self, start_as: StartAs, state: Values) -> HandlerKey {
        self.drawn += 1;
        let (workflow, run_id) = (WorkflowId(0), uuid::Uuid::from_u128(self.drawn.into()));
        let event = Json::parse("{}").expect("JSON");
        let new = NewRun { workflow, start_as, run_id, event, state };
        self.scheduler.start(new, self.now)
    }

    fn begin(&mut self) -> HandlerKey {
        self.start(StartAs::New(None))
    }

    /// Commits everything and returns the notices.
    fn settle(&mut self) -> Vec<Notice> {
        while let Some(batch) = self.scheduler.seal() {
            self.removed.extend(batch.removed.iter().map(|(run, _)| *run));
            self.scheduler.handle_committed(batch.number);
        }
        let notices = std::iter::from_fn(|| self.scheduler.poll_notice()).collect();
        self.scheduler.retire();
        notices
    }

    fn passes(&mut self) -> Vec<StartPass> {
        self.settle();
        std::iter::from_fn(|| self.scheduler.poll_pass(self.now, Lane(0), Capacity::UNBOUNDED)).collect()
    }

    /// The pass has returned the stop event.
    fn stop(&mut self, tag: u64) {
        self.stop_with(tag, "{}");
    }

    fn stop_with(&mut self, tag: u64, result: &str) {
        let stop = (self.graph.stop, Json::parse(result).expect("JSON"));
        let done = Done::of(PassEnd::Returned(vec![stop]));
        self.scheduler.handle_done(tag, done, self.now);
    }

    /// Starts a run and ends it.
    fn finish(&mut self) -> HandlerKey {
        let key = self.begin();
        let tag = self.passes()[0].tag;
        self.stop(tag);
        self.settle();
        key
    }

    fn pass_time(&mut self, us: u64) {
        self.now.alive_us += us;
        self.now.wall_us += i64::try_from(us).expect("a short time");
        self.scheduler.handle_time(self.now);
    }

    fn run(&self, key: HandlerKey) -> RunKey {
        self.scheduler.run_of(key).expect("it is there")
    }

    fn handlers(&self) -> Vec<HandlerKey> {
        std::iter::successors(self.scheduler.next_handler(None), |&key| self.scheduler.next_handler(Some(key)))
            .collect()
    }
}

fn tags(passes: &[StartPass]) -> Vec<u64> {
    passes.iter().map(|pass| pass.tag).collect()
}

#[test]
fn the_longest_ended_handlers_go_first_and_those_with_a_reader_stay() {
    let mut world = World::new(2, None, None);
    let first = world.finish();
    let run = world.run(first);
    assert!(world.scheduler.follow(run, ReaderId(1)));
    let others: Vec<HandlerKey> = (0..4).map(|_| world.finish()).collect();
    let running = world.begin();
    world.settle();
    assert_eq!(world.handlers(), [first, others[3], running]);
    world.scheduler.leave(run, ReaderId(1));
    let last = world.finish();
    world.settle();
    assert_eq!(world.handlers().len(), 3, "two that have ended and the one that runs");
    assert!(world.handlers().contains(&running) && world.handlers().contains(&last));
    world.settle();
    assert_eq!(world.removed.len(), 4);
}

#[test]
fn a_handler_stays_while_an_earlier_run_of_it_is_read() {
    for by_age in [false, true] {
        let mut world = World::new(if by_age { 100 } else { 2 }, None, None);
        let limits = SchedulerLimits { keep_for: by_age.then_some(Duration::from_hours(1)), ..world.limits };
        world.scheduler = Scheduler::new(vec![Arc::clone(&world.graph)], limits, Recall::Feeds, 7);
        let read = world.finish();
        let run = world.run(read);
        assert!(world.scheduler.follow(run, ReaderId(1)));
        world.start(StartAs::Continue(read));
        let tag = world.passes()[0].tag;
        world.stop(tag);
        world.settle();
        let others = [world.finish(), world.finish()];
        world.pass_time(3_600_000_000);
        (0..5).for_each(|_| world.pass_time(1));
        assert!(world.settle().is_empty(), "no notice says that it is gone");
        assert!(world.scheduler.channel(run).is_some());
        assert_eq!(world.handlers(), if by_age { vec![read] } else { vec![read, others[1]] });
        assert!(
            world.scheduler.poll_timeout(world.now).is_none_or(|left| left >= Duration::from_secs(1)),
            "no spinning"
        );
        world.scheduler.leave(run, ReaderId(1));
        world.pass_time(60_000_000);
        let last = world.finish();
        world.settle();
        assert_eq!(world.handlers().len(), if by_age { 1 } else { 2 });
        assert!(world.handlers().contains(&last));
    }
}

#[test]
fn retention_keeps_pace_with_however_many_runs_end_in_a_turn() {
    let mut world = World::new(2, None, None);
    for _ in 0..2 {
        let begun = (0..70).map(|_| world.begin()).count();
        let passes = world.passes();
        assert_eq!(passes.len(), begun);
        for tag in tags(&passes) {
            world.stop(tag);
        }
        world.settle();
        assert_eq!(world.handlers().len(), 2);
    }
}

#[test]
fn the_bytes_of_finished_handlers_are_bounded_but_the_newest_stays() {
    let mut world = World::new(100, None, None);
    let small = world.finish();
    let large = format!("{{\"result\":\"{}\"}}", "x".repeat(FINISHED_BYTES_MAX / 3));
    let finish_large = |world: &mut World| {
        let key = world.begin();
        let tag = world.passes()[0].tag;
        world.stop_with(tag, &large);
        world.settle();
        key
    };
    // A result counts twice: it is in the handler and in the feed.
    let first = finish_large(&mut world);
    assert_eq!(world.handlers(), [small, first]);
    let second = finish_large(&mut world);
    assert_eq!(world.handlers(), [second]);
    world.scheduler.purge(second, world.now).expect("it is resident");
    let third = finish_large(&mut world);
    assert_eq!(world.handlers(), [third]);
}

#[test]
fn runs_are_admitted_in_order_and_one_that_ends_while_it_waits_leaves_the_queue() {
    let mut world = World::new(100, Some(1), None);
    let keys: Vec<HandlerKey> = (0..5).map(|_| world.begin()).collect();
    let first = world.passes();
    assert_eq!(first.len(), 1);
    assert_eq!(world.scheduler.cancel(keys[1], world.now), Ok(true));
    world.scheduler.purge(keys[3], world.now).expect("it is resident");
    assert!(world.passes().is_empty(), "no place is free");
    world.stop(first[0].tag);
    let second = world.passes();
    assert_eq!(second.len(), 1);
    world.stop(second[0].tag);
    let third = world.passes();
    assert_eq!(third.len(), 1);
    assert_eq!(world.scheduler.cancel(keys[4], world.now), Ok(true));
    world.settle();
    let outcomes: Vec<bool> =
        [0, 1, 2, 4].map(|index| world.scheduler.view(keys[index]).is_some_and(|view| view.outcome.is_some())).to_vec();
    assert_eq!(outcomes, [true; 4]);
    world.begin();
    assert_eq!(world.passes().len(), 1, "the place is free again");
}

#[test]
fn purging_notifies_readers_and_callers() {
    let mut world = World::new(100, None, None);
    let key = world.begin();
    let run = world.run(key);
    world.settle();
    world.scheduler.await_end(key, CallerId(7));
    assert_eq!(world.scheduler.acquire(run, ReaderId(1)), Some(true));
    assert_eq!(world.scheduler.acquire(run, ReaderId(2)), Some(false));
    assert!(world.scheduler.follow(run, ReaderId(3)));
    world.scheduler.purge(key, world.now).expect("it is resident");
    let notices = world.settle();
    for reader in 1..=3 {
        let told = notices.iter().filter(|notice| **notice == Notice::Gone(ReaderId(reader))).count();
        assert_eq!(told, 1, "{notices:?}");
    }
    assert!(notices.contains(&Notice::CallerGone(CallerId(7))), "{notices:?}");
    assert_eq!(world.handlers(), []);
    assert_eq!(world.removed, [run]);
    world.scheduler.leave(run, ReaderId(1));
    assert_eq!(world.settle(), []);
}

#[test]
fn a_reader_continues_with_its_run_when_the_handler_is_continued() {
    let mut world = World::new(100, None, None);
    let key = world.finish();
    let old = world.run(key);
    let next = world.scheduler.feed_range(key).expect("it is there").end;
    assert!(world.scheduler.follow(old, ReaderId(1)));
    assert_eq!(world.scheduler.acquire(old, ReaderId(2)), Some(true));
    assert_eq!(world.start(StartAs::Continue(key)), key);
    world.settle();
    let new = world.run(key);
    assert_eq!((old.run, new.run), (0, 1));
    assert_eq!(world.scheduler.feed_range(key).map(|range| range.start), Some(next));
    assert!(world.scheduler.channel(old).is_some_and(|channel| channel.is_ended() && channel.visible() == next));
    assert_eq!(world.removed, []);
    world.scheduler.leave(old, ReaderId(1));
    world.settle();
    assert_eq!(world.removed, []);
    world.scheduler.leave(old, ReaderId(2));
    world.settle();
    assert_eq!(world.removed, [old]);
    assert!(world.scheduler.channel(old).is_none());
}

#[test]
fn a_continued_handler_counts_as_finished_once() {
    let mut world = World::new(2, None, None);
    let continued = world.finish();
    for _ in 0..5 {
        world.start(StartAs::Continue(continued));
        let tag = world.passes()[0].tag;
        world.stop(tag);
        world.settle();
    }
    let other = world.finish();
    world.settle();
    assert_eq!(world.handlers(), [continued, other]);
    let third = world.finish();
    world.settle();
    assert_eq!(world.handlers(), [other, third]);
}

#[test]
fn a_pass_that_continues_after_its_run_hangs_until_it_returns() {
    let mut world = World::new(100, None, None);
    let key = world.begin();
    let tag = world.passes()[0].tag;
    world.scheduler.cancel(key, world.now).expect("it is resident");
    world.settle();
    assert_eq!(world.scheduler.poll_order(), Some((tag, Order::Stop(Stop::Cancelled))));
    world.pass_time(STRAGGLER_GRACE_US - 1);
    assert_eq!(world.scheduler.hanging(), 0);
    world.pass_time(1);
    assert_eq!((world.scheduler.working(), world.scheduler.hanging()), (0, 1));
    assert!(world.scheduler.check_start(WorkflowId(0), None, false).is_ok(), "a start needs no worker");
    let trouble = world.scheduler.poll_trouble().expect("it is reported");
    assert_eq!((trouble.kind, trouble.attempt), (TroubleKind::Abandoned, 1));
    assert_eq!(trouble.handler.as_ref(), world.scheduler.view(key).expect("the handler").id);
    assert_eq!(world.scheduler.poll_order(), Some((tag, Order::Abandon)));
    world.stop(tag);
    assert_eq!((world.scheduler.working(), world.scheduler.hanging()), (0, 0));
    assert!(world.scheduler.poll_trouble().is_none());
    assert_eq!(world.scheduler.poll_timeout(world.now), None);
}

#[test]
fn a_pass_hangs_only_after_the_time_in_which_its_executor_ends_it() {
    const ENDS_AFTER_US: u64 = 2_000_000;
    let mut world = World::new(100, None, None);
    let (first, later, failure) = (Lane(0), Lane(0), Lane(0));
    let lanes = StepLanes { first, later, failure, retries_time_outs: true, ends_after_us: ENDS_AFTER_US };
    world.scheduler.set_lanes(vec![vec![lanes; world.graph.steps.len()]]);
    let key = world.begin();
    let tag = world.passes()[0].tag;
    world.scheduler.cancel(key, world.now).expect("it is resident");
    world.settle();
    world.pass_time(STRAGGLER_GRACE_US + ENDS_AFTER_US - 1);
    assert_eq!(world.scheduler.hanging(), 0, "its program is killed first");
    world.pass_time(1);
    assert_eq!(world.scheduler.hanging(), 1);
    world.stop(tag);
    assert_eq!((world.scheduler.working(), world.scheduler.hanging()), (0, 0));
}

#[test]
fn a_pass_of_an_ended_run_that_no_thread_has_does_not_hang() {
    let mut world = World::new(100, None, None);
    let key = world.begin();
    let tag = world.passes()[0].tag;
    world.scheduler.cancel(key, world.now).expect("it is resident");
    world.scheduler.handle_not_begun(tag);
    world.pass_time(STRAGGLER_GRACE_US);
    assert_eq!((world.scheduler.working(), world.scheduler.hanging()), (0, 0));
    assert_eq!(world.scheduler.poll_timeout(world.now), None, "its timer is gone");
}

#[test]
fn a_step_with_a_time_out_is_handed_over_only_when_its_body_can_begin() {
    let (mut timed, mut untimed) = (World::new(100, None, Some(Duration::from_secs(1))), World::new(100, None, None));
    for (world, queues) in [(&mut timed, 0), (&mut untimed, 2)] {
        for _ in 0..8 {
            world.begin();
        }
        world.settle();
        let mut poll =
            |at_once, queued| world.scheduler.poll_pass(world.now, Lane(0), Capacity { at_once, queued }).is_some();
        assert!(!poll(0, 0) && !poll(1, 0), "no lane takes it");
        assert!(poll(1, 1));
        assert_eq!([poll(0, 1), poll(0, 1)].map(usize::from).iter().sum::<usize>(), queues);
    }
    assert_eq!((timed.scheduler.working(), untimed.scheduler.working()), (1, 3));
}

#[test]
fn a_lost_pass_runs_again_as_the_same_attempt_until_it_is_lost_too_often() {
    let mut world = World::new(100, None, None);
    let key = world.begin();
    for _ in 1..PASS_LOSSES_MAX {
        let pass = world.passes().pop().expect("it is started");
        assert_eq!((pass.input.work, pass.input.attempt), (0, 1));
        world.scheduler.handle_report(pass.tag, Report::Lost, world.now);
        world.stop(pass.tag);
        assert_eq!(world.scheduler.poll_trouble().map(|trouble| trouble.kind), Some(TroubleKind::Lost));
        assert_eq!(world.scheduler.counts(), world.scheduler.recounts());
    }
    let tag = world.passes()[0].tag;
    world.scheduler.handle_report(tag, Report::Lost, world.now);
    world.settle();
    let outcome = world.scheduler.view(key).expect("the handler").outcome.cloned();
    let error = "Step w was lost 3 times in a row, each time with the thread or process that ran it";
    assert_eq!(outcome, Some(Outcome::Failed(error.into())));
    assert_eq!((world.scheduler.working(), world.passes().len()), (0, 0));
}

#[test]
fn a_late_end_of_an_abandoned_pass_changes_nothing() {
    let mut world = World::new(100, None, Some(Duration::from_secs(1)));
    let key = world.begin();
    let tag = world.passes()[0].tag;
    world.pass_time(1_000_000);
    world.settle();
    assert_eq!(world.scheduler.poll_order(), Some((tag, Order::Stop(Stop::TimedOut))));
    assert_eq!(world.scheduler.hanging(), 0, "it may still come back");
    assert_eq!(world.scheduler.poll_trouble().map(|trouble| trouble.kind), Some(TroubleKind::RunFailed));
    let range = world.scheduler.feed_range(key);
    world.scheduler.handle_notes(tag, Vec::new(), world.now);
    world.stop(tag);
    world.stop(tag);
    assert_eq!(world.settle(), []);
    assert_eq!((world.scheduler.feed_range(key), world.scheduler.hanging()), (range, 0));
    assert_eq!(world.scheduler.poll_timeout(world.now), None);
    assert!(world.scheduler.poll_trouble().is_none(), "it came back in time: nothing hung");
}

#[test]
fn waiting_readers_get_the_lock_in_order_and_are_notified_once() {
    let mut world = World::new(100, None, None);
    let key = world.begin();
    let run = world.run(key);
    world.settle();
    assert_eq!(world.scheduler.acquire(run, ReaderId(1)), Some(true));
    assert_eq!(world.scheduler.acquire(run, ReaderId(2)), Some(false));
    assert_eq!(world.scheduler.acquire(run, ReaderId(3)), Some(false));
    world.scheduler.leave(run, ReaderId(2));
    assert_eq!(world.settle(), []);
    world.scheduler.leave(run, ReaderId(1));
    assert_eq!(world.settle(), [Notice::LockGranted(ReaderId(3))]);
    world.scheduler.leave(run, ReaderId(3));
    assert_eq!(world.settle(), []);
}

#[test]
fn nothing_is_sent_before_its_batch_is_committed() {
    let mut world = World::journaled();
    let key = world.begin();
    let begun = world.scheduler.seal().expect("a run has begun");
    assert!(world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).is_none());
    assert_eq!(world.scheduler.feed_range(key), Some(0..0));

    world.scheduler.handle_committed(begun.number);
    let pass = world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).expect("its pass is ready");
    assert_eq!(world.scheduler.feed_range(key), Some(0..1));
    world.scheduler.await_end(key, CallerId(7));
    world.stop(pass.tag);
    let ended = world.scheduler.seal().expect("the run has ended");
    assert!(world.scheduler.poll_notice().is_none());
    assert!(world.scheduler.view(key).expect("it is there").outcome.is_none());
    let id = world.scheduler.view(key).expect("it is there").id.to_owned();
    assert_eq!(world.scheduler.check_start(WorkflowId(0), Some(&id), true), Err(StartRefused::StillRunning));

    world.scheduler.handle_committed(ended.number);
    assert_eq!(world.scheduler.poll_notice(), Some(Notice::Ended(world.run(key), CallerId(7))));
    assert!(world.scheduler.view(key).expect("it is there").outcome.is_some());

    let records: Vec<_> = begun.records.iter().chain(&ended.records).collect();
    let inputs = records.iter().map(|(_, bytes)| record::decode(bytes, &world.graph).expect("a record").0);
    let kinds: Vec<bool> = inputs.map(|input| matches!(input, Input::Started { .. } | Input::Done { .. })).collect();
    assert_eq!(kinds, [true, true]);
}
