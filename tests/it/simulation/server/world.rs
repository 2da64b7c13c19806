//! Turns of the server's loop, and what happens to the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use steprill::{
    api::Catalog,
    core::{Core, Driver},
    engine::{
        input::PassId,
        keys::{HandlerKey, RunKey},
        record,
        scheduler::SchedulerLimits,
        storage::{Completed, Snapshotted},
        stored::Aside,
        window::FeedKeep,
    },
    json::Json,
    limits::{COMPACTED_COST_BYTES_MIN, EVENTS_AT_ONCE, ROW_STATE_BYTES_MAX},
    now::{Now, Recorder},
};

use super::{
    clients::Clients,
    driver::open_core,
    history::{History, SECRET},
    model::Version,
    store::Store,
    workers::Workers,
    workflows::Flow,
};
use crate::simulation::{
    random::{Random, hash},
    run::flows::Kind,
};

/// The process has ended.
pub(crate) struct Crash;

pub(crate) type Going = Result<(), Crash>;

/// The settings of a world.
pub(crate) struct Settings {
    pub(crate) limits: SchedulerLimits,
    /// How many passes run at a time.
    pub(crate) workers: usize,
    /// One in this many points is a crash.
    crash: usize,
    /// Whether a crash may be a loss of power that takes what was not synced: durability normal or off.
    loses_power: bool,
    /// One in this many commits fails; 0: none.
    fail: usize,
    /// In one of this many turns the rows of a handler are damaged; 0: never.
    damage: usize,
    /// One in this many times the store completes something.
    slow: usize,
}

/// What the system's clocks show, and what is recorded of it.
struct Clock {
    wall_us: i64,
    /// Since the server began.
    up_us: u64,
    recorder: Recorder,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) turns: u64,
    pub(crate) runs: u64,
    pub(crate) crashes: u64,
    pub(crate) failures: u64,
    pub(crate) damaged: u64,
    pub(crate) loads: u64,
    pub(crate) snapshots: u64,
    pub(crate) joined: u64,
}

pub(crate) struct World {
    pub(crate) random: Random,
    /// Separate random numbers for damage, so that the other worlds are unaffected.
    damages: Random,
    /// The same for memory that is short.
    pressures: Random,
    pub(crate) settings: Settings,
    pub(crate) flows: Vec<Flow>,
    pub(crate) core: Core,
    /// Of no workflow: their descriptions are never requested.
    pub(crate) catalog: Catalog,
    pub(crate) store: Store,
    pub(crate) history: History,
    pub(crate) clients: Clients,
    clock: Clock,
    pub(crate) now: Now,
    /// The alive clock when the server began.
    pub(crate) began_us: u64,
    pub(crate) workers: Workers,
    /// Passes that were started since the server began.
    pub(crate) started: BTreeSet<(RunKey, PassId)>,
    /// Handlers that were removed for good.
    pub(crate) purged: BTreeSet<HandlerKey>,
    /// Outcomes of an ordered workflow, by version and start event.
    outcomes: BTreeMap<(Version, String), Json>,
    /// Whether the world is winding down: nothing new begins and nothing fails.
    pub(crate) is_closing: bool,
    pub(crate) counts: Counts,
    traces: bool,
    #[cfg(feature = "sqlite")]
    mirror: Option<super::mirror::Mirror>,
}

