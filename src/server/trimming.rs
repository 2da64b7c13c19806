//! Releases freed memory to the system, when that is worthwhile.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::limits::{TRIM_BYTES_MIN, TRIM_PAUSE_US};

/// When to check the memory, and what was found.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    /// When to check at the earliest, on the alive clock.
    due_us: u64,
    /// Whether something has happened since the last check.
    is_stale: bool,
    /// The smallest difference seen so far between the process's memory and the bytes held: code, stacks, memory of
    /// steps.
    beyond_bytes: Option<usize>,
    /// Whether a thread is releasing memory.
    is_busy: Arc<AtomicBool>,
}

impl Trimming {
    /// Returns how long until the next check; an idle server checks only once.
    pub(super) fn poll_timeout(&self, alive_us: u64) -> Option<Duration> {
        self.is_stale.then(|| Duration::from_micros(self.due_us.saturating_sub(alive_us)))
    }

    /// Returns whether to check now, as is done regularly under load; call [`Trimming::handle_look`] next.
    pub(super) fn is_due(&mut self, alive_us: u64) -> bool {
        if alive_us < self.due_us {
            self.is_stale = true;
            return false;
        }
        self.due_us = alive_us + TRIM_PAUSE_US;
        !self.is_busy.load(Ordering::Acquire)
    }

    /// Checks whether there is much to release to the system, given the bytes that the server holds. A thread of its
    /// own releases it, which takes some milliseconds.
    pub(super) fn handle_look(&mut self, held_bytes: usize) {
        let Some(resident_bytes) = resident_bytes() else { return };
        // Whatever happens from here on, including ends of passes, causes another check.
        self.is_stale = false;
        if self.look(resident_bytes, held_bytes) {
            self.give_back();
        }
    }

    fn give_back(&self) {
        let is_busy = Arc::clone(&self.is_busy);
        is_busy.store(true, Ordering::Release);
        let started = thread::Builder::new().name("trim".into()).spawn(move || {
            steprill_trim::give_back();
            is_busy.store(false, Ordering::Release);
        });
        if started.is_err() {
            self.is_busy.store(false, Ordering::Release);
        }
    }

    /// Returns whether the process has so much more memory than it needs that releasing it is worthwhile.
    fn look(&mut self, resident_bytes: usize, held_bytes: usize) -> bool {
        let beyond_bytes = resident_bytes.saturating_sub(held_bytes);
        let least_bytes = self.beyond_bytes.map_or(beyond_bytes, |least_bytes| least_bytes.min(beyond_bytes));
        self.beyond_bytes = Some(least_bytes);
        beyond_bytes > least_bytes + TRIM_BYTES_MIN
    }
}

/// Returns the resident memory of the process, where the system reports it.
fn resident_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_free_after_a_load_is_released() {
        const MB: usize = 1 << 20;
        let mut trimming = Trimming::default();
        assert!(!trimming.look(10 * MB, 0), "what the process begins with");
        assert!(!trimming.look(110 * MB, 100 * MB), "what is held is needed");
        assert!(trimming.look(110 * MB, MB), "under load");
        assert!(trimming.look(60 * MB, MB), "and after it, though less");
        assert!(!trimming.look(12 * MB, MB));
    }
}
