//! Tests from outside, in one binary: a file a subject.

mod http_exchange;
mod http_net;
mod http_table;
mod workflow_authoring;
mod workflow_graph;
