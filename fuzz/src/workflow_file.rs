//! Reads any bytes as a workflow file: they are a workflow, or every fault in them has its place.

use std::path::Path;

use steprill::files::{Drawing, parse};

/// The last byte determines whether the rest is read as TOML or as JSON.
pub fn run(data: &[u8]) {
    let name = if data.last().is_some_and(|last| *last == b'}') { "flow.json" } else { "flow.toml" };
    match parse(Path::new(name), data) {
        Ok(file) => {
            for drawing in [Drawing::Text, Drawing::Dot, Drawing::Mermaid] {
                assert!(!drawing.draw(file.workflow.graph()).is_empty());
            }
        }
        Err(faults) => {
            let lines = data.split(|byte| *byte == b'\n').count();
            assert!(!faults.0.is_empty());
            for fault in &faults.0 {
                let is_inside = fault.at.is_none_or(|(line, column)| line <= lines && column <= data.len() + 1);
                assert!(is_inside && !fault.text.is_empty(), "{fault}");
            }
        }
    }
}
