//! Where what is to be kept goes: a store, and the scheduler that goes on where it left off.

use std::sync::Arc;

use super::{clock::Clock, config::Config, error::ServeError};
use crate::{
    account::Account,
    engine::scheduler::{Scheduler, SchedulerLimits},
    graph::Graph,
    limits::{KEEP_FINISHED_DEFAULT, KEEP_FINISHED_STORE_DEFAULT},
    store::{Opened, Store, memory::MemoryStore},
};

/// A store and its scheduler.
pub(super) struct Keeping {
    pub(super) store: Box<dyn Store>,
    pub(super) scheduler: Scheduler,
    /// The registered graphs, and those of the store.
    pub(super) graphs: Vec<Arc<Graph>>,
}

/// Wakes the loop from another thread.
type Ring = Arc<dyn Fn() + Send + Sync>;

/// Opens what the configuration names. The clock goes on where the store's left off.
pub(super) fn open(
    config: &Config,
    account: Account,
    graphs: &[Arc<Graph>],
    secret: u128,
    ring: Ring,
    clock: &mut Clock,
) -> Result<Keeping, ServeError> {
    let default = if config.data.is_some() { KEEP_FINISHED_STORE_DEFAULT } else { KEEP_FINISHED_DEFAULT };
    let limits = SchedulerLimits {
        workers: config.workers,
        runs_max: config.runs_max,
        keep_finished: config.keep_finished.unwrap_or(default),
        keep_for: config.keep_for,
        finished_bytes_max: config.finished_bytes_max.min(account.finished_max()),
        idle_after: config.idle_after,
        feed_keep: config.feed_keep,
        ..SchedulerLimits::default()
    };
    if config.data.is_some() {
        return open_sqlite(config, graphs, secret, ring, clock, limits);
    }
    clock.read();
    let Opened { store, graphs, beginning } = MemoryStore::open(graphs, secret);
    let scheduler = Scheduler::resume(graphs.clone(), graphs.len(), limits, &beginning);
    Ok(Keeping { store: Box::new(store), scheduler, graphs })
}

#[cfg(feature = "sqlite")]
fn open_sqlite(
    config: &Config,
    graphs: &[Arc<Graph>],
    secret: u128,
    ring: Ring,
    clock: &mut Clock,
    mut limits: SchedulerLimits,
) -> Result<Keeping, ServeError> {
    use crate::{limits::HANDLERS_LOST_MAX, store::sqlite::SqliteStore};
    let Some(directory) = &config.data else { return Err(ServeError::Store("no directory".into())) };
    let opened = SqliteStore::open(directory, config.durability, graphs, secret, ring);
    let opened = opened.map_err(|error| ServeError::Store(error.to_string()))?;
    let Opened { mut store, graphs: all, mut beginning } = opened;
    limits.data_bytes_max = config.data_bytes_max.map(|bytes_max| store.say_size(bytes_max));
    // What a loss of power took may have had the next keys: clients know their ids, which are not to name others.
    beginning.next_handler += HANDLERS_LOST_MAX;
    clock.resume(beginning.newest);
    let mut now = clock.read();
    let mut scheduler = Scheduler::resume(all.clone(), graphs.len(), limits, &beginning);
    let mut recovered = 0;
    store
        .recover(&mut |handler| {
            recovered += 1;
            scheduler.recover_any(handler, now);
        })
        .map_err(|error| ServeError::Store(error.to_string()))?;
    now = clock.read();
    if !beginning.aside.is_empty() {
        let count = beginning.aside.len();
        ::log::warn!("{count} handlers are set aside: their stored rows cannot be changed, and `inspect` names them");
    }
    scheduler.handle_recovered(now);
    ::log::info!("{} has {} finished handlers and {recovered} that go on", directory.display(), beginning.finished);
    Ok(Keeping { store: Box::new(store), scheduler, graphs: all })
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(
    _: &Config,
    _: &[Arc<Graph>],
    _: u128,
    _: Ring,
    _: &mut Clock,
    _: SchedulerLimits,
) -> Result<Keeping, ServeError> {
    Err(ServeError::Config("--data: this program was built without feature `sqlite`".to_owned()))
}
