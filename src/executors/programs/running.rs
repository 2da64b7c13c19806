//! A program that runs: its pipes, its end, and its lines in the log.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    mem,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::Child,
};

use mio::unix::pipe::{Receiver, Sender};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::{
    command::{Dialogue, Exit},
    limits::{PROGRAM_DRAIN_BYTES_MAX, STDERR_LINES_MAX},
};

/// A started program, until all of its output is processed.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tag: u64,
    child: Child,
    group: Pid,
    /// Becomes readable when the program ends; not on every system.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    /// Whether its end must be polled for.
    pub(super) may_have_ended: bool,
    pub(super) dialogue: Dialogue,
    pub(super) interest: Interest,
    pub(super) exit: Option<Exit>,
    /// Whether its end was passed to the dialogue.
    pub(super) is_told: bool,
    /// When it gets SIGKILL, on the alive clock.
    pub(super) kill_us: Option<u64>,
    pub(super) listed: Listed,
    /// Its own file with the state.
    pub(super) state: Option<PathBuf>,
    /// Its record in the list of groups.
    pub(super) record: Option<u32>,
    /// The bytes that the dialogue holds, as they are counted.
    pub(super) counted_bytes: usize,
    drained_bytes: usize,
    lines: Lines,
}

/// The executor's lists that it is in.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// It is to be visited.
    pub(super) is_active: bool,
    /// Its notes are to be taken.
    pub(super) is_noted: bool,
}

/// Whether its result is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interest {
    /// Its run.
    Wanted,
    /// It is not: the program was told to end.
    Unwanted,
    /// It is not: the program was told to end because the server stops, and runs again at the next start.
    Ending,
}

/// What is left to be written to stdin.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) pipe: Sender,
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

/// The reading end of stdout or stderr.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) pipe: Option<Receiver>,
    pub(super) is_readable: bool,
}

/// Its lines in the log, which are limited.
#[derive(Debug)]
struct Lines {
    /// Run, step and attempt.
    label: Box<str>,
    second: u64,
    count: u32,
    dropped: u64,
}

impl Running {
    pub(super) fn new(
        tag: u64,
        child: Child,
        pipes: (Sender, Receiver, Receiver),
        stdin: Vec<u8>,
        dialogue: Dialogue,
        label: Box<str>,
    ) -> Self {
        let group = Pid::from_child(&child);
        let output = |pipe| Output { pipe: Some(pipe), is_readable: false };
        Self {
            tag,
            child,
            group,
            pidfd: None,
            stdin: Some(Input { pipe: pipes.0, bytes: stdin, at: 0 }),
            stdout: output(pipes.1),
            stderr: output(pipes.2),
            may_have_ended: false,
            dialogue,
            interest: Interest::Wanted,
            exit: None,
            is_told: false,
            kill_us: None,
            listed: Listed::default(),
            state: None,
            record: None,
            counted_bytes: 0,
            drained_bytes: 0,
            lines: Lines { label, second: 0, count: 0, dropped: 0 },
        }
    }

    /// Returns the id of its process group.
    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// Reads what there is, at most one buffer of each pipe. Returns how many bytes it read.
    pub(super) fn visit(&mut self, buffer: &mut [u8], alive_us: u64) -> usize {
        self.write();
        let mut bytes = self.stderr.read(buffer);
        let Self { dialogue, lines, .. } = self;
        dialogue.handle_stderr(&buffer[..bytes], &mut |line| lines.log(line, alive_us));
        if self.interest != Interest::Wanted || self.dialogue.wants_stdout() {
            let read = self.stdout.read(buffer);
            if self.interest == Interest::Wanted {
                self.dialogue.handle_stdout(&buffer[..read]);
            }
            bytes += read;
        }
        if self.exit.is_some() {
            self.drained_bytes += bytes;
        }
        if mem::take(&mut self.may_have_ended) {
            self.look_for_end();
        }
        bytes
    }

    /// Writes what stdin takes. A program need not read it.
    pub(super) fn write(&mut self) {
        let Some(input) = &mut self.stdin else { return };
        while input.at < input.bytes.len() {
            match input.pipe.write(&input.bytes[input.at..]) {
                Ok(0) => break,
                Ok(written) => input.at += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    /// If the program has ended, kills what is left of its group, and only then lets its id go.
    pub(super) fn look_for_end(&mut self) {
        if self.exit.is_some() {
            return;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if matches!(waitid(WaitId::Pid(self.group), options), Ok(None)) {
            return;
        }
        self.signal(Signal::KILL);
        self.exit = match self.child.try_wait() {
            Ok(Some(status)) => {
                let signal = status.signal().map(Exit::Signal);
                signal.or(status.code().map(Exit::Code)).or(Some(Exit::Unknown))
            }
            Ok(None) => None,
            Err(_) => Some(Exit::Unknown),
        };
        if self.exit.is_some() {
            self.stdin = None;
            self.stdout.is_readable = self.stdout.pipe.is_some();
            self.stderr.is_readable = self.stderr.pipe.is_some();
        }
    }

    /// Sends a signal to the group, unless its id may be another's.
    pub(super) fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// Returns whether a visit would do something.
    pub(super) fn has_work(&self) -> bool {
        let reads = self.interest != Interest::Wanted || self.dialogue.wants_stdout();
        self.may_have_ended || self.stderr.is_readable || (self.stdout.is_readable && reads)
    }

    /// Returns whether it has ended and its pipes are empty. Another process may still hold them.
    pub(super) fn is_drained(&self) -> bool {
        let is_empty = !self.stdout.is_readable && !self.stderr.is_readable;
        self.exit.is_some() && (is_empty || self.drained_bytes > PROGRAM_DRAIN_BYTES_MAX)
    }

    /// Tells the dialogue how it has ended.
    pub(super) fn tell_exit(&mut self, alive_us: u64) {
        let Self { dialogue, lines, exit, .. } = self;
        if let Some(exit) = exit {
            dialogue.handle_exit(*exit, &mut |line| lines.log(line, alive_us));
            lines.end();
        }
        self.is_told = true;
    }
}

impl Output {
    /// Returns how many bytes were read.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(pipe) = self.pipe.as_mut().filter(|_| self.is_readable) else { return 0 };
        let has_ended = loop {
            match pipe.read(buffer) {
                Ok(0) => break true,
                Ok(bytes) => return bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.is_readable = false;
        if has_ended {
            self.pipe = None;
        }
        0
    }
}

impl Lines {
    fn log(&mut self, line: &str, alive_us: u64) {
        let second = alive_us / 1_000_000;
        if second != self.second {
            self.end();
            (self.second, self.count) = (second, 0);
        }
        if self.count < STDERR_LINES_MAX {
            self.count += 1;
            log::info!("stderr: {} {line}", self.label);
        } else {
            self.dropped += 1;
        }
    }

    fn end(&mut self) {
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 {
            log::info!("stderr: {} ({dropped} further lines are not shown)", self.label);
        }
    }
}

/// Makes the three pipes not block.
///
/// # Errors
/// The system's.
pub(super) fn unblock(stdin: &Sender, stdout: &Receiver, stderr: &Receiver) -> io::Result<()> {
    stdin.set_nonblocking(true)?;
    stdout.set_nonblocking(true)?;
    stderr.set_nonblocking(true)
}
