//! What the tests from outside share: the conformance program as a child process, a small HTTP client that shows
//! every byte, JSON that keeps the order of its members.

mod client;
mod ordered;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
mod preload;
mod program;

pub(crate) use client::{Connection, Response};
pub(crate) use ordered::Ordered;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
pub(crate) use preload::{Clock, Disk};
pub(crate) use program::{Program, command, example};

use std::{sync::mpsc, thread, time::Duration};

/// How long a test waits for a byte, a reply or the end of a process before it fails. No test waits on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What `wait` gives, within patience.
#[track_caller]
pub(crate) fn within<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    ended.recv_timeout(PATIENCE).expect("it does not take for ever")
}
