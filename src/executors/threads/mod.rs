//! The pool: plain threads that run passes, started on demand and ended after [`WORKER_IDLE`] without work.
//!
//! Jobs are in one queue that every awake worker empties. Waking a thread costs more than a short pass, so the loop
//! wakes one worker for a burst, and more of them for each millisecond that jobs remain in the queue
//! ([`Threads::poll_timeout`]). For the same reason a worker wakes the loop only when it finds no further job; in the
//! meantime the loop checks by itself. When no worker is left to be woken, it stops checking, and every report wakes
//! it.
//!
//! A thread whose pass does not end although it was told to stop is replaced, but at most as many as there are workers.
//!
//! [`WORKER_IDLE`]: crate::limits::WORKER_IDLE

mod worker;

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, unbounded};

use super::{Executor, ExecutorReport};
use crate::{
    engine::scheduler::{Capacity, StartPass},
    graph::StepId,
    hash::CounterMap,
    limits::{HANDED_PASSES_MAX, WORKER_TICK_US},
    pass::{self, FeedOrder, Order, Stop},
    wake::WakeLoop,
    workflow::{
        Body, Runs, Workflow,
        link::{Call, OnCall, PassLink},
    },
};
use worker::{Job, Said, Shared};
pub use worker::{THREAD_NAME, note_panic};

/// Worker threads and their passes.
pub struct Threads {
    shared: Arc<Shared>,
    heard: Receiver<Said>,
    /// Reports that are ready.
    reports: VecDeque<ExecutorReport>,
    /// Passes with notes that were left with them.
    noted: Vec<u64>,
    on_call: OnCall,
    /// By workflow and step; none for a step that another executor runs.
    bodies: Vec<Vec<Option<StepBody>>>,
    /// The passes that it has, by tag.
    passes: CounterMap<u64, Here>,
    /// How many of them are abandoned.
    hanging: usize,
    workers: usize,
    /// How many passes of this turn must not wait behind others.
    urgent: usize,
    /// The number of workers to wake at the next tick.
    ramp: usize,
    /// When that is, on the alive clock, while jobs are in the queue.
    tick_us: Option<u64>,
    /// Whether a pass has ended since jobs were last added, so that some worker is quick.
    progressing: bool,
}

/// The body of a step.
pub struct StepBody {
    /// What a pass of it runs.
    pub body: Body,
    /// Whether its time begins when it is started, so that it must not wait behind others.
    pub is_urgent: bool,
}

struct Here {
    link: Arc<PassLink>,
    is_abandoned: bool,
}

impl StepBody {
    /// Returns the bodies of a workflow, by step.
    pub fn of(workflow: &Workflow) -> Vec<Option<Self>> {
        let steps = workflow.graph().steps.iter().zip(0..);
        let body = |id| match workflow.runs(StepId(id)) {
            Runs::Body(body) => Some(Arc::clone(body)),
            Runs::Command(_) => None,
        };
        steps.map(|(step, id)| Some(Self { body: body(id)?, is_urgent: step.timeout.is_some() })).collect()
    }
}

impl Threads {
    /// Creates a pool of at most `workers` threads that calls `wake_loop` when [`Executor::poll_report`] has something.
    /// `makes_records` says whether ends of passes are recorded, so that workers make the records of large ones.
    pub fn new(workers: usize, bodies: Vec<Vec<Option<StepBody>>>, makes_records: bool, wake_loop: WakeLoop) -> Self {
        let ((jobs, queue), (said, heard)) = (unbounded(), unbounded());
        let shared = Arc::new(Shared {
            jobs,
            queue,
            roster: Mutex::default(),
            called: Condvar::new(),
            said,
            makes_records,
            wake_loop,
            is_woken: AtomicBool::new(false),
            threads: AtomicUsize::new(0),
            threads_max: AtomicUsize::new(workers),
            saturated: AtomicBool::new(false),
            short: AtomicBool::new(false),
        });
        let waking = Arc::clone(&shared);
        let on_call: OnCall = Arc::new(move |tag, call| {
            let _ = waking.said.send(match call {
                Call::Noted => Said::Noted(tag),
                Call::NeedsFeed(bytes) => Said::FeedWanted(tag, bytes),
            });
            waking.wake_loop();
        });
        Self {
            shared,
            heard,
            reports: VecDeque::new(),
            noted: Vec::new(),
            on_call,
            bodies,
            passes: CounterMap::default(),
            hanging: 0,
            workers,
            urgent: 0,
            ramp: 1,
            tick_us: None,
            progressing: false,
        }
    }

