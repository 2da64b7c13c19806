//! Turns of the loop, and what passes do.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use steprill::{
    api::{Catalog, Parsed},
    client_id::ClientId,
    core::{Core, Driver, Granted, Output, Reading, Start},
    engine::{
        keys::RunKey,
        scheduler::{Capacity, Lane, Scheduler, SchedulerLimits, StartPass, Waste},
        storage::{Batch, Completed},
    },
    http::Method,
    now::Now,
    pass::{Done, FeedOrder, Note, Order, PassEnd},
    store::{Opened, Store, memory::MemoryStore},
};

use crate::simulation::{
    random::{Random, hash},
    run::body::perform,
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

/// A pass that an executor has.
pub(super) struct Out {
    pub(super) notes: VecDeque<Note>,
    pub(super) done: Done,
    pub(super) granted_bytes: usize,
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
    pub(super) out: BTreeMap<u64, Out>,
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
            out: BTreeMap::new(),
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

    pub(super) fn hand_out(&mut self) {
        while let Some((tag, order)) = self.core.scheduler_mut().poll_order() {
            let Some(out) = self.out.get_mut(&tag) else { continue };
            match order {
                Order::Stop(_) => {
                    out.notes.clear();
                    out.done.end = PassEnd::Failed { error: "stopped".to_owned(), retry: false };
                }
                Order::Abandon => {}
                Order::Feed(FeedOrder::Grant(bytes)) => out.granted_bytes += bytes,
                Order::Feed(FeedOrder::Refuse) => panic!("nothing was wanted"),
                Order::Feed(FeedOrder::TakeBack) => {
                    let bytes = std::mem::take(&mut out.granted_bytes);
                    self.core.scheduler_mut().handle_feed_given_back(tag, bytes);
                }
            }
        }
        let most = if self.is_closing { usize::MAX } else { self.random.below(5) };
        let mut left = Capacity { at_once: most, queued: most };
        while let Some(pass) = self.core.scheduler_mut().poll_pass(self.now, Lane(0), left) {
            left = Capacity { at_once: left.at_once - 1, queued: left.queued - 1 };
            let StartPass { tag, workflow, step, input, grant_bytes } = pass;
            let flow = &self.flows[usize::from(workflow.0)];
            let performance = perform(&flow.graph, flow.kind, step, &input);
            let notes = performance.notes.into();
            self.out.insert(tag, Out { notes, done: performance.done, granted_bytes: grant_bytes });
        }
    }

    pub(super) fn run_passes(&mut self) {
        let tags: Vec<u64> = self.out.keys().copied().collect();
        for tag in tags {
            if !self.is_closing && self.random.one_in(3) {
                continue;
            }
            let Some(out) = self.out.get_mut(&tag) else { continue };
            if let Some(note) = out.notes.pop_front() {
                let left = out.granted_bytes.checked_sub(note.feed_bytes());
                out.granted_bytes = left.expect("small notes never need more than is granted");
                self.core.scheduler_mut().handle_notes(tag, vec![note], self.now);
            } else if let Some(out) = self.out.remove(&tag) {
                self.core.scheduler_mut().handle_done(tag, out.done, self.now);
            }
        }
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
