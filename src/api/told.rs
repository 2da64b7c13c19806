//! Logs likely mistakes of clients, once for each value.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    limits::{TOLD_BYTES_MAX, TOLD_PAUSE_US, TOLD_VALUES_MAX},
    now::Now,
    text::{OneLine, nearest},
};

/// Values of one kind that were logged. Once there are many, a new one is logged only now and then and replaces the
/// oldest.
pub(super) struct Told(Mutex<Values>);

struct Values {
    /// The logged values, oldest first.
    values: VecDeque<String>,
    /// When the newest was logged, on the alive clock.
    last_us: u64,
}

/// Sets the time by which the pauses are measured: values occur where no clock is at hand, and on other threads.
pub fn note_time(now: Now) {
    ALIVE_US.store(now.alive_us, Ordering::Relaxed);
}

static ALIVE_US: AtomicU64 = AtomicU64::new(0);

impl Told {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Values { values: VecDeque::new(), last_us: 0 }))
    }

    /// Returns the value in printable form if it is to be logged.
    pub(super) fn first(&self, value: &str) -> Option<String> {
        self.first_at(value, ALIVE_US.load(Ordering::Relaxed))
    }

    fn first_at(&self, value: &str, now_us: u64) -> Option<String> {
        let shown = OneLine::new(value, TOLD_BYTES_MAX).to_string();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Values { values, last_us } = &mut *told;
        if values.contains(&shown) {
            return None;
        }
        if values.len() >= TOLD_VALUES_MAX {
            if now_us < last_us.saturating_add(TOLD_PAUSE_US) {
                return None;
            }
            values.pop_front();
        }
        *last_us = now_us;
        values.push_back(shown.clone());
        Some(shown)
    }

    /// Logs an unknown `what` named `name`, if it resembles one of the known names.
    pub(super) fn misspelt(&self, what: &str, name: &str, known: &[&str]) {
        let Some(meant) = nearest(name, known.iter().copied()) else { return };
        if let Some(name) = self.first(name) {
            log::warn!("a request has the {what} `{name}`, which is ignored: did you mean `{meant}`?");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_logged_once_on_one_line_and_only_a_limited_number_at_once() {
        let told = Told::new();
        assert_eq!(told.first("a\nb").as_deref(), Some("a\\nb"));
        assert_eq!(told.first("a\nb"), None);
        let long = told.first(&"x".repeat(10_000)).unwrap();
        assert_eq!(long, "x".repeat(TOLD_BYTES_MAX) + "…");
        let further = (0..1_000).filter(|number| told.first(&number.to_string()).is_some()).count();
        assert_eq!(further, TOLD_VALUES_MAX - 2);
    }

    #[test]
    fn after_many_logged_values_another_one_is_logged_after_a_pause() {
        let told = Told::new();
        for number in 0..TOLD_VALUES_MAX {
            assert!(told.first_at(&number.to_string(), 5).is_some());
        }
        assert_eq!(told.first_at("late", 5 + TOLD_PAUSE_US - 1), None);
        assert!(told.first_at("late", 5 + TOLD_PAUSE_US).is_some());
        for again in ["late", "later", "1"] {
            assert_eq!(told.first_at(again, 5 + 2 * TOLD_PAUSE_US - 1), None, "{again}");
        }
        assert!(told.first_at("0", 5 + 2 * TOLD_PAUSE_US).is_some(), "the oldest is forgotten");
        assert_eq!(told.first_at("late", 5 + 3 * TOLD_PAUSE_US), None);
    }
}
