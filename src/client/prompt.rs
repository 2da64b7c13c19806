//! Lines that a person types at the terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd,
};

use steprill::limits::CLIENT_LINE_BYTES_MAX;

use super::{
    failure::{Failure, Result},
    link::{Woken, wait},
    show,
};

/// What was typed.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-D, or the terminal is gone.
    Closed,
    Interrupt,
}

/// Returns whether a person can be asked.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on stderr and returns what is typed.
pub(super) fn ask(prompt: &str) -> Result<Typed> {
    let mut out = io::stderr().lock();
    let _ = out.write_all(show::escaped(prompt).as_bytes()).and_then(|()| out.flush());
    drop(out);
    let typed = line().map_err(|error| Failure::new(format!("cannot read from the terminal: {error}")))?;
    if typed != Typed::Closed || prompt.is_empty() {
        return Ok(typed);
    }
    show::note("");
    Ok(typed)
}

/// Reads a line. The terminal passes lines on as wholes; nothing is read ahead.
fn line() -> io::Result<Typed> {
    let stdin = io::stdin();
    let mut text = Vec::new();
    loop {
        if wait(Some(stdin.as_fd()), None)? == Woken::Interrupt {
            return Ok(Typed::Interrupt);
        }
        let mut bytes = [0; CLIENT_LINE_BYTES_MAX];
        // A hang-up of the terminal is an error of its own.
        let count = match rustix::io::read(&stdin, &mut bytes) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => 0,
        };
        text.extend_from_slice(&bytes[..count]);
        let is_whole = text.ends_with(b"\n");
        if count == 0 && text.is_empty() {
            return Ok(Typed::Closed);
        }
        if count == 0 || is_whole || text.len() > CLIENT_LINE_BYTES_MAX {
            return Ok(Typed::Line(String::from_utf8_lossy(&text).trim_end_matches(['\n', '\r']).to_owned()));
        }
    }
}
