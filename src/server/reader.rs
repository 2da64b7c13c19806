//! One GET /events: how far its stream is, and the events that it writes.

use std::collections::VecDeque;

use crate::{
    api::{self, Cursor, ErrorFormat, Follow},
    engine::{
        feed::Feed,
        keys::{RunKey, WorkflowId},
        storage::Ticket,
    },
    http::{exchange::Exchange, stream},
    net::ConnectionId,
    now::Now,
};

/// One GET /events: a cursor, and a page of the feed at most.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: ConnectionId,
    pub(super) follow: Follow,
    pub(super) phase: Phase,
    /// When its entry in the loop's list of what is due stands.
    pub(super) due_us: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// It waits for the lock.
    Waiting { errors: ErrorFormat },
    /// It reads.
    Open(Cursors),
}

/// A reply whose head is not sent yet: it says where the stream begins, which the first page shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headless {
    pub(super) errors: ErrorFormat,
    /// Whether events that the stream would have begun with are not there any more.
    pub(super) has_skipped: bool,
}

/// A part of the feed, and whose ids its events have.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) feed: Feed,
    pub(super) workflow: WorkflowId,
}

#[derive(Debug)]
pub(super) struct Cursors {
    pub(super) headless: Option<Headless>,
    /// The next event to be written.
    pub(super) next: u64,
    pub(super) page: Option<Box<Page>>,
    pub(super) asked: Option<Ticket>,
    /// Of a queue reader: where in the connection's output events end, and the number after them.
    pub(super) marks: VecDeque<(u64, u64)>,
    /// When something was last written, for heartbeats.
    pub(super) written_us: u64,
}

/// A queue reader whose stream is written to its end, but not yet taken.
#[derive(Debug)]
pub(super) struct Finishing {
    pub(super) run: RunKey,
    pub(super) marks: VecDeque<(u64, u64)>,
}

impl Phase {
    /// How the reader gets errors, if nothing of its reply is sent yet.
    pub(super) fn unanswered(&self) -> Option<ErrorFormat> {
        match self {
            Self::Waiting { errors } => Some(*errors),
            Self::Open(cursors) => cursors.headless.map(|headless| headless.errors),
        }
    }
}

impl Reader {
    pub(super) fn is_queue(&self) -> bool {
        matches!(self.follow.cursor, Cursor::Queue { .. })
    }
}

impl Cursors {
    /// Writes events of a page, those that may be seen, until the exchange's high-water mark or up to a large one; a
    /// large one is shared.
    pub(super) fn write(
        &mut self,
        page: &Feed,
        visible: u64,
        exchange: &mut Exchange,
        follow: &Follow,
        texts: &api::WorkflowTexts,
        now: Now,
    ) {
        let next = page.next().min(visible);
        let (room, before) = (exchange.stream_room(), exchange.stream_position());
        let first_mark = self.marks.len();
        let mut end = 0;
        if let Some(text) = page.shared(self.next) {
            exchange.stream_shared(now, text.clone(), |out| {
                let at = self.write_event(out, page, follow, texts);
                end = out.len() as u64;
                at
            });
        } else {
            exchange.stream(now, |out| {
                let start = out.len();
                while out.len() - start < room && self.next < next && page.shared(self.next).is_none() {
                    self.write_event(out, page, follow, texts);
                }
                end = out.len() as u64;
            });
        }
        let after = exchange.stream_position();
        if after > before {
            self.written_us = now.alive_us;
        }
        // The marks were made within the output; what they mean is a place among all bytes of the connection.
        let behind = if after > before { exchange.stream_end_bytes() } else { 0 };
        for (place, _) in self.marks.iter_mut().skip(first_mark) {
            *place = (after - behind) - (end - *place);
        }
    }

    /// Writes the next event, if it is shown; where the value of a large one is to stand, which is left out.
    fn write_event(&mut self, out: &mut Vec<u8>, page: &Feed, follow: &Follow, texts: &api::WorkflowTexts) -> usize {
        let framing = follow.framing();
        let mut value_at = out.len();
        if let Some(item) = page.get(self.next).filter(|item| follow.include_internal || !item.is_internal()) {
            stream::begin_event(out, framing, self.next);
            let (json, number) = (out.len(), follow.numbered.then_some(self.next));
            value_at = json + api::VALUE_AT;
            let item = if page.shared(self.next).is_some() { item.without_value() } else { item };
            api::render_event(out, texts, &item, follow.include_qualified_name, number);
            stream::end_event(out, framing, json);
        }
        self.next += 1;
        if matches!(follow.cursor, Cursor::Queue { .. }) {
            self.marks.push_back((out.len() as u64, self.next));
        }
        value_at
    }
}

/// Takes out the marks that are reached; the number after the last of them.
pub(super) fn take_marks(marks: &mut VecDeque<(u64, u64)>, taken: u64) -> Option<u64> {
    let reached = marks.partition_point(|&(place, _)| place <= taken);
    let next = reached.checked_sub(1).map(|last| marks[last].1);
    if reached == marks.len() {
        *marks = VecDeque::new();
    } else {
        marks.drain(..reached);
    }
    next
}
