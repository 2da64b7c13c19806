//! Opens the store, and the core that continues where it left off.

use std::sync::Arc;

use super::{clock::SystemClock, config::Config, error::ServeError};
use crate::{
    account::Account,
    core::{Core, Start},
    engine::scheduler::{SchedulerLimits, StepLanes},
    graph::Graph,
    limits::{KEEP_FINISHED_DEFAULT, KEEP_FINISHED_STORE_DEFAULT},
    store::{self, Opened, Recall, Recovered, Store, Wanted},
    wake::WakeLoop,
};

/// A store and its core.
pub(super) struct Keeping {
    pub(super) store: Box<dyn Store>,
    pub(super) core: Core,
    /// The registered graphs, and those of the store.
    pub(super) graphs: Vec<Arc<Graph>>,
}

/// Opens the configured store and recovers its runs. The clock continues where the store's left off.
pub(super) fn open(
    config: &Config,
    account: Account,
    registered: &[Arc<Graph>],
    lanes: Vec<Vec<StepLanes>>,
    fresh_secret: u128,
    wake_loop: WakeLoop,
    clock: &mut SystemClock,
) -> Result<Keeping, ServeError> {
    let (data, durability, bytes_max) = (config.data.as_deref(), config.durability, config.data_bytes_max);
    let opened = store::open(Wanted { data, durability, bytes_max, graphs: registered, fresh_secret, wake_loop });
    let Opened { mut store, graphs, beginning, size_max } = opened?;
    let keep_finished_default = match beginning.recall {
        Recall::Feeds => KEEP_FINISHED_DEFAULT,
        Recall::Everything => KEEP_FINISHED_STORE_DEFAULT,
    };
    let limits = SchedulerLimits {
        runs_max: config.runs_max,
        keep_finished: config.keep_finished.unwrap_or(keep_finished_default),
        keep_for: config.keep_for,
        finished_bytes_max: config.finished_bytes_max.min(account.finished_max()),
        idle_after: config.idle_after,
        feed_keep: config.feed_keep,
        data_bytes_max: size_max,
        ..SchedulerLimits::default()
    };
    clock.resume(beginning.newest);
    let now = clock.read();
    let start = Start { graphs: graphs.clone(), registered: registered.len(), lanes, limits, beginning: &beginning };
    let mut recovered = 0;
    let read = |take: &mut dyn FnMut(Recovered)| {
        store.recover(&mut |handler| {
            recovered += 1;
            take(handler);
        })
    };
    let core = Core::recover(start, read, now)?;
    if !beginning.aside.is_empty() {
        let count = beginning.aside.len();
        ::log::warn!("{count} handlers are set aside: their stored rows cannot be changed, and `inspect` names them");
    }
    if let Some(data) = data {
        let finished = beginning.finished;
        ::log::info!("{} has {finished} finished handlers and {recovered} that go on", data.display());
    }
    Ok(Keeping { store, core, graphs })
}
