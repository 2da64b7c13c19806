//! Handlers whose stored rows are damaged. Each fails alone, without effect on others.

use crate::{
    engine::{
        channel::Channel,
        input::Outcome,
        keys::{CallerId, HandlerKey, RunKey},
        scheduler::{Scheduler, damage::text, failure::Lost, notice::Notice},
        stored::{Aside, Recovered, Stored, StoredHandler, StoredJournal},
    },
    limits::{DAMAGED_LOGGED_MAX, DAMAGED_NOTED_MAX},
    now::Now,
};

impl Scheduler {
    /// Returns how many handlers are known to be damaged.
    pub fn damaged_count(&self) -> usize {
        self.damage.aside.len() + self.damage.unread.iter().filter(|key| !self.damage.aside.contains_key(key)).count()
    }

    /// Returns whether something could not be committed because of a damaged page that belongs to no handler involved.
    pub(super) fn has_bad_page(&self) -> bool {
        self.damage.has_bad_page
    }

    /// Returns whether the rows of this handler cannot be changed.
    pub fn is_aside(&self, key: HandlerKey) -> bool {
        self.damage.aside.contains_key(&key)
    }

    /// Records that rows of this handler cannot be read. Logged once.
    pub fn note_damaged(&mut self, key: HandlerKey, cause: &str) {
        self.count_damaged(key);
        self.report_damaged(key, "its stored rows cannot be read", cause);
    }

    pub(super) fn count_damaged(&mut self, key: HandlerKey) {
        if !self.is_aside(key) && self.damage.unread.len() < DAMAGED_NOTED_MAX {
            self.damage.unread.insert(key);
        }
    }

    /// Logs one line per handler, whatever is found out about it later, until there are too many.
    pub(super) fn report_damaged(&mut self, key: HandlerKey, what: &str, cause: &str) {
        let count = self.damage.said.len();
        if count > DAMAGED_LOGGED_MAX || self.is_aside(key) || !self.damage.said.insert(key) {
            return;
        }
        if count < DAMAGED_LOGGED_MAX {
            log::warn!("handler {}: {what}: {cause}", self.known_id(key));
        } else {
            log::warn!("more handlers are damaged: `inspect` names them");
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
        self.damage.has_bad_page |= !aside.is_own;
        let (mut lost, mut uncounted, mut was_kept) = (Lost::default(), 0, true);
        let passes = self.passes.of_handler(key);
        for held in self.committing.iter_mut().map(|(_, held)| held).chain([&mut self.held]) {
            // A run that begins or ends in these batches is not finished in the store.
            was_kept &= !held.begins_or_ends(key);
            uncounted += held.take_out(key, &passes, &mut lost);
        }
        self.batch.drop_handler(key);
        self.batch.asides_heard = aside.serial;
        self.asking.handle_rolled_back(self.uncommitted());
        let cannot_go = !aside.is_own && was_kept && uncounted > 0;
        let stays = cannot_go && self.damage.whole.len() < DAMAGED_NOTED_MAX;
        // One that is aside already does not count.
        let was_counted = aside.was_finished && !self.is_aside(key);
        self.retention.handle_aside(uncounted, was_counted || stays);
        self.passes.ready.retain(|(run, _)| run.handler != key);
        // A handler that cannot be removed is not chosen again, unless there are too many to remember.
        if stays {
            self.damage.whole.insert(key);
        } else if cannot_go {
            self.retention.rest(now);
        }
        if (aside.is_own || stays) && !lost.is_new(key) {
            self.damage.aside.insert(key, Outcome::Failed(text(&aside.cause)));
        }
        if aside.is_own {
            self.stop_passes(&passes, now);
        } else {
            // A change made as soon as the handler is loaded would meet the same page at once.
            self.failing.note(now);
        }
        self.roll_back(key, &mut lost, now);
        self.fill_places(now);
    }

    /// The end of this handler's run, whose rows are damaged, cannot be committed: it counts as ended nevertheless, as
    /// a retry would fail in the same way.
    pub(super) fn give_up(&mut self, key: HandlerKey) {
        let end = self.handlers.get(&key).and_then(|handler| handler.life.end());
        if let Some(outcome @ Outcome::Failed(_)) = end.map(|end| &end.outcome) {
            let outcome = outcome.clone();
            self.damage.aside.insert(key, outcome);
        }
    }

    /// The store cannot read this handler, for which something waits: that is refused.
    pub fn handle_damaged(&mut self, key: HandlerKey, cause: &str, now: Now) {
        self.note_damaged(key, cause);
        self.put_compaction_off(key);
        if let Some(reloading) = self.absent.take_reloading(key) {
            self.notices.extend(reloading.caller.map(Notice::Unread));
            let of_handler = RunKey { handler: key, run: 0 }..=RunKey { handler: key, run: u32::MAX };
            while let Some((&run, _)) = self.earlier.range(of_handler.clone()).next() {
                let channel = self.earlier.remove(&run);
                self.notices.extend(channel.iter().flat_map(Channel::everybody).map(Notice::Lost));
            }
            self.handle_reloaded(true, now);
        } else if self.handlers.get(&key).is_some_and(|handler| handler.life.is_parked()) {
            self.fail_damaged(key, text(cause), now);
        }
    }

    /// The store can read only the head of this handler. Its run cannot continue.
    pub fn handle_head(&mut self, kept: &StoredHandler, cause: &str, now: Now) {
        let key = kept.key;
        self.note_damaged(key, cause);
        if self.is_aside(key) {
            self.handle_loaded(&Stored { handler: kept.clone(), journal: StoredJournal::default() }, now);
        } else if self.handlers.contains_key(&key) {
            self.handle_damaged(key, cause, now);
        } else if let Some(reloading) = self.absent.take_reloading(key) {
            self.recover_damaged(kept, reloading.caller, cause, now);
            self.handle_reloaded(true, now);
        }
    }

    /// Recovers a handler whose run has not ended, at the start. A damaged one fails; one that cannot be read at all is
    /// only counted.
    pub fn recover_any(&mut self, recovered: Recovered, now: Now) {
        match recovered {
            Recovered::Whole(kept) => self.recover(&kept, now),
            Recovered::Damaged { key, handler, cause } => {
                self.note_damaged(key, &cause);
                if let Some(handler) = handler {
                    self.recover_damaged(&handler, None, &cause, now);
                }
            }
        }
    }

    fn recover_damaged(&mut self, kept: &StoredHandler, caller: Option<CallerId>, cause: &str, now: Now) {
        let handler = self.handler_of(kept, caller);
        if kept.id.is_some() {
            self.names.chosen.insert(std::sync::Arc::clone(&handler.id), kept.key);
        }
        self.handlers.insert(kept.key, Box::new(handler));
        self.fail_damaged(kept.key, text(cause), now);
    }

    /// Returns the id of a handler, or the one made from its key if it is not known whether a client chose another.
    pub fn known_id(&self, key: HandlerKey) -> std::sync::Arc<str> {
        let here = self.handlers.get(&key).map(|handler| &handler.id);
        let known = here.or_else(|| self.absent.reloading(key)?.id.as_ref());
        known.map_or_else(|| self.spell(key), std::sync::Arc::clone)
    }
}