    /// Returns the most threads: workers, and those that replace hanging ones.
    fn threads_max(&self) -> usize {
        self.workers + self.hanging.min(self.workers)
    }

    fn set_hanging(&mut self, hanging: usize) {
        self.hanging = hanging;
        self.shared.threads_max.store(self.threads_max(), Ordering::Release);
    }

    /// Forgets a pass that has ended.
    fn take_out(&mut self, tag: u64) {
        if self.passes.remove(&tag).is_some_and(|pass| pass.is_abandoned) {
            self.set_hanging(self.hanging - 1);
        }
    }

    fn take_notes(&self, tag: u64) -> Option<ExecutorReport> {
        let notes = self.passes.get(&tag)?.link.take_notes();
        (!notes.is_empty()).then_some(ExecutorReport::Of(tag, pass::Report::Noted(notes)))
    }

    /// Reports the end of a pass, after its last notes.
    fn end(&mut self, tag: u64, end: ExecutorReport) -> ExecutorReport {
        let noted = self.take_notes(tag);
        self.progressing = true;
        self.take_out(tag);
        match noted {
            Some(noted) => {
                self.reports.push_front(end);
                noted
            }
            None => end,
        }
    }

    /// Tells a pass to stop. One that is still in the queue never begins.
    fn stop(&mut self, tag: u64, stop: Stop) {
        if self.passes.get(&tag).is_some_and(|pass| !pass.link.stop(stop)) {
            self.take_out(tag);
            self.reports.push_back(ExecutorReport::Of(tag, pass::Report::NotBegun));
        }
    }

    /// Calls as many workers as wanted and available. Returns how many.
    fn call(&self, wanted: usize) -> usize {
        (0..wanted).take_while(|_| self.shared.call_idle() || self.shared.spawn()).count()
    }
}

impl Executor for Threads {
    /// From here on workers wake the loop again.
    fn handle_ready(&mut self, _: u64) {
        self.shared.is_woken.store(false, Ordering::SeqCst);
    }

    fn has_left_notes(&self) -> bool {
        !self.noted.is_empty()
    }

    fn capacity(&self) -> Capacity {
        let here = self.passes.len();
        // Passes that were stopped while queued stay in the queue until a worker takes them.
        let handed = (here - self.hanging).max(self.shared.queue.len());
        Capacity { at_once: self.threads_max().saturating_sub(here), queued: HANDED_PASSES_MAX.saturating_sub(handed) }
    }

    fn start(&mut self, pass: StartPass) {
        let StartPass { tag, workflow, step, input, grant_bytes } = pass;
        let body = &self.bodies[usize::from(workflow.0)][usize::from(step.0)];
        let Some(StepBody { body, is_urgent }) = body else {
            return self.reports.push_back(ExecutorReport::Of(tag, pass::Report::Lost));
        };
        self.urgent += usize::from(*is_urgent);
        let link = Arc::new(PassLink::new(tag, Arc::clone(&self.on_call), grant_bytes));
        self.passes.insert(tag, Here { link: Arc::clone(&link), is_abandoned: false });
        let _ = self.shared.jobs.send(Job { tag, body: Arc::clone(body), input, link });
    }

