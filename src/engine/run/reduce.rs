//! The effect of each input on a run.

use std::num::NonZeroU64;

use super::{
    facts::{Facts, Phase, Turn},
    state::State,
    timer::RUN_TIMER,
};
use crate::{
    engine::input::{Effect, Input},
    json::Json,
    now::Clock,
};

impl Facts {
    pub(super) fn reduce(&mut self, turn: &mut Turn<'_>, input: Input) {
        let is_owed = !self.deferred.is_empty() && !matches!(input, Input::GoOn);
        match (&self.phase, input) {
            (Phase::New, Input::Started { event, state, admitted, sequence }) => {
                self.start(turn, event, State::new(state), admitted, sequence);
            }
            (Phase::New, Input::StartedFrom { event, state, admitted, sequence }) => {
                self.start(turn, event, State::kept(state), admitted, sequence);
            }
            (Phase::Waiting, Input::Admitted) => self.admit(turn),
            (Phase::New | Phase::Ended(_), _)
            | (_, Input::Started { .. } | Input::StartedFrom { .. } | Input::Admitted) => return,
            (_, Input::External(external)) => self.external(turn, external),
            (_, Input::Noted { pass, notes }) => self.noted(turn, pass, notes),
            (_, Input::Done { pass, done }) => self.done(turn, pass, done),
            (_, Input::LargeDone { pass, emitted, state }) => self.large_done(turn, pass, emitted, state),
            (_, Input::GoOn) => self.go_on(turn),
            (_, Input::PassLost { pass }) => self.pass_lost(turn, pass),
            (_, Input::Due { timer }) => self.due(turn, timer),
            (_, Input::Cancel) => self.cancel(turn),
            (_, Input::Fail(error)) => self.fail(turn, None, error, 0),
        }
        self.settle(turn);
        if !is_owed && !self.deferred.is_empty() {
            turn.effects.push(Effect::GoOn);
        }
    }

    fn start(&mut self, turn: &mut Turn<'_>, event: Json, state: State, admitted: bool, sequence: u64) {
        self.state = state;
        self.next_sequence = sequence;
        self.phase = Phase::Waiting;
        if admitted {
            self.admit(turn);
        }
        self.route(turn, (turn.graph.start, event), None, 0);
    }

    fn admit(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Admitted;
        if let Some(timeout) = turn.graph.timeout {
            let deadline = turn.now.deadline(Clock::Alive, timeout);
            self.timeout_at_us = Some(NonZeroU64::new(deadline.at_us).unwrap_or(NonZeroU64::MIN));
            turn.effects.push(Effect::Arm(RUN_TIMER, deadline));
        }
    }

    /// Carries out what follows from the state that a reduction has reached.
    fn settle(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Ended(_)) || self.end_if_over(turn) {
            return;
        }
        if self.running == 0 {
            self.state.forget_changes();
        }
        if matches!(self.phase, Phase::Admitted) {
            match self.alone.first() {
                Some(&first) if self.running == 0 => self.launch(turn, first),
                None if self.held => self.release_held(turn),
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
