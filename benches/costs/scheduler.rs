//! The costs of many handlers.

use std::{hint::black_box, sync::Arc, time::Duration};

use steprill::{
    api::{self, List, ListProgress},
    engine::{
        input::External,
        keys::{HandlerKey, SHARD_BITS, WorkflowId},
        record::LargeDone,
        scheduler::{Capacity, Lane, NewRun, Scheduler, SchedulerLimits, StartAs},
        storage::{Batch, Recall},
    },
    graph::Graph,
    limits::{BODY_BYTES_MAX_DEFAULT, PAGE_BYTES_MAX, RETENTION_SLICE_MAX, RUN_WORKS_MAX, RUNS_MAX_DEFAULT},
    now::Now,
    pass::{Done, Emitted, NewWait, PassEnd, StateUse},
    values::Values,
};

use super::{
    Cost, each, once, row,
    setup::{graph, json, numbered, scattered},
};

struct World {
    scheduler: Scheduler,
    graph: Arc<Graph>,
    now: Now,
    started: u128,
    /// Batches that a store would have; freeing them is the work of its thread.
    committed: Vec<Batch>,
}

impl World {
    fn new(keep_finished: usize, max_runs: Option<usize>, recall: Recall) -> Self {
        let graph = graph(max_runs);
        let limits = SchedulerLimits {
            keep_finished,
            runs_max: usize::MAX,
            finished_bytes_max: usize::MAX,
            ..SchedulerLimits::default()
        };
        let scheduler = Scheduler::new(vec![Arc::clone(&graph)], limits, recall, 7);
        Self {
            scheduler,
            graph,
            now: Now { wall_us: 1_764_000_000_000_000, alive_us: 1 },
            started: 0,
            committed: Vec::new(),
        }
    }

    fn start(&mut self) -> HandlerKey {
        self.started += 1;
        self.now.wall_us += 1;
        let run_id = uuid::Uuid::from_u128(self.started);
        let (workflow, start_as, event) = (WorkflowId(0), StartAs::New(None), json("{}"));
        self.scheduler.start(NewRun { workflow, start_as, run_id, event, state: Values::default() }, self.now)
    }

    /// The handlers in memory.
    fn keys(&self) -> impl Iterator<Item = HandlerKey> {
        let next = |after| self.scheduler.next_handler(after);
        std::iter::successors(next(None), move |key| next(Some(*key)))
    }

    fn settle(&mut self) {
        while let Some(batch) = self.scheduler.seal() {
            self.scheduler.handle_committed(batch.number);
            self.committed.push(batch);
        }
        while self.scheduler.poll_notice().is_some() {}
        self.scheduler.retire();
    }

    /// Continues what the runs have deferred. Measures each turn.
    fn go_on(&mut self) -> Cost {
        let mut turns = Vec::new();
        while self.scheduler.poll_timeout(self.now) == Some(Duration::ZERO) {
            let turn = once(|| {
                self.scheduler.handle_time(self.now);
                self.settle();
            });
            turns.push(turn.usual);
            self.committed.clear();
        }
        Cost { longest: turns.iter().copied().max().unwrap_or_default(), ..Cost::of(turns) }
    }

    /// Ends all ready passes in this way.
    fn work(&mut self, end: &PassEnd) {
        self.settle();
        while let Some(pass) = self.scheduler.poll_pass(self.now, Lane(0), Capacity::UNBOUNDED) {
            let done = Done::of(end.clone());
            self.scheduler.handle_done(pass.tag, done, self.now);
        }
        self.settle();
    }

    /// Ends the ready pass in this way.
    fn work_one(&mut self, end: &PassEnd) {
        self.settle();
        let pass = self.scheduler.poll_pass(self.now, Lane(0), Capacity::UNBOUNDED).expect("a pass");
        let done = Done::of(end.clone());
        self.scheduler.handle_done(pass.tag, done, self.now);
        self.settle();
    }

    /// Adds `count` runs that wait for somebody outside.
    fn waiting(mut self, count: usize) -> (Self, Vec<HandlerKey>) {
        let keys = (0..count).map(|_| self.start()).collect();
        self.work(&PassEnd::Returned(vec![(self.graph.event_id("E").expect("E"), json("{}"))]));
        self.work(&self.ask());
        (self, keys)
    }

    fn ask(&self) -> PassEnd {
        let [question, answer] = ["NeedQ", "HumanA"].map(|name| self.graph.event_id(name).expect("it is there"));
        let wait = NewWait::Ask { question, answer, value: json("{}"), matching: Vec::new(), timeout: None };
        PassEnd::Waits { ordinal: 0, wait }
    }

