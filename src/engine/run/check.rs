//! Checks that facts that were decoded from bytes are consistent, so that a run may rely on them.

use super::{
    facts::{Facts, RunPhase},
    scope::Scope,
    work::{Memory, Work, WorkPhase},
};
use crate::{
    graph::StepId,
    limits::{PASS_LOSSES_MAX, WORK_STREAMS_MAX},
    pass::{SharedList, Wait},
};

impl Facts {
    /// Checks all facts. Their ids already belong to the graph. The error says what no run can lead to.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, fault| if holds { Ok(()) } else { Err(fault) };
        let live = Live::of(self);
        let idle = matches!(self.phase, RunPhase::New | RunPhase::Ended(_));
        ensure(!idle || self.is_empty(), "it does not run and has something to do")?;
        ensure(self.numbers_are_ahead(), "its numbers are used up, or used twice")?;
        ensure(self.works.iter().all(|(_, work)| work.is_sound()), "a work remembers what cannot have been")?;
        ensure(live.running == self.running as usize, "its passes are miscounted")?;
        ensure(live.slots == self.slots.taken, "its slots are not those of its works")?;
        ensure(self.queues_are_sound(&live.queued), "its queues are not those of its works")?;
        let timers = self.timers.iter().map(|(timer, work)| (timer, *work));
        ensure(timers.eq(live.timers.iter().copied()), "its timers are not those of its works")?;
        let questions = self.questions.iter().map(|(number, question)| (number, question.work));
        ensure(questions.eq(live.questions.iter().copied()), "its questions are not those of its works")?;
        ensure(self.deferred.iter().all(|(_, deferred)| deferred.is_sound()), "it has deferred what cannot be done")?;
        ensure(self.lost_is_sound(), "it has lost passes of works that do not run")?;
        ensure(self.alone_is_sound(), "works that are to run alone do not wait for it")?;
        ensure(self.scopes_are_sound(&live.inside), "its scopes do not hold what is in them")
    }

    fn is_empty(&self) -> bool {
        let tables = self.works.len() + self.timers.len() + self.questions.len() + self.scopes.len();
        tables + self.deferred.len() + self.early.len() + self.shown.len() == 0 && self.timeout_at_us.is_none()
    }

    /// Returns whether numbers are ascending, and enough are left.
    fn numbers_are_ahead(&self) -> bool {
        let works = self.works.iter().map(|(number, _)| number);
        let scopes = self.scopes.iter().map(|(number, _)| number);
        let timers = self.timers.iter().map(|(number, _)| number);
        let early = self.early.iter().map(|(number, _)| number);
        let questions = self.questions.iter().map(|(sequence, _)| sequence);
        let deferred = self.deferred.iter().map(|(number, _)| number);
        let mut others = scopes.clone().chain(timers).chain(early.clone()).chain(deferred.clone());
        let (next_work, next) = (self.next_work, self.next_number);
        works.clone().is_sorted_by(|one, other| one < other)
            && works.last().is_none_or(|last| last < next_work)
            && scopes.is_sorted_by(|one, other| one < other)
            && early.is_sorted_by(|one, other| one < other)
            && deferred.is_sorted_by(|one, other| one < other)
            && questions.clone().is_sorted_by(|one, other| one < other)
            && questions.last().is_none_or(|last| last < self.next_sequence)
            && others.all(|number| (1..next).contains(&number))
            && next_work.max(self.state.version()) <= NUMBER_MAX
            && (1..=NUMBER_MAX).contains(&next)
    }

    /// Returns whether each queue belongs to one step, is not empty, and all together contain exactly the queued works.
    fn queues_are_sound(&self, works: &[(StepId, u64)]) -> bool {
        let queues = &self.slots.queues;
        let mut queued: Vec<(StepId, u64)> =
            queues.iter().flat_map(|(step, queue)| queue.iter().map(|work| (*step, *work))).collect();
        queued.sort_unstable();
        queues.is_sorted_by(|(one, _), (other, _)| one < other)
            && queues.iter().all(|(_, queue)| !queue.is_empty())
            && queued == works
    }

    /// Returns whether only works that run have lost passes, and fewer than fail the attempt.
    fn lost_is_sound(&self) -> bool {
        let runs = |number| self.works.get(number).is_some_and(|work| matches!(work.phase, WorkPhase::Running { .. }));
        self.lost.iter().is_sorted_by(|(one, _), (other, _)| one < other)
            && self.lost.iter().all(|(number, losses)| runs(number) && (1..PASS_LOSSES_MAX).contains(losses))
    }

    /// Returns whether each work that runs alone occurs once and has a slot; the first may run.
    fn alone_is_sound(&self) -> bool {
        let mut sorted = self.alone.clone();
        sorted.sort_unstable();
        let waits = |(index, number): (usize, &u64)| match self.works.get(*number).map(|work| &work.phase) {
            Some(WorkPhase::Held { .. }) => true,
            Some(WorkPhase::Running { .. }) => index == 0,
            _ => false,
        };
        sorted.is_sorted_by(|one, other| one < other) && self.alone.iter().enumerate().all(waits)
    }

    /// Returns whether scopes are nested in earlier ones. `inside` has the scope of each thing in a scope, sorted.
    fn scopes_are_sound(&self, inside: &[u64]) -> bool {
        let (mut rest, mut collected) = (inside, 0);
        for (number, scope) in self.scopes.iter() {
            let live = rest.partition_point(|of| *of == number);
            rest = &rest[live..];
            collected += scope.collected.len();
            let outer = scope.outer.as_ref();
            if live == 0 || live != scope.live as usize || !scope.is_sound() {
                return false;
            }
            if outer.is_some_and(|outer| outer.scope >= number) {
                return false;
            }
        }
        rest.is_empty() && collected == self.collected as usize
    }
}

