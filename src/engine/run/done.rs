//! Handles the end of a pass: what it emitted, or how it failed.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use super::{
    deferred::{ComesTo, Deferred, Emission},
    end::{cut, seconds},
    facts::{Facts, Reduction},
    scope::ScopePosition,
    work::{Work, WorkPhase},
};
use crate::{
    engine::{
        feed::Feed,
        input::PassId,
        published::{Published, StepOutput, StepState},
    },
    graph::{EventKind, StepType},
    hash,
    limits::{ERROR_BYTES_MAX, EVENT_ERROR_BYTES_MAX, FEED_BYTES_MAX, FEED_BYTES_RESERVED, RUN_WORKS_MAX},
    now::Clock,
    pass::{Done, Emitted, PassEnd, StateUse},
};

/// What a successful pass emitted.
enum Output {
    /// Routed at once.
    AtOnce(Emitted),
    /// Routed in parts.
    InParts(Arc<Emitted>),
}

impl Deref for Output {
    type Target = Emitted;

    fn deref(&self) -> &Emitted {
        match self {
            Self::AtOnce(emitted) => emitted,
            Self::InParts(emitted) => emitted,
        }
    }
}

impl Facts {
    pub(super) fn done(&mut self, reduction: &mut Reduction<'_>, pass: PassId, done: Done) {
        let Some(slot) = self.end_pass(pass) else { return };
        let (number, Done { end, sent, state }) = (pass.work, done);
        let Some(work) = self.works.get(number) else { return };
        let step = reduction.graph.step(work.step);
        if let (Some(error), Some(fault)) = (work.failure(), fault(&end, step)) {
            let error = format!("{error}; then on_failure of step {}: {fault}", step.name);
            self.fail_work(reduction, number, error);
            return;
        }
        match end {
            PassEnd::Returned(returned) => {
                self.returned(reduction, number, slot, Output::AtOnce(Emitted { sent, returned }), state);
            }
            PassEnd::Waits { ordinal, wait } => self.wait(reduction, number, slot, ordinal, wait),
            PassEnd::Failed { error, retry: true } => self.failed(reduction, number, slot, error),
            PassEnd::Failed { error, retry: false } => self.give_up(reduction, number, error),
            PassEnd::Diverged(error) => self.fail_work(reduction, number, error),
            PassEnd::Panicked(_) | PassEnd::TimedOut => {
                let fault = fault(&end, step).unwrap_or_default();
                self.failed(reduction, number, slot, format!("Step {} {fault}", step.name));
            }
        }
    }

    /// Handles a pass that returned, whose events are routed in parts.
    pub(super) fn large_done(
        &mut self,
        reduction: &mut Reduction<'_>,
        pass: PassId,
        emitted: Arc<Emitted>,
        state: StateUse,
    ) {
        if let Some(slot) = self.end_pass(pass) {
            self.returned(reduction, pass.work, slot, Output::InParts(emitted), state);
        }
    }

    /// No attempt is left: the work emits its step's `on_failure` event, which another pass makes, or its run fails.
    fn give_up(&mut self, reduction: &mut Reduction<'_>, number: u64, error: String) {
        let Some(work) = self.works.get(number) else { return };
        let (step, attempts) = (work.step, work.attempt);
        if reduction.graph.step(step).on_failure.is_none() {
            self.fail_work(reduction, number, error);
            return;
        }
        let error = cut(error, ERROR_BYTES_MAX);
        self.change(number, |work| {
            work.conflicts = 0;
            work.memory_mut().failure = Some(error.as_str().into());
        });
        let error = cut(error, EVENT_ERROR_BYTES_MAX);
        self.publish(reduction, Published::StepFailed { step, error, attempts });
        self.launch_unless_held(reduction, number);
    }

