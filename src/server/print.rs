//! Prints on stdout, which nobody may read.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Prints on stdout, and returns the exit code.
pub(super) fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints on a separate thread, which a full pipe may block forever. Returns whether it was done in time.
pub(super) fn print_within(text: String, at_most: Duration) -> bool {
    let (done, printed) = mpsc::channel();
    let thread = thread::Builder::new().name("steprill-ready".into());
    let begun = thread.spawn(move || done.send(print(&text) == ExitCode::SUCCESS));
    begun.is_ok() && printed.recv_timeout(at_most) == Ok(true)
}
