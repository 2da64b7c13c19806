//! What clients do that they hardly mean to do: the log says it, once for each value.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    limits::{TOLD_BYTES_MAX, TOLD_VALUES_MAX},
    text::{OneLine, nearest},
};

/// Values of one kind that the log was told of while the program runs. When there are enough of them no further one is.
pub(super) struct Told(Mutex<BTreeSet<String>>);

impl Told {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// The value as the log may show it, if it is to be told of.
    pub(super) fn first(&self, value: &str) -> Option<String> {
        let shown = OneLine::new(value, TOLD_BYTES_MAX).to_string();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (told.len() < TOLD_VALUES_MAX && told.insert(shown.clone())).then_some(shown)
    }

    /// Logs that a request has `what`, `name`, which is not among those that are known, if it is near to one of them.
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
    fn a_value_is_told_once_on_one_line_and_no_more_than_so_many_are() {
        let told = Told::new();
        assert_eq!(told.first("a\nb").as_deref(), Some("a\\nb"));
        assert_eq!(told.first("a\nb"), None);
        let long = told.first(&"x".repeat(10_000)).unwrap();
        assert_eq!(long, "x".repeat(TOLD_BYTES_MAX) + "…");
        let further = (0..1_000).filter(|number| told.first(&number.to_string()).is_some()).count();
        assert_eq!(further, TOLD_VALUES_MAX - 2);
    }
}
