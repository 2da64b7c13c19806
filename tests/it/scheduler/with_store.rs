//! With a store: what holds when a batch fails, when handlers leave memory and are loaded again, after a start.

mod compaction;
mod damaged;
mod dropped;
mod unsettled;

use std::{sync::Arc, time::Duration};

use steprill::{
    engine::{
        channel::ReaderId,
        input::External,
        keys::{CallerId, HandlerKey, RunKey, WorkflowId},
        scheduler::{NewRun, NotResident, Notice, PostRefused, Scheduler, SchedulerLimits, StartAs},
        storage::Batch,
        stored::HandlerAddress,
    },
    graph::{Graph, sketch::parts},
    json::Json,
    limits::BACK_OFF_US,
    now::Now,
    pass::{Done, NewWait, PassEnd},
    values::Values,
};

use crate::simulation::server::model::{Model, Session};

const ONE_STEP: &str = "a: S -> T";

struct World {
    scheduler: Scheduler,
    graph: Arc<Graph>,
    model: Model,
    session: Session,
    limits: SchedulerLimits,
    now: Now,
    drawn: u16,
    notices: Vec<Notice>,
}

impl World {
    fn new(lines: &str, max_runs: Option<usize>) -> Self {
        Self::retaining(100, lines, max_runs)
    }

    fn retaining(keep_finished: usize, lines: &str, max_runs: Option<usize>) -> Self {
        let graph = graph(lines, max_runs);
        let limits = SchedulerLimits {
            runs_max: 100,
            keep_finished,
            keep_for: None,
            finished_bytes_max: 0,
            idle_after: Duration::ZERO,
            ..SchedulerLimits::default()
        };
        let mut model = Model::default();
        let (session, beginning) = model.open(&[Arc::clone(&graph)], 7);
        let scheduler = Scheduler::resume(session.graphs.clone(), 1, limits, &beginning);
        Self { scheduler, graph, model, session, limits, now: Now::default(), drawn: 0, notices: Vec::new() }
    }

    /// The process ends, and starts again with this workflow.
    fn restart(&mut self, lines: &str) {
        self.reopen(&graph(lines, None));
    }

    fn reopen(&mut self, graph: &Arc<Graph>) {
        self.graph = Arc::clone(graph);
        let (session, beginning) = self.model.open(&[Arc::clone(&self.graph)], 7);
        self.scheduler = Scheduler::resume(session.graphs.clone(), 1, self.limits, &beginning);
        for stored in self.model.live(&session) {
            self.scheduler.recover(&stored, self.now);
        }
        self.session = session;
        self.scheduler.handle_recovered(self.now);
    }

    fn start(&mut self, start_as: StartAs) -> HandlerKey {
        self.drawn += 1;
        let run_id = uuid::Uuid::from_u128(self.drawn.into());
        let event = Json::parse("{}").expect("JSON");
        let new = NewRun { workflow: WorkflowId(0), start_as, run_id, event, state: Values::default() };
        self.scheduler.start(new, self.now)
    }

    fn seal(&mut self) -> Batch {
        self.scheduler.seal().expect("something has changed")
    }

    fn commit(&mut self, batch: &Batch) {
        self.model.apply(batch, &self.session);
        self.scheduler.handle_committed(batch.number);
    }

    /// Commits everything, and answers the queries of the scheduler.
    fn settle(&mut self) {
        loop {
            let batch = self.scheduler.seal();
            if let Some(batch) = &batch {
                self.commit(batch);
            }
            let notices: Vec<_> = std::iter::from_fn(|| self.scheduler.poll_notice()).collect();
            if batch.is_none() && notices.is_empty() {
                break;
            }
            for notice in notices {
                match notice {
                    Notice::Load(key) => self.load(key),
                    other => self.notices.push(other),
                }
            }
        }
        self.scheduler.retire();
        self.notices.extend(std::iter::from_fn(|| self.scheduler.poll_notice()));
    }

