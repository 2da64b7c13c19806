//! Readers of feeds: lock, pages from the store, events to the socket, and what the socket has taken.

mod pages;

use std::{collections::VecDeque, time::Duration};

use super::{
    reader::{Cursors, Headless, Phase, Reader, take_marks},
    stop::cut_off,
    turn::Loop,
};
use crate::{
    api::{self, Cursor, ErrorFormat, Follow},
    core::ClientId,
    engine::{
        channel::{Channel, ReaderId},
        keys::RunKey,
    },
    http::{Response, response::CACHE_CONTROL, stream},
    limits::HEARTBEAT_US,
    net::ConnectionId,
    now::Clock,
};

/// From request to open stream.
impl Loop {
    pub(super) fn begin_reading(&mut self, id: ConnectionId, follow: Follow, errors: ErrorFormat) {
        let run = follow.run;
        if follow.head_only {
            let from = self.start_of(&follow);
            return self.start_stream(id, &follow, from);
        }
        let reader = reader_id(id);
        match follow.cursor {
            Cursor::Log { .. } => {
                if self.core.scheduler_mut().follow(run, reader) {
                    self.open_reader(id, follow, errors);
                }
            }
            Cursor::Queue { acquire_timeout, acquire_timeout_s } => {
                match self.core.scheduler_mut().acquire(run, reader) {
                    None => self.respond(id, &errors.handler_not_found()),
                    Some(true) => self.open_reader(id, follow, errors),
                    Some(false) if acquire_timeout.is_zero() => {
                        self.core.scheduler_mut().leave(run, reader);
                        self.respond(id, &errors.no_lock(acquire_timeout_s));
                    }
                    Some(false) => self.wait_for_lock(id, follow, acquire_timeout, Phase::Waiting { errors }),
                }
            }
        }
    }

    fn wait_for_lock(&mut self, id: ConnectionId, follow: Follow, timeout: Duration, phase: Phase) {
        let due_us = self.now.deadline(Clock::Alive, timeout).at_us;
        self.due.insert((due_us, id));
        self.put_reader(Box::new(Reader { id, follow, phase, due_us }));
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().hang_up_on_end(true);
        }
    }

    /// Where a reader begins, and whether events that it would have begun with are not there any more.
    fn start_of(&self, follow: &Follow) -> (u64, bool) {
        let Some(channel) = self.core.scheduler().channel(follow.run) else { return (0, false) };
        match follow.cursor {
            Cursor::Log { from } => (from.max(channel.first()), from < channel.first()),
            Cursor::Queue { .. } => (channel.cursor(), channel.has_skipped()),
        }
    }

    fn start_stream(&mut self, id: ConnectionId, follow: &Follow, (first, has_skipped): (u64, bool)) {
        let Some(connection) = self.reactor.connection(id) else { return };
        // Proxies are to pass each event on as it comes: nginx heeds the second field, those that compress the first.
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

    /// Sends the head of an open stream, if that is still to be done.
    fn send_head(&mut self, reader: &mut Reader) {
        if let Phase::Open(cursors) = &mut reader.phase
            && let Some(Headless { has_skipped, .. }) = cursors.headless.take()
        {
            self.start_stream(reader.id, &reader.follow, (cursors.next, has_skipped));
        }
    }

    fn open_reader(&mut self, id: ConnectionId, follow: Follow, errors: ErrorFormat) {
        let (next, has_skipped) = self.start_of(&follow);
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().hang_up_on_end(true);
        }
        let due_us = self.now.alive_us + HEARTBEAT_US;
        if follow.sse {
            self.due.insert((due_us, id));
        }
        let headless = Some(Headless { errors, has_skipped });
        let written_us = self.now.alive_us;
        let cursors = Cursors { headless, next, page: None, asked: None, marks: VecDeque::new(), written_us };
        self.put_reader(Box::new(Reader { id, follow, phase: Phase::Open(cursors), due_us }));
        self.pump(id);
    }

    /// A waiter has the lock now.
    pub(super) fn take_turn(&mut self, id: ConnectionId) {
        let Some(waiter) = self.take_reader(id) else { return };
        let Phase::Waiting { errors } = waiter.phase else { return self.put_reader(waiter) };
        self.due.remove(&(waiter.due_us, id));
        let run = waiter.follow.run;
        let state = self.core.scheduler().channel(run).map(Channel::is_drained);
        match state {
            None => self.respond(id, &errors.handler_not_found()),
            Some(true) => {
                self.core.scheduler_mut().leave(run, reader_id(id));
                self.respond(id, &api::no_content());
            }
            Some(false) => self.open_reader(id, waiter.follow, errors),
        }
    }

    /// The handler is gone: who has no reply yet gets 404, a stream ends properly.
    pub(super) fn end_reader(&mut self, id: ConnectionId) {
        let Some(reader) = self.take_reader(id) else { return };
        self.due.remove(&(reader.due_us, id));
        let unanswered = reader.phase.unanswered();
        if let Phase::Open(cursors) = &reader.phase {
            self.forget_query(cursors);
        }
        match unanswered {
            Some(errors) => self.respond(id, &errors.handler_not_found()),
            None => self.end_stream(id),
        }
    }

    /// The run that this reader has begun with could not be kept: who has no reply yet gets 404, a stream breaks off.
    pub(super) fn lose_reader(&mut self, id: ConnectionId) {
        if let Some(reader) = self.take_reader(id) {
            self.break_off(*reader, ErrorFormat::handler_not_found);
        }
    }

    /// Time-out of a waiter, or heartbeat of a stream.
    pub(super) fn handle_reader_due(&mut self, id: ConnectionId) {
        let Some(mut reader) = self.take_reader(id) else { return };
        let framing = reader.follow.framing();
        match &mut reader.phase {
            Phase::Waiting { errors, .. } => {
                let (run, errors) = (reader.follow.run, *errors);
                self.core.scheduler_mut().leave(run, reader_id(id));
                if let Cursor::Queue { acquire_timeout_s, .. } = reader.follow.cursor {
                    self.respond(id, &errors.no_lock(acquire_timeout_s));
                }
            }
            Phase::Open(cursors) => {
                let idle_since_us = cursors.written_us;
                if idle_since_us + HEARTBEAT_US <= self.now.alive_us {
                    cursors.written_us = self.now.alive_us;
                    if let Some(connection) = self.reactor.connection(id)
                        && connection.exchange().output().is_empty()
                    {
                        connection.exchange().stream(self.now, |out| stream::encode_heartbeat(out, framing));
                    }
                }
                reader.due_us = cursors.written_us + HEARTBEAT_US;
                self.due.insert((reader.due_us, id));
                self.put_reader(reader);
            }
        }
    }
}

