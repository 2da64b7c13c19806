//! Opens scopes, collects events for their fan-ins, and closes them.

use super::{
    deferred::Deferred,
    facts::{Facts, Reduction},
    path::Path,
    scope::{Closing, Collected, Outer, SCOPE_BYTES, Scope, ScopePosition, collected_bytes, event_bytes},
    work::Work,
};
use crate::{
    graph::{EventId, StepId},
    json::Json,
    pass::WorkEvent,
};

impl Facts {
    /// Opens the scope of one pass of `opener` with this many emissions. It stays open until it is left once.
    pub(super) fn open_scope(&mut self, opener: &Work, emissions: usize) -> ScopePosition {
        let outer = opener.position.as_deref().map(|position| {
            if let Some(around) = self.scopes.get_mut(position.scope) {
                around.live += 1;
            }
            Outer { scope: position.scope, path: position.path.clone(), index: emissions as u32 }
        });
        let number = self.number();
        let scope = Scope { opener: opener.step, outer, live: 1, collected: Collected::new() };
        self.cost_bytes += scope.cost_bytes();
        self.scopes.push(number, Box::new(scope));
        ScopePosition { scope: number, path: Path::default() }
    }

    /// Collects an event for a fan-in, if that closes the scope.
    pub(super) fn collect(
        &mut self,
        reduction: &Reduction<'_>,
        fan_in: StepId,
        (position, index): (&ScopePosition, u32),
        event: (EventId, Json),
    ) {
        let Some(scope) = self.scopes.get_mut(position.scope) else { return };
        if reduction.graph.step(scope.opener).closers.contains(&fan_in) {
            let at = (fan_in, position.path.then(index, None));
            self.cost_bytes += collected_bytes((&at, &event));
            scope.collected.insert(at, event);
            self.collected += 1;
        }
    }

    /// Records that something in the scope has finished. After the last one the scope closes: its fan-ins become works
    /// of the outer scope, in which one thing fewer then remains.
    pub(super) fn leave_scope(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        let mut number = number;
        loop {
            let Some(scope) = self.scopes.get_mut(number) else { return };
            scope.live -= 1;
            if scope.live > 0 {
                return;
            }
            let Some(scope) = self.scopes.remove(number) else { return };
            self.cost_bytes -= SCOPE_BYTES;
            let Scope { opener, outer, collected, .. } = *scope;
            self.collected -= collected.len() as u32;
            let is_large = collected.len() > self.events_at_once as usize;
            let mut closing = Closing { opener, outer, collected, given: None, events: Vec::new() };
            if is_large {
                return self.defer(Deferred::Closing(closing));
            }
            let mut all = usize::MAX;
            self.pass_some(reduction, &mut closing, &mut all);
            match closing.outer {
                Some(outer) => number = outer.scope,
                None => return,
            }
        }
    }

    /// Passes about `left` of the collected events to fan-ins. Returns whether each fan-in has become a work.
    pub(super) fn pass_some(&mut self, reduction: &mut Reduction<'_>, closing: &mut Closing, left: &mut usize) -> bool {
        let fan_ins = &reduction.graph.step(closing.opener).closers;
        for &fan_in in fan_ins {
            if closing.given.is_some_and(|given| given >= fan_in) {
                continue;
            }
            while closing.collected.first_key_value().is_some_and(|((step, _), _)| *step <= fan_in) {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                if let Some((at, event)) = closing.collected.pop_first() {
                    self.cost_bytes = self.cost_bytes + event_bytes(&event) - collected_bytes((&at, &event));
                    closing.events.push(event);
                }
            }
            self.cost_bytes -= closing.events.iter().map(event_bytes).sum::<usize>();
            let taken_by = (fan_ins.len() > 1).then_some(fan_in);
            let within =
                |outer: &Outer| ScopePosition { scope: outer.scope, path: outer.path.then(outer.index, taken_by) };
            let position = closing.outer.as_ref().map(|outer| Box::new(within(outer)));
            self.add_work(reduction, fan_in, WorkEvent::All(std::mem::take(&mut closing.events).into()), position);
            closing.given = Some(fan_in);
        }
        true
    }
}
