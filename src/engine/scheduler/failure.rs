//! What failed batches had, and how often the store has failed lately.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    engine::{
        input::Input,
        keys::{HandlerKey, RunKey},
    },
    limits::{BACK_OFF_US, FAILURES_AT_ONCE_MAX},
    now::Now,
};

/// The changes in the failed batches.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) touched: BTreeSet<HandlerKey>,
    pub(super) opened: BTreeSet<RunKey>,
    pub(super) purged: BTreeSet<HandlerKey>,
    pub(super) reported: BTreeMap<HandlerKey, Vec<(u32, Input)>>,
}

impl Lost {
    pub(super) fn add(
        &mut self,
        touched: impl IntoIterator<Item = HandlerKey>,
        opened: impl IntoIterator<Item = RunKey>,
        purged: impl IntoIterator<Item = RunKey>,
        reported: impl IntoIterator<Item = (RunKey, Input)>,
    ) {
        self.touched.extend(touched);
        self.opened.extend(opened);
        self.purged.extend(purged.into_iter().map(|run| run.handler));
        for (run, input) in reported {
            self.reported.entry(run.handler).or_default().push((run.run, input));
        }
    }

    /// Returns whether the handler began with what is lost.
    pub(super) fn is_new(&self, key: HandlerKey) -> bool {
        self.opened.contains(&RunKey { handler: key, run: 0 })
    }
}

/// How often the store has failed recently. A handler that must be changed as soon as it is loaded, such as one whose
/// workflow has a new version, would be reloaded without a pause for as long as that cannot be committed.
#[derive(Debug, Default)]
pub(super) struct Failing {
    pub(super) count: u32,
    /// On the alive clock.
    until_us: u64,
}

impl Failing {
    pub(super) fn note(&mut self, now: Now) {
        if now.alive_us >= self.until_us {
            *self = Self { count: 0, until_us: now.alive_us.saturating_add(BACK_OFF_US) };
        }
        self.count += 1;
    }

    pub(super) fn is_often(&self) -> bool {
        self.count > FAILURES_AT_ONCE_MAX
    }
}
