//! Checks that what came from outside is used, waits, or is cleared by the end of its run, and is never dropped.

use steprill::engine::{input::Input, run::Run};

/// Where events from outside are in a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Places {
    /// Answers that wait for a question.
    pub(crate) waiting: usize,
    /// Questions that works wait on.
    asking: usize,
    works: usize,
}

impl Places {
    pub(crate) fn of(run: &Run) -> Self {
        let asking = run.works().filter(|(.., phase)| *phase == "asks").count();
        Self { waiting: run.waiting_answers().count(), asking, works: run.works().count() }
    }

    /// Checks that the input, reduced by a run in this state, has used exactly what it may. An event from outside must
    /// have been accepted.
    #[track_caller]
    pub(crate) fn check(self, input: &Input, run: &Run) {
        let after = Self::of(run);
        if run.outcome().is_some() {
            assert_eq!(after, Self { waiting: 0, asking: 0, works: 0 }, "an end clears what waits");
            return;
        }
        let waiting = after.waiting.cast_signed() - self.waiting.cast_signed();
        let asking = after.asking.cast_signed() - self.asking.cast_signed();
        let works = after.works.cast_signed() - self.works.cast_signed();
        match input {
            Input::External(external) => assert!(
                matches!((waiting, asking, works), (1, 0, 0) | (0, -1, 0) | (0, 0, 1..)),
                "what was accepted answers a question, becomes work or waits: {external:?}, {self:?}, {after:?}"
            ),
            // A waiting answer is used by a question that it answers at once.
            Input::Done { .. } => assert!(
                waiting == 0 || ((waiting, works) == (-1, 0) && asking <= 0),
                "what waits is not dropped: {input:?}, {self:?}, {after:?}"
            ),
            _ => assert_eq!(waiting, 0, "what waits is not dropped: {input:?}, {self:?}, {after:?}"),
        }
    }
}