    fn load(&mut self, key: HandlerKey) {
        let asked = self.scheduler.begin_read();
        let stored = self.model.find(&HandlerAddress::Key(key)).map(|key| self.model.stored(key, &self.session));
        assert!(self.scheduler.end_read(asked));
        match stored {
            Some(stored) => self.scheduler.handle_loaded(&stored, self.now),
            None => self.scheduler.handle_absent(key, self.now),
        }
    }

    /// The open batch fails.
    fn fail(&mut self) {
        let batch = self.seal();
        self.scheduler.handle_failed(batch.number, self.now);
    }

    fn passes(&mut self) -> Vec<u64> {
        self.settle();
        std::iter::from_fn(|| {
            self.scheduler.poll_pass(
                self.now,
                steprill::engine::scheduler::Lane(0),
                steprill::engine::scheduler::Capacity::UNBOUNDED,
            )
        })
        .map(|pass| pass.tag)
        .collect()
    }

    fn stop(&mut self, tag: u64) {
        self.done(tag, PassEnd::Returned(vec![(self.graph.stop, Json::parse("{}").expect("JSON"))]));
    }

    fn done(&mut self, tag: u64, end: PassEnd) {
        self.scheduler.handle_done(tag, Done::of(end), self.now);
    }

    fn sleep(&mut self, tag: u64) {
        self.done(tag, PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_hours(1)) });
    }

    fn pass_time(&mut self, us: u64) {
        self.now.alive_us += us;
        self.now.wall_us += us.cast_signed();
        self.scheduler.handle_time(self.now);
        self.settle();
    }

    /// Carries out what retention asks for, without any time passing. Returns how many handlers are left.
    fn retain(&mut self) -> usize {
        self.settle();
        while let Some(place) = self.notices.iter().position(|notice| matches!(notice, Notice::Oldest(_))) {
            let Notice::Oldest(count) = self.notices.swap_remove(place) else { continue };
            let ended = self.model.ended.values().take(count);
            let oldest: Vec<_> = ended.map(|key| (*key, self.model.handlers[key].updated_us)).collect();
            self.scheduler.handle_oldest(&oldest, self.now);
            self.settle();
        }
        self.model.handlers.len()
    }

    fn finish(&mut self) -> HandlerKey {
        let key = self.start(StartAs::New(None));
        let tag = self.passes()[0];
        self.stop(tag);
        self.settle();
        key
    }

    fn has_ended(&self, key: HandlerKey) -> bool {
        self.model.handlers[&key].end.is_some()
    }
}

fn graph(lines: &str, max_runs: Option<usize>) -> Arc<Graph> {
    let mut parts = parts(lines);
    parts.max_runs = max_runs;
    Arc::new(Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}")))
}

#[test]
fn everything_retained_for_long_enough_is_removed_at_once() {
    let mut world = World::new(ONE_STEP, None);
    world.limits.keep_finished = usize::MAX;
    world.limits.keep_for = Some(Duration::from_hours(1));
    world.restart(ONE_STEP);
    for _ in 0..10 {
        let begun: Vec<_> = (0..100).map(|_| world.start(StartAs::New(None))).collect();
        for tag in
            std::iter::repeat_with(|| world.passes()).take_while(|tags| !tags.is_empty()).flatten().collect::<Vec<_>>()
        {
            world.stop(tag);
        }
        world.settle();
        assert!(begun.iter().all(|key| world.has_ended(*key)));
    }
    assert_eq!(world.retain(), 1_000, "none is old enough");
    let young = world.finish();
    world.pass_time(3_600_000_000 - 1);
    assert_eq!(world.retain(), 1_001);
    world.pass_time(1);
    assert_eq!(world.retain(), 0, "{young:?} is as old: no time passed meanwhile");
}