    /// Publishes that the work no longer runs and the visible events, frees the slot, routes sent and then returned
    /// events.
    fn returned(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16, output: Output, used: StateUse) {
        if self.state.conflicts(&used) {
            self.run_again(reduction, number);
            return;
        }
        let Some(work) = self.works.get(number) else { return };
        let comes_to = match self.check_output(reduction, work, &output) {
            Ok(comes_to) => comes_to,
            Err(error) => return self.fail_work(reduction, number, error.to_string()),
        };
        if let Err(error) = self.state.apply(used.writes) {
            let error = error.to_string();
            // The same writes would fail again.
            if work.failure().is_some() {
                self.fail_work(reduction, number, error);
            } else {
                self.give_up(reduction, number, error);
            }
            return;
        }
        let Some(work) = self.works.remove(number) else { return };
        self.uncount(&work);
        let shown_output = output.returned.first().map_or(StepOutput::Nothing, |(event, _)| StepOutput::Event(*event));
        self.publish_done(reduction, &work, slot, shown_output);
        let stop =
            output.returned.iter().find(|(event, _)| *event == reduction.graph.stop).map(|(_, value)| value.clone());
        if stop.is_some() || matches!(output, Output::AtOnce(_)) {
            for (event, value) in output.iter() {
                if reduction.graph.event(*event).kind == EventKind::InputRequired {
                    self.show_question(reduction, *event, value.clone());
                }
            }
        }
        if let Some(value) = stop {
            return self.complete(reduction, value);
        }
        self.free_slot(reduction, work.step, slot);
        let step = reduction.graph.step(work.step);
        // A failed work opens no scope: its one event replaces everything that it would have emitted.
        let opens = !step.closers.is_empty() && work.failure().is_none();
        let opened = opens.then(|| self.open_scope(&work, output.len()));
        match output {
            Output::AtOnce(emitted) => self.emit(reduction, &work, opened.as_ref(), emitted),
            Output::InParts(emitted) => {
                let opened = opened.map(|position| position.scope);
                let emission = Emission::new(work.step, work.position.clone(), opened, emitted, comes_to);
                self.cost_bytes += emission.cost_bytes();
                self.defer(Deferred::Emission(emission));
            }
        }
        reduction.leave_work(work);
    }

    /// Turns everything that a pass emitted into works.
    fn emit(&mut self, reduction: &mut Reduction<'_>, work: &Work, opened: Option<&ScopePosition>, emitted: Emitted) {
        let Emitted { sent, returned } = emitted;
        let around = work.position.as_deref();
        let returns_inside = opened.is_some() && reduction.graph.step(work.step).fan_out;
        let inside = opened.or(around);
        let mut index = 0;
        for event in sent {
            self.route(reduction, event, inside, index);
            index += 1;
        }
        for event in returned {
            self.route(reduction, event, if returns_inside { inside } else { around }, index);
            index += 1;
        }
        for ScopePosition { scope, .. } in opened.into_iter().chain(around) {
            self.leave_scope(reduction, *scope);
        }
    }

    /// Checks that the output fits the graph and the limits of the run. Returns how much work it leads to, or the error
    /// that fails the run.
    fn check_output(&self, reduction: &Reduction<'_>, work: &Work, output: &Emitted) -> Result<ComesTo, OutputError> {
        let graph = reduction.graph;
        let error = |fault| OutputError { step: graph.step(work.step).name.clone(), fault };
        let (mut comes_to, mut shown_bytes) = (ComesTo::default(), STEP_BYTES);
        for (event, value) in output.iter() {
            let Some(kind) = graph.events.get(usize::from(event.0)).map(|event| event.kind) else {
                return Err(error(OutputFault::UnknownType));
            };
            if *event == graph.stop || kind == EventKind::InputRequired {
                shown_bytes += VALUE_BYTES + value.as_str().len();
            }
            let of_event = ComesTo::of(graph, *event);
            comes_to = comes_to.and(of_event);
            shown_bytes += 2 * STEP_BYTES * of_event.works;
        }
        let all = self.owed().and(comes_to);
        let works_then = self.works.len() - 1 + all.works;
        if comes_to.works > 0 && (works_then > RUN_WORKS_MAX || self.scopes.len() > RUN_WORKS_MAX) {
            return Err(error(OutputFault::Works(works_then)));
        }
        let collected_then = self.collected as usize + all.collected;
        if comes_to.collected > 0 && collected_then > RUN_WORKS_MAX {
            return Err(error(OutputFault::Collected(collected_then)));
        }
        let ends = output.returned.iter().any(|(event, _)| *event == graph.stop);
        let reserved_bytes = if ends { 0 } else { FEED_BYTES_RESERVED };
        self.check_bytes(shown_bytes, reserved_bytes).map_err(|full| error(OutputFault::Feed(full)))?;
        Ok(comes_to)
    }

    /// Checks that there is room in the feed for this event.
    pub(super) fn check_room(&self, event: &Published) -> Result<(), FeedFull> {
        self.check_bytes(STEP_BYTES + Feed::cost_bytes(event), FEED_BYTES_RESERVED)
    }

    fn check_bytes(&self, bytes: usize, reserved_bytes: usize) -> Result<(), FeedFull> {
        if self.feed_is_window || self.feed_bytes.saturating_add(bytes) <= FEED_BYTES_MAX - reserved_bytes {
            return Ok(());
        }
        Err(FeedFull)
    }

