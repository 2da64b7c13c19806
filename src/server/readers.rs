//! Readers of feeds: the lock, pages from the store, events to the socket, and what the socket has taken.

mod pages;

use super::{
    reader::{Open, Reader, ReaderPhase},
    stop::cut_off,
    turn::Loop,
};
use crate::{
    api::{self, Cursor, ErrorFormat, Follow},
    client_id::ClientId,
    core::{Begun, Granted, ReadFrom, Reading},
    http::{Response, response::CACHE_CONTROL, stream},
    limits::HEARTBEAT_US,
};

/// From request to open stream.
impl Loop {
    pub(super) fn begin_reading(&mut self, id: ClientId, follow: Follow, errors: ErrorFormat) {
        let (run, from) = (follow.run, read_from(&follow));
        if follow.head_only {
            let start = self.core.start_of(run, from);
            return self.start_stream(id, &follow, start);
        }
        match self.core.begin_reading(id, run, from, self.now) {
            Begun::Gone => self.respond(id, &errors.handler_not_found()),
            Begun::NoLock => self.refuse_lock(id, &follow, errors),
            Begun::Waits(due_us) => self.wait_for_lock(id, follow, due_us, errors),
            Begun::Open(reading) => self.open_reader(id, follow, reading, errors),
        }
    }

    fn refuse_lock(&mut self, id: ClientId, follow: &Follow, errors: ErrorFormat) {
        if let Cursor::Queue { acquire_timeout_s, .. } = follow.cursor {
            self.respond(id, &errors.no_lock(acquire_timeout_s));
        }
    }

    fn wait_for_lock(&mut self, id: ClientId, follow: Follow, due_us: u64, errors: ErrorFormat) {
        self.due.insert((due_us, id));
        self.clients.put_reader(Box::new(Reader { id, follow, phase: ReaderPhase::Waiting { errors }, due_us }));
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().hang_up_on_end(true);
        }
    }

    fn start_stream(&mut self, id: ClientId, follow: &Follow, (first, has_skipped): (u64, bool)) {
        let Some(connection) = self.reactor.connection(id) else { return };
        // Makes proxies forward each event at once: nginx honours the second field, those that compress the first.
        let mut headers =
            vec![(CACHE_CONTROL, "no-cache, no-transform".to_owned()), ("X-Accel-Buffering", "no".to_owned())];
        headers.extend(has_skipped.then(|| (FIRST_SEQUENCE, first.to_string())));
        let content_type = Some(follow.content_type());
        let response = Response { status: 200, content_type, headers, ..Response::default() };
        connection.exchange().start_stream(&response, self.now);
        connection.exchange().hang_up_on_end(true);
        if has_skipped && connection.exchange().is_streaming() {
            let framing = follow.framing();
            connection.exchange().stream(self.now, |out| stream::encode_skipped(out, framing, first));
        }
    }

    /// Sends the head of an open stream, if that is not done yet.
    fn send_head(&mut self, reader: &mut Reader) {
        if let ReaderPhase::Open(open) = &mut reader.phase
            && let Some(start) = open.reading.begin()
        {
            self.start_stream(reader.id, &reader.follow, start);
        }
    }

    fn open_reader(&mut self, id: ClientId, follow: Follow, reading: Reading, errors: ErrorFormat) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().hang_up_on_end(true);
        }
        let due_us = self.now.alive_us + HEARTBEAT_US;
        if follow.sse {
            self.due.insert((due_us, id));
        }
        let open = Open { reading, errors, page: None, written_us: self.now.alive_us };
        self.clients.put_reader(Box::new(Reader { id, follow, phase: ReaderPhase::Open(open), due_us }));
        self.pump(id);
    }

    /// A waiting reader now has the lock.
    pub(super) fn take_lock(&mut self, id: ClientId) {
        let Some(waiter) = self.clients.take_reader(id) else { return };
        let ReaderPhase::Waiting { errors } = waiter.phase else { return self.clients.put_reader(waiter) };
        self.due.remove(&(waiter.due_us, id));
        match self.core.take_lock(id, waiter.follow.run) {
            Granted::Gone => self.respond(id, &errors.handler_not_found()),
            Granted::Drained => self.respond(id, &api::no_content()),
            Granted::Open(reading) => self.open_reader(id, waiter.follow, reading, errors),
        }
    }

    /// The handler is gone: a reader without a reply gets 404, a stream ends properly.
    pub(super) fn end_reader(&mut self, id: ClientId) {
        let Some(mut reader) = self.clients.take_reader(id) else { return };
        self.due.remove(&(reader.due_us, id));
        let unanswered = reader.phase.unanswered();
        if let ReaderPhase::Open(open) = &mut reader.phase {
            self.core.forget_reading(&mut open.reading);
        }
        match unanswered {
            Some(errors) => self.respond(id, &errors.handler_not_found()),
            None => self.end_stream(id),
        }
    }

    /// The run that this reader reads could not be committed: a reader without a reply gets 404, a stream breaks off.
    pub(super) fn lose_reader(&mut self, id: ClientId) {
        if let Some(reader) = self.clients.take_reader(id) {
            self.break_off(*reader, ErrorFormat::handler_not_found);
        }
    }

    /// Handles the time-out of a waiting reader, or the heartbeat of a stream.
    pub(super) fn handle_reader_due(&mut self, id: ClientId) {
        let Some(mut reader) = self.clients.take_reader(id) else { return };
        let framing = reader.follow.framing();
        match &mut reader.phase {
            ReaderPhase::Waiting { errors, .. } => {
                let errors = *errors;
                self.core.stop_waiting(id, reader.follow.run);
                self.refuse_lock(id, &reader.follow, errors);
            }
            ReaderPhase::Open(open) => {
                let idle_since_us = open.written_us;
                if idle_since_us + HEARTBEAT_US <= self.now.alive_us {
                    open.written_us = self.now.alive_us;
                    if let Some(connection) = self.reactor.connection(id)
                        && connection.exchange().output().is_empty()
                    {
                        connection.exchange().stream(self.now, |out| stream::encode_heartbeat(out, framing));
                    }
                }
                reader.due_us = open.written_us + HEARTBEAT_US;
                self.due.insert((reader.due_us, id));
                self.clients.put_reader(reader);
            }
        }
    }
}