#[test]
fn a_handler_continued_during_a_query_is_as_old_as_its_last_end() {
    let mut world = World::new(ONE_STEP, None);
    world.limits.keep_finished = usize::MAX;
    world.limits.keep_for = Some(Duration::from_hours(1));
    world.restart(ONE_STEP);
    let key = world.finish();
    world.load(key);
    let first_end_us = world.model.handlers[&key].updated_us;
    let asked = world.scheduler.begin_read();
    world.now.alive_us += 2 * 3_600_000_000;
    world.now.wall_us += 2 * 3_600_000_000;
    world.start(StartAs::Continue(key));
    let tag = world.passes()[0];
    world.stop(tag);
    world.settle();
    assert!(world.scheduler.end_read(asked));
    world.scheduler.handle_oldest(&[(key, first_end_us)], world.now);
    world.settle();
    assert!(world.model.handlers.contains_key(&key), "it has ended just now");
    world.now.wall_us += 3_600_000_000;
    world.scheduler.handle_oldest(&[(key, first_end_us + 2 * 3_600_000_000)], world.now);
    world.settle();
    assert!(!world.model.handlers.contains_key(&key), "that is long ago");
}

#[test]
fn the_report_of_a_pass_is_repeated_after_a_failed_batch_and_the_pass_is_not_restarted() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.stop(tag);
    world.fail();
    assert!(world.passes().is_empty(), "its end is known");
    assert!(world.scheduler.is_backing_off(key) && !world.has_ended(key));
    world.pass_time(BACK_OFF_US);
    assert!(world.has_ended(key));
}

#[test]
fn the_report_of_a_pass_whose_handler_is_reloading_is_repeated() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    let run = world.scheduler.run_of(key).expect("it is there");
    assert_eq!(world.scheduler.acquire(run, ReaderId(1)), Some(true));
    world.scheduler.handle_taken(run, 1);
    world.scheduler.leave(run, ReaderId(1));
    world.fail();
    assert!(world.scheduler.run_of(key).is_none());
    world.stop(tag);
    assert!(world.passes().is_empty());
    world.pass_time(BACK_OFF_US);
    assert!(world.has_ended(key));
}

#[test]
fn a_handler_whose_removal_fails_continues_with_its_readers_and_caller() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let run = world.scheduler.run_of(key).expect("it is there");
    world.scheduler.await_end(key, CallerId(7));
    let tag = world.passes()[0];
    assert_eq!(world.scheduler.acquire(run, ReaderId(1)), Some(true));
    world.scheduler.purge(key, world.now).expect("it is resident");
    world.stop(tag);
    world.fail();
    assert!(world.passes().is_empty());
    assert_eq!(std::mem::take(&mut world.notices), [Notice::Delayed(key, CallerId(7))]);
    assert!(world.scheduler.channel(run).is_some_and(|channel| channel.readers().eq([ReaderId(1)])));
    world.pass_time(BACK_OFF_US);
    assert_eq!(world.notices, [Notice::Published(run), Notice::Ended(run, CallerId(7))]);
}

#[test]
fn a_pass_of_a_handler_whose_removal_fails_is_not_restarted_although_its_last_reader_left() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let run = world.scheduler.run_of(key).expect("it is there");
    let tag = world.passes()[0];
    assert!(world.scheduler.follow(run, ReaderId(1)));
    world.scheduler.purge(key, world.now).expect("it is resident");
    world.scheduler.leave(run, ReaderId(1));
    world.stop(tag);
    world.fail();
    assert!(world.passes().is_empty(), "its end is known");
    world.pass_time(BACK_OFF_US);
    assert!(world.has_ended(key));
}

