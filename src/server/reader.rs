//! One GET /events: the position of its stream, and the events that it writes.

use crate::{
    api::{self, ErrorFormat, Follow},
    client_id::ClientId,
    core::Reading,
    engine::{
        feed::Feed,
        keys::{RunKey, WorkflowId},
    },
    http::{exchange::Exchange, stream},
    now::Now,
};

/// One GET /events: a cursor, and at most a page of the feed.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: ClientId,
    pub(super) follow: Follow,
    pub(super) phase: ReaderPhase,
    /// The time of its entry in the loop's list of due readers.
    pub(super) due_us: u64,
}

#[derive(Debug)]
pub(super) enum ReaderPhase {
    /// It waits for the lock.
    Waiting { errors: ErrorFormat },
    /// It reads.
    Open(Open),
}

/// A part of the feed, and the workflow of its ids.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) feed: Feed,
    pub(super) workflow: WorkflowId,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) reading: Reading,
    /// Of a reply whose head is not sent yet.
    pub(super) errors: ErrorFormat,
    pub(super) page: Option<Box<Page>>,
    /// When something was last written, for heartbeats.
    pub(super) written_us: u64,
}

/// A queue reader whose stream is written to its end, but not taken yet.
#[derive(Debug)]
pub(super) struct Finishing {
    pub(super) run: RunKey,
    pub(super) reading: Reading,
}

impl Reader {
    /// Returns the bytes of its page, if it has one.
    pub(super) fn page_bytes(&self) -> usize {
        match &self.phase {
            ReaderPhase::Open(Open { page: Some(page), .. }) => page.feed.bytes(),
            ReaderPhase::Open(_) | ReaderPhase::Waiting { .. } => 0,
        }
    }
}

impl ReaderPhase {
    /// Returns the form of errors for the reader, if nothing of its reply is sent yet.
    pub(super) fn unanswered(&self) -> Option<ErrorFormat> {
        match self {
            Self::Waiting { errors } => Some(*errors),
            Self::Open(open) => (!open.reading.has_begun()).then_some(open.errors),
        }
    }
}

impl Open {
    /// Writes visible events of a page, up to the exchange's high-water mark or to a large event, which is shared.
    pub(super) fn write(
        &mut self,
        page: &Feed,
        visible: u64,
        exchange: &mut Exchange,
        follow: &Follow,
        texts: &api::WorkflowTexts,
        now: Now,
    ) {
        let (next, reading) = (page.next().min(visible), &mut self.reading);
        let (room, before) = (exchange.stream_room(), exchange.stream_position());
        let first_mark = reading.mark_count();
        let mut end = 0;
        if let Some(text) = page.shared(reading.next()) {
            exchange.stream_shared(now, text.clone(), |out| {
                let at = write_event(reading, out, page, follow, texts);
                end = out.len() as u64;
                at
            });
        } else {
            exchange.stream(now, |out| {
                let start = out.len();
                while out.len() - start < room && reading.next() < next && page.shared(reading.next()).is_none() {
                    write_event(reading, out, page, follow, texts);
                }
                end = out.len() as u64;
            });
        }
        let after = exchange.stream_position();
        if after > before {
            self.written_us = now.alive_us;
        }
        // The marks are offsets in the output; they are converted to positions among all bytes of the connection.
        let behind = if after > before { exchange.stream_end_bytes() } else { 0 };
        self.reading.move_marks(first_mark, |place| (after - behind) - (end - place));
    }
}

/// Writes the next event, if it is visible. Returns where the value of a large one is to be inserted, which is omitted.
fn write_event(
    reading: &mut Reading,
    out: &mut Vec<u8>,
    page: &Feed,
    follow: &Follow,
    texts: &api::WorkflowTexts,
) -> usize {
    let (framing, next) = (follow.framing(), reading.next());
    let mut value_at = out.len();
    if let Some(item) = page.get(next).filter(|item| follow.include_internal || !item.is_internal()) {
        stream::begin_event(out, framing, next);
        let (json, number) = (out.len(), follow.numbered.then_some(next));
        value_at = json + api::VALUE_AT;
        let item = if page.shared(next).is_some() { item.without_value() } else { item };
        api::render_event(out, texts, &item, follow.include_qualified_name, number);
        stream::end_event(out, framing, json);
    }
    reading.advance(out.len() as u64);
    value_at
}
