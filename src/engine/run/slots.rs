//! Slots and queues: which works of a step run, and which wait for a slot.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{graph::StepId, limits::SPARE_CAPACITY_MIN};

/// Up to `workers` slots per step, and a queue in order of arrival, which is empty while a slot of its step is free.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Slots {
    /// The slots that are taken, in order.
    pub(super) taken: Vec<(StepId, u16)>,
    /// The queues that are not empty, in order of step.
    pub(super) queues: Vec<(StepId, VecDeque<u64>)>,
}

impl Slots {
    /// Takes and returns the lowest free slot of a step. Queues the work if there is none.
    pub(super) fn take_or_queue(&mut self, step: StepId, workers: u16, work: u64) -> Option<u16> {
        let slot = self.take(step, workers);
        if slot.is_none() {
            match self.queues.binary_search_by_key(&step, |(step, _)| *step) {
                Ok(index) => self.queues[index].1.push_back(work),
                Err(index) => self.queues.insert(index, (step, VecDeque::from([work]))),
            }
        }
        slot
    }

    /// Frees a slot. Returns the oldest queued work and the slot that it takes, the lowest free one.
    pub(super) fn release(&mut self, step: StepId, workers: u16, slot: u16) -> Option<(u64, u16)> {
        if let Ok(index) = self.taken.binary_search(&(step, slot)) {
            self.taken.remove(index);
        }
        let index = self.queues.binary_search_by_key(&step, |(step, _)| *step).ok()?;
        let slot = self.take(step, workers)?;
        let queue = &mut self.queues[index].1;
        let work = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(index);
        } else if queue.capacity() > SPARE_CAPACITY_MIN && queue.len() < queue.capacity() / 4 {
            queue.shrink_to(queue.len() * 2);
        }
        Some((work, slot))
    }

    /// Iterates over the steps, for translating them to another graph.
    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut StepId> {
        self.taken.iter_mut().map(|(step, _)| step).chain(self.queues.iter_mut().map(|(step, _)| step))
    }

    /// Frees unused memory.
    pub(super) fn shrink(&mut self) {
        if self.taken.is_empty() {
            self.taken = Vec::new();
        }
        if self.queues.is_empty() {
            self.queues = Vec::new();
        }
    }

    /// Slots are taken from the lowest, so the first gap is where slot and index begin to differ.
    fn take(&mut self, step: StepId, workers: u16) -> Option<u16> {
        let start = self.taken.partition_point(|(other, _)| *other < step);
        let of_step = &self.taken[start..];
        let of_step = &of_step[..of_step.partition_point(|(other, _)| *other == step)];
        let (mut low, mut high) = (0, of_step.len());
        while low < high {
            let middle = low.midpoint(high);
            if usize::from(of_step[middle].1) == middle { low = middle + 1 } else { high = middle }
        }
        let slot = u16::try_from(low).ok().filter(|slot| *slot < workers)?;
        self.taken.insert(start + low, (step, slot));
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken_and_the_oldest_in_the_queue_is_next() {
        let (mut slots, step, other) = (Slots::default(), StepId(1), StepId(0));
        assert_eq!(
            [10, 11, 12, 13, 14].map(|work| slots.take_or_queue(step, 3, work)),
            [Some(0), Some(1), Some(2), None, None]
        );
        assert_eq!(slots.take_or_queue(other, 1, 15), Some(0), "slots are counted by step");
        assert_eq!(slots.release(step, 3, 1), Some((13, 1)));
        assert_eq!(slots.release(step, 3, 0), Some((14, 0)));
        assert_eq!(slots.release(step, 3, 0), None);
        assert_eq!(slots.take_or_queue(step, 3, 16), Some(0));
        assert_eq!(slots.release(other, 1, 0), None);
    }
}