    fn stop() -> PassEnd {
        PassEnd::Failed { error: "no".into(), retry: false }
    }

    /// Adds `count` runs that have failed.
    fn finished(mut self, count: usize) -> Self {
        for _ in 0..count.div_ceil(1_000) {
            (0..1_000).for_each(|_| _ = self.start());
            self.work(&Self::stop());
        }
        self
    }

    fn sleeping(mut self, count: usize) -> Self {
        (0..count).for_each(|_| _ = self.start());
        self.work(&PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_mins(1)) });
        self
    }
}

pub(crate) fn measure() {
    handlers();
    timers();
    lists();
    retention();
}

fn handlers() {
    row("start, beside n runs that wait", RUNS_MAX_DEFAULT, |n| {
        let (mut world, _) = World::new(1_000, None, Recall::Everything).waiting(n);
        each(200, |_| {
            world.start();
            world.settle();
        })
    });
    row("posted answer, beside n runs that wait", RUNS_MAX_DEFAULT, |n| {
        let (mut world, keys) = World::new(1_000, None, Recall::Everything).waiting(n);
        let event = world.graph.event_id("HumanA").expect("HumanA");
        each(200, |index| {
            let external = External::new(event, numbered(index));
            world.scheduler.post(keys[scattered(index, n)], external, world.now).expect("it is taken");
            world.settle();
        })
    });
    row("posted answer of n bytes, with its record", BODY_BYTES_MAX_DEFAULT, |n| {
        let (mut world, keys) = World::new(1_000, None, Recall::Everything).waiting(1);
        let value = json(&format!("{{\"m\":\"{}\"}}", "x".repeat(n)));
        let external = External::new(world.graph.event_id("HumanA").expect("HumanA"), value);
        external.members.read(&external.value);
        once(|| world.scheduler.post(keys[0], external, world.now).expect("it is taken"))
    });
    row("purge, beside n runs that wait", RUNS_MAX_DEFAULT, |n| {
        let (mut world, keys) = World::new(1_000, None, Recall::Everything).waiting(n);
        each(200, |index| {
            world.scheduler.purge(keys[scattered(index, n)], world.now).expect("it is resident");
            world.settle();
        })
    });
    row("cancel of one of n runs that wait for a place", RUNS_MAX_DEFAULT, |n| {
        let mut world = World::new(1_000, Some(1), Recall::Everything);
        let keys: Vec<_> = (0..=n).map(|_| world.start()).collect();
        world.settle();
        each(200, |index| {
            world.scheduler.cancel(keys[1 + scattered(index, n)], world.now).expect("it is resident");
            world.settle();
        })
    });
    large_ends();
    for (works, sleep) in [("that sleep", true), ("whose passes are ready", false)] {
        let spread = move |n: usize| {
            let mut world = World::new(1_000, None, Recall::Everything);
            let key = world.start();
            let element = world.graph.event_id("E").expect("E");
            world.work_one(&PassEnd::Returned(vec![(element, json("{}")); n]));
            world.go_on();
            if sleep {
                world.work(&PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_mins(1)) });
            }
            (world, key)
        };
        // The turn of the input, then that of its commit.
        row(&format!("cancel of a run with n works {works}"), RUN_WORKS_MAX, |n| {
            let (mut world, key) = spread(n);
            once(|| _ = world.scheduler.cancel(key, world.now))
        });
        row(&format!("the turn after that, {works}"), RUN_WORKS_MAX, |n| {
            let (mut world, key) = spread(n);
            world.scheduler.cancel(key, world.now).expect("it is resident");
            once(|| {
                world.settle();
                assert!(world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).is_none());
            })
        });
    }
}

