//! The pool: plain threads that run passes, started on demand and ended after [`WORKER_IDLE`] without work.
//!
//! Jobs stand in one queue that every awake worker empties. Waking a thread costs more than a short pass, so the loop
//! wakes one worker for a burst and, each millisecond that jobs still stand there, more of them
//! ([`Pool::poll_timeout`]). For the same reason a worker rings for the loop only when it finds no further job; the
//! loop looks by itself meanwhile. When no worker is left to be called, it stops looking, and every report rings.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{
    engine::record::LargeDone,
    hash::CounterMap,
    limits::{EVENTS_AT_ONCE, HANDED_PASSES_MAX, WORKER_IDLE, WORKER_RECORD_BYTES_MIN},
    pass::{Done, Emitted, FeedOrder, Note, PassEnd, PassInput, Stop},
    workflow::{
        Body,
        line::{Bell, Call, Line},
    },
};

/// Wakes the loop from another thread.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// Worker threads and the passes they have.
pub struct Pool {
    shared: Arc<Shared>,
    heard: Receiver<Said>,
    /// The end of a pass whose last notes were given first.
    ended: Option<Report>,
    /// Passes that have said that there are notes, which were left with them.
    noted: Vec<u64>,
    bell: Bell,
    /// Lines of the passes that are out, by tag.
    lines: CounterMap<u64, Arc<Line>>,
    workers: usize,
    /// Workers to wake at the next tick.
    ramp: usize,
    /// When that is, on the alive clock, while jobs stand in the queue.
    tick_us: Option<u64>,
    /// Whether a report has come since jobs were handed over last: some worker is quick.
    progressing: bool,
}

/// What a worker says.
#[derive(Debug)]
pub enum Report {
    /// The pass has noted this.
    Noted(u64, Vec<Note>),
    /// The pass waits until it may stream so many bytes more.
    FeedWanted(u64, usize),
    /// The pass has panicked: where, and what it said. Its end follows.
    Panicked(u64, String),
    /// The pass has ended.
    Done(u64, Done),
    /// It has ended and given out a great deal.
    LargeDone(u64, Box<LargeDone>),
}

struct Job {
    tag: u64,
    body: Body,
    input: PassInput,
    line: Arc<Line>,
}

enum Said {
    Noted(u64),
    FeedWanted(u64, usize),
    Panicked(u64, String),
    Done(u64, Done),
    LargeDone(u64, Box<LargeDone>),
}

/// Workers that wait, and calls that they have not yet followed. A channel would spin before it sleeps.
#[derive(Default)]
struct Roster {
    idle: usize,
    called: usize,
    /// The pool is gone: every thread ends.
    closed: bool,
}

struct Shared {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    roster: Mutex<Roster>,
    called: Condvar,
    said: Sender<Said>,
    /// Whether there is a journal, so that records are needed.
    makes_records: bool,
    ring: Ring,
    /// Set by the ringer, cleared by the loop: one wake-up a turn is enough.
    rung: AtomicBool,
    threads: AtomicUsize,
    threads_max: AtomicUsize,
    /// Jobs wait and no worker is left to be called: the loop does not look by itself, every report rings.
    saturated: AtomicBool,
    /// Whether the system gave no thread when one was last asked for: it is asked each millisecond, and said once.
    short: AtomicBool,
}

impl Pool {
    /// A pool of at most `workers` threads that calls `ring` when there is something for [`Pool::poll_report`].
    /// `makes_records`: whether ends of passes are recorded, so that workers make the records of large ones.
    pub fn new(workers: usize, makes_records: bool, ring: Ring) -> Self {
        let ((jobs, queue), (said, heard)) = (unbounded(), unbounded());
        let shared = Arc::new(Shared {
            jobs,
            queue,
            roster: Mutex::default(),
            called: Condvar::new(),
            said,
            makes_records,
            ring,
            rung: AtomicBool::new(false),
            threads: AtomicUsize::new(0),
            threads_max: AtomicUsize::new(workers),
            saturated: AtomicBool::new(false),
            short: AtomicBool::new(false),
        });
        let ringer = Arc::clone(&shared);
        let bell: Bell = Arc::new(move |tag, call| {
            let _ = ringer.said.send(match call {
                Call::Noted => Said::Noted(tag),
                Call::NeedsFeed(bytes) => Said::FeedWanted(tag, bytes),
            });
            ringer.ring();
        });
        Self {
            shared,
            heard,
            ended: None,
            noted: Vec::new(),
            bell,
            lines: CounterMap::default(),
            workers,
            ramp: 1,
            tick_us: None,
            progressing: false,
        }
    }

    /// Puts a pass into the queue; [`Pool::wake`] follows when all of a turn are there.
    pub fn start(&mut self, tag: u64, body: Body, input: PassInput, grant_bytes: usize) {
        let line = Arc::new(Line::new(tag, Arc::clone(&self.bell), grant_bytes));
        self.lines.insert(tag, Arc::clone(&line));
        let _ = self.shared.jobs.send(Job { tag, body, input, line });
    }

