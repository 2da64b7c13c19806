//! The commands of `steprill` that call a server, as people and scripts use them.

mod commands;
mod resumed;
mod terminal;

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::support::{Program, STEPRILL, command};

/// Returns the command that runs `steprill` on this server.
fn steprill(program: &Program, arguments: &[&str]) -> Command {
    let mut command = command(Path::new(STEPRILL));
    command.args(arguments).env("STEPRILL_SERVER", program.listening());
    command
}

/// Runs `steprill` to its end.
fn run(program: &Program, arguments: &[&str]) -> Output {
    steprill(program, arguments).output().expect("the program starts")
}

/// Checks the exit code and what is printed on stdout.
#[track_caller]
fn check(program: &Program, arguments: &[&str], code: i32, prints: &str) {
    let output = run(program, arguments);
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(code), prints), "{arguments:?}: {errors}");
}

/// Checks the exit code, that stdout is empty, and that stderr is one line with this text.
#[track_caller]
fn refuses(program: &Program, arguments: &[&str], code: i32, says: &str) {
    let output = run(program, arguments);
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(code), ""), "{arguments:?}: {errors}");
    assert!(errors.starts_with("steprill: ") && errors.contains(says), "{arguments:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{arguments:?}: {errors}");
}

/// Starts a run and returns its id.
#[track_caller]
fn begin(program: &Program, arguments: &[&str]) -> String {
    let all = [&["run", "--no-wait"], arguments].concat();
    let output = run(program, &all);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("an id").trim().to_owned()
}
