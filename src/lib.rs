//! steprill: a workflow server in one small binary.

pub mod api;
pub mod engine;
pub mod graph;
pub mod http;
pub mod json;
pub mod limits;
pub mod net;
pub mod now;
pub mod pass;
pub mod store;
pub mod workers;
pub mod workflow;
