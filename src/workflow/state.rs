//! The state of a run as one pass sees it: a snapshot, and the pass's own writes over it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Result, StepError, explain, running::Pass};
use crate::{
    json::Json,
    pass::{Snapshot, StateUse, Write},
    values::Value,
};

/// The state of a run: values by key, shared by its steps.
///
/// Reads see what stood there when the pass began, and the pass's own writes. Writes count when the step succeeds. If
/// another step has changed a key that this one read, the body runs again on the new state; so steps are transactions.
/// Writing without reading never runs a body again, nor do [`State::add`] and [`State::push`].
pub struct State<'a> {
    pass: &'a Pass,
}

impl<'a> State<'a> {
    pub(super) fn new(pass: &'a Pass) -> Self {
        Self { pass }
    }

    /// The value of `key`, `None` if there is none.
    ///
    /// # Errors
    /// When it is of another type; when the run has ended.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.pass.ready()?;
        let Some(value) = self.pass.view.borrow_mut().read(&self.pass.input.state, key) else { return Ok(None) };
        let decoded = explain::decode(value.as_str());
        decoded.map(Some).map_err(|fault| StepError::hopeless(format!("state key `{key}`: {fault}")))
    }

    /// Sets `key`.
    ///
    /// # Errors
    /// When the value does not serialise; when the run has ended.
    pub fn set(&self, key: &str, value: impl Serialize) -> Result<()> {
        self.write(key, Write::Set(encode(key, &value)?))
    }

    /// Removes `key`, which need not be there.
    ///
    /// # Errors
    /// When the run has ended.
    pub fn remove(&self, key: &str) -> Result<()> {
        self.write(key, Write::Remove)
    }

    /// Adds to a number; an absent key counts as 0. Steps that add to the same key do not get in each other's way.
    ///
    /// # Errors
    /// When one of the two is no number or the sum is out of range; when the run has ended.
    pub fn add(&self, key: &str, amount: impl Serialize) -> Result<()> {
        self.write(key, Write::Add(encode(key, &amount)?))
    }

    /// Appends to an array; an absent key counts as `[]`. Steps that push to the same key do not get in each other's
    /// way.
    ///
    /// # Errors
    /// When the key holds no array; when the run has ended.
    pub fn push(&self, key: &str, value: impl Serialize) -> Result<()> {
        self.write(key, Write::Push(encode(key, &value)?))
    }

    /// All keys, in order.
    ///
    /// # Errors
    /// When the run has ended.
    pub fn keys(&self) -> Result<Vec<String>> {
        self.pass.ready()?;
        Ok(self.pass.view.borrow_mut().keys(&self.pass.input.state))
    }

    fn write(&self, key: &str, write: Write) -> Result<()> {
        self.pass.ready_outside_once("state")?;
        let bytes = match &write {
            Write::Set(value) | Write::Add(value) | Write::Push(value) | Write::Extend(value) => value.as_str().len(),
            Write::Remove => 0,
        };
        self.pass.count_output(key.len() + bytes)?;
        self.pass.view.borrow_mut().write(&self.pass.input.state, key, write).map_err(StepError::hopeless)
    }
}

fn encode(key: &str, value: &impl Serialize) -> Result<Json> {
    Json::from_value(value).map_err(|error| StepError::hopeless(format!("state key `{key}`: {error}")))
}

/// What a pass did with the state so far.
#[derive(Default)]
pub(super) struct StateView {
    reads: BTreeSet<Arc<str>>,
    listed: bool,
    writes: Vec<(Arc<str>, Pending)>,
    own: BTreeMap<Arc<str>, Own>,
}

/// What the pass's writes have made of a key.
struct Own {
    value: Option<Value>,
    /// Whether the snapshot's value is still in it, so that reading it is reading the snapshot.
    of_snapshot: bool,
    /// The place of the newest write to it.
    write: usize,
}

/// Writes to one key, joined as far as that is possible: a loop that adds or pushes is one write to the run.
enum Pending {
    One(Write),
    /// The elements that were pushed, as an array.
    Pushed(Value),
}

impl StateView {
    fn read(&mut self, snapshot: &Snapshot, key: &str) -> Option<Json> {
        let (of_snapshot, value) = match self.own.get(key) {
            Some(own) => (own.of_snapshot, own.value.as_ref().map(Value::json)),
            None => (true, snapshot.values.get(key)),
        };
        if of_snapshot && !self.reads.contains(key) {
            self.reads.insert(shared(snapshot, key));
        }
        value
    }

    fn write(&mut self, snapshot: &Snapshot, key: &str, write: Write) -> std::result::Result<(), String> {
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

    fn keys(&mut self, snapshot: &Snapshot) -> Vec<String> {
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

    /// The record of it. The writes of a pass that waits or fails are dropped.
    pub(super) fn into_use(self, version: u64, succeeded: bool) -> StateUse {
        let writes = if succeeded { self.writes } else { Vec::new() };
        let writes = writes.into_iter().map(|(key, pending)| (key, pending.into_write())).collect();
        StateUse { version, reads: self.reads.into_iter().collect(), listed: self.listed, writes }
    }
}

impl Pending {
    /// Takes the next write to the same key in; gives it back if the two cannot be one.
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

/// The snapshot's own copy of the key, if it has one.
fn shared(snapshot: &Snapshot, key: &str) -> Arc<str> {
    snapshot.values.entry(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key))
}
