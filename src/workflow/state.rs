//! A step's access to the state of its run.

use serde::{Serialize, de::DeserializeOwned};

use super::{Result, StepError, explain, running::Pass};
use crate::{json::Json, pass::Write};

/// The state of a run: values by key, shared by its steps.
///
/// Reads see the state as it was when the pass began, and the pass's own writes. Writes take effect when the step
/// succeeds. If another step has changed a key that this one read, the body runs again on the new state, so steps are
/// transactions. Writing without reading never causes that, nor do [`State::add`] and [`State::push`].
pub struct State<'a> {
    pass: &'a Pass,
}

impl<'a> State<'a> {
    pub(super) fn new(pass: &'a Pass) -> Self {
        Self { pass }
    }

    /// Returns the value of `key`, or `None` if it is absent.
    ///
    /// # Errors
    /// If the value has another type; if the run has ended.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.pass.ready()?;
        let Some(value) = self.pass.view.borrow_mut().read(&self.pass.input.state, key) else { return Ok(None) };
        let decoded = explain::decode(value.as_str());
        decoded.map(Some).map_err(|fault| StepError::hopeless(format!("state key `{key}`: {fault}")))
    }

    /// Sets `key` to a value.
    ///
    /// # Errors
    /// If the value does not serialize; if the run has ended.
    pub fn set(&self, key: &str, value: impl Serialize) -> Result<()> {
        self.write(key, Write::Set(encode(key, &value)?))
    }

    /// Removes `key` if it is present.
    ///
    /// # Errors
    /// If the run has ended.
    pub fn remove(&self, key: &str) -> Result<()> {
        self.write(key, Write::Remove)
    }

    /// Adds to a number; an absent key counts as 0. Steps that add to the same key do not conflict.
    ///
    /// # Errors
    /// If either is not a number or the sum is out of range; if the run has ended.
    pub fn add(&self, key: &str, amount: impl Serialize) -> Result<()> {
        self.write(key, Write::Add(encode(key, &amount)?))
    }

    /// Appends to an array; an absent key counts as `[]`. Steps that push to the same key do not conflict.
    ///
    /// # Errors
    /// If the value of the key is not an array; if the run has ended.
    pub fn push(&self, key: &str, value: impl Serialize) -> Result<()> {
        self.write(key, Write::Push(encode(key, &value)?))
    }

    /// Returns all keys in order.
    ///
    /// # Errors
    /// If the run has ended.
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
        self.pass
            .view
            .borrow_mut()
            .write(&self.pass.input.state, key, write)
            .map_err(|error| StepError::hopeless(error.to_string()))
    }
}

fn encode(key: &str, value: &impl Serialize) -> Result<Json> {
    Json::from_value(value).map_err(|error| StepError::hopeless(format!("state key `{key}`: {error}")))
}
