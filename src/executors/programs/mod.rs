//! Programs as child processes, which need no thread: their pipes and their ends are waited for in the loop.
//!
//! ```text
//! start ──► queue ──wake──► running ──ended, group killed, reaped, pipes drained──► its last notes, its end
//!             │                └─Stop──► SIGTERM ──2 s──► SIGKILL
//!             └─the system is short──► tried again
//! ```
//! A program gets a process group of its own. When its first process has ended, the rest of the group is killed before
//! that process is reaped, as nobody else can have the group's id until then. A process that has left the group and
//! still holds the pipes delays nothing: what is in them is read, and nothing more is awaited.
//!
//! The executor has a poll of its own, whose descriptor the loop's reactor waits for.

mod ends;
mod files;
mod left;
mod polls;
mod running;
mod start;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt, fs, io,
    os::fd::{AsRawFd as _, RawFd},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{Events, Poll};
use rustix::process::Signal;

use super::{Executor, ExecutorReport, data::Commands};
use crate::{
    command::{Action, Begun, Command, Launch},
    engine::scheduler::{Capacity, StartPass},
    hash::CounterMap,
    limits::{
        KILLED_PROGRAMS_WAIT, PROGRAM_EVENTS_AT_ONCE, PROGRAM_READ_BYTES, PROGRAM_START_PAUSE_US, PROGRAM_STARTS_MAX,
        PROGRAM_TERM_WAIT_US, PROGRAMS_LOOK_PAUSE,
    },
    pass::{self, Done, FeedOrder, Order, PassEnd, Stop},
    wake::WakeLoop,
};
use files::Files;
use left::Left;
use running::{Interest, Running};
use start::{NotStarted, Plan, Started};

/// Programs and their passes.
pub struct Programs {
    poll: Poll,
    events: Events,
    /// By workflow.
    commands: Arc<[Commands]>,
    /// By workflow and step.
    plans: Vec<Vec<Option<Arc<Plan>>>>,
    setting: Setting,
    /// Programs that are to be started.
    queue: VecDeque<Queued>,
    slots: Vec<Option<Box<Running>>>,
    free: Vec<u32>,
    /// All passes that it has, by tag.
    passes: CounterMap<u64, Location>,
    /// Slots to visit.
    active: VecDeque<u32>,
    /// Slots with notes to take.
    noted: Vec<u32>,
    /// When slots get SIGKILL, on the alive clock.
    kills: BTreeSet<(u64, u32)>,
    reports: VecDeque<ExecutorReport>,
    /// Ends that were evaluated on a thread.
    said: Sender<ExecutorReport>,
    heard: Receiver<ExecutorReport>,
    /// What all programs share for reading.
    buffer: Vec<u8>,
    /// Bytes of output that are held.
    held_bytes: usize,
    /// How many programs may still be started in this turn.
    starts_left: usize,
    /// Why, and until when, the system starts none.
    short: Option<(String, u64)>,
    /// When programs are told to end because the server stops.
    stop_us: Option<u64>,
    /// The last known time on the alive clock.
    alive_us: u64,
    /// How many of the running programs have an end that the system does not report.
    unreported: usize,
    files: Files,
    left: Option<Left>,
}

/// How programs are run.
pub struct Setting {
    /// How many run at a time.
    pub programs_max: usize,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Whether ends of passes are recorded.
    pub makes_records: bool,
    /// Wakes the loop.
    pub wake_loop: WakeLoop,
}

/// Where a pass is.
#[derive(Clone, Copy, Debug)]
enum Location {
    Queued,
    Slot(u32),
    /// Its program has ended, and a thread evaluates its output.
    Ended,
}

struct Queued {
    tag: u64,
    plan: Arc<Plan>,
    launch: Box<Launch>,
    label: Box<str>,
    state_version: u64,
}

