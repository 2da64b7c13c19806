//! The bodies of the fuzz targets: plain functions over bytes, so that the corpus can be replayed without a fuzzer.
//!
//! To add a target: its module and its line in [`TARGETS`] here, three lines in `fuzz_targets/`, a `[[bin]]` in
//! `Cargo.toml`, seeds in `corpus/`.

#![forbid(unsafe_code)]

pub mod body;
pub mod exchange_ops;
mod graphs;
mod inputs;
pub mod journal_ops;
pub mod passes;
pub mod record;
pub mod request_head;
pub mod run_ops;
pub mod step_output;
pub mod workflow_file;

/// A target, which panics if a rule is broken.
pub type Target = fn(&[u8]);

/// All targets by name; the corpus of each is the directory of that name in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("request_head", request_head::run),
    ("body", body::run),
    ("exchange_ops", exchange_ops::run),
    ("run_ops", run_ops::run),
    ("record", record::run),
    ("journal_ops", journal_ops::run),
    ("passes", passes::run),
    ("workflow_file", workflow_file::run),
    ("step_output", step_output::run),
];
