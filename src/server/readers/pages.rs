//! A reader's pages from the store, and what is written of them.

use crate::{
    api::ErrorFormat,
    client_id::ClientId,
    core::{PageFound, ReadStep},
    engine::{
        channel::ReaderId,
        feed::Feed,
        keys::{RunKey, WorkflowId},
        storage::{Recall, StoreError, Ticket},
    },
    http::Response,
    limits::{PAGE_BYTES_MAX, PAGE_COST_BYTES, PUMP_COST_BYTES},
    server::{
        reader::{Finishing, Page, Reader, ReaderPhase},
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
            self.pump(ClientId::from(reader.0));
        }
    }

    /// Handles the page that a reader has requested.
    pub(in crate::server) fn give_page(
        &mut self,
        id: ClientId,
        ticket: Ticket,
        mut feed: Feed,
        workflow: Option<WorkflowId>,
    ) {
        let Some(mut reader) = self.clients.take_reader(id) else { return };
        let workflow = workflow.unwrap_or(reader.follow.workflow);
        if let ReaderPhase::Open(open) = &mut reader.phase
            && open.reading.wants(ticket)
        {
            if self.core.scheduler().recall() == Recall::Everything {
                self.sharing.share(reader.follow.run, &mut feed);
            }
            if open.reading.take_page(ticket, &feed) == PageFound::Lost {
                return self.break_off(*reader, ErrorFormat::handler_not_found);
            }
            open.page = Some(Box::new(Page { feed, workflow }));
        }
        self.clients.put_reader(reader);
        self.pump(id);
    }

    /// The page that a reader has requested cannot be read: the stream is cut off, so that its client comes back.
    pub(in crate::server) fn cut_reader(&mut self, id: ClientId, ticket: Ticket, error: &StoreError) {
        let Some(reader) = self.clients.take_reader(id) else { return };
        match &reader.phase {
            ReaderPhase::Open(open) if open.reading.wants(ticket) => {
                self.break_off(*reader, |errors| errors.not_read(&error.to_string()));
            }
            _ => self.clients.put_reader(reader),
        }
    }

    /// Ends a stream that cannot continue without its last chunk, so that its client knows that there is more and comes
    /// back. A reader without a reply gets this one.
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

    /// Continues a stream, now or when it is its turn.
    pub(in crate::server) fn pump(&mut self, id: ClientId) {
        if self.shares.admits(id) {
            self.pump_now(id);
        }
    }

    /// Writes what is available and the socket has room for, queries the store for more, and ends the stream at its
    /// end.
    pub(in crate::server) fn pump_now(&mut self, id: ClientId) {
        let Some(mut reader) = self.clients.take_reader(id) else { return };
        let run = reader.follow.run;
        let Some(channel) = self.core.scheduler().channel(run) else { return self.clients.put_reader(reader) };
        let visible = channel.visible();
        if matches!(&reader.phase, ReaderPhase::Open(open) if open.reading.next() >= visible || open.page.is_some()) {
            self.send_head(&mut reader);
        }
        let Some(connection) = self.reactor.connection(id) else { return self.clients.put_reader(reader) };
        let exchange = connection.exchange();
        let ReaderPhase::Open(open) = &mut reader.phase else { return self.clients.put_reader(reader) };
        let before = exchange.stream_position();
        while exchange.stream_room() > 0 {
            let next = open.reading.next();
            let Some(page) = open.page.take_if(|page| next < page.feed.next().min(visible)) else { break };
            let texts = self.site.catalog.workflow(page.workflow);
            open.write(&page.feed, visible, exchange, &reader.follow, texts, self.now);
            open.page = Some(page);
        }
        open.page.take_if(|page| open.reading.next() >= page.feed.next());
        let written = exchange.stream_position() - before;
        self.shares.spend(PUMP_COST_BYTES + written as usize);
        let state = (open.page.as_ref().map(|page| page.feed.next()), exchange.stream_room() > 0);
        match self.core.next_step(id, run, &mut open.reading, state, PAGE_BYTES_MAX) {
            ReadStep::Wait => {}
            ReadStep::Asked => self.shares.spend(PAGE_COST_BYTES),
            ReadStep::Finish => return self.finish_reader(*reader),
            ReadStep::BreakOff => return self.break_off(*reader, ErrorFormat::handler_not_found),
        }
        self.clients.put_reader(reader);
    }

    /// Everything is written: the stream ends. A queue reader holds the lock until its last byte is taken.
    fn finish_reader(&mut self, reader: Reader) {
        let Reader { id, follow, phase, due_us } = reader;
        let ReaderPhase::Open(open) = phase else { return };
        self.due.remove(&(due_us, id));
        self.end_stream(id);
        if let Some(reading) = self.core.finish_reading(id, follow.run, open.reading) {
            let position = self.reactor.connection(id).map(|connection| connection.exchange().stream_position());
            self.finishing.insert((id, position.unwrap_or(0)), Finishing { run: follow.run, reading });
        }
    }

    pub(super) fn end_stream(&mut self, id: ClientId) {
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().end_stream(self.now);
        }
    }
}
