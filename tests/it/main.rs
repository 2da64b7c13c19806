//! Tests from outside, in one binary: a file a subject.

mod byte_forms;
mod compile_fail;
mod crash;
mod demo;
mod examples;
mod faults;
mod golden;
mod http_exchange;
mod http_net;
mod http_table;
mod latency;
mod programs;
mod protocol;
mod readme;
mod recovery;
mod run_effects;
mod run_record;
mod scheduler;
mod shapes;
mod sim;
mod simulation;
#[cfg(feature = "sqlite")]
mod store;
mod support;
mod tidy;
mod workers;
mod workflow_authoring;
mod workflow_graph;
mod workflow_pass;
mod workflow_run;
mod workflow_schema;
mod workflow_test_ctx;