#[test]
fn max_runs_holds_although_the_commit_of_an_end_fails() {
    let mut world = World::new(ONE_STEP, Some(1));
    let keys = [(); 2].map(|()| world.start(StartAs::New(None)));
    let first = world.passes();
    assert_eq!(first.len(), 1);
    world.pass_time(60_000_000);
    // The second only waits, and is only in the store by now.
    world.stop(first[0]);
    world.fail();
    let third = world.start(StartAs::New(None));
    assert!(world.passes().is_empty(), "the first continues");
    world.pass_time(BACK_OFF_US);
    for key in [keys[1], third] {
        let passes = world.passes();
        assert_eq!(passes.len(), 1);
        world.stop(passes[0]);
        world.settle();
        assert!(world.has_ended(key));
    }
}

#[test]
fn a_snapshot_under_a_changed_workflow_includes_due_timers() {
    let mut world = World::new("a: S -> T ? NeedQ/HumanA", None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.sleep(tag);
    world.settle();
    let wall_us = world.now.wall_us;
    world.now.wall_us += 2 * 3_600_000_000;
    world.restart("a: S -> T ? NeedQ/HumanA\n b: HumanB -> T");
    world.scheduler.handle_time(world.now);
    world.settle();
    world.restart("a: S -> T ? NeedQ/HumanA\n b: HumanB -> T");
    let passes = world.passes();
    assert_eq!(passes.len(), 1, "the sleep since {wall_us} was over before the second start");
    world.stop(passes[0]);
    world.settle();
    let end = world.model.handlers[&key].end.as_ref().expect("it has ended");
    assert!(matches!(end.outcome, steprill::Outcome::Completed(_)), "{:?}", end.outcome);
}

#[test]
fn nothing_is_due_for_a_queue_that_was_read_and_purged() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.finish();
    world.load(key);
    let run = world.scheduler.run_of(key).expect("it is there");
    assert_eq!(world.scheduler.acquire(run, ReaderId(1)), Some(true));
    world.scheduler.handle_taken(run, 1);
    world.scheduler.handle_time(world.now);
    world.scheduler.purge(key, world.now).expect("it is resident");
    world.settle();
    world.now.alive_us += 3_600_000_000;
    assert_eq!(world.scheduler.poll_timeout(world.now), None);
}

#[test]
fn a_query_from_before_a_failed_batch_is_repeated() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    world.settle();
    let asked = world.scheduler.begin_read();
    assert_eq!(world.scheduler.cancel(key, world.now), Ok(true));
    world.fail();
    assert!(!world.scheduler.end_read(asked));
    let asked = world.scheduler.begin_read();
    assert!(world.scheduler.end_read(asked));
}

#[test]
fn a_handler_stays_resident_while_an_older_answer_is_pending() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.finish();
    world.load(key);
    let asked = world.scheduler.begin_read();
    world.start(StartAs::Continue(key));
    let tag = world.passes()[0];
    world.stop(tag);
    world.finish();
    world.settle();
    assert!(world.scheduler.run_of(key).is_some(), "the answer does not know of its second run");
    assert!(world.scheduler.end_read(asked));
    world.finish();
    assert!(world.scheduler.run_of(key).is_none());
}

#[test]
fn a_run_whose_continuation_fails_retains_its_events() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.finish();
    world.load(key);
    let run = world.scheduler.run_of(key).expect("it is there");
    assert!(world.scheduler.follow(run, ReaderId(1)));
    world.start(StartAs::Continue(key));
    world.fail();
    world.scheduler.leave(run, ReaderId(1));
    world.settle();
    assert!(world.model.feeds.contains_key(&run));
    world.load(key);
    assert_eq!(world.scheduler.run_of(key), Some(RunKey { handler: key, run: 0 }));
}

