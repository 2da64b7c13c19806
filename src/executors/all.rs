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
    now::Now,
    wake::WakeLoop,
    workflow::{Runs, Workflow},
};

/// The executors of a server.
#[derive(Debug)]
pub struct Executors {
    threads: Threads,
    data: Data,
    /// Only if a workflow has a step that runs a program.
    programs: Option<Programs>,
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
        Ok(Self {
            threads: Threads::new(workers, bodies, makes_records, wake_loop),
            data: Data::new(commands),
            programs,
        })
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
        self.programs.as_ref().map(Programs::descriptor)
    }

    /// To be called once a turn before [`Executors::poll_report`].
    pub fn handle_ready(&mut self, alive_us: u64) {
        self.threads.handle_woken();
        if let Some(programs) = &mut self.programs {
            programs.handle_ready(alive_us);
        }
    }

    /// Returns the next report: see [`Executor::poll_report`].
    pub fn poll_report(&mut self, takes_notes: bool) -> Option<ExecutorReport> {
        let report = self.threads.poll_report(takes_notes).or_else(|| self.data.poll_report(takes_notes));
        report.or_else(|| self.programs.as_mut()?.poll_report(takes_notes))
    }

    /// Returns whether notes were left with their passes.
    pub fn has_left_notes(&self) -> bool {
        self.threads.has_left_notes() || self.programs.as_ref().is_some_and(Programs::has_left_notes)
    }

    /// Passes orders and, if `starts`, passes on to them.
    pub fn hand_out(&mut self, scheduler: &mut Scheduler, starts: bool, now: Now) {
        match &mut self.programs {
            None => super::hand_out(scheduler, &mut [&mut self.threads, &mut self.data], starts, now),
            Some(programs) => {
                super::hand_out(scheduler, &mut [&mut self.threads, &mut self.data, programs], starts, now);
            }
        }
    }

    /// Does what is due at this time.
    pub fn handle_time(&mut self, alive_us: u64) {
        self.threads.handle_time(alive_us);
        if let Some(programs) = &mut self.programs {
            programs.handle_time(alive_us);
        }
    }

    /// Returns when the loop must call again although nothing wakes it.
    pub fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        let programs = self.programs.as_ref().and_then(|programs| programs.poll_timeout(alive_us));
        [self.threads.poll_timeout(alive_us), self.data.poll_timeout(alive_us), programs].into_iter().flatten().min()
    }

    /// The server stops, and ends at this time: programs are told to end early enough before.
    pub fn begin_stop(&mut self, ends_us: u64, alive_us: u64) {
        if let Some(programs) = &mut self.programs {
            programs.begin_stop(ends_us, alive_us);
        }
    }
}

fn runs_program(runs: &Runs) -> bool {
    matches!(runs, Runs::Command(command) if matches!(command.action, Action::Run(_)))
}

fn lanes(runs: &Runs) -> StepLanes {
    let of = |first, later| StepLanes { first, later, failure: DATA, retries_time_outs: true };
    match runs {
        Runs::Body(_) => StepLanes { failure: THREADS, ..of(THREADS, THREADS) },
        Runs::Command(command) => match &command.action {
            Action::Wait(..) | Action::Emit(_) => of(DATA, DATA),
            Action::Run(program) => {
                let first = if command.ask.is_some() { DATA } else { PROGRAMS };
                StepLanes { retries_time_outs: program.has_retry, ..of(first, PROGRAMS) }
            }
        },
    }
}

/// In the order of [`Executors::hand_out`].
const THREADS: Lane = Lane(0);
const DATA: Lane = Lane(1);
const PROGRAMS: Lane = Lane(2);
