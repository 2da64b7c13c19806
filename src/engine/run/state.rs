//! The state of a run: each pass gets a snapshot of it, and the writes of successful passes are transactions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    cost,
    limits::{STATE_BYTES_MAX, STATE_NAMES_BYTES_MIN, STATE_NAMES_PART},
    pass::{Snapshot, StateUse, Write, WriteError},
    values::{Value, Values},
};

/// The values, and which of them changed since the oldest snapshot that is in use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Recorded", from = "Recorded")]
pub(super) struct State {
    /// The number of passes that wrote.
    version: u64,
    /// The version that last added or removed a key.
    keys_version: u64,
    values: Values,
    /// The version that last changed or removed a key; recorded only while passes run.
    changes: BTreeMap<Arc<str>, u64>,
    /// What has changed, if the store has the state with which the run began.
    since: Option<Box<Since>>,
}

/// Why the writes of a pass cannot be applied.
#[derive(Debug)]
pub(super) enum StateError {
    /// One of them does not fit its value.
    Write(WriteError),
    /// The state would take so many bytes of memory.
    TooLarge(usize),
}

impl fmt::Display for StateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => write!(out, "{error}"),
            Self::TooLarge(bytes) => write!(
                out,
                "the state would take {bytes} bytes of memory, and may take {STATE_BYTES_MAX}: keep less in it, or \
                 many small values under one key"
            ),
        }
    }
}

/// What has changed of a state since its run began.
#[derive(Clone, Debug)]
struct Since {
    /// The cost of the initial state.
    initial_bytes: usize,
    changed: Changed,
    /// Approximate cost of the names of the changed keys.
    names_bytes: usize,
}

/// What has changed of a state since its run began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// Only the values of these keys.
    Keys(BTreeSet<Arc<str>>),
    /// More than was recorded: all of it must be stored again.
    Much,
}

/// A state in a snapshot.
#[derive(Serialize, Deserialize)]
struct Recorded {
    version: u64,
    keys_version: u64,
    values: RecordedValues,
    changes: BTreeMap<Arc<str>, u64>,
}

#[derive(Serialize, Deserialize)]
enum RecordedValues {
    /// All values.
    All(Values),
    /// What differs from the state with which the run began.
    Since { initial_bytes: usize, set: Values, removed: Vec<Arc<str>> },
    /// All values, as much differs from that state.
    Anew { initial_bytes: usize, all: Values },
}

impl Since {
    fn new(initial_bytes: usize) -> Self {
        Self { initial_bytes, changed: Changed::Keys(BTreeSet::new()), names_bytes: 0 }
    }

    fn note(&mut self, key: &Arc<str>) {
        let Changed::Keys(keys) = &mut self.changed else { return };
        if keys.insert(Arc::clone(key)) {
            self.names_bytes += cost::text(key.len()) + cost::elements::<Arc<str>>(2);
        }
        if self.names_bytes > STATE_NAMES_BYTES_MIN.max(self.initial_bytes / STATE_NAMES_PART) {
            (self.changed, self.names_bytes) = (Changed::Much, 0);
        }
    }
}

impl State {
    pub(super) fn new(values: Values) -> Self {
        Self { values, ..Self::default() }
    }

    /// Creates the state of a run that begins with `values`, which the store has.
    pub(super) fn stored(values: Values) -> Self {
        let since = Since::new(values.cost_bytes());
        Self { values, since: Some(Box::new(since)), ..Self::default() }
    }

    /// Completes the state that a snapshot contained as changes to `initial`.
    pub(super) fn complete_from(&mut self, initial: &Values) {
        let Some(Since { changed: Changed::Keys(keys), .. }) = self.since.as_deref() else { return };
        let mut values = initial.clone();
        for key in keys {
            match self.values.entry(key) {
                Some((key, value)) => drop(values.insert(Arc::clone(key), value.clone())),
                None => drop(values.remove(key)),
            }
        }
        self.values = values;
    }

    pub(super) fn changed(&self) -> Option<Changed> {
        self.since.as_ref().map(|since| since.changed.clone())
    }

    pub(super) fn initial_bytes(&self) -> usize {
        self.since.as_ref().map_or(0, |since| since.initial_bytes)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, values: self.values.clone() }
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Returns whether something that a pass read has changed since its snapshot.
    pub(super) fn conflicts(&self, used: &StateUse) -> bool {
        let changed = |key: &Arc<str>| self.changes.get(key).is_some_and(|version| *version > used.version);
        (used.listed && self.keys_version > used.version) || used.reads.iter().any(changed)
    }

