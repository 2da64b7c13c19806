//! What the executor waits for: the pipes and the ends of programs.

use std::{io::ErrorKind, time::Duration};

use mio::{Interest, Token, unix::SourceFd};
use rustix::process::Signal;
use std::os::fd::AsRawFd as _;

use super::{
    Programs,
    running::{Running, unblock},
};
use crate::limits::{PROGRAM_CHECK_PAUSE_US, PROGRAM_EVENTS_AT_ONCE, PROGRAMS_TURN_BYTES_MAX};

impl Programs {
    /// Registers a new program.
    pub(super) fn watch(&mut self, slot: u32) {
        let Some(running) = &mut self.slots[slot as usize] else { return };
        let token = |kind| Token(slot as usize * KINDS + kind);
        let registry = self.poll.registry();
        running.pidfd = pidfd(running);
        let registered = (|| {
            if let (Some(stdin), Some(stdout), Some(stderr)) =
                (&mut running.stdin, &mut running.stdout.pipe, &mut running.stderr.pipe)
            {
                unblock(&stdin.pipe, stdout, stderr)?;
                registry.register(stdout, token(STDOUT), Interest::READABLE)?;
                registry.register(stderr, token(STDERR), Interest::READABLE)?;
            }
            // Most inputs fit into the pipe.
            running.write();
            if let Some(stdin) = &mut running.stdin {
                registry.register(&mut stdin.pipe, token(STDIN), Interest::WRITABLE)?;
            }
            match &running.pidfd {
                Some(pidfd) => registry.register(&mut SourceFd(&pidfd.as_raw_fd()), token(END), Interest::READABLE),
                None => Ok(()),
            }
        })();
        self.unreported += usize::from(running.pidfd.is_none());
        if let Err(error) = registered {
            log::error!("a program cannot be waited for, and is killed: {error}");
            running.signal(Signal::KILL);
            running.may_have_ended = true;
            // Its end must be polled for.
            self.unreported += usize::from(running.pidfd.take().is_some());
        }
    }

    /// Marks the programs for which something has happened.
    pub(super) fn collect(&mut self) {
        loop {
            match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return log::error!("programs cannot be waited for: {error}"),
            }
            let mut count = 0;
            for event in &self.events {
                count += 1;
                let Token(token) = event.token();
                // A late event of a program that has ended is only a wrong hint to the next one in its slot.
                let Some(Some(running)) = self.slots.get_mut(token / KINDS) else { continue };
                match token % KINDS {
                    STDOUT => running.stdout.is_readable = true,
                    STDERR => running.stderr.is_readable = true,
                    END => running.may_have_ended = true,
                    _ => {}
                }
                if !std::mem::replace(&mut running.listed.is_active, true) {
                    self.active.push_back((token / KINDS) as u32);
                }
            }
            if count < PROGRAM_EVENTS_AT_ONCE {
                break;
            }
        }
        if self.unreported > 0 {
            for slot in 0..self.slots.len() as u32 {
                let Some(running) = self.slots[slot as usize].as_mut().filter(|running| running.pidfd.is_none()) else {
                    continue;
                };
                running.may_have_ended = running.exit.is_none();
                self.activate(slot);
            }
        }
    }

    pub(super) fn activate(&mut self, slot: u32) {
        if let Some(running) = &mut self.slots[slot as usize]
            && !std::mem::replace(&mut running.listed.is_active, true)
        {
            self.active.push_back(slot);
        }
    }

    /// Reads and writes, as far as this turn allows. Each program is visited once; those with more output wait.
    pub(super) fn visit_active(&mut self) {
        let mut left_bytes = PROGRAMS_TURN_BYTES_MAX;
        for _ in 0..self.active.len() {
            if left_bytes == 0 {
                return;
            }
            let Some(slot) = self.active.pop_front() else { return };
            let Some(running) = &mut self.slots[slot as usize] else { continue };
            running.listed.is_active = false;
            left_bytes = left_bytes.saturating_sub(running.visit(&mut self.buffer, self.alive_us));
            self.settle(slot);
        }
    }

    /// Returns when to check programs whose end the system does not report.
    pub(super) fn next_check_us(&self) -> Option<u64> {
        (self.unreported > 0).then_some(self.alive_us + PROGRAM_CHECK_PAUSE_US)
    }
}

#[cfg(target_os = "linux")]
fn pidfd(running: &Running) -> Option<std::os::fd::OwnedFd> {
    rustix::process::pidfd_open(running.group(), rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_: &Running) -> Option<std::os::fd::OwnedFd> {
    None
}

/// Tokens of one slot.
const KINDS: usize = 4;
const STDIN: usize = 0;
const STDOUT: usize = 1;
const STDERR: usize = 2;
const END: usize = 3;
