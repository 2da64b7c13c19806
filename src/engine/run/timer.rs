//! Timers of a run that are armed.

use serde::{Deserialize, Serialize};

use crate::{engine::input::TimerId, now::Deadline};

/// A timer that is armed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Timer {
    pub(super) id: TimerId,
    pub(super) deadline: Deadline,
}

/// The timer of the run's time-out.
pub(super) const RUN_TIMER: TimerId = TimerId(0);
