//! The armed timers of a run.

use serde::{Deserialize, Serialize};

use crate::{engine::input::TimerId, now::Deadline};

/// An armed timer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Timer {
    pub(super) id: TimerId,
    pub(super) deadline: Deadline,
}

/// The timer of the run's time-out.
pub(super) const RUN_TIMER: TimerId = TimerId(0);
