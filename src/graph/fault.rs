//! Faults of a graph.

use std::fmt;

/// One fault of a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault(pub String);

/// All faults of a graph.
#[derive(Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line_break}- {}", fault.0)?;
        }
        Ok(())
    }
}

/// The same text as [`Display`](fmt::Display): a `main` that returns the error shows it in this form.
impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the workflow's graph has faults\n{self}")
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
