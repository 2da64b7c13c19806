//! The limit on open files: connections need one each.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_BESIDE;

/// Raises the process's soft limit as far as `connections_max` needs and the hard limit allows. Logs if that is not
/// enough.
pub(super) fn raise(connections_max: usize) {
    let wanted = connections_max.saturating_add(DESCRIPTORS_BESIDE) as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        limit.current = Some(raised.max(limit.current.unwrap_or(0)));
        // If that fails the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let available = available();
    if available < connections_max {
        ::log::warn!(
            "--connections-max {connections_max} is more than the {available} file descriptors that this process may \
             have; connections that find none get 503. Raise the limit (ulimit -n, LimitNOFILE=) or lower \
             --connections-max"
        );
    }
}

/// Returns how many files the process may open.
pub(super) fn available() -> usize {
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}
