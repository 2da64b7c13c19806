//! Who reads feeds, through pages of the store.

use steprill::{
    engine::{
        channel::ReaderId,
        feed::Feed,
        keys::{CallerId, HandlerKey, RunKey, WorkflowId},
    },
    store::{Query, Ticket},
};

use super::world::World;

/// One GET /events.
pub(crate) struct Reader {
    pub(crate) run: RunKey,
    queue: bool,
    next: u64,
    waits: bool,
    asked: Option<Ticket>,
    /// Its handler is gone, of which it is still to be told.
    orphaned: bool,
    /// What its socket has taken, of a queue.
    untaken: Option<u64>,
}

impl World {
    /// Begins to read.
    pub(crate) fn read(&mut self, key: HandlerKey, queue: bool) {
        let (Some(run), Some(range)) = (self.scheduler.run_of(key), self.scheduler.feed_range(key)) else { return };
        self.clients.taken.entry(run).or_insert(range.start);
        let id = ReaderId(self.draw());
        let mut reader =
            Reader { run, queue, next: range.start, waits: false, asked: None, orphaned: false, untaken: None };
        if queue {
            if self.scheduler.is_drained(key) {
                return;
            }
            reader.waits = !self.scheduler.acquire(run, id).expect("it is there");
            reader.next = self.scheduler.channel(run).expect("it is there").cursor();
            self.check_cursor(run, reader.next);
        } else {
            let ended = self.scheduler.view(key).is_some_and(|view| view.outcome.is_some());
            reader.next = range.start + self.random.next() % (range.end - range.start + 2);
            if ended && reader.next >= range.end {
                return;
            }
            assert!(self.scheduler.follow(run, id));
        }
        self.clients.readers.insert(id, reader);
        self.pump(id);
    }

    pub(crate) fn take_turn(&mut self, id: ReaderId) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        reader.waits = false;
        let run = reader.run;
        let Some(cursor) = self.scheduler.channel(run).map(steprill::engine::channel::Channel::cursor) else { return };
        reader.next = cursor;
        self.check_cursor(run, cursor);
        self.pump(id);
    }

    /// A queue may repeat, never skip.
    fn check_cursor(&self, run: RunKey, cursor: u64) {
        let channel = self.scheduler.channel(run).expect("it is there");
        let has_left = cursor == channel.first() && channel.has_skipped();
        assert!(has_left || cursor <= self.clients.taken[&run], "the queue skips nothing that nobody has taken");
    }

    pub(crate) fn pump_readers(&mut self, run: RunKey) {
        let Some(channel) = self.scheduler.channel(run) else { return };
        for id in channel.readers().collect::<Vec<_>>() {
            self.pump(id);
        }
    }

    fn pump(&mut self, id: ReaderId) {
        let Some(reader) = self.clients.readers.get(&id) else { return };
        let Some(channel) = self.scheduler.channel(reader.run) else { return };
        let (run, next, first, visible) = (reader.run, reader.next, channel.first(), channel.visible());
        if reader.waits || reader.orphaned || reader.asked.is_some() {
            return;
        }
        if next < first {
            // The window has passed it: it breaks off.
            return self.leave(id);
        }
        if next < visible {
            let query = Query::Page { run, from: next, until: visible, bytes_max: 1 + self.random.below(2_000) };
            let ticket = self.ask_page(id, query);
            self.clients.readers.get_mut(&id).expect("it is there").asked = Some(ticket);
        } else if channel.is_ended() {
            self.leave(id);
        }
    }

    pub(crate) fn give_page(&mut self, id: ReaderId, feed: &Feed, workflow: Option<WorkflowId>) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        reader.asked = None;
        if feed.next() <= reader.next {
            assert!(self.purged.contains(&reader.run.handler), "what is visible can be read");
            reader.orphaned = true;
            return;
        }
        let Some(channel) = self.scheduler.channel(reader.run) else { return };
        let visible = channel.visible();
        if feed.first() > reader.next {
            // The window has passed what it asked for.
            let model_first = self.store.model.feeds.get(&reader.run).map(|events| events.first);
            assert!(model_first.is_none_or(|first| first >= feed.first()), "only what has left is passed over");
            reader.next = feed.first();
        }
        let history = &self.history.runs[&reader.run];
        let version = self.store.session.version(workflow.expect("events have a version"));
        for sequence in feed.first()..feed.next() {
            let (of, event) = history.events.get((sequence - history.first) as usize).expect("only what is kept shows");
            let mut expected = Feed::new(sequence);
            expected.push(event);
            assert_eq!((expected.get(sequence), *of), (feed.get(sequence), version), "every reader sees the same list");
        }
        reader.next = feed.next().min(visible.max(reader.next));
        if reader.queue && reader.next > feed.first() {
            reader.untaken = Some(reader.next);
            if self.random.one_in(2) {
                self.take(id);
            }
        }
        self.pump(id);
    }

    /// The socket has taken what was written.
    fn take(&mut self, id: ReaderId) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        let Some(next) = reader.untaken.take() else { return };
        let taken = self.clients.taken.entry(reader.run).or_insert(0);
        *taken = (*taken).max(next);
        self.scheduler.handle_taken(reader.run, next);
    }

    /// Sockets take something.
    pub(crate) fn take_some(&mut self) {
        let ids: Vec<_> = self.clients.readers.keys().copied().collect();
        for id in ids {
            if self.random.one_in(2) {
                self.take(id);
            }
        }
    }

    /// A reader, or a caller, hangs up.
    pub(crate) fn end_one(&mut self) {
        let ids: Vec<_> = self.clients.readers.keys().copied().collect();
        if !ids.is_empty() && self.random.one_in(2) {
            let id = *self.random.pick(&ids);
            return self.leave(id);
        }
        let callers: Vec<_> = self.clients.callers.keys().copied().collect();
        if !callers.is_empty() && self.random.one_in(4) {
            let caller = *self.random.pick(&callers);
            let (run, _) = self.clients.callers.remove(&caller).expect("it is there");
            self.clients.hung_up.insert(caller);
            self.scheduler.forget_caller(run.handler, CallerId(caller));
        }
    }

    pub(crate) fn leave(&mut self, id: ReaderId) {
        if self.random.one_in(2) {
            self.take(id);
        }
        let Some(reader) = self.clients.readers.remove(&id) else { return };
        self.scheduler.leave(reader.run, id);
    }

    /// What it reads is gone.
    pub(crate) fn end_reader(&mut self, id: ReaderId) {
        let Some(reader) = self.clients.readers.remove(&id) else { return };
        let gone = self.purged.contains(&reader.run.handler) || !self.history.runs.contains_key(&reader.run);
        let is_unread = self.store.unreadable.contains(&reader.run.handler);
        let is_purged = self.clients.purging.contains(&reader.run.handler);
        assert!(gone || is_purged || is_unread, "nobody is told before it is kept");
    }

    pub(crate) fn leave_all(&mut self) {
        for id in self.clients.readers.keys().copied().collect::<Vec<_>>() {
            self.leave(id);
        }
    }
}
