//! Tests from outside, in one binary: a file a subject.

mod golden;
mod http_net;
mod protocol;
mod support;
mod tidy;
mod workflow_authoring;
mod workflow_graph;
