//! The window of a run's feed: with a store old events leave the feed, so that a run may live forever.

use std::collections::VecDeque;

use crate::limits::{FEED_KEEP_BYTES_DEFAULT, FEED_KEEP_EVENTS_DEFAULT, WINDOW_STEPS};

/// How much of a run's feed is retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedKeep {
    /// The number of events.
    pub events: u64,
    /// The bytes that they would take in memory. The newest event is retained even if it alone takes more.
    pub bytes: u64,
}

/// A position between two events of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// The number of the event after it.
    pub sequence: u64,
    /// The number of bytes that the run has published before it.
    pub bytes: u64,
}

/// Where a run's window begins, and positions where it may begin later. It moves in steps, each a fraction of what is
/// retained.
#[derive(Debug)]
pub(super) struct Window {
    marks: VecDeque<Mark>,
}

impl Default for FeedKeep {
    fn default() -> Self {
        Self { events: FEED_KEEP_EVENTS_DEFAULT, bytes: FEED_KEEP_BYTES_DEFAULT }
    }
}

impl FeedKeep {
    /// Returns how many steps lie between two positions.
    fn steps(&self, from: Mark, to: Mark) -> u64 {
        let by_events = (to.sequence - from.sequence) / (self.events / WINDOW_STEPS).max(1);
        by_events.max(to.bytes.saturating_sub(from.bytes) / (self.bytes / WINDOW_STEPS).max(1))
    }

    fn holds(&self, from: Mark, to: Mark) -> bool {
        to.sequence - from.sequence <= self.events && to.bytes.saturating_sub(from.bytes) <= self.bytes
    }

    /// Returns whether a feed between these positions is so long that its window may soon have to move.
    pub(super) fn needs_window(&self, first: Mark, next: Mark) -> bool {
        self.steps(first, next) > 0
    }
}

impl Window {
    /// Creates a window that begins at `first`.
    pub(super) fn new(first: Mark) -> Self {
        Self { marks: VecDeque::from([first]) }
    }

    /// Records that the feed has reached `next`. Returns where the window begins from now on, if that has changed.
    ///
    /// If more than a step was published since the last call, as after a start, its events are assumed to have equal
    /// sizes.
    pub(super) fn advance(&mut self, next: Mark, keep: &FeedKeep) -> Option<Mark> {
        let last = self.marks.back().copied().unwrap_or_default();
        let steps = keep.steps(last, next);
        // Steps more than a window before `next` are not needed any more.
        for step in steps.saturating_sub(WINDOW_STEPS).max(1)..=steps {
            let part =
                |from: u64, to: u64| from + (u128::from(to - from) * u128::from(step) / u128::from(steps)) as u64;
            let sequence = part(last.sequence, next.sequence);
            self.marks.push_back(Mark { sequence, bytes: part(last.bytes, next.bytes.max(last.bytes)) });
        }
        let mut moved = None;
        while self.marks.front().is_some_and(|first| !keep.holds(*first, next)) && self.marks.len() > 1 {
            self.marks.pop_front();
            moved = self.marks.front().copied();
        }
        let newest = next.sequence.saturating_sub(1);
        moved.map(|first| Mark { sequence: first.sequence.min(newest), ..first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: FeedKeep = FeedKeep { events: 100, bytes: 10_000 };

    /// Publishes events of this size. Returns where the window begins then.
    fn publish(window: &mut Window, next: &mut Mark, count: u64, bytes: u64, first: &mut u64) {
        for _ in 0..count {
            *next = Mark { sequence: next.sequence + 1, bytes: next.bytes + bytes };
            if let Some(mark) = window.advance(*next, &KEEP) {
                assert!(mark.sequence >= *first && mark.sequence < next.sequence, "it moves on, and the newest stays");
                *first = mark.sequence;
            }
        }
    }

    #[test]
    fn a_window_holds_the_configured_amount_or_up_to_a_step_less() {
        for bytes in [1, 100, 300] {
            let (mut window, mut next, mut first) = (Window::new(Mark::default()), Mark::default(), 0);
            publish(&mut window, &mut next, 1_000, bytes, &mut first);
            let held = next.sequence - first;
            let kept = KEEP.events.min(KEEP.bytes / bytes);
            assert!(held <= kept && held + kept / WINDOW_STEPS + 2 >= kept, "{held} of {kept}");
            assert!(window.marks.len() as u64 <= WINDOW_STEPS + 2);
        }
    }

    #[test]
    fn large_events_push_out_the_small_ones_before_them() {
        let (mut window, mut next, mut first) = (Window::new(Mark::default()), Mark::default(), 0);
        publish(&mut window, &mut next, 90, 1, &mut first);
        assert_eq!(first, 0);
        publish(&mut window, &mut next, 30, 2_000, &mut first);
        assert!((115..=116).contains(&first), "{first}");
        publish(&mut window, &mut next, 1, 1_000_000, &mut first);
        assert_eq!(first, 120, "the newest stays whatever its size");
    }

    #[test]
    fn a_window_is_full_after_many_events_at_once_too() {
        let mut window = Window::new(Mark::default());
        let first = window.advance(Mark { sequence: 5_000, bytes: 5_000 }, &KEEP).expect("it is full");
        assert!((4_900..=4_910).contains(&first.sequence), "{first:?}");
    }

    #[test]
    fn after_a_start_a_long_feed_does_not_leave_at_once() {
        let mut window = Window::new(Mark { sequence: 50, bytes: 5_000 });
        assert_eq!(window.advance(Mark { sequence: 150, bytes: 6_000 }, &KEEP), None);
        let first = window.advance(Mark { sequence: 151, bytes: 6_010 }, &KEEP).expect("it is full");
        assert!(first.sequence < 60, "{first:?}");
    }
}