/// Slots, queues, timers, questions and scopes as the works refer to them, each in order.
#[derive(Default)]
struct Live {
    running: usize,
    slots: Vec<(StepId, u16)>,
    queued: Vec<(StepId, u64)>,
    timers: Vec<(u64, u64)>,
    questions: Vec<(u64, u64)>,
    inside: Vec<u64>,
}

impl Live {
    fn of(facts: &Facts) -> Self {
        let mut live = Self::default();
        for (number, work) in facts.works.iter() {
            match work.phase {
                WorkPhase::Queued => live.queued.push((work.step, number)),
                WorkPhase::Held { slot } | WorkPhase::Sleeping { slot, .. } => live.slots.push((work.step, slot)),
                WorkPhase::Running { slot } => {
                    live.running += 1;
                    live.slots.push((work.step, slot));
                }
                WorkPhase::Asking(ref asking) => live.questions.push((asking.sequence, number)),
                WorkPhase::Delayed(_) => {}
            }
            live.timers.extend(work.timer().map(|timer| (timer.id.0, number)));
            live.inside.extend(work.position.as_ref().map(|position| position.scope));
        }
        let outer = |scope: &Scope| scope.outer.as_ref().map(|outer| outer.scope);
        live.inside.extend(facts.scopes.iter().filter_map(|(_, scope)| outer(scope)));
        live.inside.extend(facts.deferred.iter().flat_map(|(_, deferred)| deferred.scopes()));
        live.slots.sort_unstable();
        live.queued.sort_unstable();
        live.timers.sort_unstable();
        live.questions.sort_unstable();
        live.inside.sort_unstable();
        live
    }
}

impl Work {
    fn is_sound(&self) -> bool {
        let waits = self.memory.as_deref().map(|memory| &memory.waits);
        let next = |ordinal: u32| match waits.and_then(|waits| waits.get(ordinal as usize)) {
            None => ordinal as usize == waits.map_or(0, SharedList::len),
            Some(wait) => matches!(wait, Wait::Forgotten { .. }),
        };
        let waits_for_next = match &self.phase {
            WorkPhase::Sleeping { ordinal, .. } => next(*ordinal),
            WorkPhase::Asking(asking) => next(asking.ordinal),
            _ => true,
        };
        waits_for_next
            && self.position.as_ref().is_none_or(|position| position.path.is_sound())
            && self.memory.as_ref().is_none_or(|memory| memory.is_sound())
    }
}

impl Memory {
    /// Returns whether the stream ordinals of its `once` calls are possible.
    fn is_sound(&self) -> bool {
        self.once.iter().all(|once| once.stream_ordinal as usize <= WORK_STREAMS_MAX)
    }
}

/// More than any run assigns.
const NUMBER_MAX: u64 = 1 << 48;
