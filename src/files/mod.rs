//! Workflow files: from text to a workflow, or to all of its faults with their places.
//!
//! A file in TOML or JSON becomes one tree of values with their places (`toml`, `json`, `tree`). One pass over the tree
//! makes the parts of a graph, the commands of its steps, and faults.

mod action;
mod condition;
mod construct;
mod draw;
mod events;
mod fault;
mod graph;
mod json;
mod paths;
mod program;
mod read;
mod reader;
mod step;
mod toml;
mod tree;
mod types;
mod whole;

pub use draw::Drawing;
pub use fault::{FileFault, FileFaults};
pub use paths::{load, read};
pub use whole::{WorkflowFile, parse};

/// The JSON Schema of workflow files, for editors.
pub const SCHEMA: &str = include_str!("../../docs/workflow-file.schema.json");
