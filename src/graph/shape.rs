//! The shape of an event type's values: its JSON Schema, compiled for checking values from outside.
//!
//! The loop can check with it without running code of the program. It refuses only what the type would refuse, too: it
//! accepts whatever depends on parts of a schema that it does not know, and the worker that decodes the value decides.

mod compile;
mod date;
mod mismatch;
mod node;
mod text;
mod walk;

use std::borrow::Cow;

pub use mismatch::Mismatch;
pub use node::PathStep;

use node::Node;

/// The shape of values. The default accepts everything.
#[derive(Clone, Default, Debug)]
pub struct Shape {
    nodes: Box<[Node]>,
}

impl Shape {
    /// Compiles a JSON Schema as written by schemars. `names` returns all names that the fields or variants at a path
    /// may have, including aliases, which no schema shows; `None` if they are not known.
    pub fn compile(
        schema: &serde_json::Value,
        names: &dyn Fn(&[PathStep<'_>]) -> Option<&'static [&'static str]>,
    ) -> Self {
        Self { nodes: compile::compile(schema, Some(names)) }
    }

    /// Compiles a JSON Schema that says everything about its values: their fields have no other names, and
    /// [`Shape::complete`] knows the defaults.
    pub fn of_schema(schema: &serde_json::Value) -> Self {
        Self { nodes: compile::compile(schema, None) }
    }

    /// Returns the shape of values without a type: it accepts all but numbers that do not fit 64 bits, which decoding
    /// would round.
    pub fn untyped() -> Self {
        Self { nodes: Box::new([Node::default()]) }
    }

    /// Checks the text of a JSON value. Returns the text with every integer written as such: `2.0` as `2`.
    ///
    /// Takes time in proportion to the text.
    ///
    /// # Errors
    /// The field, what was expected and what came: `field message: expected string, got number`.
    pub fn check<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Mismatch> {
        if self.nodes.is_empty() { Ok(Cow::Borrowed(text)) } else { walk::check(&self.nodes, text, false) }
    }

    /// Like [`Shape::check`], and adds the absent fields that have a default, if the shape was compiled with
    /// [`Shape::of_schema`]: what a step that is no function sees of an event.
    ///
    /// # Errors
    /// See [`Shape::check`].
    pub fn complete<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Mismatch> {
        if self.nodes.is_empty() { Ok(Cow::Borrowed(text)) } else { walk::check(&self.nodes, text, true) }
    }
}
