//! The write-ahead rule: what is held back until a batch is kept.

use super::{HandlerKey, Notice, RunKey, Scheduler, batch::Batch, newest};
use crate::{engine::input::PassId, limits::RETIRED_PER_TURN_MIN};

/// What is held back until a batch is kept.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) ready: Vec<(RunKey, PassId)>,
    published: Vec<(RunKey, u64)>,
    pub(super) ended: Vec<RunKey>,
    gone: Vec<Notice>,
}

impl Held {
    /// An empty one, with room for as much.
    fn next(&self) -> Self {
        Self {
            ready: Vec::with_capacity(self.ready.len()),
            published: Vec::with_capacity(self.published.len()),
            ended: Vec::with_capacity(self.ended.len()),
            gone: Vec::new(),
        }
    }

    pub(super) fn note_published(&mut self, run: RunKey, next: u64) {
        match self.published.last_mut() {
            Some((last, last_next)) if *last == run => *last_next = next,
            _ => self.published.push((run, next)),
        }
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.published.is_empty() && self.ended.is_empty() && self.gone.is_empty()
    }
}

impl Scheduler {
    /// The number of the batch that is open: what happens now is kept with it.
    pub fn open_batch(&self) -> u64 {
        self.batch.number
    }

    /// Closes the batch of what has happened since the last one; `None` if nothing has.
    pub fn seal(&mut self) -> Option<Batch> {
        if self.batch.is_empty() && self.held.is_empty() {
            return None;
        }
        let number = self.batch.number;
        let (batch, held) = (self.batch.next(), self.held.next());
        self.committing.push_back((number, std::mem::replace(&mut self.held, held)));
        Some(std::mem::replace(&mut self.batch, batch))
    }

    /// This batch and all before it are kept: what they held back goes on.
    pub fn handle_committed(&mut self, number: u64) {
        while self.committing.front().is_some_and(|&(first, _)| first <= number) {
            if let Some((_, held)) = self.committing.pop_front() {
                self.release(held);
            }
        }
    }

    fn release(&mut self, held: Held) {
        self.passes.ready.extend(held.ready);
        for run in &held.ended {
            if let Some(channel) = self.channel_mut(*run) {
                channel.handle_ended();
            }
        }
        for (run, next) in held.published {
            if let Some(channel) = self.channel_mut(run) {
                channel.handle_published(next);
                if channel.is_busy() {
                    self.notices.push_back(Notice::Published(run));
                }
            }
        }
        for run in held.ended {
            let Some(handler) = newest(&mut self.handlers, run) else { continue };
            self.notices.extend(handler.caller.take().map(|caller| Notice::Ended(run, caller)));
            self.finished.push_back(run);
            self.finished_handlers += 1;
            self.ended_since_retired += 1;
            self.finished_bytes += handler.finished_bytes().unwrap_or(0);
        }
        self.notices.extend(held.gone);
    }

    /// Removes finished handlers over the number or the bytes that are kept, the longest ended first. Those with a
    /// reader stay. Call it when the notices are carried out. It looks at more handlers than have ended since it was
    /// called last, so that what is over the bound becomes less in any case.
    pub fn retire(&mut self) {
        let looked_at_max = 2 * std::mem::take(&mut self.ended_since_retired) + RETIRED_PER_TURN_MIN;
        for _ in 0..looked_at_max {
            let too_many = self.finished_handlers > self.limits.keep_finished;
            let too_large = self.finished_bytes > self.limits.finished_bytes_max && self.finished_handlers > 1;
            if !(too_many || too_large) {
                break;
            }
            let Some(run) = self.finished.pop_front() else { return };
            match newest(&mut self.handlers, run).map(|handler| handler.is_idle()) {
                Some(true) => self.remove(run.handler),
                Some(false) => self.finished.push_back(run),
                None => {}
            }
        }
        if self.finished.len() > 2 * self.finished_handlers + RETIRED_PER_TURN_MIN {
            let handlers = &self.handlers;
            self.finished.retain(|run| handlers.get(&run.handler).is_some_and(|handler| handler.run == run.run));
        }
    }

    pub(super) fn remove(&mut self, key: HandlerKey) {
        let Some(handler) = self.handlers.remove(&key) else { return };
        if let Some(bytes) = handler.finished_bytes() {
            self.finished_handlers -= 1;
            self.finished_bytes -= bytes;
        }
        self.ids.remove(&handler.id);
        let newest_run = RunKey { handler: key, run: handler.run };
        self.held.gone.extend(handler.caller.map(Notice::CallerGone));
        self.held.gone.extend(handler.channel.everybody().map(Notice::Gone));
        self.batch.removed.push((newest_run, handler.channel.range()));
        let first = RunKey { handler: key, run: 0 };
        while let Some((&run, _)) = self.earlier.range(first..newest_run).next() {
            if let Some(channel) = self.earlier.remove(&run) {
                self.held.gone.extend(channel.everybody().map(Notice::Gone));
                self.batch.removed.push((run, channel.range()));
            }
        }
    }
}
