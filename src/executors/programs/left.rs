//! A list of the process groups that run, in the data directory: what a killed server leaves behind is ended by the
//! next one, before it runs the same passes again.
//!
//! The file has a header with the id of the boot, and records of equal length, each with the id of a group and the
//! start time of its first process: together they identify a process uniquely. It is not synced, as a machine that
//! loses power leaves no process behind.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::limits::{LEFT_PROGRAMS_WAIT, PROGRAMS_LOOK_PAUSE};

/// The list of the groups of this server.
#[derive(Debug)]
pub(super) struct Left {
    file: File,
    free: Vec<u32>,
    count: u32,
}

impl Left {
    /// Ends the groups in the list of an earlier server, and begins a new list. Returns how many groups it has ended.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, usize)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(NAME);
        let before = fs::read(&path).unwrap_or_default();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let header = record(&format!("steprill {}", boot.trim()));
        let ended = if before.starts_with(&header) { end_all(&before[LENGTH..]) } else { 0 };
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all_at(&header, 0)?;
        Ok((Self { file, free: Vec::new(), count: 0 }, ended))
    }

    /// Notes a group. Returns the number of its record.
    pub(super) fn note(&mut self, group: Pid) -> Option<u32> {
        let start = start_of(group)?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count
        });
        self.write(number, &format!("{} {start}", group.as_raw_nonzero()));
        Some(number)
    }

    /// The group has ended.
    pub(super) fn remove(&mut self, number: u32) {
        self.write(number, "");
        self.free.push(number);
    }

    fn write(&self, number: u32, text: &str) {
        if let Err(error) = self.file.write_all_at(&record(text), u64::from(number) * LENGTH as u64) {
            log::warn!("a program cannot be noted in the data directory: {error}");
        }
    }
}

/// Ends the groups of these records, and waits a moment for their end.
fn end_all(records: &[u8]) -> usize {
    let noted = records.chunks_exact(LENGTH).filter_map(|record| {
        let (group, start) = str::from_utf8(record).ok()?.trim().split_once(' ')?;
        Some((Pid::from_raw(group.parse().ok()?)?, start.parse().ok()?))
    });
    let left: Vec<Pid> = noted.filter(|(group, start)| is_ours(*group, *start)).map(|(group, _)| group).collect();
    for group in &left {
        let _ = kill_process_group(*group, Signal::KILL);
    }
    let looks = LEFT_PROGRAMS_WAIT.as_millis() / PROGRAMS_LOOK_PAUSE.as_millis();
    for _ in 0..looks {
        if left.iter().all(|group| test_kill_process_group(*group).is_err()) {
            break;
        }
        thread::sleep(PROGRAMS_LOOK_PAUSE);
    }
    left.len()
}

/// Returns whether the group still has processes of that program. Its first process may have ended before others.
fn is_ours(group: Pid, start: u64) -> bool {
    if let Some(now) = start_of(group) {
        return now == start;
    }
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let of_group = field(&stat, GROUP_FIELD) == Some(group.as_raw_nonzero().get().unsigned_abs().into());
        let is_marked = |environment: Vec<u8>| {
            environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"STEPRILL_WORK_ID="))
        };
        of_group && fs::read(entry.path().join("environ")).is_ok_and(is_marked)
    })
}

/// Returns the start time of a process, in ticks since boot; `None` if it does not exist, or only waits to be
/// reaped by its parent.
fn start_of(process: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    field(&stat, START_FIELD)
}

/// Returns a field of `/proc/PID/stat`, by its number in proc(5). The name in the second field may contain anything.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// Returns a record of fixed length.
fn record(text: &str) -> Vec<u8> {
    format!("{text:<width$}\n", width = LENGTH - 1).into_bytes()
}

/// The bytes of a record: the header has 46.
const LENGTH: usize = 64;

const NAME: &str = "groups";

/// Numbers of fields in proc(5).
const GROUP_FIELD: usize = 5;
const START_FIELD: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_behind_any_name() {
        let stat = "12 (a) b) (c) S 1 77 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!((field(stat, GROUP_FIELD), field(stat, START_FIELD)), (Some(77), Some(4711)));
        assert_eq!((field("", START_FIELD), field("1 (a) S 2", GROUP_FIELD)), (None, None));
    }

    #[test]
    fn records_have_one_length() {
        assert_eq!([record("").len(), record("123 456").len()], [LENGTH; 2]);
    }
}
