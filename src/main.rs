//! The program `steprill`: arguments to what is to be done, exit codes.

mod demo;

use std::{env, process::ExitCode};

use steprill::Server;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    let command = arguments.peek().and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    match &*command {
        "demo" => demo::run(arguments.skip(1)),
        "serve" => fail("serve PATH: workflow files come with a later version; `steprill demo` shows what there is"),
        // Asked of the program itself, what the flags are.
        "--help" | "-h" | "--version" | "-V" => Server::new().run_with("steprill", COMMANDS, arguments),
        "" => fail("expected a command: `steprill demo` serves a few small workflows to try"),
        other => fail(&format!("unknown command {other:?}")),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("steprill: {error}\n\n{}", steprill::server::usage("steprill", COMMANDS));
    ExitCode::from(2)
}

const COMMANDS: &str = "demo ";
