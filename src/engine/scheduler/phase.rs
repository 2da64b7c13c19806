//! The phase of a handler's newest run: what each holds, what it makes of an input, and how it is counted.
//! [`life`](super::life) has the transitions.

use std::mem;

use crate::{
    engine::{
        input::{Input, Outcome},
        run::Run,
    },
    graph::StepId,
    values::Values,
};

/// The phase of a handler's newest run, and how it is counted.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) phase: Phase,
    /// What [`Tally`](super::count::Tally) has counted for it.
    pub(super) counted: Share,
}

/// The phase of a run.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits in its workflow's queue, or runs.
    Running(Box<Run>),
    /// A commit has failed, and the run was loaded as committed before. It gets inputs after a pause, as their effects
    /// could not be committed either.
    BackingOff {
        run: Box<Run>,
        inputs: Vec<Input>,
        /// Whether one of them is [`Input::Admitted`].
        is_admitted: bool,
    },
    /// It only waits, and is only in the store until something arrives for it.
    Parked(Admission),
    /// It has ended.
    Ended(End),
}

/// Whether a parked run is admitted under `max_runs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is in its workflow's queue.
    Waits,
    /// It was admitted, and learns this when it is loaded.
    Pending,
    /// It is admitted.
    Admitted,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// The state with which a run that continues the handler may begin; empty unless the run completed.
    pub(super) state: Values,
    pub(super) completed_us: i64,
    /// What is retained of the run: outcome, state, feed.
    pub(super) bytes: usize,
    /// The step that failed it, if it ended since the server began, for the caller that waits for its end.
    pub(super) failed_step: Option<StepId>,
}

/// What a handler adds to the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Share {
    pub(super) bytes: usize,
    pub(super) standing: Standing,
}

/// The handlers among which it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Standing {
    /// None: it is new, or not resident.
    #[default]
    Uncounted,
    Running {
        is_admitted: bool,
    },
    Parked {
        is_admitted: bool,
    },
    /// It has ended, but that is not committed.
    Ending,
    Finished,
}

impl Standing {
    /// Returns whether it is admitted under `max_runs`.
    pub(super) fn is_admitted(self) -> bool {
        matches!(self, Self::Running { is_admitted: true } | Self::Parked { is_admitted: true })
    }
}

/// What to do with an input.
pub(super) enum Offered<'a> {
    /// The run accepts it.
    Taken(&'a mut Run, Input),
    /// The run is backing off and gets it later.
    Postponed,
    /// The run is parked, and must be loaded.
    Parked,
    /// The run has ended.
    Late(Input),
}

impl Phase {
    /// Returns the phase without the pause, and the inputs that were postponed until its end.
    pub(super) fn without_pause(self) -> (Self, Vec<Input>) {
        match self {
            Self::BackingOff { run, inputs, .. } => (Self::Running(run), inputs),
            phase => (phase, Vec::new()),
        }
    }
}

impl Life {
    /// Creates the life of a run that begins.
    pub(super) fn begun(run: Run) -> Self {
        Self { phase: Phase::Running(Box::new(run)), counted: Share::default() }
    }

    /// Creates the life of a handler from the store.
    pub(super) fn stored() -> Self {
        Self { phase: Phase::Parked(Admission::Waits), counted: Share::default() }
    }

    /// Takes the phase out, to enter the next one.
    pub(super) fn take_phase(&mut self) -> Phase {
        mem::replace(&mut self.phase, Phase::Parked(Admission::Waits))
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Returns the run, if it is resident and has not ended.
    pub(super) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) | Phase::BackingOff { run, .. } => Some(run),
            Phase::Parked(_) | Phase::Ended(_) => None,
        }
    }

    pub(super) fn end(&self) -> Option<&End> {
        if let Phase::Ended(end) = &self.phase { Some(end) } else { None }
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Parked(_))
    }

    /// Returns the inputs that the run gets after a pause; empty unless it is backing off.
    pub(super) fn postponed(&self) -> &[Input] {
        if let Phase::BackingOff { inputs, .. } = &self.phase { inputs } else { &[] }
    }

    /// Returns the phase without the pause, and the inputs that were postponed until its end.
    pub(super) fn into_postponed(self) -> (Phase, Vec<Input>) {
        self.phase.without_pause()
    }

    /// Offers an input to the run. A parked one accepts only its admission; due timers are due again when it is loaded.
    pub(super) fn offer(&mut self, input: Input) -> Offered<'_> {
        match &mut self.phase {
            Phase::Running(run) => Offered::Taken(run, input),
            Phase::BackingOff { inputs, is_admitted, .. } => {
                *is_admitted |= matches!(input, Input::Admitted);
                inputs.push(input);
                Offered::Postponed
            }
            Phase::Parked(admission) => {
                if matches!(input, Input::Admitted) {
                    *admission = Admission::Pending;
                }
                Offered::Parked
            }
            Phase::Ended(_) => Offered::Late(input),
        }
    }

    /// Removes and returns the state with which the run completed, for a run that continues the handler.
    pub(super) fn take_state(&mut self) -> Option<Values> {
        if let Phase::Ended(end) = &mut self.phase { Some(mem::take(&mut end.state)) } else { None }
    }

    pub(super) fn is_admitted(&self) -> bool {
        match &self.phase {
            Phase::Running(run) => run.is_admitted(),
            Phase::BackingOff { run, is_admitted, .. } => *is_admitted || run.is_admitted(),
            Phase::Parked(admission) => *admission != Admission::Waits,
            Phase::Ended(_) => false,
        }
    }

    /// Returns how it is to be counted now.
    pub(super) fn standing(&self, is_end_committed: bool) -> Standing {
        let is_admitted = self.is_admitted();
        match &self.phase {
            Phase::Running(_) | Phase::BackingOff { .. } => Standing::Running { is_admitted },
            Phase::Parked(_) => Standing::Parked { is_admitted },
            Phase::Ended(_) if is_end_committed => Standing::Finished,
            Phase::Ended(_) => Standing::Ending,
        }
    }
}
