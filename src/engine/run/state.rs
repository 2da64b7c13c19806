//! A run's state: a snapshot to each pass, and the writes of passes that succeed, as transactions.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    json::Json,
    limits::STATE_BYTES_MAX,
    pass::{Snapshot, StateUse, Write},
};

/// The values, and which of them changed since the oldest snapshot that is still in use.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Counts the passes that wrote.
    version: u64,
    /// The version that last added or removed a key.
    keys_version: u64,
    values: Arc<BTreeMap<Arc<str>, Json>>,
    /// The version that last changed or removed a key; kept only while passes run.
    changes: BTreeMap<Arc<str>, u64>,
    bytes: usize,
}

impl State {
    pub(super) fn new(values: BTreeMap<Arc<str>, Json>) -> Self {
        let bytes = values.iter().map(|(key, value)| entry_bytes(key, value)).sum();
        Self { values: Arc::new(values), bytes, ..Self::default() }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, values: Arc::clone(&self.values) }
    }

    pub(super) fn values(&self) -> &BTreeMap<Arc<str>, Json> {
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
        let mut written: BTreeMap<Arc<str>, Option<Json>> = BTreeMap::new();
        for (key, write) in writes {
            let current = written.get(&key).map_or_else(|| self.values.get(&key), Option::as_ref);
            let value = write.apply(&key, current)?;
            written.insert(key, value);
        }
        let entry = |key: &Arc<str>, value: Option<&Json>| value.map_or(0, |value| entry_bytes(key, value));
        let gone: usize = written.keys().map(|key| entry(key, self.values.get(key))).sum();
        let come: usize = written.iter().map(|(key, value)| entry(key, value.as_ref())).sum();
        let bytes = self.bytes - gone + come;
        if bytes > STATE_BYTES_MAX && come > gone {
            return Err(format!("the state would hold {bytes} bytes, and may hold {STATE_BYTES_MAX}: keep less in it"));
        }
        self.bytes = bytes;
        self.version += 1;
        let values = Arc::make_mut(&mut self.values);
        for (key, value) in written {
            self.changes.insert(Arc::clone(&key), self.version);
            let had = match value {
                Some(value) => values.insert(key, value).is_some(),
                None => values.remove(&key).is_none(),
            };
            if !had {
                self.keys_version = self.version;
            }
        }
        Ok(())
    }

    /// Counts the passes that wrote.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether its bytes are those of its values.
    pub(super) fn is_sound(&self) -> bool {
        let bytes: usize = self.values.iter().map(|(key, value)| entry_bytes(key, value)).sum();
        bytes == self.bytes
    }

    /// Forgets which keys changed: no pass runs, so every later snapshot is newer.
    pub(super) fn forget_changes(&mut self) {
        if !self.changes.is_empty() {
            self.changes = BTreeMap::new();
        }
    }
}

fn entry_bytes(key: &str, value: &Json) -> usize {
    key.len() + value.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((state.values()["n"].as_str(), state.values()["list"].as_str()), ("3", "[1,2]"));
        let (before, version) = (state.values().clone(), state.version);
        let bad = vec![(key("n"), Write::Set(json("9"))), (key("list"), Write::Add(json("1")))];
        let error = state.apply(bad).expect_err("a list is no number");
        assert_eq!(error, "state key `list`: `add` needs a number, found an array");
        assert_eq!((state.values(), state.version), (&before, version));
    }

    #[test]
    fn the_state_is_bounded_and_can_always_shrink() {
        let big = json(&format!("\"{}\"", "x".repeat(STATE_BYTES_MAX - 10)));
        let mut state = with(&[]);
        apply(&mut state, "a", Write::Set(big.clone()));
        let error = state.apply(vec![(Arc::from("b"), Write::Set(big))]).expect_err("too much");
        assert!(error.contains("16777216"), "{error}");
        apply(&mut state, "a", Write::Remove);
        assert_eq!(state.bytes, 0);
    }

    #[test]
    fn a_snapshot_stays_as_it_was_taken() {
        let mut state = with(&[("a", "1")]);
        let snapshot = state.snapshot();
        apply(&mut state, "a", Write::Set(json("2")));
        assert_eq!(snapshot.values["a"].as_str(), "1");
    }
}
