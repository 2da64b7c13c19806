//! Clients that read feeds, through pages of the store.

use std::cmp::Ordering;

use steprill::{
    api::{Cursor, Follow},
    client_id::ClientId,
    core::{Begun, Granted, PageFound, ReadFrom, ReadStep, Reading},
    engine::{
        feed::Feed,
        keys::{RunKey, WorkflowId},
    },
    store::{StoreError, Ticket},
};

use super::world::World;

/// One GET /events.
pub(crate) struct Reader {
    pub(crate) run: RunKey,
    state: State,
}

enum State {
    /// It waits for the lock until this point on the alive clock.
    Waits(u64),
    Open(Reading),
}

impl World {
    /// Begins to read.
    pub(crate) fn begin_reading(&mut self, client: ClientId, follow: &Follow) {
        let run = follow.run;
        let channel = self.core.scheduler().channel(run).expect("it is there");
        let (first, cursor) = (channel.first(), channel.cursor());
        self.clients.taken.entry(run).or_insert(first);
        let from = match follow.cursor {
            Cursor::Queue { acquire_timeout, .. } => ReadFrom::Queue(acquire_timeout),
            Cursor::Log { from } => ReadFrom::Log(from),
        };
        let state = match self.core.begin_reading(client, run, from, self.now) {
            Begun::Gone => panic!("it is there"),
            Begun::NoLock => return,
            Begun::Waits(due_us) => State::Waits(due_us),
            Begun::Open(reading) => State::Open(reading),
        };
        if let ReadFrom::Queue(_) = from {
            self.check_cursor(run, cursor);
        }
        self.clients.readers.insert(client, Reader { run, state });
        self.pump(client);
    }

    pub(crate) fn take_lock(&mut self, id: ClientId) {
        let Some(reader) = self.clients.readers.get_mut(&id) else { return };
        let State::Waits(_) = reader.state else { panic!("only a waiting reader is notified") };
        let run = reader.run;
        match self.core.take_lock(id, run) {
            Granted::Gone | Granted::Drained => {
                self.clients.readers.remove(&id);
            }
            Granted::Open(reading) => {
                let cursor = reading.next();
                reader.state = State::Open(reading);
                self.check_cursor(run, cursor);
                self.pump(id);
            }
        }
    }

    /// A queue may repeat events, but never skip any.
    fn check_cursor(&self, run: RunKey, cursor: u64) {
        let channel = self.core.scheduler().channel(run).expect("it is there");
        let has_left = cursor == channel.first() && channel.has_skipped();
        assert!(has_left || cursor <= self.clients.taken[&run], "the queue skips only events that were taken");
    }

    pub(crate) fn pump_readers(&mut self, run: RunKey) {
        let Some(channel) = self.core.scheduler().channel(run) else { return };
        for reader in channel.readers().collect::<Vec<_>>() {
            self.pump(reader.0.into());
        }
    }

    fn pump(&mut self, id: ClientId) {
        let Some(Reader { run, state: State::Open(reading) }) = self.clients.readers.get_mut(&id) else { return };
        let Some(channel) = self.core.scheduler().channel(*run) else { return };
        if reading.next() >= channel.visible() {
            reading.begin();
        }
        let bytes_max = 1 + self.random.below(2_000);
        match self.core.next_step(id, *run, reading, (None, true), bytes_max) {
            ReadStep::Wait | ReadStep::Asked => {}
            ReadStep::BreakOff => self.leave(id),
            ReadStep::Finish => {
                let Some(Reader { run, state: State::Open(reading) }) = self.clients.readers.remove(&id) else {
                    unreachable!("it is open")
                };
                if let Some(reading) = self.core.finish_reading(id, run, reading) {
                    self.clients.readers.insert(id, Reader { run, state: State::Open(reading) });
                    self.leave(id);
                }
            }
        }
    }

    pub(crate) fn take_page(
        &mut self,
        id: ClientId,
        ticket: Ticket,
        page: Result<(Feed, Option<WorkflowId>), StoreError>,
    ) {
        let Some(Reader { run, state: State::Open(reading) }) = self.clients.readers.get_mut(&id) else { return };
        let (run, next) = (*run, reading.next());
        if !reading.wants(ticket) {
            return;
        }
        let Ok((feed, workflow)) = page else { return self.leave(id) };
        match (reading.take_page(ticket, &feed), feed.first().cmp(&next)) {
            (PageFound::Unasked, _) => unreachable!("it wants it"),
            (PageFound::Lost, Ordering::Greater) => return self.leave(id),
            (PageFound::Lost, _) => {
                assert!(self.purged.contains(&run.handler), "what is visible can be read");
                return self.leave(id);
            }
            (PageFound::Found, Ordering::Greater) => {
                let model_first = self.store.model.feeds.get(&run).map(|events| events.first);
                assert!(model_first.is_none_or(|first| first >= feed.first()), "only what has left is passed over");
            }
            (PageFound::Found, _) => {}
        }
        let Some(channel) = self.core.scheduler().channel(run) else { return };
        let visible = channel.visible();
        let history = &self.history.runs[&run];
        let version = self.store.session.version(workflow.expect("events have a version"));
        for sequence in feed.first()..feed.next() {
            let (of, event) =
                history.events.get((sequence - history.first) as usize).expect("only committed events are visible");
            let mut expected = Feed::new(sequence);
            expected.push(event);
            assert_eq!((expected.get(sequence), *of), (feed.get(sequence), version), "every reader sees the same list");
        }
        reading.begin();
        while reading.next() < feed.next().min(visible) {
            // Each event takes one byte of the socket.
            reading.advance(reading.next() + 1);
        }
        if self.random.one_in(2) {
            self.take(id);
        }
        self.pump(id);
    }

    /// The socket has taken what was written.
    fn take(&mut self, id: ClientId) {
        let Some(Reader { run, state: State::Open(reading) }) = self.clients.readers.get_mut(&id) else { return };
        if reading.mark_count() > 0 {
            let taken = self.clients.taken.entry(*run).or_insert(0);
            *taken = (*taken).max(reading.next());
            self.core.move_queue(*run, reading, reading.next());
        }
    }

    /// Sockets take output, and readers that have waited long enough for the lock leave.
    pub(crate) fn take_some(&mut self) {
        let ids: Vec<_> = self.clients.readers.keys().copied().collect();
        for id in ids {
            match self.clients.readers[&id].state {
                State::Waits(due_us) if due_us <= self.now.alive_us => self.leave(id),
                _ if self.random.one_in(2) => self.take(id),
                _ => {}
            }
        }
    }

    pub(crate) fn leave(&mut self, id: ClientId) {
        if self.random.one_in(2) {
            self.take(id);
        }
        match self.clients.readers.remove(&id) {
            Some(Reader { run, state: State::Waits(_) }) => self.core.stop_waiting(id, run),
            Some(Reader { run, state: State::Open(mut reading) }) => self.core.stop_reading(id, run, &mut reading, 0),
            None => {}
        }
    }

    /// The run that it reads is gone.
    pub(crate) fn end_reader(&mut self, id: ClientId) {
        let Some(reader) = self.clients.readers.remove(&id) else { return };
        let gone = self.purged.contains(&reader.run.handler) || !self.history.runs.contains_key(&reader.run);
        let is_unread = self.store.unreadable.contains(&reader.run.handler);
        let is_purged = self.clients.purging.contains(&reader.run.handler);
        assert!(gone || is_purged || is_unread, "no reader is notified before it is committed");
    }

    pub(crate) fn leave_all(&mut self) {
        for id in self.clients.readers.keys().copied().collect::<Vec<_>>() {
            self.leave(id);
        }
    }
}