    fn order(&mut self, tag: u64, order: Order) {
        match order {
            Order::Stop(stop) => self.stop(tag, stop),
            Order::Abandon => {
                let pass = self.passes.get_mut(&tag);
                if pass.is_some_and(|pass| !std::mem::replace(&mut pass.is_abandoned, true)) {
                    self.set_hanging(self.hanging + 1);
                }
            }
            Order::Feed(order) => {
                let Some(pass) = self.passes.get(&tag) else { return };
                let bytes = pass.link.order(order);
                if order == FeedOrder::TakeBack {
                    self.reports.push_back(ExecutorReport::Of(tag, pass::Report::FeedGivenBack(bytes)));
                }
            }
        }
    }

    fn wake(&mut self, alive_us: u64) {
        let (queued, urgent) = (self.shared.queue.len(), std::mem::take(&mut self.urgent));
        if queued == 0 {
            return;
        }
        let asleep = self.shared.roster().idle == self.shared.threads.load(Ordering::Acquire);
        let saturated = self.shared.saturated.load(Ordering::SeqCst);
        let wanted = if asleep || saturated || !self.progressing { urgent.max(1) } else { urgent };
        let called = self.call(wanted.min(queued));
        if called > 0 || !saturated {
            self.shared.saturated.store(false, Ordering::SeqCst);
            self.tick_us.get_or_insert(alive_us + WORKER_TICK_US);
        }
        self.progressing = false;
    }

    fn poll_report(&mut self, takes_notes: bool) -> Option<ExecutorReport> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        while let Some(tag) = self.noted.pop_if(|_| takes_notes) {
            if let Some(noted) = self.take_notes(tag) {
                return Some(noted);
            }
        }
        loop {
            let of = |tag, report| ExecutorReport::Of(tag, report);
            return Some(match self.heard.try_recv().ok()? {
                Said::Panicked(tag, text) => of(tag, pass::Report::Panicked(text)),
                Said::FeedWanted(tag, bytes) => of(tag, pass::Report::FeedWanted(bytes)),
                Said::Noted(tag) if !takes_notes => {
                    self.noted.push(tag);
                    continue;
                }
                Said::Noted(tag) => match self.take_notes(tag) {
                    Some(noted) => noted,
                    None => continue,
                },
                Said::Ended(tag, end) => self.end(tag, end),
                Said::Lost(tag) => {
                    // Its thread is gone, so another one is needed for what is in the queue.
                    self.shared.saturated.store(false, Ordering::SeqCst);
                    self.tick_us.get_or_insert(0);
                    self.end(tag, of(tag, pass::Report::Lost))
                }
            });
        }
    }

    fn overload(&self) -> Option<String> {
        // As many as there are workers are replaced.
        (self.hanging > self.workers).then(|| {
            format!(
                "{} passes were told to stop and do not end; {} of their threads are replaced, and work waits for the \
                 others (see the log for their steps)",
                self.hanging, self.workers
            )
        })
    }

    /// Calls more workers for jobs that are still in the queue after a millisecond, twice as many each time, until
    /// there are no more.
    fn handle_time(&mut self, alive_us: u64) {
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
                // Without any thread nothing wakes the loop, so try again to start one.
                let saturated = called == 0 && self.shared.threads.load(Ordering::Acquire) > 0;
                self.tick_us = (!saturated).then_some(alive_us + WORKER_TICK_US);
                self.shared.saturated.store(saturated, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    /// The queue is examined first: a worker that did not wake the loop saw a job there after it had sent its report,
    /// so if the queue is empty that report is seen here.
    fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        let queued = !self.shared.queue.is_empty();
        if !self.reports.is_empty() || !self.heard.is_empty() {
            return Some(Duration::ZERO);
        }
        let tick_us = self.tick_us.filter(|_| queued)?;
        Some(Duration::from_micros(tick_us.saturating_sub(alive_us)))
    }
}

/// Tells running passes to stop; those in the queue never begin, and every thread ends.
impl Drop for Threads {
    fn drop(&mut self) {
        for pass in self.passes.values() {
            pass.link.stop(Stop::Cancelled);
        }
        self.shared.roster().closed = true;
        self.shared.called.notify_all();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Threads").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl fmt::Debug for StepBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StepBody").field("is_urgent", &self.is_urgent).finish_non_exhaustive()
    }
}
