//! Tests from outside, in one binary: a file a subject.

mod http_exchange;
mod http_net;
mod http_table;
mod golden;
mod http_net;
mod protocol;
mod support;
mod tidy;
mod workflow_authoring;
mod run_effects;
mod simulation;
mod workflow_graph;
mod workflow_pass;
mod workflow_schema;
