//! Who reads feeds, through pages of the store.

use steprill::{
    api::{Cursor, Follow},
    core::ClientId,
    engine::{
        channel::Channel,
        feed::Feed,
        keys::{RunKey, WorkflowId},
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
    pub(crate) fn begin_reading(&mut self, client: ClientId, follow: &Follow) {
        let run = follow.run;
        let channel = self.core.scheduler().channel(run).expect("it is there");
        let (first, cursor) = (channel.first(), channel.cursor());
        self.clients.taken.entry(run).or_insert(first);
        let mut reader =
            Reader { run, queue: false, next: cursor, waits: false, asked: None, orphaned: false, untaken: None };
        match follow.cursor {
            Cursor::Queue { acquire_timeout, .. } => {
                reader.queue = true;
                reader.waits = !self.core.scheduler_mut().acquire(run, client.into()).expect("it is there");
                if reader.waits && acquire_timeout.is_zero() {
                    return self.core.scheduler_mut().leave(run, client.into());
                }
                self.check_cursor(run, cursor);
            }
            Cursor::Log { from } => {
                reader.next = from.max(first);
                assert!(self.core.scheduler_mut().follow(run, client.into()));
            }
        }
        self.clients.readers.insert(client, reader);
        self.pump(client);
    }

    pub(crate) fn take_turn(&mut self, id: ClientId) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        reader.waits = false;
        let run = reader.run;
        let Some(cursor) = self.core.scheduler().channel(run).map(Channel::cursor) else { return };
        reader.next = cursor;
        self.check_cursor(run, cursor);
        self.pump(id);
    }

    /// A queue may repeat, never skip.
    fn check_cursor(&self, run: RunKey, cursor: u64) {
        let channel = self.core.scheduler().channel(run).expect("it is there");
        let has_left = cursor == channel.first() && channel.has_skipped();
        assert!(has_left || cursor <= self.clients.taken[&run], "the queue skips nothing that nobody has taken");
    }

    pub(crate) fn pump_readers(&mut self, run: RunKey) {
        let Some(channel) = self.core.scheduler().channel(run) else { return };
        for reader in channel.readers().collect::<Vec<_>>() {
            self.pump(reader.0.into());
        }
    }

    fn pump(&mut self, id: ClientId) {
        let Some(reader) = self.clients.readers.get(&id) else { return };
        let Some(channel) = self.core.scheduler().channel(reader.run) else { return };
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
            let ticket = self.core.ask_page(id, query);
            self.clients.readers.get_mut(&id).expect("it is there").asked = Some(ticket);
        } else if channel.is_ended() {
            self.leave(id);
        }
    }

    pub(crate) fn take_page(&mut self, id: ClientId, ticket: Ticket, page: Result<(Feed, Option<WorkflowId>), String>) {
        let Some(reader) = self.clients.readers.get_mut(&id).filter(|reader| reader.asked == Some(ticket)) else {
            return;
        };
        reader.asked = None;
        let Ok((feed, workflow)) = page else { return self.leave(id) };
        if feed.next() <= reader.next {
            assert!(self.purged.contains(&reader.run.handler), "what is visible can be read");
            reader.orphaned = true;
            return;
        }
        let Some(channel) = self.core.scheduler().channel(reader.run) else { return };
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
    fn take(&mut self, id: ClientId) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        let Some(next) = reader.untaken.take() else { return };
        let taken = self.clients.taken.entry(reader.run).or_insert(0);
        *taken = (*taken).max(next);
        self.core.scheduler_mut().handle_taken(reader.run, next);
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

    pub(crate) fn leave(&mut self, id: ClientId) {
        if self.random.one_in(2) {
            self.take(id);
        }
        let Some(reader) = self.clients.readers.remove(&id) else { return };
        self.core.scheduler_mut().leave(reader.run, id.into());
    }

    /// What it reads is gone.
    pub(crate) fn end_reader(&mut self, id: ClientId) {
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