    /// Sees that the queue is worked on. `urgent`: as many of its jobs as must not wait behind others.
    pub fn wake(&mut self, urgent: usize, alive_us: u64) {
        let queued = self.shared.queue.len();
        if queued == 0 {
            return;
        }
        let asleep = self.shared.roster().idle == self.shared.threads.load(Ordering::Acquire);
        let saturated = self.shared.saturated.load(Ordering::SeqCst);
        let wanted = if asleep || saturated || !self.progressing { urgent.max(1) } else { urgent };
        let called = self.call(wanted.min(queued));
        if called > 0 || !saturated {
            self.shared.saturated.store(false, Ordering::SeqCst);
            self.tick_us.get_or_insert(alive_us + TICK_US);
        }
        self.progressing = false;
    }

    /// Jobs that still stand in the queue after a millisecond get more workers, twice as many each time, until there
    /// are no more.
    pub fn handle_time(&mut self, alive_us: u64) {
        let queued = self.shared.queue.len();
        match self.tick_us {
            _ if queued == 0 => {
                self.ramp = 1;
                self.tick_us = None;
                self.shared.saturated.store(false, Ordering::SeqCst);
            }
            Some(tick_us) if tick_us <= alive_us => {
                let called = self.call(self.ramp.min(queued));
                self.ramp = (self.ramp * 2).min(self.workers.max(1));
                // Without any thread at all there is nobody to ring: the system is asked again.
                let saturated = called == 0 && self.shared.threads.load(Ordering::Acquire) > 0;
                self.tick_us = (!saturated).then_some(alive_us + TICK_US);
                self.shared.saturated.store(saturated, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    /// When to look again unasked, while jobs stand in the queue and there may be workers to call.
    ///
    /// The queue is looked at first: a worker that did not ring saw a job there after its report was sent, so with an
    /// empty queue that report is seen here.
    pub fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        let queued = !self.shared.queue.is_empty();
        if self.ended.is_some() || !self.heard.is_empty() {
            return Some(Duration::ZERO);
        }
        let tick_us = self.tick_us.filter(|_| queued)?;
        Some(Duration::from_micros(tick_us.saturating_sub(alive_us)))
    }

    /// To be called once a turn before [`Pool::poll_report`]: from here on workers ring again.
    pub fn handle_rung(&self) {
        self.shared.rung.store(false, Ordering::SeqCst);
    }

    /// Whether notes were left with their passes.
    pub fn has_left_notes(&self) -> bool {
        !self.noted.is_empty()
    }

    /// What workers have said, in order for each pass. Unless `takes_notes`, notes are left with their passes until the
    /// pass has ended: it waits when it has many.
    pub fn poll_report(&mut self, takes_notes: bool) -> Option<Report> {
        if let Some(ended) = self.ended.take() {
            return Some(ended);
        }
        while let Some(tag) = self.noted.pop_if(|_| takes_notes) {
            let notes = self.lines.get(&tag).map(|line| line.take_notes()).unwrap_or_default();
            if !notes.is_empty() {
                return Some(Report::Noted(tag, notes));
            }
        }
        loop {
            let (tag, done) = match self.heard.try_recv().ok()? {
                Said::Panicked(tag, text) => return Some(Report::Panicked(tag, text)),
                Said::FeedWanted(tag, bytes) => return Some(Report::FeedWanted(tag, bytes)),
                Said::Noted(tag) => (tag, None),
                Said::Done(tag, done) => (tag, Some(Report::Done(tag, done))),
                Said::LargeDone(tag, done) => (tag, Some(Report::LargeDone(tag, done))),
            };
            if done.is_none() && !takes_notes {
                self.noted.push(tag);
                continue;
            }
            let notes = self.lines.get(&tag).map(|line| line.take_notes()).unwrap_or_default();
            let noted = (!notes.is_empty()).then_some(Report::Noted(tag, notes));
            let Some(ended) = done else {
                if noted.is_some() {
                    return noted;
                }
                continue;
            };
            self.progressing = true;
            self.lines.remove(&tag);
            return Some(match noted {
                Some(noted) => {
                    self.ended = Some(ended);
                    noted
                }
                None => ended,
            });
        }
    }

    /// Tells a pass to stop. `false`: it still stood in the queue and never begins; nothing more is heard of it.
    pub fn stop(&mut self, tag: u64, stop: Stop) -> bool {
        let begun = self.lines.get(&tag).is_none_or(|line| line.stop(stop));
        if !begun {
            self.lines.remove(&tag);
        }
        begun
    }

    /// Tells a pass about the bytes that it may stream. Returns how many it has given back.
    pub fn order_feed(&mut self, tag: u64, order: FeedOrder) -> usize {
        self.lines.get(&tag).map_or(0, |line| line.order(order))
    }

    /// Whether the queue takes more. Passes that were stopped in it stay until a worker comes to them.
    pub fn has_room(&self) -> bool {
        self.shared.queue.len() < HANDED_PASSES_MAX
    }

    /// So many threads hang and are replaced.
    pub fn set_hanging(&self, hanging: usize) {
        self.shared.threads_max.store(self.workers + hanging.min(self.workers), Ordering::Release);
    }

    /// Calls as many workers as are wanted and there are; how many that was.
    fn call(&self, wanted: usize) -> usize {
        (0..wanted).take_while(|_| self.shared.call_idle() || self.shared.spawn()).count()
    }
}

impl Shared {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            (self.ring)();
        }
    }

    /// Wakes an idle worker; `false` if there is none.
    fn call_idle(&self) -> bool {
        let mut roster = self.roster();
        let idle = roster.idle > 0;
        if idle {
            roster.idle -= 1;
            roster.called += 1;
            drop(roster);
            self.called.notify_one();
        }
        idle
    }

    /// Waits as an idle worker for a call; `false`: none came. A job that was put into the queue before this worker
    /// counts as idle is its own to see: nobody may call it for that one.
    fn wait(&self) -> bool {
        let mut roster = self.roster();
        if !self.queue.is_empty() {
            return true;
        }
        roster.idle += 1;
        let waited = self.called.wait_timeout_while(roster, WORKER_IDLE, |roster| roster.called == 0 && !roster.closed);
        let (mut roster, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let called = roster.called > 0 && !roster.closed;
        if called {
            roster.called -= 1;
        } else {
            roster.idle -= 1;
        }
        called
    }

    /// No step runs under this lock, so a panic cannot leave it half-changed.
    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>) -> bool {
        let max = self.threads_max.load(Ordering::Acquire);
        let grow = |threads: usize| (threads < max).then_some(threads + 1);
        if self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_err() {
            return false;
        }
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name(THREAD_NAME.into()).spawn(move || shared.work());
        if let Err(error) = &started {
            self.threads.fetch_sub(1, Ordering::AcqRel);
            if !self.short.swap(true, Ordering::Relaxed) {
                log::error!("a worker thread does not start: {error}; passes wait for the others");
            }
        } else {
            self.short.store(false, Ordering::Relaxed);
        }
        started.is_ok()
    }

    /// A worker's life.
    fn work(&self) {
        loop {
            while let Ok(job) = self.queue.try_recv() {
                self.run(job);
                if self.is_surplus() {
                    return;
                }
            }
            if !self.wait() {
                self.threads.fetch_sub(1, Ordering::AcqRel);
                return;
            }
        }
    }

    fn run(&self, job: Job) {
        let Job { tag, body, input, line } = job;
        if !line.begin() {
            return;
        }
        let done = body(input, &line);
        drop(line);
        let panic = LAST_PANIC.take();
        if let (PassEnd::Panicked(_), Some(text)) = (&done.end, panic) {
            let _ = self.said.send(Said::Panicked(tag, text));
        }
        let _ = self.said.send(self.end_of(tag, done));
        if self.queue.is_empty() || self.saturated.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// The end of a pass; with its record, if to make that would take the loop long.
    fn end_of(&self, tag: u64, done: Done) -> Said {
        let is_many = |events: usize| events > EVENTS_AT_ONCE as usize;
        let is_large = self.makes_records && done.bytes() >= WORKER_RECORD_BYTES_MIN;
        match done {
            Done { end: PassEnd::Returned(returned), sent, state }
                if is_large || (self.makes_records && is_many(returned.len() + sent.len())) =>
            {
                Said::LargeDone(tag, Box::new(LargeDone::new(Emitted { sent, returned }, state)))
            }
            done => Said::Done(tag, done),
        }
    }

    /// Whether this thread was replaced while it hung, and is one too many now.
    fn is_surplus(&self) -> bool {
        let max = self.threads_max.load(Ordering::Acquire);
        let shrink = |threads: usize| (threads > max).then(|| threads - 1);
        self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, shrink).is_ok()
    }
}

/// Passes that run are told to stop, those in the queue never begin, and every thread ends.
impl Drop for Pool {
    fn drop(&mut self) {
        for line in self.lines.values() {
            line.stop(Stop::Cancelled);
        }
        self.shared.roster().closed = true;
        self.shared.called.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("workers", &self.workers).finish_non_exhaustive()
    }
}

thread_local! {
    /// What the panic hook said last on this worker.
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// To be called by the panic hook on a worker: where the step panicked, and what it said. It comes out as
/// [`Report::Panicked`] if the panic ends the pass.
pub fn note_panic(text: String) {
    LAST_PANIC.set(Some(text));
}

/// How long jobs may stand in the queue before more workers are woken. Most passes are shorter.
const TICK_US: u64 = 1_000;

/// The name of every worker thread.
pub const THREAD_NAME: &str = "steprill-worker";
