//! What a machine may do to the program and its data: no room, no permission, foreign files, truncated files.
//!
//! Clocks are excluded: a process's wall clock cannot be set without setting that of the machine. The simulation, where
//! clocks are values, tests the effects of setting one.

#[cfg(feature = "sqlite")]
mod damaged;
mod directories;
mod full;
#[cfg(feature = "sqlite")]
mod pages;
mod torn;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Program, Response};

fn start(directory: &Path, flags: &[&str]) -> Program {
    Program::with(&[&["--data", text(directory)], flags].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A child process that is killed with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Checks that the program started by `command` refuses to start: exit code 1, and one line on stderr with these names.
#[track_caller]
fn refuses(command: &mut Command, names: &[&str]) {
    let mut child = Ended(command.stderr(Stdio::piped()).spawn().expect("the program starts"));
    let mut stderr = child.0.stderr.take().expect("stderr is piped");
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        sender.send(text)
    });
    let said = said.recv_timeout(PATIENCE).expect("it ends");
    assert_eq!(child.0.wait().expect("it is our child").code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    for name in names {
        assert!(said.contains(name), "{said:?} does not name {name:?}");
    }
}

/// Returns every file of a directory with its contents.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file"));
    files
        .map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            (name, fs::read(file.path()).expect("a file that can be read"))
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in contents(from) {
        fs::write(to.join(name), bytes).expect("there is room");
    }
}

/// Returns the ids of all handlers, in order.
#[track_caller]
fn listed(program: &Program) -> Vec<String> {
    let reply = program.get("/handlers");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let handlers = reply.json()["handlers"].as_array().expect("a list").clone();
    handlers.iter().map(|handler| handler["handler_id"].as_str().expect("an id").to_owned()).collect()
}

/// Runs `echo`. Returns the handler's id.
#[track_caller]
fn echo(program: &Program) -> String {
    let reply = program.post("/workflows/echo/run", &json!({}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["handler_id"].as_str().expect("an id").to_owned()
}
