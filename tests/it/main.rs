//! Tests from outside, in one binary: a file a subject.

mod compile_fail;
mod workflow_authoring;
mod workflow_graph;
mod workflow_pass;
mod workflow_schema;