impl Programs {
    /// Creates the executor. Ends the programs that an earlier server has left behind.
    ///
    /// # Errors
    /// If the system has no descriptor for it.
    pub fn new(commands: Arc<[Commands]>, setting: Setting) -> io::Result<Self> {
        let directory = setting.data.as_ref().map(|data| data.join(DIRECTORY));
        let left = directory.as_deref().and_then(|directory| match Left::open(directory) {
            Ok((left, ended)) => {
                if ended > 0 {
                    log::warn!("{ended} programs of an earlier server were still running; they are killed");
                }
                Some(left)
            }
            Err(error) => {
                log::warn!("{}: {error}; programs will not be found after a crash", directory.display());
                None
            }
        });
        let plan = |command: &Arc<Command>| match &command.action {
            Action::Run(program) => Some(Arc::new(Plan::new(program))),
            Action::Wait(..) | Action::Emit(_) => None,
        };
        let plans = commands.iter().map(|of| of.steps.iter().map(|step| step.as_ref().and_then(plan)).collect());
        let (said, heard) = unbounded();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(PROGRAM_EVENTS_AT_ONCE),
            plans: plans.collect(),
            commands,
            setting,
            queue: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            passes: CounterMap::default(),
            active: VecDeque::new(),
            noted: Vec::new(),
            kills: BTreeSet::new(),
            reports: VecDeque::new(),
            said,
            heard,
            buffer: vec![0; PROGRAM_READ_BYTES],
            held_bytes: 0,
            starts_left: PROGRAM_STARTS_MAX,
            short: None,
            stop_us: None,
            alive_us: 0,
            unreported: 0,
            files: Files::new(directory.as_deref()),
            left,
        })
    }

    /// Returns the descriptor that becomes readable when there is something to handle.
    pub fn descriptor(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// Waits until all programs have ended, and kills what they leave behind.
    fn wait_for_all(&mut self, at_most: Duration) {
        let looks = at_most.as_micros() / PROGRAMS_LOOK_PAUSE.as_micros();
        for _ in 0..looks {
            self.slots.iter_mut().flatten().for_each(|running| running.look_for_end());
            if self.slots.iter().flatten().all(|running| running.exit.is_some()) {
                return;
            }
            thread::sleep(PROGRAMS_LOOK_PAUSE);
        }
    }

    fn say(&mut self, tag: u64, report: pass::Report) {
        self.reports.push_back(ExecutorReport::Of(tag, report));
    }

    /// Starts a program. Returns whether that was possible now; if not, it is still in the queue.
    fn launch(&mut self, queued: Queued) -> bool {
        let tag = queued.tag;
        match self.try_launch(&queued) {
            Ok((started, state)) => {
                self.short = None;
                let Queued { launch, label, .. } = queued;
                self.add(tag, started, state, *launch, label);
            }
            Err(NotStarted::Short(error)) => {
                if self.short.is_none() {
                    log::warn!("a program cannot be started now, and is tried again: {error}");
                }
                self.short = Some((error.to_string(), self.alive_us + PROGRAM_START_PAUSE_US));
                self.queue.push_front(queued);
                return false;
            }
            Err(NotStarted::Fault(error)) => {
                self.passes.remove(&tag);
                let end = PassEnd::Failed { error, retry: queued.plan.has_retry };
                self.say(tag, pass::Report::Done(Done::of(end).with_version(queued.state_version)));
            }
        }
        true
    }

    /// Returns the program, and the file with the state if that is its own.
    fn try_launch(&mut self, queued: &Queued) -> Result<(Started, Option<PathBuf>), NotStarted> {
        let no_file = |error| start::short(error, |error| format!("the file with the state: {error}"));
        let (state, is_own) = self.files.write(queued.tag, queued.launch.state.as_deref()).map_err(no_file)?;
        let started = queued.plan.start(&queued.launch, &state).inspect_err(|_| {
            if is_own {
                let _ = fs::remove_file(&state);
            }
        })?;
        Ok((started, is_own.then_some(state)))
    }

    /// Gives a program that was started a slot.
    fn add(&mut self, tag: u64, started: Started, state: Option<PathBuf>, launch: Launch, label: Box<str>) {
        let Started { child, stdin, stdout, stderr, secrets } = started;
        let Launch { stdin: input, mut dialogue, .. } = launch;
        dialogue.hide(secrets);
        let mut running = Running::new(tag, child, (stdin, stdout, stderr), input, dialogue, label);
        running.state = state;
        running.record = self.left.as_mut().and_then(|left| left.note(running.group()));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.passes.insert(tag, Location::Slot(slot));
        self.slots[slot as usize] = Some(Box::new(running));
        self.watch(slot);
        self.activate(slot);
    }
}

