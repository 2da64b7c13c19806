//! Drives the core as the server does, with chance in the place of sockets.

use std::{convert::Infallible, sync::Arc};

use steprill::{
    core::{Core, Driver, Output, Start},
    engine::{
        scheduler::{SchedulerLimits, Waste},
        storage::{Batch, Completed},
        stored::{Beginning, Recovered},
    },
    graph::Graph,
    now::Now,
};

use super::{
    store::Store,
    workers::lanes,
    world::{Crash, Going, World},
};

/// Recovers the runs of a store that was opened for these workflows.
pub(super) fn open_core(
    store: &Store,
    graphs: &[Arc<Graph>],
    limits: SchedulerLimits,
    beginning: &Beginning,
    now: Now,
) -> Core {
    let (all, registered, lanes) = (store.session.graphs.clone(), graphs.len(), lanes(graphs));
    let start = Start { graphs: all, registered, lanes, limits, beginning };
    let read = |take: &mut dyn FnMut(Recovered)| {
        store.recovered().into_iter().for_each(take);
        Ok::<_, Infallible>(())
    };
    let Ok(core) = Core::recover(start, read, now);
    core
}

impl Driver for World {
    type Stopped = Crash;

    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&self) -> Now {
        self.now
    }

    fn carry_out(&mut self, output: Output) -> Going {
        self.point()?;
        self.do_output(output);
        Ok(())
    }

    fn poll_completed(&mut self) -> Result<Option<Completed>, Crash> {
        if self.store.completed.is_empty() {
            self.have_store_work();
            self.point()?;
        }
        let completed = self.store.completed.pop_front();
        if let Some(completed) = &completed {
            self.trace(|| format!("{completed:?}"));
            self.note_undone(completed);
        }
        Ok(completed)
    }

    fn submit(&mut self, batch: Batch) -> Going {
        self.trace(|| format!("sealed {batch:?}"));
        self.point()?;
        self.store.submit(batch);
        self.point()
    }

    fn free(&mut self, _: Waste) {}
}
