//! The state of the writer's work besides batches: the last reported size, and which chores fail. A failure is logged
//! once, then at most once per pause, and once more when the chore works again.

use crate::{limits::STORE_WARNING_PAUSE_US, now::Seldom};

/// Work on the database's size, which is retried after a failure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chore {
    /// Deletes what was removed.
    Trash,
    /// Releases free pages.
    FreePages,
    /// Copies the log into the database.
    Log,
}

/// The last report of the database's size.
#[derive(Default)]
pub(super) struct Size {
    /// Bytes; `None` before the first report.
    pub(super) said: Option<u64>,
    /// Whether rows were deleted since.
    pub(super) is_due: bool,
    /// Transactions since then.
    pub(super) unsaid: u32,
}

/// Which chores fail.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// The log line about each failure; `None` while the chore works.
    failures: [Option<Seldom>; 3],
    /// The log line about what is not retried.
    given_up: Seldom,
}

impl Upkeep {
    /// The chore has failed. Returns whether to log that.
    #[must_use]
    pub(super) fn handle_failure(&mut self, chore: Chore, now_us: u64) -> bool {
        self.failures[chore as usize].get_or_insert_default().take(now_us, STORE_WARNING_PAUSE_US)
    }

    /// The chore is done. Returns whether to log that it works again.
    #[must_use]
    pub(super) fn handle_success(&mut self, chore: Chore) -> bool {
        self.failures[chore as usize].take().is_some()
    }

    /// Something cannot be done, and is not retried. Returns whether to log that, as there may be much of it.
    #[must_use]
    pub(super) fn handle_given_up(&mut self, now_us: u64) -> bool {
        self.given_up.take(now_us, STORE_WARNING_PAUSE_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_that_keeps_failing_is_logged_once_per_pause_and_its_recovery_once() {
        let mut upkeep = Upkeep::default();
        assert!(!upkeep.handle_success(Chore::Log), "nobody has heard that it does not work");
        let failures = |upkeep: &mut Upkeep, chore, from_us: u64, until_us: u64| {
            (from_us..until_us).step_by(1_000_000).filter(|&now_us| upkeep.handle_failure(chore, now_us)).count()
        };
        assert_eq!(failures(&mut upkeep, Chore::Log, 0, STORE_WARNING_PAUSE_US), 1);
        assert_eq!(failures(&mut upkeep, Chore::Log, STORE_WARNING_PAUSE_US, 3 * STORE_WARNING_PAUSE_US), 2);
        assert_eq!(failures(&mut upkeep, Chore::Trash, 0, STORE_WARNING_PAUSE_US), 1, "each is said for itself");
        assert!(upkeep.handle_success(Chore::Log));
        assert!(!upkeep.handle_success(Chore::Log));
        assert!(upkeep.handle_failure(Chore::Log, 3 * STORE_WARNING_PAUSE_US + 1), "it is another failure");
        assert!(upkeep.handle_success(Chore::Trash));
        assert!(
            upkeep.handle_given_up(0) && !upkeep.handle_given_up(1) && upkeep.handle_given_up(STORE_WARNING_PAUSE_US)
        );
    }
}