impl Executor for Programs {
    fn handle_ready(&mut self, alive_us: u64) {
        self.alive_us = alive_us;
        self.starts_left = PROGRAM_STARTS_MAX;
        if self.slots.len() > self.free.len() {
            self.collect();
            self.visit_active();
        }
    }

    fn has_left_notes(&self) -> bool {
        !self.noted.is_empty()
    }

    fn capacity(&self) -> Capacity {
        let free = self.setting.programs_max.saturating_sub(self.passes.len());
        let starts = self.starts_left.saturating_sub(self.queue.len());
        let takes = if self.short.is_some() || self.stop_us.is_some() { 0 } else { free.min(starts) };
        Capacity { at_once: takes, queued: takes }
    }

    fn start(&mut self, pass: StartPass) {
        let StartPass { tag, workflow, step, ref input, grant_bytes } = pass;
        let commands = &self.commands[usize::from(workflow.0)];
        let label = format!(
            "handler={} run={} workflow={} step={} attempt={}",
            input.handler_id,
            input.run_id,
            commands.graph.name,
            commands.graph.step(step).name,
            input.attempt
        );
        let state_version = input.state.version;
        let plan = self.plans[usize::from(workflow.0)][usize::from(step.0)].clone();
        match (commands.begin(pass), plan) {
            (Some(Begun::Launch(mut launch)), Some(plan)) => {
                launch.dialogue.handle_feed(FeedOrder::Grant(grant_bytes));
                self.passes.insert(tag, Location::Queued);
                self.queue.push_back(Queued { tag, plan, launch, label: label.into(), state_version });
            }
            (Some(Begun::Done(done)), _) => self.say(tag, pass::Report::Done(done)),
            _ => self.say(tag, pass::Report::Lost),
        }
    }

    fn order(&mut self, tag: u64, order: Order) {
        match order {
            Order::Stop(Stop::Cancelled | Stop::TimedOut) => self.stop(tag),
            // It is killed in a moment, and delays only its own slot.
            Order::Abandon => {}
            Order::Feed(order) => {
                let given_back = match self.passes.get(&tag) {
                    None => return,
                    Some(&Location::Slot(slot)) => {
                        let Some(running) = &mut self.slots[slot as usize] else { return };
                        let bytes = running.dialogue.handle_feed(order);
                        self.activate(slot);
                        bytes
                    }
                    Some(Location::Queued) => {
                        let queued = self.queue.iter_mut().find(|queued| queued.tag == tag);
                        queued.map_or(0, |queued| queued.launch.dialogue.handle_feed(order))
                    }
                    Some(Location::Ended) => 0,
                };
                if order == FeedOrder::TakeBack {
                    self.say(tag, pass::Report::FeedGivenBack(given_back));
                }
            }
        }
    }

    fn wake(&mut self, alive_us: u64) {
        self.alive_us = alive_us;
        if self.short.as_ref().is_some_and(|(_, until_us)| *until_us > alive_us) {
            return;
        }
        if self.queue.is_empty() {
            self.short = None;
        }
        while self.starts_left > 0 {
            let Some(queued) = self.queue.pop_front() else { break };
            self.starts_left -= 1;
            if !self.launch(queued) {
                return;
            }
        }
        self.visit_active();
    }

