//! Faults of workflow files: where they are, what is wrong, and what to write instead.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
};

use super::tree::Member;
use crate::{
    limits::{FILE_FAULTS_MAX, FILE_NAMES_LISTED_MAX, LOG_LINE_BYTES_MAX, QUOTED_BYTES_MAX},
    text::{OneLine, nearest},
};

/// A fault of a workflow file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileFault {
    /// The file or directory.
    pub file: PathBuf,
    /// The line and the column in characters, both from 1; `None` if the file could not be read.
    pub at: Option<(usize, usize)>,
    /// What is wrong, and what to do.
    pub text: String,
}

/// All faults of some workflow files, file by file in order of place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileFaults(pub Vec<FileFault>);

/// `order.toml:3:1: there is no key …`, on one line.
impl fmt::Display for FileFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.to_string_lossy();
        write!(out, "{}:", OneLine::new(&file, LOG_LINE_BYTES_MAX))?;
        if let Some((line, column)) = self.at {
            write!(out, "{line}:{column}:")?;
        }
        write!(out, " {}", OneLine::new(&self.text, LOG_LINE_BYTES_MAX))
    }
}

/// One line for each fault.
impl fmt::Display for FileFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(out, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Error for FileFault {}

impl Error for FileFaults {}

/// The faults of one file, as they are found.
pub(super) struct Faults<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<(usize, String)>,
    /// Faults beyond those that are reported.
    further: usize,
    /// Whether an event or a step could not be read: the graph would report what follows from that.
    pub(super) is_incomplete: bool,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, found: Vec::new(), further: 0, is_incomplete: false }
    }

    /// Adds a fault of what begins at this byte.
    pub(super) fn add(&mut self, at: usize, text: impl Into<String>) {
        if self.is_full() {
            self.further += 1;
        } else {
            self.found.push((at, text.into()));
        }
    }

    /// The member has a value of another kind than `expected`.
    pub(super) fn add_kind(&mut self, member: &Member, expected: &str) {
        let (name, value) = (quoted(&member.name), &member.value);
        self.add(value.at, format!("{name} must be {expected}, not {}", value.what()));
    }

    /// A table that is `what` has no such member.
    pub(super) fn add_unknown(&mut self, member: &Member, what: &str, known: &[&str]) {
        let instead = self.instead(&member.name, known.iter().copied(), "it may have");
        self.add(member.at, format!("{what} has no key {}{instead}", quoted(&member.name)));
    }

    /// Returns whether further faults are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= FILE_FAULTS_MAX
    }

    /// Describes which of the known names was probably meant, or which there are: `: did you mean …?`, `; LEAD a, b and
    /// c`.
    pub(super) fn instead<'k>(&self, name: &str, known: impl IntoIterator<Item = &'k str>, lead: &str) -> String {
        // A file of nothing but unknown names would take long.
        if self.is_full() {
            return String::new();
        }
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(meant) = nearest(name, known.iter().copied()) {
            return format!("; did you mean {}?", quoted(meant));
        }
        match known.split_last() {
            None => String::new(),
            _ if known.len() > FILE_NAMES_LISTED_MAX => {
                let some: Vec<String> = known[..FILE_NAMES_LISTED_MAX].iter().map(|name| quoted(name)).collect();
                format!("; {lead} {} and {} others", some.join(", "), known.len() - FILE_NAMES_LISTED_MAX)
            }
            Some((only, [])) => format!("; {} {}", lead.replace("there are", "there is"), quoted(only)),
            Some((last, others)) => {
                let others: Vec<String> = others.iter().map(|name| quoted(name)).collect();
                format!("; {lead} {} and {}", others.join(", "), quoted(last))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns the line and the column in characters of a byte, from 1.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// Returns the faults in order of place.
    pub(super) fn into_list(mut self) -> Vec<FileFault> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.dedup();
        if self.further > 0 {
            let last = self.found.last().map_or(0, |(at, _)| *at);
            self.found.push((last, format!("{} more faults are not shown", self.further)));
        }
        let fault = |(at, text): &(usize, String)| FileFault {
            file: self.file.to_owned(),
            at: Some(self.place(*at)),
            text: text.clone(),
        };
        self.found.iter().map(fault).collect()
    }
}

/// Returns a name in backquotes, cut so that there is room for the fault.
pub(super) fn quoted(name: &str) -> String {
    let end = name.floor_char_boundary(QUOTED_BYTES_MAX);
    format!("`{}{}`", &name[..end], if end < name.len() { "…" } else { "" })
}