    /// Handles a failed attempt: the work is retried after a delay, or fails.
    fn failed(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16, error: String) {
        let Some(work) = self.works.get_mut(number) else { return };
        let elapsed = Duration::from_micros(reduction.now.alive_us.saturating_sub(work.began_us));
        let retry = &reduction.graph.step(work.step).retry;
        let Some(delay) = retry.policy(work.attempt, elapsed, seed(self.id, number, work.attempt)) else {
            self.give_up(reduction, number, error);
            return;
        };
        work.conflicts = 0;
        let (step, attempt) = (work.step, work.attempt);
        let (error, next_us) = (cut(error, EVENT_ERROR_BYTES_MAX), reduction.now.deadline(Clock::Wall, delay).at_us);
        self.publish_not_running(reduction, number, slot);
        self.publish(reduction, Published::Retried { step, error, attempt, next_us });
        let timer = self.arm(reduction, number, Clock::Wall, delay);
        if let Some(work) = self.works.get_mut(number) {
            work.phase = WorkPhase::Delayed(timer);
        }
        self.free_slot(reduction, step, slot);
    }

    /// Publishes that the work does not run, as its pass waits or has failed.
    pub(super) fn publish_not_running(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16) {
        let Some(work) = self.works.get(number) else { return };
        let (step, input) = (work.step, work.input(reduction.graph));
        let (state, output) = (StepState::NotRunning, StepOutput::None);
        self.publish(reduction, Published::Step { step, state, slot: Some(slot), input, output });
    }

    fn publish_done(&mut self, reduction: &mut Reduction<'_>, work: &Work, slot: u16, output: StepOutput) {
        let (step, input, state) = (work.step, work.input(reduction.graph), StepState::NotRunning);
        self.publish(reduction, Published::Step { step, state, slot: Some(slot), input, output });
    }
}

/// Why the output of a pass fails its run.
struct OutputError {
    step: Box<str>,
    fault: OutputFault,
}

enum OutputFault {
    /// An event has a type that the workflow does not have.
    UnknownType,
    /// The run would have so many works.
    Works(usize),
    /// Fan-ins would have so many events to collect.
    Collected(usize),
    Feed(FeedFull),
}

/// There is no room in the feed.
pub(super) struct FeedFull;

impl fmt::Display for OutputError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, fault } = self;
        match fault {
            OutputFault::UnknownType => {
                write!(out, "Step {step} gave out an event of a type that the workflow does not have")
            }
            OutputFault::Works(works) => {
                write!(out, "Step {step} would give its run {works} works at once; it may have {RUN_WORKS_MAX}")
            }
            OutputFault::Collected(events) => {
                write!(out, "Step {step} would leave {events} events to fan-ins; they may be {RUN_WORKS_MAX}")
            }
            OutputFault::Feed(full) => write!(out, "Step {step}: {full}"),
        }
    }
}

impl fmt::Display for FeedFull {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its events would take the run's feed beyond {FEED_BYTES_MAX} bytes: publish less, or in more runs")
    }
}

/// Returns what went wrong in a pass that neither returned nor waits.
fn fault(end: &PassEnd, step: &StepType) -> Option<String> {
    match end {
        PassEnd::Returned(_) | PassEnd::Waits { .. } => None,
        PassEnd::Failed { error, .. } | PassEnd::Diverged(error) => Some(error.clone()),
        PassEnd::Panicked(message) => Some(format!("panicked: {message}")),
        PassEnd::TimedOut => Some(format!("timed out after {} seconds", seconds(step.timeout.unwrap_or_default()))),
    }
}

/// Returns the seed of a retry's jitter, mixed so that seeds of neighbours are unrelated.
fn seed(run: uuid::Uuid, work: u64, attempt: u32) -> u64 {
    let (high, low) = run.as_u64_pair();
    [high, low, work, u64::from(attempt)]
        .into_iter()
        .fold(0, |seed, part| hash::first_half((seed ^ part).wrapping_add(hash::INCREMENT)))
}

/// An upper bound of what a [`Published::Step`], or an event without its value, takes in the feed.
const STEP_BYTES: usize = 16;
const VALUE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Replays compute delays again, so these must never change.
    #[test]
    fn known_attempts_have_known_seeds() {
        let run = uuid::Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f50_6172_8394_a5b6);
        let cases = [
            (uuid::Uuid::nil(), 0, 1, 0x81e2_836e_8262_e46f),
            (run, 0, 1, 0x962d_cad1_8e47_64d9),
            (run, 0, 2, 0x6d1c_06d5_fb32_0f6e),
            (run, 1, 1, 0x1252_5c3e_9bca_053a),
            (uuid::Uuid::max(), u64::MAX, u32::MAX, 0x0956_8cac_df42_172e),
        ];
        for (run, work, attempt, expected) in cases {
            assert_eq!(seed(run, work, attempt), expected, "{run} {work} {attempt}");
        }
    }
}
