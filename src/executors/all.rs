//! The executors of a server together, each with a lane of its own, so that none holds up another.

use std::{io, os::fd::RawFd, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Executor, ExecutorReport,
    data::{Commands, Data},
    programs::{Programs, Setting},
    threads::{StepBody, Threads},
};
use crate::{
    command::Action,
    engine::scheduler::{Lane, Scheduler, StepLanes},
    limits::PROGRAM_TERM_WAIT_US,
    now::Now,
    wake::WakeLoop,
    workflow::{Runs, Workflow},
};

/// The executors of a server.
pub struct Executors {
    /// By lane.
    executors: Vec<Box<dyn Executor>>,
    /// What becomes readable when a program has something for its executor.
    descriptor: Option<RawFd>,
}

/// What the executors may take.
#[derive(Debug)]
pub struct Sizes {
    /// Threads at most.
    pub workers: usize,
    /// Programs at most.
    pub programs_max: usize,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Whether ends of passes are recorded.
    pub makes_records: bool,
}

impl Executors {
    /// Creates the executors for these workflows. `wake_loop` wakes the loop from another thread.
    ///
    /// # Errors
    /// If the system has no descriptor for waiting for programs.
    pub fn new(workflows: &[Workflow], sizes: Sizes, wake_loop: WakeLoop) -> io::Result<Self> {
        let Sizes { workers, programs_max, data, makes_records } = sizes;
        let bodies = workflows.iter().map(StepBody::of).collect();
        let commands: Arc<[Commands]> = workflows.iter().map(Commands::of).collect();
        let has_programs = workflows.iter().flat_map(Workflow::all_runs).any(runs_program);
        let setting = Setting { programs_max, data, makes_records, wake_loop: Arc::clone(&wake_loop) };
        let programs = has_programs.then(|| Programs::new(Arc::clone(&commands), setting)).transpose()?;
        let descriptor = programs.as_ref().map(Programs::descriptor);
        let threads = Threads::new(workers, bodies, makes_records, wake_loop);
        // In the order of their lanes.
        let mut executors: Vec<Box<dyn Executor>> = vec![Box::new(threads), Box::new(Data::new(commands))];
        executors.extend(programs.map(|programs| Box::new(programs) as _));
        Ok(Self { executors, descriptor })
    }

    /// Returns which executor runs which step, by workflow and step; nothing if threads run all of them.
    pub fn lanes(workflows: &[Workflow]) -> Vec<Vec<StepLanes>> {
        let is_data = |runs: &Runs| matches!(runs, Runs::Command(_));
        if !workflows.iter().flat_map(Workflow::all_runs).any(is_data) {
            return Vec::new();
        }
        workflows.iter().map(|workflow| workflow.all_runs().map(lanes).collect()).collect()
    }

    /// Returns the descriptor that becomes readable when a program has something for the executors.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.descriptor
    }

    /// To be called once a turn before [`Executors::poll_report`].
    pub fn handle_ready(&mut self, alive_us: u64) {
        self.executors.iter_mut().for_each(|executor| executor.handle_ready(alive_us));
    }

    /// Returns the next report: see [`Executor::poll_report`].
    pub fn poll_report(&mut self, takes_notes: bool) -> Option<ExecutorReport> {
        self.executors.iter_mut().find_map(|executor| executor.poll_report(takes_notes))
    }

    /// Returns whether notes were left with their passes.
    pub fn has_left_notes(&self) -> bool {
        self.executors.iter().any(|executor| executor.has_left_notes())
    }

    /// Passes orders and, if `starts`, passes on to them.
    pub fn hand_out(&mut self, scheduler: &mut Scheduler, starts: bool, now: Now) {
        super::hand_out(scheduler, &mut self.executors, starts, now);
    }

    /// Does what is due at this time.
    pub fn handle_time(&mut self, alive_us: u64) {
        self.executors.iter_mut().for_each(|executor| executor.handle_time(alive_us));
    }

    /// Returns when the loop must call again although nothing wakes it.
    pub fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        self.executors.iter().filter_map(|executor| executor.poll_timeout(alive_us)).min()
    }

    /// The server stops, and ends at this time.
    pub fn begin_stop(&mut self, ends_us: u64, alive_us: u64) {
        self.executors.iter_mut().for_each(|executor| executor.begin_stop(ends_us, alive_us));
    }
}

fn runs_program(runs: &Runs) -> bool {
    matches!(runs, Runs::Command(command) if matches!(command.action, Action::Run(_)))
}

fn lanes(runs: &Runs) -> StepLanes {
    let of = |first, later| StepLanes { first, later, failure: DATA, retries_time_outs: true, ends_after_us: 0 };
    match runs {
        Runs::Body(_) => StepLanes { failure: THREADS, ..of(THREADS, THREADS) },
        Runs::Command(command) => match &command.action {
            Action::Wait(..) | Action::Emit(_) => of(DATA, DATA),
            Action::Run(program) => {
                let first = if command.ask.is_some() { DATA } else { PROGRAMS };
                let (retries_time_outs, ends_after_us) = (program.has_retry, PROGRAM_TERM_WAIT_US);
                StepLanes { retries_time_outs, ends_after_us, ..of(first, PROGRAMS) }
            }
        },
    }
}

/// In the order of [`Executors::new`].
const THREADS: Lane = Lane(0);
const DATA: Lane = Lane(1);
const PROGRAMS: Lane = Lane(2);