#[test]
fn a_finished_handler_whose_removal_fails_counts() {
    let mut world = World::retaining(0, ONE_STEP, None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.stop(tag);
    let ended = world.seal();
    world.scheduler.purge(key, world.now).expect("it is resident");
    let removed = world.seal();
    world.commit(&ended);
    world.scheduler.handle_failed(removed.number, world.now);
    world.settle();
    assert!(world.has_ended(key));
    let asks = |world: &World| world.notices.iter().any(|notice| matches!(notice, Notice::Oldest(_)));
    assert!(!asks(&world), "to remove it again at once would most likely fail again");
    world.pass_time(BACK_OFF_US - 1);
    assert!(!asks(&world));
    world.pass_time(1);
    assert!(asks(&world), "retention sees that it is there");
}

#[test]
fn events_of_earlier_runs_left_by_a_crash_are_removed_when_the_handler_is_continued() {
    let mut world = World::new(ONE_STEP, None);
    let key = world.finish();
    world.load(key);
    let first = world.scheduler.run_of(key).expect("it is there");
    assert!(world.scheduler.follow(first, ReaderId(1)));
    world.start(StartAs::Continue(key));
    let tag = world.passes()[0];
    world.stop(tag);
    world.settle();
    assert_eq!(world.model.feeds.len(), 2);
    world.restart(ONE_STEP);
    world.load(key);
    world.start(StartAs::Continue(key));
    world.settle();
    assert!(world.model.feeds.keys().eq([&RunKey { handler: key, run: 2 }]));
}

#[test]
fn a_run_that_is_backing_off_has_no_place_from_a_failed_batch() {
    let mut world = World::new("a: S -> T ? NeedQ/HumanA\n b: HumanB -> T", Some(1));
    let first = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    let second = world.start(StartAs::New(None));
    world.settle();
    let event = world.graph.event_id("HumanB").expect("a type");
    let external = External::new(event, Json::parse("{}").expect("JSON"));
    world.scheduler.post(second, external, world.now).expect("it is taken");
    world.fail();
    world.settle();
    assert!(world.scheduler.is_backing_off(second));
    assert_eq!(world.scheduler.cancel(first, world.now), Ok(true));
    world.fail();
    assert!(world.passes().is_empty());
    world.pass_time(BACK_OFF_US);
    assert!(world.passes().is_empty(), "the first has the place");
    world.stop(tag);
    world.settle();
    assert!(world.has_ended(first));
    world.pass_time(BACK_OFF_US);
    assert_eq!(world.passes().len(), 1);
}

#[test]
fn an_answer_older_than_a_removal_removes_nothing_twice() {
    let mut world = World::retaining(0, ONE_STEP, None);
    let keys = [(); 4].map(|()| world.finish());
    world.load(keys[1]);
    let asked = world.scheduler.begin_read();
    let oldest = [0, 1].map(|index| (keys[index], world.model.handlers[&keys[index]].updated_us));
    world.scheduler.purge(keys[1], world.now).expect("it is resident");
    world.settle();
    assert_eq!(world.scheduler.retained_count(), 3);
    assert!(world.scheduler.end_read(asked));
    world.scheduler.handle_oldest(&oldest, world.now);
    assert_eq!(world.seal().purged, [keys[0]]);
    assert_eq!(world.scheduler.retained_count(), 2);
}

#[test]
fn a_command_for_a_run_that_is_not_resident_returns_that_and_changes_nothing() {
    let mut world = World::new("a: S -> T ? NeedQ/HumanA\n b: HumanB -> T", None);
    let key = world.start(StartAs::New(None));
    let tag = world.passes()[0];
    world.sleep(tag);
    world.settle();
    world.pass_time(60_000_000);
    let event = world.graph.event_id("HumanB").expect("a type");
    let external = || External::new(event, Json::parse("{}").expect("JSON"));
    let not_resident = NotResident(key);
    assert_eq!(world.scheduler.post(key, external(), world.now), Err(PostRefused::NotResident(not_resident)));
    assert_eq!(world.scheduler.cancel(key, world.now), Err(not_resident));
    assert_eq!(world.scheduler.purge(key, world.now), Err(not_resident));
    assert!(world.scheduler.seal().is_none());
    world.load(key);
    assert_eq!(world.scheduler.post(key, external(), world.now), Ok(()));
    assert_eq!(world.scheduler.cancel(key, world.now), Ok(true));
}