/// From the socket to the queue, and to the end.
impl Loop {
    /// Advances a queue by what the reader's socket has taken.
    pub(super) fn handle_taken(&mut self, id: ClientId) {
        let Some(taken) = self.reactor.taken_position(id) else { return };
        if let Some(mut reader) = self.clients.take_reader(id) {
            if let ReaderPhase::Open(open) = &mut reader.phase {
                self.core.move_queue(reader.follow.run, &mut open.reading, taken);
            }
            self.clients.put_reader(reader);
        }
        self.end_finishing(id, taken, taken);
    }

    /// Ends the connection's finishing readers whose streams end at `until` or earlier.
    fn end_finishing(&mut self, id: ClientId, until: u64, taken: u64) {
        while let Some((&place, _)) = self.finishing.range((id, 0)..=(id, until)).next() {
            let Some(mut finishing) = self.finishing.remove(&place) else { return };
            self.core.stop_reading(id, finishing.run, &mut finishing.reading, taken);
        }
    }

    /// The reader's connection is gone or has hung up: the next reader gets what was not taken.
    pub(super) fn drop_reader(&mut self, reader: Reader, taken: u64) {
        let Reader { id, follow, phase, due_us } = reader;
        self.due.remove(&(due_us, id));
        match phase {
            ReaderPhase::Waiting { .. } => self.core.stop_waiting(id, follow.run),
            ReaderPhase::Open(mut open) => self.core.stop_reading(id, follow.run, &mut open.reading, taken),
        }
    }

    /// The same for a reader that was written to its end.
    pub(super) fn drop_finishing(&mut self, id: ClientId, taken: u64) {
        self.end_finishing(id, u64::MAX, taken);
    }

    /// The server stops: cuts off a stream, so that its client knows to reconnect, and answers a waiting reader.
    pub(super) fn stop_reader(&mut self, id: ClientId) {
        let Some(mut reader) = self.clients.take_reader(id) else { return };
        self.send_head(&mut reader);
        let recall = self.core.scheduler().recall();
        self.break_off(*reader, |errors| cut_off(recall, errors));
    }
}

/// The header of a stream that begins later than its reader asked for, because earlier events were removed: the number
/// of the first retained event.
const FIRST_SEQUENCE: &str = "X-First-Sequence";

fn read_from(follow: &Follow) -> ReadFrom {
    match follow.cursor {
        Cursor::Queue { acquire_timeout, .. } => ReadFrom::Queue(acquire_timeout),
        Cursor::Log { from } => ReadFrom::Log(from),
    }
}