    fn poll_report(&mut self, takes_notes: bool) -> Option<ExecutorReport> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        while let Some(slot) = self.noted.pop_if(|_| takes_notes) {
            let Some(running) = self.slots[slot as usize].as_mut().filter(|running| running.listed.is_noted) else {
                continue;
            };
            running.listed.is_noted = false;
            let (tag, notes) = (running.tag, running.dialogue.take_notes());
            self.activate(slot);
            if !notes.is_empty() {
                return Some(ExecutorReport::Of(tag, pass::Report::Noted(notes)));
            }
        }
        let report = self.heard.try_recv().ok()?;
        let (ExecutorReport::Of(tag, _) | ExecutorReport::LargeDone(tag, _)) = &report;
        self.passes.remove(tag);
        Some(report)
    }

    fn overload(&self) -> Option<String> {
        let (error, _) = self.short.as_ref()?;
        Some(format!("programs cannot be started, and wait: {error}"))
    }

    fn handle_time(&mut self, alive_us: u64) {
        self.alive_us = alive_us;
        while let Some(&(_, slot)) = self.kills.first().filter(|(at_us, _)| *at_us <= alive_us) {
            self.kills.pop_first();
            if let Some(running) = &self.slots[slot as usize] {
                running.signal(Signal::KILL);
            }
        }
        if self.stop_us.is_some_and(|at_us| at_us <= alive_us) {
            for slot in 0..self.slots.len() as u32 {
                let running = self.slots[slot as usize].as_ref();
                if running.is_some_and(|running| running.interest == Interest::Wanted) {
                    self.terminate(slot, Interest::Ending);
                }
            }
        }
    }

    fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        let is_full = self.passes.len() >= self.setting.programs_max;
        let is_ready = !self.reports.is_empty() || !self.heard.is_empty() || !self.active.is_empty();
        if is_ready || (self.starts_left == 0 && !is_full && self.stop_us.is_none()) {
            return Some(Duration::ZERO);
        }
        let short_us = self.short.as_ref().map(|(_, until_us)| *until_us);
        let stop_us = self.stop_us.filter(|_| self.slots.iter().flatten().any(|one| one.interest == Interest::Wanted));
        let times_us = [self.kills.first().map(|(at_us, _)| *at_us), short_us, stop_us, self.next_check_us()];
        let next_us = times_us.into_iter().flatten().min()?;
        Some(Duration::from_micros(next_us.saturating_sub(alive_us)))
    }

    /// Programs may continue until shortly before the end; then they are told to end, and their passes run again at the
    /// next start.
    fn begin_stop(&mut self, ends_us: u64, alive_us: u64) {
        self.stop_us = Some(ends_us.saturating_sub(PROGRAM_TERM_WAIT_US).max(alive_us));
        for Queued { tag, .. } in std::mem::take(&mut self.queue) {
            self.passes.remove(&tag);
            self.say(tag, pass::Report::NotBegun);
        }
        self.short = None;
    }
}

/// Leaves no program behind. Those that were not told to end yet get the usual time.
impl Drop for Programs {
    fn drop(&mut self) {
        for slot in 0..self.slots.len() as u32 {
            self.terminate(slot, Interest::Unwanted);
        }
        self.wait_for_all(Duration::from_micros(PROGRAM_TERM_WAIT_US));
        self.slots.iter().flatten().for_each(|running| running.signal(Signal::KILL));
        self.wait_for_all(KILLED_PROGRAMS_WAIT);
        for slot in 0..self.slots.len() as u32 {
            self.take_out(slot);
        }
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Programs").field("passes", &self.passes.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Setting").field("programs_max", &self.programs_max).finish_non_exhaustive()
    }
}

/// The directory in the data directory.
const DIRECTORY: &str = "programs";