    /// Applies the writes of a pass, all or none.
    pub(super) fn apply(&mut self, writes: Vec<(Arc<str>, Write)>) -> Result<(), StateError> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut written: BTreeMap<Arc<str>, Option<Value>> = BTreeMap::new();
        for (key, write) in writes {
            let own = || self.values.entry(&key).map(|(_, value)| value.clone());
            let value = written.entry(Arc::clone(&key)).or_insert_with(own);
            *value = write.apply(&key, value.take()).map_err(StateError::Write)?;
        }
        let entry = |key: &Arc<str>, value: Option<&Value>| {
            value.map_or(0, |value| Values::entry_cost_bytes(key.len(), value.bytes()))
        };
        let gone: usize = written.keys().map(|key| entry(key, self.values.entry(key).map(|(_, value)| value))).sum();
        let come: usize = written.iter().map(|(key, value)| entry(key, value.as_ref())).sum();
        let bytes = self.values.cost_bytes() - gone + come;
        if bytes > STATE_BYTES_MAX && come > gone {
            return Err(StateError::TooLarge(bytes));
        }
        self.version += 1;
        for (key, value) in written {
            self.changes.insert(Arc::clone(&key), self.version);
            if let Some(since) = &mut self.since {
                since.note(&key);
            }
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

    /// Returns the number of passes that wrote.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Forgets which keys changed: as no pass runs, every later snapshot is newer.
    pub(super) fn forget_changes(&mut self) {
        if !self.changes.is_empty() {
            self.changes = BTreeMap::new();
        }
    }
}

impl From<State> for Recorded {
    fn from(State { version, keys_version, values, changes, since }: State) -> Self {
        let values = match since.map(|since| *since) {
            None => RecordedValues::All(values),
            Some(Since { initial_bytes, changed: Changed::Much, .. }) => {
                RecordedValues::Anew { initial_bytes, all: values }
            }
            Some(Since { initial_bytes, changed: Changed::Keys(keys), .. }) => {
                let (set, removed): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| values.entry(key).is_some());
                let entry = |key: Arc<str>| values.entry(&key).map(|(key, value)| (Arc::clone(key), value.clone()));
                RecordedValues::Since { initial_bytes, set: set.into_iter().filter_map(entry).collect(), removed }
            }
        };
        Self { version, keys_version, values, changes }
    }
}

impl From<Recorded> for State {
    fn from(Recorded { version, keys_version, values, changes }: Recorded) -> Self {
        let (values, since) = match values {
            RecordedValues::All(values) => (values, None),
            RecordedValues::Anew { initial_bytes, all } => {
                (all, Some(Since { changed: Changed::Much, ..Since::new(initial_bytes) }))
            }
            RecordedValues::Since { initial_bytes, set, removed } => {
                let mut since = Since::new(initial_bytes);
                set.keys().chain(&removed).for_each(|key| since.note(key));
                (set, Some(since))
            }
        };
        Self { version, keys_version, values, changes, since: since.map(Box::new) }
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
        assert_eq!(error.to_string(), "state key `list`: `add` needs a number, found an array");
        assert_eq!((state.values(), state.version), (&before, version));
    }

    #[test]
    fn the_state_is_bounded_and_can_always_shrink() {
        let big = json(&format!("\"{}\"", "x".repeat(STATE_BYTES_MAX - 200)));
        let mut state = with(&[]);
        apply(&mut state, "a", Write::Set(big.clone()));
        let error = state.apply(vec![(Arc::from("b"), Write::Set(big))]).expect_err("too much");
        assert!(matches!(error, StateError::TooLarge(_)) && error.to_string().contains("16777216"), "{error}");
        apply(&mut state, "a", Write::Remove);
        assert_eq!(state.values.cost_bytes(), 0);
    }

    fn again(state: &State, initial: &Values) -> State {
        let bytes = postcard::to_stdvec(state).expect("plain data serialises");
        let mut state: State = postcard::from_bytes(&bytes).expect("it is read back");
        state.complete_from(initial);
        state
    }

    #[test]
    fn a_stored_state_and_its_changes_restore_the_state() {
        let large = json(&format!("\"{}\"", "x".repeat(10_000)));
        let initial: Values = [("a", json("1")), ("b", json("2")), ("large", large)]
            .into_iter()
            .map(|(key, value)| (Arc::from(key), value))
            .collect();
        let mut state = State::stored(initial.clone());
        assert_eq!(state.changed(), Some(Changed::Keys(BTreeSet::new())));
        apply(&mut state, "a", Write::Add(json("1")));
        apply(&mut state, "b", Write::Remove);
        apply(&mut state, "c", Write::Set(json("3")));
        apply(&mut state, "d", Write::Set(json("4")));
        apply(&mut state, "d", Write::Remove);
        let keys = ["a", "b", "c", "d"].map(Arc::<str>::from);
        assert_eq!(state.changed(), Some(Changed::Keys(keys.into())));
        let read = again(&state, &initial);
        assert_eq!(
            (&read.values, read.changed(), read.initial_bytes()),
            (&state.values, state.changed(), initial.cost_bytes())
        );
        assert!(
            postcard::to_stdvec(&state).expect("plain data serialises").len() < 100,
            "what has not changed is not in it"
        );
        assert_eq!(again(&state, state.values()).values, state.values, "a later state does as well");
    }

    #[test]
    fn a_stored_state_that_has_changed_much_does_not_count_keys() {
        let initial: Values = [(Arc::from("a"), json("1"))].into_iter().collect();
        let mut state = State::stored(initial.clone());
        for key in 0..1_000 {
            apply(&mut state, &format!("key{key}"), Write::Set(json("1")));
            apply(&mut state, &format!("key{key}"), Write::Remove);
        }
        assert_eq!(state.changed(), Some(Changed::Much));
        let read = again(&state, &initial);
        assert_eq!((&read.values, read.changed()), (&initial, Some(Changed::Much)));
        assert_eq!(State::new(initial).changed(), None);
    }

    #[test]
    fn a_snapshot_stays_as_it_was_taken() {
        let mut state = with(&[("a", "1")]);
        let snapshot = state.snapshot();
        apply(&mut state, "a", Write::Set(json("2")));
        assert_eq!(snapshot.values.get("a"), Some(json("1")));
    }
}
