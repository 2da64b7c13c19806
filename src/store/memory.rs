//! The store that forgets: feeds in memory, everything completed at once.

use std::collections::VecDeque;

use super::{Completed, Query, Store, Ticket};
use crate::{
    engine::{
        feed::Feed,
        scheduler::{Batch, RunKey},
    },
    hash::CounterMap,
};

/// Feeds by run. Bounded by what the engine bounds: bytes per run, runs at a time, handlers kept.
#[derive(Debug, Default)]
pub struct MemoryStore {
    feeds: CounterMap<RunKey, Feed>,
    completed: VecDeque<Completed>,
    last_ticket: u64,
}

impl Store for MemoryStore {
    fn submit(&mut self, batch: Batch) {
        for (run, first) in batch.opened {
            self.feeds.insert(run, Feed::new(first));
        }
        for events in batch.published.chunk_by(|(run, _), (other, _)| run == other) {
            let Some(feed) = events.first().and_then(|(run, _)| self.feeds.get_mut(run)) else { continue };
            for (_, event) in events {
                feed.push(event);
            }
        }
        for run in &batch.removed {
            self.feeds.remove(run);
        }
        self.completed.push_back(Completed::Batch { number: batch.number });
    }

    fn read(&mut self, query: Query) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let feed = self.feeds.get(&query.run);
        let page =
            feed.map_or_else(|| Feed::new(query.from), |feed| feed.page(query.from..query.until, query.bytes_max));
        self.completed.push_back(Completed::Page { ticket, page });
        ticket
    }

    fn poll_completed(&mut self) -> Option<Completed> {
        self.completed.pop_front()
    }

    fn is_durable(&self) -> bool {
        false
    }
}
