//! The program `steprill`: arguments to what is to be done, exit codes.

mod demo;
#[cfg(feature = "sqlite")]
mod inspect;

use std::{env, process::ExitCode};

use steprill::Server;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    let command = arguments.peek().and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    match &*command {
        "demo" => demo::run(arguments.skip(1)),
        "inspect" => tool(inspect(arguments.skip(1))),
        "backup" => tool(backup(arguments.skip(1))),
        "serve" => fail("serve PATH: workflow files come with a later version; `steprill demo` shows what there is"),
        // Asked of the program itself, what the flags are.
        "--help" | "-h" | "--version" | "-V" => Server::new().run_with("steprill", COMMANDS, arguments),
        "" => fail("expected a command: `steprill demo` serves a few small workflows to try"),
        other => fail(&format!("unknown command {other:?}")),
    }
}

#[cfg(feature = "sqlite")]
use inspect::{backup, inspect};

#[cfg(not(feature = "sqlite"))]
fn inspect(_: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode, String> {
    Err("inspect: this program was built without feature `sqlite`".to_owned())
}

#[cfg(not(feature = "sqlite"))]
fn backup(_: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode, String> {
    Err("backup: this program was built without feature `sqlite`".to_owned())
}

/// What a tool came to, or why its arguments are not understood.
fn tool(result: Result<ExitCode, String>) -> ExitCode {
    result.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &str) -> ExitCode {
    eprintln!("steprill: {error}\n\n{}", steprill::server::usage("steprill", COMMANDS));
    ExitCode::from(2)
}

/// What may stand behind the program's name.
pub(crate) const COMMANDS: &[&str] = &["demo [OPTIONS]", "inspect DIR [HANDLER]", "backup DIR FILE"];
