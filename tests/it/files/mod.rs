//! Workflow files.

mod commands;
mod faults;
mod guide;
mod paths;
mod random;
mod schema;
mod served;
mod values;
mod whole;

use std::path::Path;

use steprill::files::{FileFaults, WorkflowFile, parse};

/// The example of the guide.
const ORDER: &str = include_str!("order.toml");

fn toml(text: &str) -> Result<WorkflowFile, FileFaults> {
    parse(Path::new("dir/flow.toml"), text.as_bytes())
}

#[track_caller]
fn good(text: &str) -> WorkflowFile {
    toml(text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Returns the faults, each without the name of the file.
#[track_caller]
fn faults(text: &str) -> Vec<String> {
    let faults = toml(text).expect_err("it has faults");
    faults
        .0
        .iter()
        .map(|fault| fault.to_string().strip_prefix("dir/flow.toml:").expect("its file").to_owned())
        .collect()
}
