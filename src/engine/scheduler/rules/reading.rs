//! Callers that wait for runs, and readers of feeds.

use crate::engine::{
    channel::{Channel, ReaderId},
    keys::{CallerId, HandlerKey, RunKey},
    scheduler::{Scheduler, cursors::Cursors, notice::Notice},
};

impl Scheduler {
    /// Returns the channel of a run that is its handler's newest or still has readers; `None` otherwise.
    pub fn channel(&self, run: RunKey) -> Option<&Channel> {
        match self.handlers.get(run.handler) {
            Some(handler) if handler.run == run.run => Some(&handler.channel),
            _ => self.channels.get(run),
        }
    }

    /// Notifies the caller when the handler's run has ended.
    pub fn await_end(&mut self, key: HandlerKey, caller: CallerId) {
        if let Some(handler) = self.handlers.get_mut(key) {
            handler.caller = Some(caller);
        }
    }

    /// The caller no longer waits.
    pub fn forget_caller(&mut self, key: HandlerKey, caller: CallerId) {
        self.handlers.caller_mut(key).and_then(|waiting| waiting.take_if(|current| *current == caller));
    }

    /// Starts to read a run's queue. Returns whether the reader has the lock now; if not, a [`Notice::LockGranted`]
    /// follows. Returns `None` if the run is gone.
    pub fn acquire(&mut self, run: RunKey, reader: ReaderId) -> Option<bool> {
        self.channel_mut(run).map(|channel| channel.acquire(reader))
    }

    /// Starts to read the log of a run. Returns `false` if the run is gone.
    pub fn follow(&mut self, run: RunKey, reader: ReaderId) -> bool {
        self.channel_mut(run).map(|channel| channel.follow(reader)).is_some()
    }

    /// The reader's socket has taken the queue up to `next`.
    pub fn handle_taken(&mut self, run: RunKey, next: u64) {
        let Some(channel) = self.channel_mut(run) else { return };
        channel.handle_taken(next);
        if self.policies.stores_progress && self.run_of(run.handler) == Some(run) && !self.health.is_aside(run.handler)
        {
            self.cursors.moved.insert(run.handler);
        }
    }

    /// Adds the cursors that have moved to the open batch, if there is one or their time has come.
    pub(super) fn close_cursors(&mut self) {
        if self.cursors.moved.is_empty() || !(self.cursors.is_due || self.commits.has_changes()) {
            return;
        }
        let Cursors { moved, .. } = std::mem::take(&mut self.cursors);
        for key in moved {
            let Some(handler) = self.handlers.get_mut(key) else { continue };
            self.commits.change(key, handler);
            self.commits.batch.cursors.push((RunKey { handler: key, run: handler.run }, handler.channel.taken()));
        }
    }

    /// The reader has ended, or no longer waits.
    pub fn leave(&mut self, run: RunKey, reader: ReaderId) {
        let turn = self.channel_mut(run).and_then(|channel| channel.leave(reader));
        self.outbox.notify_all(turn.map(Notice::LockGranted));
        self.cursors.is_due |= self.cursors.has_moved(run.handler);
        self.retention.look_again();
        if let Some(channel) = self.channels.take_unread(run)
            && self.is_superseded(run)
        {
            self.note_unread(run, channel.range().end);
        }
    }

    /// Returns whether no request can refer to this run any longer: it is neither its handler's newest (in the store,
    /// if the handler is reloading) nor of a handler that is being removed anyway.
    fn is_superseded(&self, run: RunKey) -> bool {
        match self.handlers.reloading(run.handler) {
            Some(reloading) => run.run < reloading.run,
            None => self.handlers.removed(run.handler).is_none(),
        }
    }

    /// Nobody can ask for this run any longer, nor for earlier ones without readers.
    pub(super) fn note_unread(&mut self, run: RunKey, next: u64) {
        self.commits.batch.removed.push((run, self.channels.unread(run, next)));
    }

    pub(super) fn channel_mut(&mut self, run: RunKey) -> Option<&mut Channel> {
        match self.handlers.get_mut(run.handler) {
            Some(handler) if handler.run == run.run => Some(&mut handler.channel),
            _ => self.channels.get_mut(run),
        }
    }
}
