//! How other threads wake the loop.

use std::sync::Arc;

/// Wakes the loop from another thread: there is something for it to take.
pub type WakeLoop = Arc<dyn Fn() + Send + Sync>;
