//! Scopes: what a fan-out opened, and what its fan-ins have collected so far.

use serde::{Deserialize, Serialize};

use super::{Facts, Turn, path::Path, work::Work};
use crate::{
    graph::{EventId, StepId},
    json::Json,
    pass::WorkEvent,
};

/// Where something stands in a scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) scope: u64,
    pub(super) path: Path,
}

/// An open scope. It closes when nothing in it is live.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scope {
    /// The step whose pass opened it.
    pub(super) opener: StepId,
    /// `None`: no scope is around it.
    pub(super) outer: Option<Outer>,
    /// Works in it, and open scopes directly in it.
    pub(super) live: u32,
    pub(super) collected: Vec<Collected>,
}

/// Where the fan-ins of a scope come in: in the scope around it, behind the emissions of the pass that opened it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outer {
    pub(super) scope: u64,
    /// The opener's.
    pub(super) path: Path,
    /// How many emissions the opener made.
    index: u32,
}

/// One input of a fan-in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Collected {
    fan_in: StepId,
    pub(super) path: Path,
    pub(super) event: EventId,
    pub(super) value: Json,
}

impl Scope {
    /// Each step of it, to be put in terms of another graph.
    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut StepId> {
        let of_outer = self.outer.iter_mut().flat_map(|outer| outer.path.steps_mut());
        let of_collected = self.collected.iter_mut().flat_map(Collected::steps_mut);
        std::iter::once(&mut self.opener).chain(of_outer).chain(of_collected)
    }
}

impl Collected {
    fn steps_mut(&mut self) -> impl Iterator<Item = &mut StepId> {
        std::iter::once(&mut self.fan_in).chain(self.path.steps_mut())
    }
}

impl Facts {
    /// The scope of one pass of `opener`, which made so many emissions. It is kept open until it is left once.
    pub(super) fn open_scope(&mut self, opener: &Work, emissions: usize) -> Place {
        let outer = opener.place.as_deref().map(|place| {
            if let Some(around) = self.scopes.get_mut(place.scope) {
                around.live += 1;
            }
            Outer { scope: place.scope, path: place.path.clone(), index: emissions as u32 }
        });
        let number = self.number();
        let scope = Scope { opener: opener.step, outer, live: 1, collected: Vec::new() };
        self.cost_bytes += scope.cost_bytes();
        self.scopes.push(number, Box::new(scope));
        Place { scope: number, path: Path::default() }
    }

    /// Keeps an event for a fan-in, if that closes the scope.
    pub(super) fn collect(
        &mut self,
        turn: &Turn<'_>,
        fan_in: StepId,
        (place, index): (&Place, u32),
        (event, value): (EventId, Json),
    ) {
        let Some(scope) = self.scopes.get_mut(place.scope) else { return };
        if turn.graph.step(scope.opener).closers.contains(&fan_in) {
            let collected = Collected { fan_in, path: place.path.then(index, None), event, value };
            self.cost_bytes += collected.cost_bytes();
            scope.collected.push(collected);
            self.collected += 1;
        }
    }

    /// Something in the scope is through. If it was the last, the scope closes: its fan-ins become works of the scope
    /// around it, which then has one thing less in it in turn.
    pub(super) fn leave_scope(&mut self, turn: &mut Turn<'_>, number: u64) {
        let mut number = number;
        loop {
            let Some(scope) = self.scopes.get_mut(number) else { return };
            scope.live -= 1;
            if scope.live > 0 {
                return;
            }
            let Some(scope) = self.scopes.remove(number) else { return };
            self.cost_bytes -= scope.cost_bytes();
            let Scope { opener, outer, mut collected, .. } = *scope;
            self.collected -= collected.len() as u32;
            collected.sort_unstable_by(|one, other| (one.fan_in, &one.path).cmp(&(other.fan_in, &other.path)));
            let mut collected = collected.into_iter().peekable();
            let fan_ins = &turn.graph.step(opener).closers;
            for &fan_in in fan_ins {
                let mut events = Vec::new();
                while let Some(input) = collected.next_if(|input| input.fan_in <= fan_in) {
                    events.push((input.event, input.value));
                }
                let taken_by = (fan_ins.len() > 1).then_some(fan_in);
                let place = outer
                    .as_ref()
                    .map(|outer| Box::new(Place { scope: outer.scope, path: outer.path.then(outer.index, taken_by) }));
                self.add_work(turn, fan_in, WorkEvent::All(events.into()), place);
            }
            match outer {
                Some(outer) => number = outer.scope,
                None => return,
            }
        }
    }
}
