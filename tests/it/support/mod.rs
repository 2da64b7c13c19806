//! What the tests from outside share: the conformance program as a child process, a small HTTP client that shows
//! every byte, JSON that keeps the order of its members.

mod client;
mod ordered;
mod program;

pub(crate) use client::{Connection, Response};
pub(crate) use ordered::Ordered;
pub(crate) use program::Program;

use std::time::Duration;

/// How long a test waits for a byte, a reply or the end of a process before it fails. No test waits on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
