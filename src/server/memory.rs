//! How much memory there is, and how much of it the server may use.

use std::{fs, path::Path};

use super::trimming::Trimming;
use crate::{
    account::Account,
    limits::{MEMORY_MAX_DEFAULT, MEMORY_PART_DEFAULT},
};

/// The limit on everything that the server holds, and when freed memory goes back to the system.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) account: Account,
    pub(super) trimming: Trimming,
}

/// Returns how much the server may hold by default: half of what there is, within limits.
pub(super) fn memory_max_default() -> usize {
    let read = |path: &Path| fs::read_to_string(path).ok();
    available_bytes(read).map_or(MEMORY_MAX_DEFAULT, |bytes| (bytes / MEMORY_PART_DEFAULT).min(MEMORY_MAX_DEFAULT))
}

/// Returns the least of what the machine has and what the process's control groups allow; `None` if neither can be
/// read. A group without a limit of its own is subject to those above it.
fn available_bytes(read: impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1 << 10)
    });
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    // `0::/path` in version 2, `4:memory:/path` in version 1.
    let bounds = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, file) = match () {
            () if number == "0" && controllers.is_empty() => ("/sys/fs/cgroup", "memory.max"),
            () if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            () => return None,
        };
        let directory = Path::new(root).join(path.trim_start_matches('/'));
        // `max` is not a number: no limit.
        let bound = |directory: &Path| read(&directory.join(file))?.trim().parse::<usize>().ok();
        directory.ancestors().take_while(|ancestor| ancestor.starts_with(root)).filter_map(bound).min()
    });
    bounds.chain(machine).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<usize>) {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(available_bytes(read), expected);
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        1024 kB\nMemFree:          512 kB\n");

    #[test]
    fn the_tightest_bound_counts() {
        check(&[], None);
        check(&[MACHINE], Some(1 << 20));
        let unified = ("/proc/self/cgroup", "0::/a/b\n");
        check(&[MACHINE, unified, ("/sys/fs/cgroup/a/b/memory.max", "max\n")], Some(1 << 20));
        check(&[MACHINE, unified, ("/sys/fs/cgroup/a/b/memory.max", "65536\n")], Some(65_536));
        let above = ("/sys/fs/cgroup/a/memory.max", "4096\n");
        check(&[MACHINE, unified, ("/sys/fs/cgroup/a/b/memory.max", "65536\n"), above], Some(4_096));
        check(&[MACHINE, ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "8192\n")], Some(8_192));
        let older = ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n");
        let bound = ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2048\n");
        check(&[MACHINE, older, bound], Some(2_048));
    }
}