impl World {
    /// A trace of events, to find the cause of a failure.
    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if self.traces {
            eprintln!("{} {:?}: {}", self.counts.turns, self.now, what());
        }
    }

    pub(crate) fn new(seed: u64) -> Self {
        let (mut random, mut damages) = (Random::new(seed), Random::new(hash(&[seed, 14])));
        let mut states = Random::new(hash(&[seed, 15]));
        let workers = 1 + random.below(4);
        let limits = SchedulerLimits {
            runs_max: 4 + random.below(16),
            keep_finished: random.below(6),
            keep_for: random.one_in(3).then(|| Duration::from_secs(60 * (1 + random.next() % 60))),
            finished_bytes_max: *random.pick(&[0, 60, 100_000]),
            idle_after: Duration::from_millis(*random.pick(&[0, 500, 60_000])),
            feed_keep: FeedKeep {
                events: *random.pick(&[1, 7, 40, 1_000_000]),
                bytes: *random.pick(&[60, 1_000, 64 << 20]),
            },
            data_bytes_max: random.one_in(4).then(|| 500 + random.next() % 20_000),
            events_at_once: *states.pick(&[1, 3, EVENTS_AT_ONCE]),
            compacted_cost_bytes_min: *states.pick(&[0, 3_000, COMPACTED_COST_BYTES_MIN]),
            record_state_bytes_max: *states.pick(&[0, 200, ROW_STATE_BYTES_MAX]),
        };
        let settings = Settings {
            limits,
            workers,
            crash: *random.pick(&[20, 100, 500, 5_000]),
            loses_power: random.one_in(4),
            fail: *random.pick(&[0, 4, 20, 60]),
            damage: *damages.pick(&[0, 0, 30, 150]),
            slow: *random.pick(&[1, 2, 4, 12]),
        };
        let flows: Vec<Flow> = (0..=random.below(3)).map(|index| Flow::new(index, &mut random)).collect();
        let mut store = Store::new(random.one_in(2));
        let wall_us = if random.one_in(6) { 0 } else { 1_700_000_000_000_000 };
        let clock = Clock { wall_us, up_us: 0, recorder: Recorder::new() };
        let graphs: Vec<_> = flows.iter().map(|flow| Arc::clone(&flow.graph)).collect();
        let beginning = store.open(&graphs, SECRET);
        let core = open_core(&store, &graphs, limits, &beginning, Now { wall_us, alive_us: 0 });
        Self {
            random,
            damages,
            pressures: Random::new(hash(&[seed, 17])),
            settings,
            flows,
            core,
            catalog: Catalog::new(&[], 0),
            store,
            history: History::new(limits.events_at_once),
            clients: Clients::default(),
            clock,
            now: Now { wall_us, alive_us: 0 },
            began_us: beginning.newest.alive_us + 1,
            workers: Workers::new(hash(&[seed, 16])),
            started: BTreeSet::new(),
            purged: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            is_closing: false,
            counts: Counts::default(),
            traces: std::env::var("STEPRILL_SIM_TRACE").is_ok(),
            #[cfg(feature = "sqlite")]
            mirror: None,
        }
    }

    /// Passes the same batches to a SQLite store, and compares the answers to all queries.
    #[cfg(feature = "sqlite")]
    pub(crate) fn mirrored(seed: u64) -> Self {
        let mut world = Self::new(seed);
        (world.settings.loses_power, world.settings.damage) = (false, 0);
        world.mirror = Some(super::mirror::Mirror::new());
        world.open_mirror();
        world
    }

    #[cfg(feature = "sqlite")]
    fn open_mirror(&mut self) {
        let Some(mirror) = &mut self.mirror else { return };
        let session = &self.store.session;
        mirror.open(&session.graphs[..session.registered], &self.store.model, session);
        self.compare_mirror();
    }

    #[cfg(feature = "sqlite")]
    fn compare_mirror(&mut self) {
        let Some(mirror) = &mut self.mirror else { return };
        let read = self.clients.readers.values().map(|reader| reader.run);
        mirror.compare(&self.store.model, &self.store.session, read);
    }

    pub(crate) fn play(&mut self, turns: &mut u64) {
        for _ in 0..60 + self.random.below(400) {
            if let Err(Crash) = self.turn() {
                self.restart();
            }
            *turns = self.counts.turns;
        }
        self.is_closing = true;
        self.wind_down(turns);
    }

    /// Simulates one turn of the loop.
    pub(crate) fn turn(&mut self) -> Going {
        self.counts.turns += 1;
        self.damage_some();
        self.pass_time();
        if self.is_closing || self.pressures.one_in(30) {
            let is_pressed = !self.is_closing && self.pressures.one_in(2);
            self.core.scheduler_mut().set_pressed(is_pressed);
        }
        self.take_reports();
        self.help()?;
        self.point()?;
        self.core.scheduler_mut().handle_time(self.now);
        if !self.is_closing {
            for _ in 0..self.random.below(3) {
                self.act();
            }
        }
        self.settle()?;
        self.hand_out();
        self.audit();
        #[cfg(feature = "sqlite")]
        if self.counts.turns.is_multiple_of(16) {
            self.compare_mirror();
        }
        Ok(())
    }

    /// The process may end here.
    pub(super) fn point(&mut self) -> Going {
        if !self.is_closing && self.random.one_in(self.settings.crash) { Err(Crash) } else { Ok(()) }
    }

    /// From now on, rows of some handler, perhaps of one that is being committed, cannot be changed or read.
    fn damage_some(&mut self) {
        if self.is_closing || self.settings.damage == 0 || !self.damages.one_in(self.settings.damage) {
            return;
        }
        let coming = self.store.submitted.iter().flat_map(|batch| &batch.opened).map(|opened| opened.run.handler);
        let keys: Vec<HandlerKey> = coming.chain(self.store.model.handlers.keys().rev().take(6).copied()).collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.damages.below(keys.len())];
        self.trace(|| format!("{key:?} is damaged"));
        self.counts.damaged += 1;
        if self.damages.one_in(3) {
            self.store.blocked.insert(key, 1 + self.damages.below(3));
        } else if self.damages.one_in(2) {
            self.store.unwritable.insert(key);
        } else if self.store.model.handlers.contains_key(&key) {
            self.store.unreadable.insert(key);
        }
    }

    fn pass_time(&mut self) {
        let passed_us = match self.random.below(8) {
            0..=2 => 0,
            3 | 4 => self.random.next() % 20_000,
            5 => self.random.next() % 1_500_000,
            6 if self.random.one_in(20) && !self.is_closing => self.random.next() % 7_200_000_000,
            _ => self
                .core
                .scheduler()
                .poll_timeout(self.now)
                .map_or(0, |left| left.as_micros() as u64)
                .min(3_600_000_000),
        };
        self.skip(passed_us);
        if self.random.one_in(100) && !self.is_closing {
            let step_us = *self.random.pick(&[HOUR_US, -HOUR_US, 10 * YEAR_US, -10 * YEAR_US]);
            self.clock.wall_us = (self.clock.wall_us + step_us).max(0);
            // The server cannot distinguish a forward step of the clock from a suspend.
            self.history.note_unseen(self.now.alive_us, step_us.max(0).cast_unsigned());
        }
    }

    pub(crate) fn skip(&mut self, passed_us: u64) {
        self.clock.wall_us += passed_us.cast_signed();
        self.clock.up_us += passed_us;
        self.now = self.clock.read();
    }

    /// If a handler is set aside, its end or removal is dropped even before it is in a batch; its place may have been
    /// taken already.
    pub(super) fn note_undone(&mut self, completed: &Completed) {
        let Completed::Aside(Aside { handler, .. }) = completed else { return };
        let scheduler = self.core.scheduler();
        let is_over = scheduler.unsettled(&scheduler.known_id(*handler), true).is_some();
        let newest = self
            .history
            .runs
            .range(RunKey { handler: *handler, run: 0 }..)
            .take_while(|(run, _)| run.handler == *handler);
        if let Some((run, _)) = newest.last().filter(|(_, history)| is_over && history.end.is_none()) {
            self.store.undone.insert(*run);
        }
    }

    pub(super) fn have_store_work(&mut self) {
        let slow = if self.is_closing { 1 } else { self.settings.slow };
        while !self.store.submitted.is_empty() && self.random.one_in(slow) {
            let fails = !self.is_closing && self.settings.fail > 0 && self.random.one_in(self.settings.fail);
            if fails && self.store.failing == 0 {
                self.store.failing = 1 + self.random.below(4);
            }
            if self.store.failing > 0 {
                self.counts.failures += 1;
                self.store.fail();
            } else {
                self.commit();
            }
        }
        if self.is_closing {
            self.store.failing = 0;
            self.store.blocked.clear();
        }
        while self.store.has_queries() && self.random.one_in(slow) {
            self.store.answer(&mut self.random);
        }
        if self.random.one_in(4) {
            self.store.sync();
        }
    }

    fn commit(&mut self) {
        let aside = self.store.set_aside();
        let Some(batch) = self.store.submitted.front() else { return };
        self.history.unreadable.clone_from(&self.store.unreadable);
        self.history.apply(batch, &self.store.model, &self.store.session);
        let before = self.store.model.ended.clone();
        let oldest: Vec<_> = before.values().map(|key| (*key, self.store.model.handlers[key].updated_us)).collect();
        let Some(batch) = self.store.commit(aside) else { return };
        #[cfg(feature = "sqlite")]
        if let Some(mirror) = &mut self.mirror {
            mirror.submit(&batch);
        }
        self.check_purges(&batch, &oldest);
        self.counts.runs += batch.opened.len() as u64;
        self.counts.snapshots += batch.snapshots.len() as u64;
        let records =
            |snapshotted: &Snapshotted| record::split(&snapshotted.snapshot).map_or(0, |(_, behind)| behind.len());
        self.counts.joined += batch.snapshots.iter().filter(|snapshotted| records(snapshotted) > 0).count() as u64;
        self.purged.extend(&batch.purged);
        for ended in &batch.ended {
            self.check_outcome(ended.run);
        }
    }

    /// An ordered workflow has the same outcome in any order of completion.
    fn check_outcome(&mut self, run: RunKey) {
        let history = &self.history.runs[&run];
        let name = &*self.store.model.versions[history.version].name;
        let is_ordered = self.flows.iter().any(|flow| flow.name == name && flow.kind == Kind::Ordered);
        if let Some((steprill::Outcome::Completed(value), _)) = &history.end
            && let Some(event) = history.event.as_ref().filter(|_| is_ordered && !history.is_disturbed)
        {
            let known = self.outcomes.entry((history.version, event.as_str().to_owned())).or_insert(value.clone());
            assert_eq!(known, value, "the outcome does not hang on the order of completion");
        }
    }

    /// The process has ended. It starts again some time later, perhaps with other workflows.
    pub(crate) fn restart(&mut self) {
        self.trace(|| "crash".to_owned());
        self.counts.crashes += 1;
        let power_lost = self.settings.loses_power && !self.is_closing && self.random.one_in(2);
        if self.random.one_in(2) {
            // Pending commits complete, although no client learns of it.
            for _ in 0..self.random.below(self.store.submitted.len() + 1) {
                self.commit();
            }
        }
        self.store.crash(power_lost, &mut self.random);
        if power_lost {
            let model = &self.store.model;
            self.purged.retain(|key| key.0 < model.next_handler && !model.handlers.contains_key(key));
            self.outcomes.clear();
        }
        self.history.crash(&self.store.model, &self.purged);
        self.workers.clear();
        self.started.clear();
        self.handle_crash(power_lost);
        self.change_flows();
        self.begin_again();
    }

    fn change_flows(&mut self) {
        if !self.is_closing && self.random.one_in(3) {
            let index = self.random.below(self.flows.len());
            self.flows[index].change(&mut self.random);
        }
    }

    fn begin_again(&mut self) {
        let newest = self.store.model.newest;
        let down_us = if self.is_closing { 0 } else { self.random.next() % 7_200_000_000 };
        self.clock.wall_us += down_us.cast_signed();
        // Time after the newest record counts as downtime, too.
        let forgotten_us = self.now.alive_us - newest.alive_us;
        self.history.note_unseen(newest.alive_us, down_us + forgotten_us);
        self.clock.recorder = Recorder::new();
        self.clock.recorder.resume(newest);
        self.clock.up_us = 0;
        self.now = self.clock.read();
        self.began_us = newest.alive_us + 1;
        let left_out = (self.flows.len() > 1 && !self.is_closing && self.random.one_in(6))
            .then(|| self.random.below(self.flows.len()));
        let served = self.flows.iter().enumerate().filter(|(index, _)| Some(*index) != left_out);
        let graphs: Vec<_> = served.map(|(_, flow)| Arc::clone(&flow.graph)).collect();
        let beginning = self.store.open(&graphs, SECRET);
        self.core = open_core(&self.store, &graphs, self.settings.limits, &beginning, self.now);
        #[cfg(feature = "sqlite")]
        self.open_mirror();
        self.check_recovered();
    }
}

impl Clock {
    fn read(&mut self) -> Now {
        self.recorder.read(self.wall_us, self.up_us)
    }
}

const HOUR_US: i64 = 3_600_000_000;
const YEAR_US: i64 = 365 * 24 * HOUR_US;
