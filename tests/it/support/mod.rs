//! What tests of the program share: the program as a child process, a small HTTP client that shows every byte, and JSON
//! that retains the order of its members.

pub(crate) mod batches;
mod client;
mod curl;
mod ordered;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
mod preload;
mod program;

pub(crate) use client::{Connection, Response};
pub(crate) use curl::Curl;
pub(crate) use ordered::Ordered;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
pub(crate) use preload::{Clock, Disk};
pub(crate) use program::{Program, command, example};

use std::{env, process::Command, sync::mpsc, thread, time::Duration};

/// How long a test waits for a byte, a reply or the end of a process before it fails. No test waits on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program `steprill`.
pub(crate) const STEPRILL: &str = env!("CARGO_BIN_EXE_steprill");

/// Returns the blocks of code in this language, in order, from a text in Markdown.
pub(crate) fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    text.split(&*opening).skip(1).map(|rest| rest.split_once("```").expect("a closed block").0).collect()
}

/// Returns the result of `wait`, which must not take longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn within<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    ended.recv_timeout(PATIENCE).expect("it does not take for ever")
}

/// The variable that is set in a process that runs one test alone.
const ALONE: &str = "STEPRILL_TEST_ALONE";

/// Returns whether this process runs only the test `name` of `module`, so that the test uses all that the process uses.
/// Otherwise starts a process for the test, which must pass.
#[track_caller]
pub(crate) fn is_alone(module: &str, name: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let name = format!("{}::{name}", module.strip_prefix("it::").unwrap_or(module));
    let mut child = Command::new(env::current_exe().expect("the test has a path"));
    let output = child.args(["--exact", &name, "--include-ignored"]).env(ALONE, "1").output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}
