//! Carries out deferred work, a part with each [`Input::GoOn`](crate::engine::input::Input::GoOn).

use super::{
    deferred::{ComesTo, DEFERRED_BYTES, Deferred, Emission},
    facts::{Facts, Reduction, Remnant},
    path::Path,
    scope::{ScopePosition, event_bytes},
};
use crate::{
    engine::published::Published,
    graph::{EventId, EventKind},
    json::Json,
    pass::EventRef,
};

impl Facts {
    /// Defers something to later [`Input::GoOn`](crate::engine::input::Input::GoOn)s. Its events must be counted
    /// already.
    pub(super) fn defer(&mut self, deferred: Deferred) {
        self.cost_bytes += DEFERRED_BYTES;
        let number = self.number();
        self.deferred.push(number, Box::new(deferred));
    }

    /// Carries out a part of what is deferred, oldest first.
    pub(super) fn go_on(&mut self, reduction: &mut Reduction<'_>) {
        let mut left = self.events_at_once as usize;
        while left > 0 {
            let Some((number, mut deferred)) = self.deferred.pop_first() else { break };
            let is_over = match &mut *deferred {
                Deferred::Emission(emission) => self.emit_some(reduction, emission, &mut left),
                Deferred::Closing(closing) => self.pass_some(reduction, closing, &mut left),
            };
            if !is_over {
                self.deferred.push_first(number, deferred);
                return;
            }
            self.cost_bytes -= deferred.cost_bytes();
            match *deferred {
                Deferred::Emission(Emission { around, opened, emitted, .. }) => {
                    reduction.leave(Remnant::Emitted(emitted));
                    for scope in opened.into_iter().chain(around.map(|around| around.scope)) {
                        self.leave_scope(reduction, scope);
                    }
                }
                Deferred::Closing(closing) => {
                    if let Some(outer) = closing.outer {
                        self.leave_scope(reduction, outer.scope);
                    }
                }
            }
        }
        self.deferred.shrink();
    }

    /// Routes events until they have become about `left` works. Returns whether all are routed.
    fn emit_some(&mut self, reduction: &mut Reduction<'_>, emission: &mut Emission, left: &mut usize) -> bool {
        let graph = reduction.graph;
        let inside = emission.opened.map(|scope| ScopePosition { scope, path: Path::default() });
        let returns_inside = inside.is_some() && graph.step(emission.step).fan_out;
        while *left > 0 {
            let Some((index, is_sent, event)) = emission.next() else { return true };
            self.cost_bytes -= event_bytes(&event);
            let (event, value) = event;
            let around = emission.around.as_deref();
            let position = if is_sent || returns_inside { inside.as_ref().or(around) } else { around };
            if graph.event(event).kind == EventKind::InputRequired {
                self.show_question(reduction, event, value.clone());
            }
            let comes_to = ComesTo::of(graph, event);
            emission.comes_to = emission.comes_to.less(comes_to);
            self.route(reduction, (event, value), position, index);
            *left = left.saturating_sub((comes_to.works + comes_to.collected).max(1));
        }
        emission.is_routed()
    }

    /// Publishes a question that a step has returned or sent; it may be replied to by its number.
    pub(super) fn show_question(&mut self, reduction: &mut Reduction<'_>, event: EventId, value: Json) {
        if reduction.graph.can_continue_from_outside() {
            self.note_shown(self.next_sequence, event);
        }
        self.publish(reduction, Published::Event(EventRef::Known(event), value));
    }

    /// Returns the most work that all deferred emissions lead to.
    pub(super) fn owed(&self) -> ComesTo {
        self.deferred.iter().fold(ComesTo::default(), |sum, (_, deferred)| match &**deferred {
            Deferred::Emission(Emission { comes_to, .. }) => sum.and(*comes_to),
            Deferred::Closing(_) => sum,
        })
    }
}
