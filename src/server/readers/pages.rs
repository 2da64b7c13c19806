//! From the store to the socket: a reader's pages, and what is written of them.

use super::reader_id;
use crate::{
    api::ErrorFormat,
    core::ClientId,
    engine::{
        channel::ReaderId,
        feed::Feed,
        keys::{RunKey, WorkflowId},
        storage::{Query, Recall, Ticket},
    },
    http::Response,
    limits::PAGE_BYTES_MAX,
    net::ConnectionId,
    server::{
        reader::{Finishing, Page, Phase, Reader},
        turn::Loop,
    },
};

/// From the store to the socket.
impl Loop {
    /// A run has new events, or its end.
    pub(in crate::server) fn pump_readers(&mut self, run: RunKey) {
        let Some(channel) = self.core.scheduler().channel(run) else { return };
        let readers: Vec<ReaderId> = channel.readers().collect();
        for reader in readers {
            self.pump(ClientId::from(reader.0).into());
        }
    }

    /// The page that a reader has asked for.
    pub(in crate::server) fn give_page(
        &mut self,
        id: ConnectionId,
        ticket: Ticket,
        mut feed: Feed,
        workflow: Option<WorkflowId>,
    ) {
        let Some(mut reader) = self.take_reader(id) else { return };
        let workflow = workflow.unwrap_or(reader.follow.workflow);
        if let Phase::Open(cursors) = &mut reader.phase
            && cursors.asked == Some(ticket)
        {
            cursors.asked = None;
            if self.core.scheduler().recall() == Recall::Everything {
                self.sharing.share(reader.follow.run, &mut feed);
            }
            if feed.next() <= cursors.next {
                return self.break_off(*reader, ErrorFormat::handler_not_found);
            }
            if feed.first() > cursors.next {
                // What was there when it was asked for has left the window.
                let Some(headless) = &mut cursors.headless else {
                    return self.break_off(*reader, ErrorFormat::handler_not_found);
                };
                headless.has_skipped = true;
                cursors.next = feed.first();
            }
            cursors.page = Some(Box::new(Page { feed, workflow }));
        }
        self.put_reader(reader);
        self.pump(id);
    }

    /// The page that a reader has asked for cannot be read: the stream is cut off, so that its client comes back.
    pub(in crate::server) fn cut_reader(&mut self, id: ConnectionId, ticket: Ticket, cause: &str) {
        let Some(reader) = self.take_reader(id) else { return };
        match &reader.phase {
            Phase::Open(cursors) if cursors.asked == Some(ticket) => {
                self.break_off(*reader, |errors| errors.not_read(cause));
            }
            _ => self.put_reader(reader),
        }
    }

    /// A stream that cannot go on ends without its last chunk, so that its client knows that there is more and comes
    /// back. Who has no reply yet gets this one.
    pub(super) fn break_off(&mut self, reader: Reader, reply: impl FnOnce(ErrorFormat) -> Response) {
        let (id, unanswered) = (reader.id, reader.phase.unanswered());
        if unanswered.is_none()
            && let Some(connection) = self.reactor.connection(id)
        {
            connection.exchange().abort_stream(self.now);
        }
        let taken = self.reactor.taken_position(id).unwrap_or(0);
        self.drop_reader(reader, taken);
        if let Some(errors) = unanswered {
            self.respond(id, &reply(errors));
        }
    }

    /// Goes on with a stream, now or when it is its turn.
    pub(in crate::server) fn pump(&mut self, id: ConnectionId) {
        if self.shares.admits(id) {
            self.pump_now(id);
        }
    }

    /// Writes what there is and what the socket has room for; asks the store for more; ends the stream at its end.
    pub(in crate::server) fn pump_now(&mut self, id: ConnectionId) {
        let Some(mut reader) = self.take_reader(id) else { return };
        let run = reader.follow.run;
        let Some(channel) = self.core.scheduler().channel(run) else { return self.put_reader(reader) };
        let (first, visible, ended) = (channel.first(), channel.visible(), channel.is_ended());
        if matches!(&reader.phase, Phase::Open(cursors) if cursors.next >= visible || cursors.page.is_some()) {
            self.send_head(&mut reader);
        }
        let Some(connection) = self.reactor.connection(id) else { return self.put_reader(reader) };
        let exchange = connection.exchange();
        let Phase::Open(cursors) = &mut reader.phase else { return self.put_reader(reader) };
        let before = exchange.stream_position();
        while exchange.stream_room() > 0 {
            let Some(page) = cursors.page.take_if(|page| cursors.next < page.feed.next().min(visible)) else { break };
            let texts = self.site.catalog.workflow(page.workflow);
            cursors.write(&page.feed, visible, exchange, &reader.follow, texts, self.now);
            cursors.page = Some(page);
        }
        let has_page = cursors.page.as_ref().is_some_and(|page| cursors.next < page.feed.next());
        if !has_page {
            cursors.page = None;
            if cursors.next < first && cursors.headless.is_none() {
                // The window has passed a reader this slow. It comes back, and is told where it goes on.
                return self.break_off(*reader, ErrorFormat::handler_not_found);
            }
        }
        let written = exchange.stream_position() - before;
        self.shares.spend(PUMP_COST_BYTES + written as usize);
        let room = exchange.stream_room();
        if !has_page && (room > 0 || cursors.headless.is_some()) && cursors.asked.is_none() && cursors.next < visible {
            self.shares.spend(PAGE_COST_BYTES);
            let query = Query::Page { run, from: cursors.next, until: visible, bytes_max: PAGE_BYTES_MAX };
            let ticket = self.core.ask_page(id.into(), query);
            cursors.asked = Some(ticket);
        }
        if ended && cursors.next >= visible && !has_page {
            self.finish_reader(*reader);
        } else {
            self.put_reader(reader);
        }
    }

    /// All is written: the stream ends. A queue reader holds the lock until its last byte is taken.
    fn finish_reader(&mut self, reader: Reader) {
        let queue = reader.is_queue();
        let Reader { id, follow, phase, due_us } = reader;
        let Phase::Open(cursors) = phase else { return };
        self.due.remove(&(due_us, id));
        self.forget_query(&cursors);
        self.end_stream(id);
        if !queue {
            return self.core.scheduler_mut().leave(follow.run, reader_id(id));
        }
        let position = self.reactor.connection(id).map(|connection| connection.exchange().stream_position());
        let end = position.unwrap_or(0);
        self.finishing.insert((id, end), Finishing { run: follow.run, marks: cursors.marks });
    }

    pub(super) fn end_stream(&mut self, id: ConnectionId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().end_stream(self.now);
        }
    }
}

/// What a look at a stream, and a page from the store, take beside what is written, as bytes that are written in the
/// same time.
const PUMP_COST_BYTES: usize = 256;
const PAGE_COST_BYTES: usize = 4 << 10;
