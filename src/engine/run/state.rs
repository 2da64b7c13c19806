//! A run's state: a snapshot to each pass, and the writes of passes that succeed, as transactions.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    limits::STATE_BYTES_MAX,
    pass::{Snapshot, StateUse, Write},
    values::{Value, Values},
};

/// The values, and which of them changed since the oldest snapshot that is still in use.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Counts the passes that wrote.
    version: u64,
    /// The version that last added or removed a key.
    keys_version: u64,
    values: Values,
    /// The version that last changed or removed a key; kept only while passes run.
    changes: BTreeMap<Arc<str>, u64>,
}

impl State {
    pub(super) fn new(values: Values) -> Self {
        Self { values, ..Self::default() }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, values: self.values.clone() }
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Whether what a pass read has changed since its snapshot.
    pub(super) fn conflicts(&self, used: &StateUse) -> bool {
        let changed = |key: &Arc<str>| self.changes.get(key).is_some_and(|version| *version > used.version);
        (used.listed && self.keys_version > used.version) || used.reads.iter().any(changed)
    }

    /// Applies the writes of a pass, all or none. The error names the key and what is wrong.
    pub(super) fn apply(&mut self, writes: Vec<(Arc<str>, Write)>) -> Result<(), String> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut written: BTreeMap<Arc<str>, Option<Value>> = BTreeMap::new();
        for (key, write) in writes {
            let own = || self.values.entry(&key).map(|(_, value)| value.clone());
            let value = written.entry(Arc::clone(&key)).or_insert_with(own);
            *value = write.apply(&key, value.take())?;
        }
        let entry = |key: &Arc<str>, value: Option<&Value>| {
            value.map_or(0, |value| Values::entry_cost_bytes(key.len(), value.bytes()))
        };
        let gone: usize = written.keys().map(|key| entry(key, self.values.entry(key).map(|(_, value)| value))).sum();
        let come: usize = written.iter().map(|(key, value)| entry(key, value.as_ref())).sum();
        let bytes = self.values.cost_bytes() - gone + come;
        if bytes > STATE_BYTES_MAX && come > gone {
            return Err(format!(
                "the state would take {bytes} bytes of memory, and may take {STATE_BYTES_MAX}: keep less in it, or \
                 many small values under one key"
            ));
        }
        self.version += 1;
        for (key, value) in written {
            self.changes.insert(Arc::clone(&key), self.version);
            let same_keys = match value {
                Some(value) => self.values.insert(key, value),
                None => !self.values.remove(&key),
            };
            if !same_keys {
                self.keys_version = self.version;
            }
        }
        Ok(())
    }

    /// Counts the passes that wrote.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Forgets which keys changed: no pass runs, so every later snapshot is newer.
    pub(super) fn forget_changes(&mut self) {
        if !self.changes.is_empty() {
            self.changes = BTreeMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("good JSON")
    }

    fn with(entries: &[(&str, &str)]) -> State {
        State::new(entries.iter().map(|(key, value)| (Arc::from(*key), json(value))).collect())
    }

    fn reads(state: &State, keys: &[&str]) -> StateUse {
        let reads = keys.iter().map(|key| Arc::from(*key)).collect();
        StateUse { version: state.version, reads, ..StateUse::default() }
    }

    #[track_caller]
    fn apply(state: &mut State, key: &str, write: Write) {
        state.apply(vec![(Arc::from(key), write)]).expect("it applies");
    }

    #[test]
    fn a_read_conflicts_with_a_later_change_of_its_key_alone() {
        let mut state = with(&[("a", "1"), ("b", "2")]);
        let (a, b, absent) = (reads(&state, &["a"]), reads(&state, &["b"]), reads(&state, &["c"]));
        apply(&mut state, "a", Write::Add(json("1")));
        assert_eq!([&a, &b, &absent].map(|used| state.conflicts(used)), [true, false, false]);
        apply(&mut state, "c", Write::Set(json("null")));
        assert!(state.conflicts(&absent), "an absent key is read too");
        assert!(!state.conflicts(&reads(&state, &["a", "b", "c"])), "a new snapshot sees it all");
        let c = reads(&state, &["c"]);
        apply(&mut state, "c", Write::Remove);
        assert!(state.conflicts(&c), "a removal is a change");
    }

    #[test]
    fn a_listing_conflicts_with_new_and_removed_keys_alone() {
        let mut state = with(&[("a", "1")]);
        let list = |state: &State| StateUse { listed: true, ..reads(state, &[]) };
        let before = list(&state);
        apply(&mut state, "a", Write::Set(json("2")));
        apply(&mut state, "b", Write::Remove);
        assert!(!state.conflicts(&before), "the keys are the same");
        apply(&mut state, "b", Write::Push(json("1")));
        assert!(state.conflicts(&before));
        let before = list(&state);
        apply(&mut state, "b", Write::Remove);
        assert!(state.conflicts(&before));
    }

    #[test]
    fn writes_apply_in_order_and_all_or_none() {
        let mut state = with(&[("list", "[1]")]);
        let key = |name: &str| Arc::<str>::from(name);
        let good = vec![
            (key("n"), Write::Set(json("1"))),
            (key("n"), Write::Add(json("2"))),
            (key("list"), Write::Push(json("2"))),
        ];
        state.apply(good).expect("it applies");
        assert_eq!([state.values().get("n"), state.values().get("list")], [Some(json("3")), Some(json("[1,2]"))]);
        let (before, version) = (state.values().clone(), state.version);
        let bad = vec![(key("n"), Write::Set(json("9"))), (key("list"), Write::Add(json("1")))];
        let error = state.apply(bad).expect_err("a list is no number");
        assert_eq!(error, "state key `list`: `add` needs a number, found an array");
        assert_eq!((state.values(), state.version), (&before, version));
    }

    #[test]
    fn the_state_is_bounded_and_can_always_shrink() {
        let big = json(&format!("\"{}\"", "x".repeat(STATE_BYTES_MAX - 200)));
        let mut state = with(&[]);
        apply(&mut state, "a", Write::Set(big.clone()));
        let error = state.apply(vec![(Arc::from("b"), Write::Set(big))]).expect_err("too much");
        assert!(error.contains("16777216"), "{error}");
        apply(&mut state, "a", Write::Remove);
        assert_eq!(state.values.cost_bytes(), 0);
    }

    #[test]
    fn a_snapshot_stays_as_it_was_taken() {
        let mut state = with(&[("a", "1")]);
        let snapshot = state.snapshot();
        apply(&mut state, "a", Write::Set(json("2")));
        assert_eq!(snapshot.values.get("a"), Some(json("1")));
    }
}
