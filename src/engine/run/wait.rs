//! Waits: what a body that asks or sleeps sets up, and what its timers do.

use std::time::Duration;

use super::{
    facts::{Facts, Reduction},
    question::{Asking, Question},
    timer::{RUN_TIMER, Timer},
    work::{Memory, WorkPhase, answer_bytes, wait_bytes},
};
use crate::{
    engine::{
        input::{Effect, TimerId},
        published::Published,
    },
    graph::EventId,
    json::Json,
    limits::WORK_WAITS_MAX,
    now::Clock,
    pass::{EventRef, NewWait, SharedList, Wait},
};

/// The contents of [`NewWait::Ask`].
struct Ask {
    question: EventId,
    answer: EventId,
    value: Json,
    matching: Vec<(String, Json)>,
    timeout: Option<Duration>,
}

impl Facts {
    /// Handles a pass that ended in a wait.
    pub(super) fn wait(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16, ordinal: u32, wait: NewWait) {
        let Some(work) = self.works.get_mut(number) else { return };
        work.conflicts = 0;
        let waits = work.memory.as_deref().map(|memory| &memory.waits);
        let (index, waited) = (ordinal as usize, waits.map_or(0, SharedList::len));
        let fits = match waits.and_then(|waits| waits.get(index)) {
            Some(Wait::Forgotten { question }) => {
                matches!(wait, NewWait::Ask { question: asked, .. } if asked == *question)
            }
            Some(_) => false,
            None => index == waited && index < WORK_WAITS_MAX,
        };
        if !fits {
            let name = &reduction.graph.step(work.step).name;
            let reason = if index >= WORK_WAITS_MAX {
                format!("it may wait {WORK_WAITS_MAX} times")
            } else {
                format!("its waits so far are {waited}")
            };
            self.fail_work(
                reduction,
                number,
                format!("Step {name} made a wait number {index} that does not fit: {reason}"),
            );
            return;
        }
        match wait {
            NewWait::Sleep(duration) => {
                let timer = self.arm(reduction, number, Clock::Wall, duration);
                if let Some(work) = self.works.get_mut(number) {
                    work.phase = WorkPhase::Sleeping { slot, ordinal, timer };
                }
            }
            NewWait::Ask { question, answer, value, matching, timeout } => {
                self.ask(reduction, number, slot, ordinal, Ask { question, answer, value, matching, timeout });
            }
        }
    }

    /// Frees the slot and publishes the question; an early answer leads to the same events as a late one.
    fn ask(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16, ordinal: u32, ask: Ask) {
        let Ask { question, answer, value, matching, timeout } = ask;
        let Some(step) = self.works.get(number).map(|work| work.step) else { return };
        let events = reduction.graph.events.len();
        if [question, answer].iter().any(|event| usize::from(event.0) >= events) {
            let name = &reduction.graph.step(step).name;
            self.fail_work(reduction, number, format!("Step {name} asks with a type that the workflow does not have"));
            return;
        }
        let shown = Published::Event(EventRef::Known(question), value);
        if let Err(full) = self.check_room(&shown) {
            self.fail_work(reduction, number, full.to_string());
            return;
        }
        self.publish_not_running(reduction, number, slot);
        let sequence = self.next_sequence;
        self.publish(reduction, shown);
        if !self.asked.contains(&answer) {
            self.asked = self.asked.iter().copied().chain([answer]).collect();
        }
        let early = self.take_early(answer, step, &matching);
        let timeout = timeout.filter(|_| early.is_none());
        let timer = timeout.map(|timeout| self.arm(reduction, number, Clock::Alive, timeout));
        let asking = Asking { sequence, ordinal, question, matching, timer };
        self.change(number, |work| work.phase = WorkPhase::Asking(Box::new(asking)));
        if early.is_none() {
            self.open_question(sequence, Question { answer, work: number });
        }
        self.free_slot(reduction, step, slot);
        if let Some(value) = early {
            self.answer(reduction, number, value);
        }
    }

    pub(super) fn arm(&mut self, reduction: &mut Reduction<'_>, work: u64, clock: Clock, after: Duration) -> Timer {
        let timer = Timer { id: TimerId(self.number()), deadline: reduction.now.deadline(clock, after) };
        self.timers.push(timer.id.0, work);
        reduction.effects.push(Effect::Arm(timer.id, timer.deadline));
        timer
    }

    /// Handles a due timer: a sleep is over, a question has timed out, a failed work is retried, or the run times out.
    pub(super) fn due(&mut self, reduction: &mut Reduction<'_>, timer: TimerId) {
        if timer == RUN_TIMER && self.timeout_at_us.is_some() {
            self.time_out(reduction);
            return;
        }
        let Some(number) = self.timers.remove(timer.0) else { return };
        let Some(work) = self.works.get(number) else { return };
        match work.phase {
            WorkPhase::Sleeping { slot, ordinal, .. } => {
                self.change(number, |work| {
                    work.phase = WorkPhase::Held { slot };
                    work.memory_mut().remember(ordinal, Wait::Slept);
                });
                self.launch_unless_held(reduction, number);
            }
            WorkPhase::Asking(_) => {
                self.close_question(number, None);
                self.enter(reduction, number);
            }
            WorkPhase::Delayed(_) => self.try_again(reduction, number),
            WorkPhase::Queued | WorkPhase::Held { .. } | WorkPhase::Running { .. } => {}
        }
    }
}

impl Memory {
    /// Remembers a wait that is over. Its ordinal was checked when it began.
    pub(super) fn remember(&mut self, ordinal: u32, wait: Wait) {
        self.cost_bytes += wait_bytes(&wait);
        self.answers_bytes += answer_bytes(&wait);
        match self.waits.get_mut(ordinal as usize) {
            Some(forgotten) => {
                self.cost_bytes -= wait_bytes(forgotten);
                *forgotten = wait;
            }
            None => self.waits.push(wait),
        }
    }
}
