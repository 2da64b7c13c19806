//! The threads' side: workers that empty one queue of jobs, and what they share with the loop's side.

use std::{
    cell::Cell,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender};

use crate::{
    executors::ExecutorReport,
    limits::WORKER_IDLE,
    pass::{PassEnd, PassInput},
    wake::WakeLoop,
    workflow::{Body, link::PassLink},
};

pub(super) struct Job {
    pub(super) tag: u64,
    pub(super) body: Body,
    pub(super) input: PassInput,
    pub(super) link: Arc<PassLink>,
}

pub(super) enum Said {
    Noted(u64),
    FeedWanted(u64, usize),
    Panicked(u64, String),
    Ended(u64, ExecutorReport),
    Lost(u64),
}

/// Workers that wait, and calls that they have not followed yet. A channel would spin before it sleeps.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) idle: usize,
    pub(super) called: usize,
    /// The pool is gone: every thread ends.
    pub(super) closed: bool,
}

pub(super) struct Shared {
    pub(super) jobs: Sender<Job>,
    pub(super) queue: Receiver<Job>,
    pub(super) roster: Mutex<Roster>,
    pub(super) called: Condvar,
    pub(super) said: Sender<Said>,
    /// Whether there is a journal, so that records are needed.
    pub(super) makes_records: bool,
    pub(super) wake_loop: WakeLoop,
    /// Set by the worker that wakes the loop, cleared by the loop: one wake-up per turn is enough.
    pub(super) is_woken: AtomicBool,
    pub(super) threads: AtomicUsize,
    pub(super) threads_max: AtomicUsize,
    /// Jobs wait and no worker is left to be called: the loop does not check by itself, every report wakes it.
    pub(super) saturated: AtomicBool,
    /// Whether the system last refused a thread: it is asked again each millisecond, and this is logged once.
    pub(super) short: AtomicBool,
}

/// A pass that a thread runs and has not reported. If the thread dies of an uncaught panic, such as one in a
/// destructor, this reports it instead.
struct Unreported<'a> {
    shared: &'a Shared,
    tag: Option<u64>,
}

impl Shared {
    pub(super) fn wake_loop(&self) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            (self.wake_loop)();
        }
    }

    /// Wakes an idle worker. Returns `false` if there is none.
    pub(super) fn call_idle(&self) -> bool {
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

    /// Waits as an idle worker for a call. Returns `false` if none came. Checks the queue first, as nobody calls a
    /// worker for a job that was added before the worker counted as idle.
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

    /// No step runs under this lock, so no panic can leave it half-changed.
    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(self: &Arc<Self>) -> bool {
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

    /// The main function of a worker.
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
        let Job { tag, body, input, link } = job;
        if !link.begin() {
            return;
        }
        let mut unreported = Unreported { shared: self, tag: Some(tag) };
        let done = body(input, &link);
        drop(link);
        let panic = LAST_PANIC.take();
        if let (PassEnd::Panicked(_), Some(text)) = (&done.end, panic) {
            let _ = self.said.send(Said::Panicked(tag, text));
        }
        let end = ExecutorReport::of_end(tag, done, self.makes_records);
        unreported.tag = None;
        let _ = self.said.send(Said::Ended(tag, end));
        if self.queue.is_empty() || self.saturated.load(Ordering::SeqCst) {
            self.wake_loop();
        }
    }

    /// Returns whether this thread was replaced while it hung, and is now surplus.
    fn is_surplus(&self) -> bool {
        let max = self.threads_max.load(Ordering::Acquire);
        let shrink = |threads: usize| (threads > max).then(|| threads - 1);
        self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, shrink).is_ok()
    }
}

impl Drop for Unreported<'_> {
    fn drop(&mut self) {
        if let Some(tag) = self.tag {
            self.shared.threads.fetch_sub(1, Ordering::AcqRel);
            let _ = self.shared.said.send(Said::Lost(tag));
            self.shared.wake_loop();
        }
    }
}

thread_local! {
    /// What the panic hook last recorded on this worker.
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// To be called by the panic hook on a worker, with the position and message of a step's panic. Reported as
/// [`Report::Panicked`](crate::pass::Report::Panicked) if the panic ends the pass.
pub fn note_panic(text: String) {
    LAST_PANIC.set(Some(text));
}

/// The name of every worker thread.
pub const THREAD_NAME: &str = "steprill-worker";