/// Passes that emit or take very many events, as the server handles them: with the journal, in the turn of the input
/// and those in which the run continues.
fn large_ends() {
    let element = |world: &World, name: &str| world.graph.event_id(name).expect("it is there");
    let fan_out = |n: usize| {
        let mut world = World::new(1_000, None, Recall::Everything);
        world.start();
        world.settle();
        let tag = world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).expect("a pass").tag;
        let returned = (0..n).map(|index| (element(&world, "E"), numbered(index))).collect();
        let done = LargeDone::new(Emitted { sent: Vec::new(), returned }, StateUse::default());
        (world, tag, done)
    };
    let fan_in = |n: usize| {
        let (mut world, tag, done) = fan_out(n);
        world.scheduler.handle_large_done(tag, done, world.now);
        world.go_on();
        let output = |world: &World| {
            let end = PassEnd::Returned(vec![(element(world, "F"), numbered(n))]);
            Done::of(end)
        };
        for _ in 0..n - 1 {
            let tag = world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).expect("a pass").tag;
            world.scheduler.handle_done(tag, output(&world), world.now);
            if world.scheduler.working() == 0 {
                world.settle();
            }
        }
        world.settle();
        let (tag, done) =
            (world.scheduler.poll_pass(world.now, Lane(0), Capacity::UNBOUNDED).expect("a pass").tag, output(&world));
        (world, tag, done)
    };
    row("end of a pass that gives n events", RUN_WORKS_MAX, |n| {
        let (mut world, tag, done) = fan_out(n);
        once(|| {
            world.scheduler.handle_large_done(tag, done, world.now);
            world.settle();
        })
    });
    row("turn that goes on with n events of a pass", RUN_WORKS_MAX, |n| {
        let (mut world, tag, done) = fan_out(n);
        world.scheduler.handle_large_done(tag, done, world.now);
        world.go_on()
    });
    row("end of the last pass of n before a fan-in", RUN_WORKS_MAX, |n| {
        let (mut world, tag, done) = fan_in(n);
        once(|| {
            world.scheduler.handle_done(tag, done, world.now);
            world.settle();
        })
    });
    row("turn that goes on with a fan-in of n", RUN_WORKS_MAX, |n| {
        let (mut world, tag, done) = fan_in(n);
        world.scheduler.handle_done(tag, done, world.now);
        world.go_on()
    });
}

fn timers() {
    row("turn in which n timers are due", RUNS_MAX_DEFAULT, |n| {
        let mut world = World::new(1_000, None, Recall::Feeds).sleeping(n);
        world.now.alive_us += 100_000_000;
        once(|| world.scheduler.handle_time(world.now))
    });
    row("turn in which one of n timers is due", RUNS_MAX_DEFAULT, |n| {
        let mut world = World::new(1_000, None, Recall::Feeds).sleeping(n);
        world.start();
        world.work(&PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_millis(1)) });
        world.now.alive_us += 2_000;
        once(|| world.scheduler.handle_time(world.now))
    });
}

/// Measures the steps of writing a list.
fn listed(world: &World, list: &List) -> Cost {
    let (mut list, mut goes_on) = (list.clone(), true);
    let mut times = Vec::new();
    while goes_on {
        let mut out = Vec::new();
        let step = once(|| {
            goes_on = api::list_some(&world.scheduler, &mut list, &mut out, PAGE_BYTES_MAX) != ListProgress::Complete;
        });
        times.push(step.usual);
        black_box(out);
    }
    Cost::of(times)
}

fn lists() {
    let lists = [
        ("all", List::default()),
        ("status=failed", List { statuses: vec!["failed".into()], ..List::default() }),
        ("status=completed", List { statuses: vec!["completed".into()], ..List::default() }),
        ("status=running", List { statuses: vec!["running".into()], ..List::default() }),
        ("workflow_name=", List { workflows: vec!["other".into()], ..List::default() }),
        ("before=", List { before_us: Some(0), ..List::default() }),
        ("after=, limit=", List { after: Some(HandlerKey(1_000 << SHARD_BITS)), limit: Some(10), ..List::default() }),
    ];
    for (filter, list) in lists {
        row(&format!("step of a list, {filter}, n finished"), RUNS_MAX_DEFAULT, |n| {
            listed(&World::new(n, None, Recall::Feeds).finished(n), &list)
        });
    }
    let list = List { statuses: vec!["completed".into()], ..List::default() };
    row("step of a list, status=completed, n running", RUNS_MAX_DEFAULT, |n| {
        listed(&World::new(n, None, Recall::Feeds).waiting(n).0, &list)
    });
}

fn retention() {
    row("end of a run, beside n finished", RUNS_MAX_DEFAULT, |n| {
        let mut world = World::new(n, None, Recall::Feeds).finished(n);
        let stop = World::stop();
        each(200, |_| {
            world.start();
            world.work(&stop);
        })
    });
    row("removal of n from the store in one turn", RETENTION_SLICE_MAX, |n| {
        let mut world = World::new(0, None, Recall::Everything).finished(n);
        let now = world.now;
        let oldest: Vec<_> = world.keys().map(|key| (key, 0)).collect();
        let asked = world.scheduler.begin_read();
        assert!(world.scheduler.end_read(asked));
        once(|| world.scheduler.handle_oldest(&oldest, now))
    });
}
