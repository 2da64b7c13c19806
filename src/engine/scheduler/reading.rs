//! Who waits for runs and reads their feeds.

use super::{HandlerKey, Notice, RunKey, Scheduler};
use crate::engine::channel::{Channel, ReaderId};

/// Who waits for the end of a run, by a number that the server gives it. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerId(pub u64);

impl Scheduler {
    /// The channel of a run, its handler's newest or one that is still read; `None` once it is gone.
    pub fn channel(&self, run: RunKey) -> Option<&Channel> {
        match self.handlers.get(&run.handler) {
            Some(handler) if handler.run == run.run => Some(&handler.channel),
            _ => self.earlier.get(&run),
        }
    }

    /// Has the caller told when the handler's run has ended.
    pub fn await_end(&mut self, key: HandlerKey, caller: CallerId) {
        if let Some(handler) = self.handlers.get_mut(&key) {
            handler.caller = Some(caller);
        }
    }

    /// The caller no longer waits.
    pub fn forget_caller(&mut self, key: HandlerKey, caller: CallerId) {
        if let Some(handler) = self.handlers.get_mut(&key) {
            handler.caller.take_if(|current| *current == caller);
        }
    }

    /// Begins to read a run: the queue (`true`: now, `false`: a [`Notice::Turn`] follows) or the log. `None` if the run
    /// is gone.
    pub fn acquire(&mut self, run: RunKey, reader: ReaderId) -> Option<bool> {
        self.channel_mut(run).map(|channel| channel.acquire(reader))
    }

    /// Begins to read the log of a run; `false` if it is gone.
    pub fn follow(&mut self, run: RunKey, reader: ReaderId) -> bool {
        self.channel_mut(run).map(|channel| channel.follow(reader)).is_some()
    }

    /// The reader's socket has taken the queue up to `next`.
    pub fn handle_taken(&mut self, run: RunKey, next: u64) {
        if let Some(channel) = self.channel_mut(run) {
            channel.handle_taken(next);
        }
    }

    /// The reader has ended, or no longer waits.
    pub fn leave(&mut self, run: RunKey, reader: ReaderId) {
        let turn = self.channel_mut(run).and_then(|channel| channel.leave(reader));
        self.notices.extend(turn.map(Notice::Turn));
        if self.earlier.get(&run).is_some_and(|channel| !channel.is_busy())
            && let Some(channel) = self.earlier.remove(&run)
        {
            self.batch.removed.push((run, channel.range()));
        }
    }

    pub(super) fn channel_mut(&mut self, run: RunKey) -> Option<&mut Channel> {
        match self.handlers.get_mut(&run.handler) {
            Some(handler) if handler.run == run.run => Some(&mut handler.channel),
            _ => self.earlier.get_mut(&run),
        }
    }
}
