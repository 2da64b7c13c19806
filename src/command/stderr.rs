//! What a program writes to stderr: lines for the log, and their end for the error.

use crate::limits::{STDERR_LINE_BYTES_MAX, STDERR_TAIL_BYTES};

/// The stderr of a program.
#[derive(Debug, Default)]
pub(super) struct Stderr {
    /// A line that is not complete.
    partial: Vec<u8>,
    /// The last complete lines; up to twice as much as is shown.
    tail: String,
    /// Texts that are not shown.
    secrets: Vec<String>,
}

impl Stderr {
    pub(super) fn hide(&mut self, secrets: Vec<String>) {
        self.secrets = secrets;
    }

    /// Passes complete lines to `log`. A line that is too long is split.
    pub(super) fn handle(&mut self, mut bytes: &[u8], log: &mut dyn FnMut(&str)) {
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let room = STDERR_LINE_BYTES_MAX - self.partial.len();
            let taken = end.unwrap_or(bytes.len()).min(room);
            self.partial.extend_from_slice(&bytes[..taken]);
            let is_complete = end == Some(taken);
            bytes = &bytes[taken + usize::from(is_complete)..];
            if is_complete || self.partial.len() == STDERR_LINE_BYTES_MAX {
                self.end_line(log);
            }
        }
    }

    /// Passes what is left to `log`.
    pub(super) fn end(&mut self, log: &mut dyn FnMut(&str)) {
        if !self.partial.is_empty() {
            self.end_line(log);
        }
        self.partial = Vec::new();
    }

    fn end_line(&mut self, log: &mut dyn FnMut(&str)) {
        let line = String::from_utf8_lossy(self.partial.trim_ascii_end());
        let line = self.without_secrets(line.into_owned());
        self.partial.clear();
        if line.is_empty() {
            return;
        }
        self.tail.push_str(&line);
        self.tail.push('\n');
        if self.tail.len() > 2 * STDERR_TAIL_BYTES {
            self.tail.drain(..self.tail.floor_char_boundary(self.tail.len() - STDERR_TAIL_BYTES));
        }
        log(&line);
    }

    /// Returns the last lines, as far as an error shows them.
    pub(super) fn tail(&self) -> &str {
        let tail = self.tail.trim_ascii();
        &tail[tail.ceil_char_boundary(tail.len().saturating_sub(STDERR_TAIL_BYTES))..]
    }

    pub(super) fn without_secrets(&self, mut line: String) -> String {
        for secret in &self.secrets {
            if line.contains(&**secret) {
                line = line.replace(&**secret, "***");
            }
        }
        line
    }
}
