//! The store that recalls only feeds, and only while the process lives. Everything completes at once.

use std::{collections::VecDeque, sync::Arc};

use super::{Answer, Batch, Beginning, Completed, Opened, Query, Recall, Recovered, Store, StoreError, Ticket};
use crate::{
    engine::{feed::Feed, keys::RunKey},
    graph::Graph,
    hash::CounterMap,
};

/// Feeds by run. The engine's limits apply: bytes per run, number of runs, retained handlers.
#[derive(Debug, Default)]
pub struct MemoryStore {
    feeds: CounterMap<RunKey, Feed>,
    completed: VecDeque<Completed>,
}

impl MemoryStore {
    /// Opens an empty store. The ids of handlers are made from `secret`.
    pub fn open(graphs: &[Arc<Graph>], secret: u128) -> Opened<Self> {
        let beginning = Beginning { recall: Recall::Feeds, secret, ..Beginning::default() };
        Opened { store: Self::default(), graphs: graphs.to_vec(), beginning, size_max: None }
    }
}

impl Store for MemoryStore {
    fn recover(&mut self, _: &mut dyn FnMut(Recovered)) -> Result<(), StoreError> {
        Ok(())
    }

    fn submit(&mut self, batch: Batch) {
        for opened in batch.opened {
            self.feeds.insert(opened.run, Feed::new(opened.first));
        }
        for events in batch.published.chunk_by(|(run, _), (other, _)| run == other) {
            let Some(feed) = events.first().and_then(|(run, _)| self.feeds.get_mut(run)) else { continue };
            for (_, event) in events {
                feed.push(event);
            }
        }
        for (run, _) in &batch.removed {
            self.feeds.remove(run);
        }
        self.completed.push_back(Completed::Batch { number: batch.number });
    }

    fn read(&mut self, ticket: Ticket, query: Query) {
        let answer = match query {
            Query::Page { run, from, until, bytes_max } => {
                let feed = self.feeds.get(&run);
                let page = feed.map_or_else(|| Feed::new(from), |feed| feed.page(from..until, bytes_max));
                Answer::Page { feed: page, workflow: None }
            }
            Query::Handler(_) => Answer::Handler(None),
            Query::List { .. } | Query::Running { .. } => {
                Answer::List { handlers: Vec::new(), damaged: Vec::new(), is_complete: true }
            }
            Query::Oldest { .. } => Answer::Oldest(Vec::new()),
        };
        self.completed.push_back(Completed::Answer { ticket, answer: Ok(answer) });
    }

    fn poll_completed(&mut self) -> Option<Completed> {
        self.completed.pop_front()
    }

    fn close(&mut self) {}
}
