//! The effect of each input on a run.

use std::num::NonZeroU64;

use super::{
    facts::{Facts, Reduction, RunPhase},
    state::State,
    timer::RUN_TIMER,
};
use crate::{
    engine::input::{Effect, Input},
    json::Json,
    now::Clock,
};

impl Facts {
    pub(super) fn reduce(&mut self, reduction: &mut Reduction<'_>, input: Input) {
        let is_owed = !self.deferred.is_empty() && !matches!(input, Input::GoOn);
        match (&self.phase, input) {
            (RunPhase::New, Input::Started { event, state, admitted, sequence }) => {
                self.start(reduction, event, State::new(state), admitted, sequence);
            }
            (RunPhase::New, Input::StartedFrom { event, state, admitted, sequence }) => {
                self.start(reduction, event, State::stored(state), admitted, sequence);
            }
            (RunPhase::Waiting, Input::Admitted) => self.admit(reduction),
            (RunPhase::New | RunPhase::Ended(_), _)
            | (_, Input::Started { .. } | Input::StartedFrom { .. } | Input::Admitted) => return,
            (_, Input::External(external)) => self.external(reduction, external),
            (_, Input::Noted { pass, notes }) => self.noted(reduction, pass, notes),
            (_, Input::Done { pass, done }) => self.done(reduction, pass, done),
            (_, Input::LargeDone { pass, emitted, state }) => self.large_done(reduction, pass, emitted, state),
            (_, Input::GoOn) => self.go_on(reduction),
            (_, Input::PassLost { pass }) => self.pass_lost(reduction, pass),
            (_, Input::Due { timer }) => self.due(reduction, timer),
            (_, Input::Cancel) => self.cancel(reduction),
            (_, Input::Fail(error)) => self.fail(reduction, None, error, 0),
        }
        self.settle(reduction);
        if !is_owed && !self.deferred.is_empty() {
            reduction.effects.push(Effect::GoOn);
        }
    }

    fn start(&mut self, reduction: &mut Reduction<'_>, event: Json, state: State, admitted: bool, sequence: u64) {
        self.state = state;
        self.next_sequence = sequence;
        self.phase = RunPhase::Waiting;
        if admitted {
            self.admit(reduction);
        }
        self.route(reduction, (reduction.graph.start, event), None, 0);
    }

    fn admit(&mut self, reduction: &mut Reduction<'_>) {
        self.phase = RunPhase::Admitted;
        if let Some(timeout) = reduction.graph.timeout {
            let deadline = reduction.now.deadline(Clock::Alive, timeout);
            self.timeout_at_us = Some(NonZeroU64::new(deadline.at_us).unwrap_or(NonZeroU64::MIN));
            reduction.effects.push(Effect::Arm(RUN_TIMER, deadline));
        }
    }

    /// Carries out what follows from the state that a reduction has reached.
    fn settle(&mut self, reduction: &mut Reduction<'_>) {
        if matches!(self.phase, RunPhase::Ended(_)) || self.end_if_over(reduction) {
            return;
        }
        if self.running == 0 {
            self.state.forget_changes();
        }
        if matches!(self.phase, RunPhase::Admitted) {
            match self.alone.first() {
                Some(&first) if self.running == 0 => self.launch(reduction, first),
                None if self.held => self.release_held(reduction),
                _ => {}
            }
        }
        if self.works.is_empty() {
            self.works.shrink();
            self.slots.shrink();
            self.timers.shrink();
            self.questions.shrink();
            self.scopes.shrink();
            self.lost.shrink();
        }
    }
}
