//! Workflow files on a command line: `check` examines them, `serve` loads them.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use lexopt::Arg;

use crate::{
    files::{self, Drawing, FileFaults, WorkflowFile},
    server::{config::UsageError, print::print},
    workflow::Workflow,
};

/// Loads the workflows in these files and directories. If there are faults, prints them and returns `None`.
///
/// # Errors
/// If there is no path.
pub(in crate::server) fn load(paths: &[OsString]) -> Result<Option<Vec<Workflow>>, UsageError> {
    let paths = paths_of("serve", paths)?;
    match files::load(&paths) {
        Ok(files) => Ok(Some(files.into_iter().map(Workflow::from).collect())),
        Err(faults) => {
            print_faults(&faults);
            Ok(None)
        }
    }
}

/// Checks workflow files and prints their graphs.
///
/// # Errors
/// If the arguments are not understood.
pub(in crate::server) fn check(
    program: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ExitCode, UsageError> {
    let (mut drawing, mut paths) = (Drawing::Text, Vec::new());
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("dot") => drawing = Drawing::Dot,
            Arg::Long("mermaid") => drawing = Drawing::Mermaid,
            Arg::Long("help") | Arg::Short('h') => return Ok(print(&usage(program))),
            Arg::Value(path) => paths.push(path),
            other => return Err(other.unexpected().into()),
        }
    }
    let (files, mut faults) = files::read(&paths_of("check", &paths)?);
    faults.0.extend(files.iter().flat_map(WorkflowFile::check_programs));
    print_faults(&faults);
    let drawn: String = files.iter().map(|file| drawing.draw(file.workflow.graph())).collect();
    let printed = print(&drawn);
    Ok(if faults.0.is_empty() { printed } else { ExitCode::FAILURE })
}

fn usage(program: &str) -> String {
    format!(
        "Usage: {program} check [--dot | --mermaid] PATH...\n\n\
         Checks workflow files, and those in directories (*.toml and *.json), and that the\n\
         programs of their steps exist. Prints each graph on stdout, as text or for Graphviz\n\
         or Mermaid, and all faults on stderr. Exit code: 0 no fault, 1 faults, 2 usage error.\n"
    )
}

fn paths_of(tool: &'static str, paths: &[OsString]) -> Result<Vec<PathBuf>, UsageError> {
    if paths.is_empty() {
        return Err(UsageError::Operands { tool, expected: "files or directories", got: Vec::new() });
    }
    Ok(paths.iter().map(PathBuf::from).collect())
}

/// Prints each fault on a line of its own. If nobody reads stderr, only the exit code says it.
fn print_faults(faults: &FileFaults) {
    if !faults.0.is_empty() {
        let _ = writeln!(io::stderr().lock(), "{faults}");
    }
}
