//! Handlers whose stored rows are damaged. Each fails alone, without effect on others.

use crate::{
    engine::{
        input::Outcome,
        keys::{CallerId, HandlerKey},
        scheduler::{
            Scheduler,
            commits::Dropped,
            damage::{Naming, text},
            notice::Notice,
        },
        stored::{Aside, Recovered, Stored, StoredHandler, StoredJournal},
    },
    now::Now,
};

impl Scheduler {
    /// Returns how many handlers are known to be damaged.
    pub fn damaged_count(&self) -> usize {
        self.health.damaged_count()
    }

    /// Returns whether the rows of this handler cannot be changed.
    pub fn is_aside(&self, key: HandlerKey) -> bool {
        self.health.is_aside(key)
    }

    /// Records that rows of this handler cannot be read. Logged once.
    pub fn note_damaged(&mut self, key: HandlerKey, cause: &str) {
        self.health.count_damaged(key);
        self.report_damaged(key, "its stored rows cannot be read", cause);
    }

    /// Logs one line per handler.
    pub(super) fn report_damaged(&mut self, key: HandlerKey, what: &str, cause: &str) {
        match self.health.name(key) {
            Naming::Names => log::warn!("handler {}: {what}: {cause}", self.known_id(key)),
            Naming::SaysMore => log::warn!("more handlers are damaged: `inspect` names them"),
            Naming::Silent => {}
        }
    }

    /// The next batches to be committed contain nothing of this handler, whose rows cannot be changed. It is rolled
    /// back to what was committed. If its own rows are damaged and its run has not ended, the run counts as failed;
    /// otherwise what passes reported is retried.
    pub fn handle_aside(&mut self, aside: &Aside, now: Now) {
        let key = aside.handler;
        let what = if aside.is_own {
            "its stored rows cannot be changed, it is set aside"
        } else {
            "what is new of it cannot be stored, because of a damaged page that is not its own"
        };
        self.report_damaged(key, what, &aside.cause);
        let passes = self.passes.of_handler(key);
        let Dropped { mut lost, uncounted, began_or_ended } = self.commits.handle_aside(aside, &passes);
        // A handler that cannot be removed is not chosen again, unless there are too many to remember.
        let is_stuck = !aside.is_own && !began_or_ended && uncounted > 0;
        // One that is aside already does not count.
        let was_counted = aside.was_finished && !self.is_aside(key);
        let stays = self.health.handle_aside(aside, lost.is_new(key), is_stuck, now);
        self.retention.handle_aside(uncounted, was_counted || stays);
        if is_stuck && !stays {
            self.retention.pause(now);
        }
        self.passes.retain_ready(|handler| handler != key);
        if aside.is_own {
            self.stop_passes(&passes, now);
        }
        self.roll_back(key, &mut lost, now);
        self.fill_places(now);
    }

    /// The end of this handler's run, whose rows are damaged, cannot be committed: it counts as ended nevertheless, as
    /// a retry would fail in the same way.
    pub(super) fn give_up(&mut self, key: HandlerKey) {
        let end = self.handlers.get(key).and_then(|handler| handler.life.end());
        if let Some(outcome @ Outcome::Failed(_)) = end.map(|end| &end.outcome) {
            let outcome = outcome.clone();
            self.health.give_up(key, outcome);
        }
    }

    /// The store cannot read this handler, for which something waits: that is refused.
    pub fn handle_damaged(&mut self, key: HandlerKey, cause: &str, now: Now) {
        self.note_damaged(key, cause);
        self.put_compaction_off(key);
        if let Some(reloading) = self.handlers.take_reloading(key) {
            // What its passes have reported is dropped here. With an older answer, in which it is still whole, the
            // handler would become resident without that, and its passes would run again.
            self.commits.refuse_pending_reads();
            self.outbox.notify_all(reloading.caller.map(Notice::Unread));
            for channel in self.channels.take_upto(key, u32::MAX) {
                self.outbox.notify_all(channel.everybody().map(Notice::Lost));
            }
            self.handle_reloaded(true, now);
        } else if self.handlers.get(key).is_some_and(|handler| handler.life.is_parked()) {
            self.fail_damaged(key, text(cause), now);
        }
    }

    /// The store can read only the head of this handler. Its run cannot continue.
    pub fn handle_head(&mut self, stored: &StoredHandler, cause: &str, now: Now) {
        let key = stored.key;
        self.note_damaged(key, cause);
        if self.health.is_aside(key) {
            self.handle_loaded(&Stored { handler: stored.clone(), journal: StoredJournal::default() }, now);
        } else if self.handlers.contains(key) {
            self.handle_damaged(key, cause, now);
        } else if let Some(reloading) = self.handlers.take_reloading(key) {
            self.recover_damaged(stored, reloading.caller, cause, now);
            self.handle_reloaded(true, now);
        }
    }

    /// Recovers a handler whose run has not ended, at the start. A damaged one fails; one that cannot be read at all is
    /// only counted.
    pub fn recover_any(&mut self, recovered: Recovered, now: Now) {
        match recovered {
            Recovered::Whole(stored) => self.recover(&stored, now),
            Recovered::Damaged { key, handler, cause } => {
                self.note_damaged(key, &cause);
                if let Some(handler) = handler {
                    self.recover_damaged(&handler, None, &cause, now);
                }
            }
        }
    }

    fn recover_damaged(&mut self, stored: &StoredHandler, caller: Option<CallerId>, cause: &str, now: Now) {
        let handler = self.handler_of(stored, caller);
        if stored.id.is_some() {
            self.names.chosen.insert(std::sync::Arc::clone(&handler.id), stored.key);
        }
        self.handlers.insert(stored.key, handler);
        self.fail_damaged(stored.key, text(cause), now);
    }

    /// Returns the id of a handler, or the one made from its key if it is not known whether a client chose another.
    pub fn known_id(&self, key: HandlerKey) -> std::sync::Arc<str> {
        let here = self.handlers.get(key).map(|handler| &handler.id);
        let known = here.or_else(|| self.handlers.reloading(key)?.id.as_ref());
        known.map_or_else(|| self.spell(key), std::sync::Arc::clone)
    }
}
