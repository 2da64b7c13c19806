//! The program `steprill`: chooses a command by the arguments, and sets the exit code.

mod demo;

use std::{env, ffi::OsString, process::ExitCode};

use steprill::{Server, UsageError};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let command = arguments.first().and_then(|argument| argument.to_str()).unwrap_or_default();
    match command {
        "demo" => demo::run(arguments.into_iter().skip(1)),
        "inspect" | "backup" => Server::new().run(),
        "serve" => fail("serve PATH: workflow files come with a later version; `steprill demo` shows what there is"),
        // Without a command, these are about the flags.
        "--help" | "-h" | "--version" | "-V" => Server::new().run_with(PROGRAM, COMMANDS, arguments),
        "" => fail("expected a command: `steprill demo` serves a few small workflows to try"),
        other => UsageError::unknown_command(other, &["demo", "inspect", "backup"]).report(PROGRAM),
    }
}

/// Reports a usage error.
fn fail(error: &str) -> ExitCode {
    eprintln!("{PROGRAM}: {error}; see --help");
    ExitCode::from(2)
}

pub(crate) const PROGRAM: &str = "steprill";

/// The forms of the command line after the program's name.
pub(crate) const COMMANDS: &[&str] = &["demo [OPTIONS]", Server::TOOLS[0], Server::TOOLS[1]];
