//! Turns of the loop.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use steprill::{
    api::{Catalog, Parsed},
    client_id::ClientId,
    core::{Core, Driver, Granted, Output, Reading, Start},
    engine::{
        keys::RunKey,
        scheduler::{Scheduler, SchedulerLimits, Waste},
        storage::{Batch, Completed},
    },
    executors::{self, Executor as _},
    http::Method,
    now::Now,
    store::{Opened, Store, memory::MemoryStore},
};

use super::passes::Passes;
use crate::simulation::{
    random::{Random, hash},
    server::workflows::Flow,
};

/// What a client waits for.
pub(super) enum Doing {
    /// For its call to be repeated.
    Calling(Call),
    /// For the commit of what its call changed.
    Committing,
    /// For the end of this run.
    Ending(RunKey),
    /// For the lock of a queue, until then.
    Locking(RunKey, u64),
    Reading(RunKey, Reading),
}

pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) parsed: Option<Parsed>,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) flows: Vec<Flow>,
    pub(super) limits: SchedulerLimits,
    pub(super) core: Core,
    pub(super) catalog: Catalog,
    pub(super) store: MemoryStore,
    pub(super) now: Now,
    pub(super) drawn: u64,
    /// The newest client of each slot.
    pub(super) generations: Vec<u32>,
    pub(super) doing: BTreeMap<ClientId, Doing>,
    pub(super) passes: Passes,
    pub(super) ids: Vec<String>,
    /// Every run that began, and its events as the first reader saw them.
    pub(super) runs: BTreeMap<RunKey, BTreeMap<u64, String>>,
    pub(super) is_closing: bool,
    pub(super) turns: u64,
    pub(super) refused: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(hash(&[seed, 21]));
        let flows: Vec<Flow> = (0..=random.below(3)).map(|index| Flow::new(index, &mut random)).collect();
        let graphs: Vec<_> = flows.iter().map(|flow| Arc::clone(&flow.graph)).collect();
        let workflows = flows.iter().map(|flow| (Arc::clone(&flow.graph), flow.kind)).collect();
        let passes = Passes::new(Random::new(hash(&[seed, 22])), workflows);
        let limits = SchedulerLimits {
            runs_max: 4 + random.below(16),
            keep_finished: random.below(6),
            keep_for: random.one_in(3).then(|| Duration::from_secs(60 * (1 + random.next() % 60))),
            finished_bytes_max: *random.pick(&[0, 2_000, 100_000]),
            ..SchedulerLimits::default()
        };
        let Opened { store, graphs, beginning, .. } = MemoryStore::open(&graphs, 7);
        let (registered, now) = (graphs.len(), Now { wall_us: 1_700_000_000_000_000, alive_us: 0 });
        let start = Start { graphs, registered, lanes: Vec::new(), limits, beginning: &beginning };
        let Ok(core) = Core::recover(start, |_| Ok::<_, Infallible>(()), now);
        Self {
            random,
            flows,
            limits,
            core,
            catalog: Catalog::new(&[], 0),
            store,
            now,
            drawn: 0,
            generations: Vec::new(),
            doing: BTreeMap::new(),
            passes,
            ids: Vec::new(),
            runs: BTreeMap::new(),
            is_closing: false,
            turns: 0,
            refused: 0,
        }
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        self.core.scheduler()
    }

    pub(super) fn play(&mut self) {
        for _ in 0..60 + self.random.below(300) {
            self.turn();
        }
        self.is_closing = true;
        self.wind_down();
    }

    pub(super) fn turn(&mut self) {
        self.turns += 1;
        let timeout = self.scheduler().poll_timeout(self.now).map_or(0, |left| left.as_micros() as u64);
        let passed_us = match self.random.below(4) {
            0 => 0,
            1 => self.random.next() % 20_000,
            2 => self.random.next() % 1_500_000,
            _ => timeout.min(3_600_000_000),
        };
        self.pass_time(passed_us);
        self.run_passes();
        self.core.scheduler_mut().handle_time(self.now);
        if !self.is_closing {
            for _ in 0..self.random.below(3) {
                self.act();
            }
        }
        self.stop_waiting_readers();
        let Ok(()) = self.settle();
        self.hand_out();
        self.audit();
    }

    pub(super) fn pass_time(&mut self, us: u64) {
        self.now.alive_us += us;
        self.now.wall_us += us.cast_signed();
    }

    fn run_passes(&mut self) {
        self.passes.go_on(self.is_closing);
        while let Some(report) = self.passes.poll_report(true) {
            report.deliver(self.core.scheduler_mut(), self.now);
        }
    }

    fn hand_out(&mut self) {
        self.passes.room = if self.is_closing { usize::MAX } else { self.random.below(5) };
        executors::hand_out(self.core.scheduler_mut(), &mut [&mut self.passes], true, self.now);
    }
}

impl Driver for World {
    type Stopped = Infallible;

    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&self) -> Now {
        self.now
    }

    fn carry_out(&mut self, output: Output) -> Result<(), Infallible> {
        match output {
            Output::Ask(ticket, query) => self.store.read(ticket, query),
            Output::Reply(client, _) => {
                let was = self.doing.remove(&client);
                assert!(matches!(was, Some(Doing::Committing)), "only a client that waits for a commit gets its reply");
            }
            Output::RunEnded(client, handler) => {
                let Some(Doing::Ending(run)) = self.doing.remove(&client) else { panic!("it waits for an end") };
                assert!(handler.is_none_or(|key| key == run.handler));
                if let Some(view) = handler.and_then(|key| self.core.scheduler().view(key)) {
                    assert!(view.outcome.is_some(), "it is told of an end");
                }
            }
            Output::Call { client, .. } => {
                let Some(Doing::Calling(call)) = self.doing.remove(&client) else { panic!("it waits with a call") };
                self.call(client, call);
            }
            Output::Published(run) => {
                let readers = self.core.scheduler().channel(run).map(|channel| channel.readers().collect::<Vec<_>>());
                for reader in readers.into_iter().flatten() {
                    self.pump(reader.0.into());
                }
            }
            Output::LockGranted(client) => {
                // It may have left since.
                let Some(doing) = self.doing.remove(&client) else { return Ok(()) };
                let Doing::Locking(run, _) = doing else { panic!("it waits for the lock") };
                if let Granted::Open(reading) = self.core.take_lock(client, run) {
                    self.doing.insert(client, Doing::Reading(run, reading));
                    self.pump(client);
                }
            }
            Output::ReaderGone(client) => drop(self.doing.remove(&client)),
            Output::Page(client, ticket, page) => {
                let (feed, _) = page.expect("a feed in memory can be read");
                self.take_page(client, ticket, &feed);
            }
            Output::Trouble(_) => {}
            other => panic!("a store in memory neither fails nor forgets: {other:?}"),
        }
        Ok(())
    }

    fn poll_completed(&mut self) -> Result<Option<Completed>, Infallible> {
        Ok(self.store.poll_completed())
    }

    fn submit(&mut self, batch: Batch) -> Result<(), Infallible> {
        self.store.submit(batch);
        Ok(())
    }

    fn free(&mut self, _: Waste) {}
}
