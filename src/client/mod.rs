//! The commands of `steprill` that are clients of a server: of this one, or of any that speaks the Workflows API.
//!
//! ```text
//! table → { run, answers, handlers, feeds } → { questions, form, feed, calls } → http → link
//!                                          → { arguments, fields, prompt, show } → failure
//! ```
//!
//! Everything that a server sends is untrusted: what is shown is escaped, and what is buffered is bounded.

mod answers;
mod arguments;
mod calls;
mod failure;
mod feed;
mod feeds;
mod fields;
mod form;
mod handlers;
mod http;
mod link;
mod prompt;
mod questions;
mod run;
mod show;
mod table;

use std::{ffi::OsString, process::ExitCode};

use arguments::Arguments;
use failure::Exit;
pub(crate) use table::{forms, is_command, names};

/// Runs the command that the first argument names, which is in the table.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let name = arguments.next().unwrap_or_default();
    let command = name.to_str().and_then(table::find).expect("the caller asked `is_command`");
    let done = Arguments::parse(command, arguments).and_then(|arguments| {
        if arguments.has("--help") {
            return show::print(&table::help(command)).map(|()| Exit::Done);
        }
        (command.run)(&arguments)
    });
    match done {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            if !failure.text.is_empty() {
                show::note(&format!("{}: {}", crate::PROGRAM, show::escaped(&failure.text)));
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}
