//! What a step reads and writes of its run's state.

use serde::{Serialize, de::DeserializeOwned};

use super::{Result, StepError, explain, running::Pass};
use crate::{json::Json, pass::Write};

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