/// From the socket to the queue, and to the end.
impl Loop {
    /// Moves a queue on by what the reader's socket has taken.
    pub(super) fn handle_taken(&mut self, id: ConnectionId) {
        let Some(taken) = self.reactor.taken_position(id) else { return };
        if let Some(mut reader) = self.take_reader(id) {
            if let Phase::Open(cursors) = &mut reader.phase {
                self.move_queue(reader.follow.run, &mut cursors.marks, taken);
            }
            self.put_reader(reader);
        }
        self.end_finishing(id, taken, taken);
    }

    /// Moves a queue on to the last of the marks that are reached.
    fn move_queue(&mut self, run: RunKey, marks: &mut VecDeque<(u64, u64)>, taken: u64) {
        if let Some(next) = take_marks(marks, taken) {
            self.core.scheduler_mut().handle_taken(run, next);
        }
    }

    /// Ends the connection's finishing readers whose streams end at `until` or before.
    fn end_finishing(&mut self, id: ConnectionId, until: u64, taken: u64) {
        while let Some((&place, _)) = self.finishing.range((id, 0)..=(id, until)).next() {
            let Some(mut finishing) = self.finishing.remove(&place) else { return };
            self.move_queue(finishing.run, &mut finishing.marks, taken);
            self.core.scheduler_mut().leave(finishing.run, reader_id(id));
        }
    }

    /// The reader's connection is gone or has hung up: what was not taken is there for the next.
    pub(super) fn drop_reader(&mut self, reader: Reader, taken: u64) {
        let Reader { id, follow, phase, due_us } = reader;
        self.due.remove(&(due_us, id));
        if let Phase::Open(mut cursors) = phase {
            self.forget_query(&cursors);
            self.move_queue(follow.run, &mut cursors.marks, taken);
        }
        self.core.scheduler_mut().leave(follow.run, reader_id(id));
    }

    /// The same for a reader that was written to its end.
    pub(super) fn drop_finishing(&mut self, id: ConnectionId, taken: u64) {
        self.end_finishing(id, u64::MAX, taken);
    }

    fn forget_query(&mut self, cursors: &Cursors) {
        if let Some(ticket) = cursors.asked {
            self.core.forget_page(ticket);
        }
    }

    /// The server stops: a stream is cut off, so that its client knows to come back; who waits for the lock is told so.
    pub(super) fn stop_reader(&mut self, id: ConnectionId) {
        let Some(mut reader) = self.take_reader(id) else { return };
        self.send_head(&mut reader);
        let recall = self.core.scheduler().recall();
        self.break_off(*reader, |errors| cut_off(recall, errors));
    }
}

/// Header of a stream that begins later than its reader asked for, because events before are not kept any more: the
/// number of the first event that is.
const FIRST_SEQUENCE: &str = "X-First-Sequence";

/// How the engine knows the connection that reads.
fn reader_id(id: ConnectionId) -> ReaderId {
    ClientId::from(id).into()
}
