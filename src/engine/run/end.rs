//! Ends a run: exactly once, and nothing is published after it.

use std::{fmt::Write as _, time::Duration};

use super::{
    facts::{Facts, Reduction, Remnant, RunPhase},
    work::WorkPhase,
};
use crate::{
    engine::{
        input::{Effect, Outcome},
        published::Published,
    },
    graph::{Graph, StepId, StepType},
    json::Json,
    limits::{ERROR_BYTES_MAX, FEED_BYTES_MAX, FEED_BYTES_RESERVED, WASTE_BYTES_MIN},
    pass::EventRef,
};

impl Facts {
    /// A step has returned the stop event.
    pub(super) fn complete(&mut self, reduction: &mut Reduction<'_>, value: Json) {
        self.publish(reduction, Published::Event(EventRef::Known(reduction.graph.stop), value.clone()));
        self.end(reduction, Outcome::Completed(value));
    }

    /// The run was cancelled from outside.
    pub(super) fn cancel(&mut self, reduction: &mut Reduction<'_>) {
        self.publish(reduction, Published::Cancelled);
        self.publish(reduction, Published::Ended { step: None, error: None });
        self.end(reduction, Outcome::Cancelled);
    }

    /// The run's time-out is due.
    pub(super) fn time_out(&mut self, reduction: &mut Reduction<'_>) {
        self.timeout_at_us = None;
        let active = self.active(reduction.graph);
        let names: Vec<&str> = active.iter().map(|step| &*reduction.graph.step(*step).name).collect();
        let steps = match names[..] {
            [] => "No steps active".to_owned(),
            _ => format!("Currently active steps: {}", names.join(", ")),
        };
        let timeout = reduction.graph.timeout.unwrap_or_default();
        let error = cut(format!("Operation timed out after {} seconds. {steps}", seconds(timeout)), ERROR_BYTES_MAX);
        self.publish(reduction, Published::TimedOut { timeout, active });
        self.publish(reduction, Published::Ended { step: None, error: Some(error.clone()) });
        self.end(reduction, Outcome::Failed(error));
    }

    /// Returns the steps that have works, in order.
    fn active(&self, graph: &Graph) -> Vec<StepId> {
        let mut is_active = vec![false; graph.steps.len()];
        for (_, work) in self.works.iter() {
            is_active[usize::from(work.step.0)] = true;
        }
        let steps = is_active.into_iter().enumerate().filter(|(_, is_active)| *is_active);
        steps.map(|(step, _)| StepId(step as u16)).collect()
    }

    /// Fails the run because of a work that runs or has just run.
    pub(super) fn fail_work(&mut self, reduction: &mut Reduction<'_>, number: u64, error: String) {
        let Some(work) = self.works.get(number) else { return };
        let (step, attempts) = (work.step, work.attempt);
        if let WorkPhase::Held { slot } = work.phase {
            self.publish_not_running(reduction, number, slot);
        }
        self.fail(reduction, Some(step), error, attempts);
    }

    /// Ends a run that has nothing left to do. Returns whether it did.
    pub(super) fn end_if_over(&mut self, reduction: &mut Reduction<'_>) -> bool {
        if !self.feed_is_window && self.feed_bytes > FEED_BYTES_MAX - FEED_BYTES_RESERVED {
            let error = format!("the run's feed has reached {FEED_BYTES_MAX} bytes: publish less, or in more runs");
            self.fail(reduction, None, error, 0);
        } else if let Some(error) = self.stuck(reduction.graph) {
            self.fail(reduction, None, error, 0);
        }
        matches!(self.phase, RunPhase::Ended(_))
    }

    /// Returns why a run with nothing left to do can never continue. Answers that wait do not help, as no work is left
    /// that could ask for them.
    pub(super) fn stuck(&self, graph: &Graph) -> Option<String> {
        if !self.works.is_empty() || !self.deferred.is_empty() || graph.can_continue_from_outside() {
            return None;
        }
        let stop = &graph.event(graph.stop).name;
        let mut error = format!("no step is left to run and none returned {stop}");
        let answers: Vec<&str> = graph.open_types().map(|event| &*event.name).collect();
        if !answers.is_empty() {
            let verb = if answers.len() == 1 { "answers" } else { "answer" };
            let _ = write!(error, "; no question is open, and {} only {verb} questions", answers.join(", "));
        }
        Some(error)
    }

    pub(super) fn fail(&mut self, reduction: &mut Reduction<'_>, step: Option<StepId>, error: String, attempts: u32) {
        let error = cut(error, ERROR_BYTES_MAX);
        self.publish(reduction, Published::Failed { step, error: error.clone(), attempts });
        self.publish(reduction, Published::Ended { step, error: Some(error.clone()) });
        self.end(reduction, Outcome::Failed(error));
    }

    /// Retains the state, for continuing the handler, and drops everything else.
    fn end(&mut self, reduction: &mut Reduction<'_>, outcome: Outcome) {
        self.state.forget_changes();
        let ended = Self {
            phase: RunPhase::Ended(outcome.clone()),
            next_work: self.next_work,
            next_number: self.next_number,
            next_sequence: self.next_sequence,
            feed_bytes: self.feed_bytes,
            state: std::mem::take(&mut self.state),
            events_at_once: self.events_at_once,
            ..Self::new(self.id, std::sync::Arc::clone(&self.handler_id))
        };
        let before = std::mem::replace(self, ended);
        if before.cost_bytes >= WASTE_BYTES_MIN {
            reduction.leave(Remnant::Facts(Box::new(before)));
        }
        reduction.effects.push(Effect::Finish(outcome));
    }
}

/// Returns the error of an attempt that has exceeded its step's time-out.
pub fn timed_out(step: &StepType) -> String {
    format!("Step {} timed out after {} seconds", step.name, seconds(step.timeout.unwrap_or_default()))
}

/// Formats a duration in seconds, as the shortest exact decimal.
pub(super) fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Cuts the error's text after `bytes_max` bytes.
pub(super) fn cut(mut error: String, bytes_max: usize) -> String {
    error.truncate(error.floor_char_boundary(bytes_max));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_the_shortest_decimal() {
        let cases = [(0, "0"), (200, "0.2"), (1_500, "1.5"), (8_410, "8.41"), (60_000, "60"), (600_001, "600.001")];
        for (ms, expected) in cases {
            assert_eq!(seconds(Duration::from_millis(ms)), expected);
        }
        assert_eq!(seconds(Duration::from_nanos(1)), "0.000000001");
    }
}
