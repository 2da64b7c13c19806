//! The program `steprill`: chooses a command by the arguments, and sets the exit code.

mod demo;

use std::{env, ffi::OsString, process::ExitCode};

use steprill::{
    Server,
    limits::LOG_LINE_BYTES_MAX,
    server::{TOOLS, run_tool},
    text::{OneLine, nearest},
};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let Some(result) = run_tool("steprill", &arguments) {
        return result.unwrap_or_else(|error| fail(&error));
    }
    let command = arguments.first().and_then(|argument| argument.to_str()).unwrap_or_default();
    match command {
        "demo" => demo::run(arguments.into_iter().skip(1)),
        "serve" => fail("serve PATH: workflow files come with a later version; `steprill demo` shows what there is"),
        // Without a command, these are about the flags.
        "--help" | "-h" | "--version" | "-V" => Server::new().run_with("steprill", COMMANDS, arguments),
        "" => fail("expected a command: `steprill demo` serves a few small workflows to try"),
        other => fail(&match nearest(other, ["demo", "inspect", "backup"]) {
            Some(meant) => format!("unknown command {other:?} (did you mean {meant}?)"),
            None => format!("unknown command {other:?}"),
        }),
    }
}

/// Reports a usage error.
fn fail(error: &str) -> ExitCode {
    eprintln!("steprill: {}; see --help", OneLine::new(error, LOG_LINE_BYTES_MAX));
    ExitCode::from(2)
}

/// The forms of the command line after the program's name.
pub(crate) const COMMANDS: &[&str] = &["demo [OPTIONS]", TOOLS[0], TOOLS[1]];
