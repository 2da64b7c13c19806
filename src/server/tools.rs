//! What a program does instead of serving: `inspect` and `backup` show and copy a data directory, beside a running
//! server; every program that serves has them. `check` examines workflow files.

#[cfg(feature = "files")]
pub(super) mod files;
mod look;

use std::{ffi::OsString, process::ExitCode};

use super::config::UsageError;

/// Runs the tool that the first argument names; returns `None` if it names none.
///
/// # Errors
/// Why the arguments after it are not understood.
pub(super) fn run_tool(program: &str, arguments: &[OsString]) -> Option<Result<ExitCode, UsageError>> {
    let (name, rest) = arguments.split_first()?;
    let rest = operands(rest);
    match name.to_str()? {
        "inspect" => Some(look::inspect(program, &rest)),
        "backup" => Some(look::backup(program, &rest)),
        _ => None,
    }
}

/// Returns the arguments after the tool's name, without a `--`, which says that no option follows (POSIX guideline 10).
/// The tools have no options.
fn operands(arguments: &[OsString]) -> Vec<OsString> {
    let mark = arguments.iter().position(|argument| argument == "--");
    let kept = arguments.iter().enumerate().filter(|(place, _)| Some(*place) != mark);
    kept.map(|(_, argument)| argument.clone()).collect()
}
