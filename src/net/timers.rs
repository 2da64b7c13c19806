//! Time-outs of connections: a heap that most changes do not touch.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Times by slot. When a time moves later, as an idle time-out does with each request, its entry stays in place; once
/// the entry is due, the owner is asked again. So each time-out costs one push per slot, and the heap holds a few
/// entries per slot, however many connections come and go.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// By slot: the earliest entry of the heap that is still valid.
    earliest_us: Vec<u64>,
}

const NEVER: u64 = u64::MAX;

impl Timers {
    /// Ensures that `slot` comes due at `at_us` or earlier.
    pub(super) fn arm(&mut self, slot: u32, at_us: u64) {
        let index = slot as usize;
        if index >= self.earliest_us.len() {
            self.earliest_us.resize(index + 1, NEVER);
        }
        if at_us < self.earliest_us[index] {
            self.earliest_us[index] = at_us;
            self.heap.push(Reverse((at_us, slot)));
        }
    }

    /// Returns a time no later than that at which the next slot comes due.
    pub(super) fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_us, _))| *at_us)
    }

    /// Returns a slot that may be due at `now_us`, and forgets it until it is armed again.
    pub(super) fn pop_due(&mut self, now_us: u64) -> Option<u32> {
        while self.next_us()? <= now_us {
            let Reverse((at_us, slot)) = self.heap.pop()?;
            let earliest_us = &mut self.earliest_us[slot as usize];
            if *earliest_us == at_us {
                *earliest_us = NEVER;
                return Some(slot);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;

    #[test]
    fn a_slot_comes_due_at_its_earliest_time_once() {
        let mut timers = Timers::default();
        timers.arm(3, 70);
        timers.arm(3, 30);
        timers.arm(3, 50);
        timers.arm(1, 40);
        assert_eq!(timers.next_us(), Some(30));
        assert_eq!(timers.pop_due(29), None);
        assert_eq!(timers.pop_due(100), Some(3));
        assert_eq!(timers.pop_due(100), Some(1));
        assert_eq!(timers.pop_due(100), None, "the entry at 70 was overtaken");
        assert_eq!(timers.next_us(), None);
    }

    #[test]
    fn times_that_move_on_cost_no_entries() {
        let mut timers = Timers::default();
        for now_us in 0..10_000 {
            timers.arm(0, now_us + 75);
            timers.arm(1, now_us + 60);
            timers.arm(0, now_us + 30);
            if let Some(slot) = timers.pop_due(now_us) {
                timers.arm(slot, now_us + 75);
            }
            assert!(timers.heap.len() <= 8, "{}", timers.heap.len());
        }
    }
}
