//! The program `steprill`: chooses a command by the arguments, and sets the exit code.

#[cfg(feature = "client")]
mod client;
mod demo;

use std::{env, ffi::OsString, process::ExitCode};

use steprill::{Server, UsageError};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let command = arguments.first().and_then(|argument| argument.to_str()).unwrap_or_default();
    match command {
        "demo" => demo::run(arguments.into_iter().skip(1)),
        "inspect" | "backup" => Server::new().run(),
        #[cfg(feature = "files")]
        "serve" => Server::new().run_files(PROGRAM, COMMANDS, arguments.into_iter().skip(1)),
        #[cfg(feature = "files")]
        "check" => Server::check_files(PROGRAM, arguments.into_iter().skip(1)),
        #[cfg(feature = "files")]
        "schema-of-files" => print(steprill::WORKFLOW_FILE_SCHEMA),
        #[cfg(not(feature = "files"))]
        "serve" | "check" | "schema-of-files" => fail("this program was built without feature `files`"),
        #[cfg(feature = "client")]
        name if client::is_command(name) => client::run(arguments),
        // Without a command, these are about the flags.
        "--help" | "-h" | "--version" | "-V" => {
            #[cfg(feature = "client")]
            let forms: Vec<String> = client::forms().collect();
            #[cfg(not(feature = "client"))]
            let forms: Vec<String> = Vec::new();
            let commands: Vec<&str> = COMMANDS.iter().copied().chain(forms.iter().map(String::as_str)).collect();
            Server::new().run_with(PROGRAM, &commands, arguments)
        }
        "" => fail("expected a command: `steprill serve PATH` serves workflow files, `steprill demo` a few to try"),
        other => {
            #[cfg_attr(not(feature = "client"), expect(unused_mut, reason = "clients add commands"))]
            let mut known = vec!["serve", "check", "schema-of-files", "demo", "inspect", "backup"];
            #[cfg(feature = "client")]
            known.extend(client::names());
            UsageError::unknown_command(other, &known).report(PROGRAM)
        }
    }
}

/// Reports a usage error.
fn fail(error: &str) -> ExitCode {
    eprintln!("{PROGRAM}: {error}; see --help");
    ExitCode::from(2)
}

/// Prints a text as it is.
#[cfg(feature = "files")]
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) const PROGRAM: &str = "steprill";

/// The forms of the command line after the program's name.
pub(crate) const COMMANDS: &[&str] = &[
    #[cfg(feature = "files")]
    "serve PATH... [OPTIONS]",
    #[cfg(feature = "files")]
    "check [--dot | --mermaid] PATH...",
    #[cfg(feature = "files")]
    "schema-of-files",
    "demo [OPTIONS]",
    Server::TOOLS[0],
    Server::TOOLS[1],
];
