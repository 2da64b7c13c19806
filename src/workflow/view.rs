//! A pass's view of the state: the snapshot that it began with, overlaid by its own writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    json::Json,
    pass::{Snapshot, StateUse, Write, WriteError},
    values::Value,
};

/// What a pass has read and written so far.
#[derive(Default)]
pub(super) struct StateView {
    reads: BTreeSet<Arc<str>>,
    listed: bool,
    writes: Vec<(Arc<str>, Pending)>,
    own: BTreeMap<Arc<str>, Own>,
}

/// A key after the writes of the pass.
struct Own {
    value: Option<Value>,
    /// Whether the value still depends on the snapshot's, so that reading it reads the snapshot.
    of_snapshot: bool,
    /// The index of the newest write to it.
    write: usize,
}

/// Writes to one key, combined where possible: a loop that adds or pushes is a single write to the run.
enum Pending {
    One(Write),
    /// The elements that were pushed, as an array.
    Pushed(Value),
}

impl StateView {
    pub(super) fn read(&mut self, snapshot: &Snapshot, key: &str) -> Option<Json> {
        let (of_snapshot, value) = match self.own.get(key) {
            Some(own) => (own.of_snapshot, own.value.as_ref().map(Value::json)),
            None => (true, snapshot.values.get(key)),
        };
        if of_snapshot && !self.reads.contains(key) {
            self.reads.insert(shared(snapshot, key));
        }
        value
    }

    pub(super) fn write(
        &mut self,
        snapshot: &Snapshot,
        key: &str,
        write: Write,
    ) -> std::result::Result<(), WriteError> {
        let own = self.own.get_mut(key);
        let before = match &own {
            Some(own) => own.value.clone(),
            None => snapshot.values.entry(key).map(|(_, value)| value.clone()),
        };
        let keeps = !matches!(write, Write::Set(_) | Write::Remove);
        let value = write.apply(key, before)?;
        let Some(own) = own else {
            let key = shared(snapshot, key);
            self.own.insert(Arc::clone(&key), Own { value, of_snapshot: keeps, write: self.writes.len() });
            self.writes.push((key, Pending::One(write)));
            return Ok(());
        };
        own.value = value;
        own.of_snapshot &= keeps;
        let (key, newest) = &mut self.writes[own.write];
        if let Some(write) = newest.join(write) {
            let key = Arc::clone(key);
            own.write = self.writes.len();
            self.writes.push((key, Pending::One(write)));
        }
        Ok(())
    }

    pub(super) fn keys(&mut self, snapshot: &Snapshot) -> Vec<String> {
        self.listed = true;
        let mut keys: BTreeSet<&str> = snapshot.values.keys().map(|key| &**key).collect();
        for (key, own) in &self.own {
            match own.value {
                Some(_) => keys.insert(key),
                None => keys.remove(&**key),
            };
        }
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Returns the record of the pass. The writes of a pass that waits or fails are dropped.
    pub(super) fn into_use(self, version: u64, succeeded: bool) -> StateUse {
        let writes = if succeeded { self.writes } else { Vec::new() };
        let writes = writes.into_iter().map(|(key, pending)| (key, pending.into_write())).collect();
        StateUse { version, reads: self.reads.into_iter().collect(), listed: self.listed, writes }
    }
}

impl Pending {
    /// Combines the next write to the same key with this one; returns it if that is not possible.
    fn join(&mut self, next: Write) -> Option<Write> {
        let extended = |pushed: Option<Value>, element: &Json| Value::extend(pushed, element.as_str()).ok();
        match (&mut *self, next) {
            (Self::One(one), next) => {
                let joined = match (&*one, &next) {
                    (Write::Push(first), Write::Push(second)) => {
                        extended(extended(None, first), second).map(Self::Pushed)
                    }
                    _ => one.then(&next).map(Self::One),
                };
                let Some(joined) = joined else { return Some(next) };
                *self = joined;
            }
            (Self::Pushed(_), next @ (Write::Set(_) | Write::Remove)) => *self = Self::One(next),
            (Self::Pushed(pushed), Write::Push(element)) => {
                let before = std::mem::replace(pushed, Value::Array(Arc::default()));
                *pushed = extended(Some(before), &element)?;
            }
            (Self::Pushed(_), next) => return Some(next),
        }
        None
    }

    fn into_write(self) -> Write {
        match self {
            Self::One(write) => write,
            Self::Pushed(elements) => Write::Extend(elements.json()),
        }
    }
}

/// Returns the snapshot's copy of the key, if it has one.
fn shared(snapshot: &Snapshot, key: &str) -> Arc<str> {
    snapshot.values.entry(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key))
}
