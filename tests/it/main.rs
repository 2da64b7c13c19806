//! Tests from outside, in one binary: a file a subject.

mod run_effects;
mod simulation;
mod workflow_graph;
