//! From requests to replies: at once, when a batch is kept, when a run has ended.

use super::{questions::status, readers::Reader, turn::Loop};
use crate::{
    account::Room,
    api::{self, Access, ErrorFormat, Granted, List, ListProgress, ListWritten, Parsed, Reply, Transport},
    engine::keys::{CallerId, HandlerKey},
    http::{FieldValues, Refusal, Request, Response, exchange::Exchange},
    limits::{PAGE_BYTES_MAX, REST_US},
    net::{ConnectionId, Origin, Reactor},
    store::StoreError,
};

/// What a connection waits for.
#[derive(Debug, Default)]
pub(super) enum Client {
    /// For nothing: it may send a request.
    #[default]
    Free,
    /// Its request waits for a handler from the store, for a batch to be kept, or for its body to be parsed.
    Asking(ConnectionId),
    /// Its reply waits for a batch.
    Unkept(ConnectionId, ErrorFormat),
    /// POST run: for the end of the run.
    Calling(Calling),
    /// GET /events: for the lock, or for events.
    Reading(Box<Reader>),
    /// GET /handlers: to take more of the list.
    Listing(ConnectionId, Box<List>),
}

/// A POST run that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calling {
    pub(super) id: ConnectionId,
    pub(super) key: HandlerKey,
    pub(super) errors: ErrorFormat,
    /// When the store first failed its run, on the alive clock.
    delayed_us: Option<u64>,
}

impl Loop {
    /// A connection has something to say: it has hung up, takes more, or has requests.
    pub(super) fn serve(&mut self, id: ConnectionId) {
        // Its request waits and stays where it is: to touch the connection would have the reactor report it again.
        if self.is_asking(id) {
            return self.handle_taken(id);
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.exchange().hung_up() {
            let taken = connection.taken_position();
            connection.exchange().close();
            return self.forget_client(id, taken);
        }
        self.handle_taken(id);
        match self.client_mut(id) {
            Client::Reading(_) => self.pump(id),
            Client::Listing(..) => self.write_list(id),
            _ => {}
        }
        self.answer_all(id);
    }

    fn answer_all(&mut self, id: ConnectionId) {
        while matches!(self.client_mut(id), Client::Free)
            && let Some(connection) = self.reactor.connection(id)
        {
            if connection.exchange().has_request() {
                self.answer(id, false);
            } else if connection.exchange().has_offer() {
                self.judge_head(id);
            } else {
                return;
            }
        }
    }

    /// A request's body is still to come: refuses it if its head alone is enough for that.
    fn judge_head(&mut self, id: ConnectionId) {
        let room = self.account.room(&self.held());
        let judged =
            judge(
                &mut self.reactor,
                &self.access,
                id,
                Exchange::offered_request,
                |request, _, checked| match checked {
                    Err(refused) => (Granted::default(), Some(refused)),
                    Ok(granted) => (granted, api::call_head(request, &self.scheduler, room)),
                },
            );
        let Some((exchange, (granted, refused))) = judged else { return };
        match refused {
            Some(response) => exchange.refuse_body(&response, &granted.lines(), self.now),
            None => exchange.take_body(self.now),
        }
    }

    /// The handler that the connection's request waited for is here, or there is none.
    pub(super) fn answer_read(&mut self, id: ConnectionId) {
        if self.reactor.connection(id).is_some_and(|connection| connection.exchange().has_request()) {
            self.answer(id, true);
            self.answer_all(id);
        }
    }

    /// The body of the connection's request is parsed.
    pub(super) fn answer_parsed(&mut self, id: ConnectionId) {
        self.answer_all(id);
        // Its connection may be gone. A call that waits for something else now takes it later.
        if !self.is_asking(id) {
            self.helper.take(id);
        }
    }

    /// The handler that the connection's request waited for could not be read.
    pub(super) fn answer_unread(&mut self, id: ConnectionId, error: &StoreError) {
        self.answer_with(id, |errors| errors.not_read(&error.to_string()));
    }

    /// Answers the connection's request without a call.
    pub(super) fn answer_with(&mut self, id: ConnectionId, reply: impl FnOnce(ErrorFormat) -> Response) {
        // It must not become the body of the connection's next request.
        self.helper.take(id);
        let judged = judge(&mut self.reactor, &self.access, id, Exchange::request, |request, _, checked| {
            (checked.unwrap_or_default(), reply(ErrorFormat::of(request)))
        });
        let Some((exchange, (granted, response))) = judged else { return };
        exchange.accept_request(granted.lines());
        exchange.respond(&response, self.now);
        self.answer_all(id);
    }

    /// `is_read`: the scheduler has what the store knows of the request's handler.
    fn answer(&mut self, id: ConnectionId, is_read: bool) {
        let room = self.account.room(&self.held());
        let mut parsed = self.helper.take(id);
        let judged = judge(&mut self.reactor, &self.access, id, Exchange::request, |request, refusal, checked| {
            let errors = ErrorFormat::of(request);
            let (granted, reply) = match (checked, refusal) {
                (Err(refused), _) => (Granted::default(), Reply::Now(refused)),
                (Ok(granted), Some(refusal)) => {
                    let refused = || errors.error(refusal.status, &refusal.text);
                    let response = api::call_head(request, &self.scheduler, Room::Runs).unwrap_or_else(refused);
                    (granted, Reply::Now(response))
                }
                // What is not begun may be sent again, to the server that comes next.
                (Ok(granted), None) if self.stopping.is_some() => (granted, Reply::Now(errors.not_begun())),
                (Ok(granted), None) => {
                    let entropy = &mut self.ids;
                    let mut draw = || entropy.draw().expect("the system gave random bytes when the server began");
                    let (scheduler, catalog, now) = (&mut self.scheduler, &self.catalog, self.now);
                    let callers_full = self.callers >= self.callers_max;
                    let (ids, was_parsed) = (&mut draw, parsed.take());
                    let mut context =
                        api::Context { scheduler, catalog, now, ids, is_read, parsed: was_parsed, room, callers_full };
                    let reply = api::call(request, &mut context);
                    parsed = context.parsed;
                    (granted, reply)
                }
            };
            (errors, granted, reply)
        });
        let Some((exchange, (errors, granted, reply))) = judged else { return };
        if let (Reply::Now(response), Some(_)) = (&reply, exchange.refusal()) {
            return exchange.refuse_body(response, &granted.lines(), self.now);
        }
        if matches!(reply, Reply::WhenSettled(_) | Reply::WhenRead(_) | Reply::WhenParsed(_)) {
            return self.call_later(id, reply, parsed);
        }
        exchange.accept_request(granted.lines());
        match reply {
            Reply::WhenRead(_) | Reply::WhenSettled(_) | Reply::WhenParsed(_) => {}
            Reply::Now(response) => exchange.respond(&response, self.now),
            Reply::WhenCommitted(key, response) => {
                self.unkept.push_back((self.scheduler.open_batch(), id, key, response));
                *self.client_mut(id) = Client::Unkept(id, errors);
            }
            Reply::WhenRunEnds(key) => {
                self.scheduler.await_end(key, CallerId(id.into()));
                *self.client_mut(id) = Client::Calling(Calling { id, key, errors, delayed_us: None });
                self.callers += 1;
            }
            Reply::Follow(follow) => self.begin_reading(id, follow, errors),
            Reply::List(list) => self.begin_list(id, *list),
        }
    }

    fn is_asking(&mut self, id: ConnectionId) -> bool {
        matches!(self.client_mut(id), Client::Asking(waiting) if *waiting == id)
    }

    /// What the connection's request waits for is here: it may be answered. Whether it waits.
    pub(super) fn stop_asking(&mut self, id: ConnectionId) -> bool {
        let is_asking = self.is_asking(id);
        if is_asking {
            *self.client_mut(id) = Client::Free;
        }
        is_asking
    }

    /// Has a call wait that is to be made again.
    fn call_later(&mut self, id: ConnectionId, reply: Reply, parsed: Option<Parsed>) {
        *self.client_mut(id) = Client::Asking(id);
        if let Some(parsed) = parsed {
            self.helper.keep(id, parsed);
        }
        match reply {
            Reply::WhenSettled(batch) => self.unsettled.push((batch, id)),
            Reply::WhenRead(address) => self.ask_handler(address, Some(id)),
            Reply::WhenParsed(form) => self.begin_parsing(id, form),
            _ => {}
        }
    }

    /// Judges the requests again that met an end or a removal of which it is known now whether it is kept; whether
    /// there were any.
    pub(super) fn judge_again(&mut self) -> bool {
        let first = self.scheduler.first_unsettled();
        let due: Vec<_> = self.unsettled.extract_if(.., |(batch, _)| *batch < first).collect();
        for (_, id) in &due {
            if self.stop_asking(*id) {
                self.answer_all(*id);
            }
        }
        !due.is_empty()
    }

    /// Sends the replies that waited for this batch or one before it.
    pub(super) fn send_kept(&mut self, number: u64) {
        while self.unkept.front().is_some_and(|&(batch, ..)| batch <= number) {
            let Some((_, id, _, response)) = self.unkept.pop_front() else { return };
            if matches!(self.client_mut(id), Client::Unkept(waiting, _) if *waiting == id) {
                self.respond(id, &response);
            }
        }
    }

    /// The run that a caller waits for has ended.
    pub(super) fn answer_caller(&mut self, key: HandlerKey, caller: CallerId) {
        if let Some(&mut Calling { id, errors, .. }) = self.calling(caller).filter(|calling| calling.key == key) {
            let response = api::run_ended(self.scheduler.view(key), errors);
            self.respond(id, &response);
        }
    }

    /// The handler that a caller waits for is gone.
    pub(super) fn answer_caller_gone(&mut self, caller: CallerId) {
        if let Some(&mut Calling { id, errors, .. }) = self.calling(caller) {
            self.respond(id, &api::run_ended(None, errors));
        }
    }

    /// The run that a caller waits for could not be stored: there is none.
    pub(super) fn answer_caller_not_kept(&mut self, caller: CallerId) {
        if let Some(&mut Calling { id, errors, .. }) = self.calling(caller) {
            let error = self.not_kept.clone().unwrap_or_else(|| StoreError::Failed(String::new()));
            self.respond(id, &errors.not_kept(status(&error), &error.to_string()));
        }
    }

    /// The run that a caller waits for cannot be read any more.
    pub(super) fn answer_caller_unread(&mut self, caller: CallerId) {
        if let Some(&mut Calling { id, errors, .. }) = self.calling(caller) {
            self.respond(id, &errors.not_read("the run's stored rows are damaged"));
        }
    }

    /// The run that a caller waits for goes on, but the store fails it. That may pass; a caller is not kept waiting for
    /// it.
    pub(super) fn delay_caller(&mut self, key: HandlerKey, caller: CallerId) {
        let now_us = self.now.alive_us;
        let Some(calling) = self.calling(caller).filter(|calling| calling.key == key) else { return };
        let since_us = *calling.delayed_us.get_or_insert(now_us);
        if now_us < since_us + CALLER_DELAY_US_MAX {
            return;
        }
        let Calling { id, errors, .. } = *calling;
        self.scheduler.forget_caller(key, caller);
        let handler = self.scheduler.known_id(key);
        self.respond(id, &errors.delayed(&handler));
    }

    /// The caller, if it still waits.
    fn calling(&mut self, caller: CallerId) -> Option<&mut Calling> {
        let id = ConnectionId::from(caller.0);
        match self.client_mut(id) {
            Client::Calling(calling) if calling.id == id => Some(calling),
            _ => None,
        }
    }

    /// The server stops before the run does.
    pub(super) fn answer_stopping(&mut self, Calling { id, key, errors, .. }: Calling) {
        self.scheduler.forget_caller(key, CallerId(id.into()));
        let response = if self.store.is_durable() {
            errors.stopping(&self.scheduler.known_id(key))
        } else if self.scheduler.view(key).is_some() {
            errors.ending()
        } else {
            api::run_ended(None, errors)
        };
        self.respond(id, &response);
    }

    /// Answers, and has the connection free for its next request.
    pub(super) fn respond(&mut self, id: ConnectionId, response: &Response) {
        if let Client::Calling(..) = std::mem::take(self.client_mut(id)) {
            self.callers -= 1;
        }
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().respond(response, self.now);
        }
    }

    fn begin_list(&mut self, id: ConnectionId, list: List) {
        *self.client_mut(id) = Client::Listing(id, Box::new(list));
        self.write_list(id);
    }

    fn write_first(&mut self, id: ConnectionId, mut list: Box<List>) {
        let mut body = Vec::new();
        let progress = api::list_some(&self.scheduler, &mut list, &mut body, PAGE_BYTES_MAX);
        self.shares.spend(LIST_COST_BYTES + body.len());
        let headers = match self.scheduler.damaged_count() {
            0 => Vec::new(),
            count => vec![("X-Steprill-Damaged", count.to_string())],
        };
        let response = Response { status: 200, content_type: Some("application/json"), headers, ..Response::default() };
        if progress == ListProgress::Complete {
            return self.respond(id, &Response { body, ..response });
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        let exchange = connection.exchange();
        exchange.start_stream(&response, self.now);
        if exchange.is_streaming() {
            exchange.stream(self.now, |out| out.extend_from_slice(&body));
            self.go_on_listing(id, list, progress);
        }
    }

    /// Goes on with a list, now or when it is its turn.
    pub(super) fn write_list(&mut self, id: ConnectionId) {
        if self.shares.admits(id) {
            self.write_list_now(id);
        }
    }

    pub(super) fn write_list_now(&mut self, id: ConnectionId) {
        // The list may have come to its end, and the connection to its next request.
        let client = self.client_mut(id);
        if !matches!(client, Client::Listing(listing, _) if *listing == id) {
            return;
        }
        let Client::Listing(_, mut list) = std::mem::take(client) else { return };
        if list.written == ListWritten::Nothing {
            return self.write_first(id, list);
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        let exchange = connection.exchange();
        let room = exchange.stream_room();
        // The connection may be ready while the store is being asked: it is asked once.
        if room == 0 || list.is_asked {
            *self.client_mut(id) = Client::Listing(id, list);
            return;
        }
        let mut progress = ListProgress::More;
        let scheduler = &self.scheduler;
        exchange.stream(self.now, |out| {
            let mut body = Vec::new();
            progress = api::list_some(scheduler, &mut list, &mut body, room);
            self.shares.spend(LIST_COST_BYTES + body.len());
            out.extend_from_slice(&body);
        });
        match progress {
            ListProgress::Complete => exchange.end_stream(self.now),
            ListProgress::Read | ListProgress::More => self.go_on_listing(id, list, progress),
        }
    }

    fn go_on_listing(&mut self, id: ConnectionId, mut list: Box<List>, progress: ListProgress) {
        let (after, only_running) = (list.after, list.only_running());
        list.is_asked = progress == ListProgress::Read;
        *self.client_mut(id) = Client::Listing(id, list);
        if progress == ListProgress::Read {
            self.ask_list(id, after, only_running);
        } else {
            self.shares.wait(id);
        }
    }

    /// The connection is gone, or has hung up: what it held is free.
    pub(super) fn forget_client(&mut self, id: ConnectionId, taken: u64) {
        self.helper.take(id);
        let client = self.client_mut(id);
        match client {
            Client::Calling(calling) if calling.id == id => {
                let key = calling.key;
                *client = Client::Free;
                self.callers -= 1;
                self.scheduler.forget_caller(key, CallerId(id.into()));
            }
            Client::Asking(waiting) | Client::Unkept(waiting, _) | Client::Listing(waiting, _) if *waiting == id => {
                *client = Client::Free;
            }
            _ => {
                if let Some(reader) = self.take_reader(id) {
                    self.drop_reader(*reader, taken);
                }
            }
        }
        self.drop_finishing(id, taken);
    }
}

/// How long a caller waits for a run that the store fails: it is offered to the store again once or twice meanwhile.
const CALLER_DELAY_US_MAX: u64 = REST_US;

/// What a step of a list takes beside what it writes, as bytes that are written in the same time: it looks at
/// [`LIST_SCAN_HANDLERS_MAX`](crate::limits::LIST_SCAN_HANDLERS_MAX) handlers.
const LIST_COST_BYTES: usize = 32 << 10;

/// Looks at the request that `find` finds. Returns what `judge` makes of it, of what is wrong with its body and of
/// whether it is let in, and the exchange for the reply.
fn judge<'a, T>(
    reactor: &'a mut Reactor,
    access: &Access,
    id: ConnectionId,
    find: for<'b> fn(&'b Exchange, &'b mut FieldValues<'b>) -> Option<Request<'b>>,
    judge: impl FnOnce(&Request<'_>, Option<&Refusal>, Result<Granted, Response>) -> T,
) -> Option<(&'a mut Exchange, T)> {
    let connection = reactor.connection(id)?;
    let transport = transport(connection.origin());
    let exchange = connection.exchange();
    let mut fields = FieldValues::default();
    let request = find(exchange, &mut fields)?;
    let judged = judge(&request, exchange.refusal(), access.check(&request, transport));
    Some((exchange, judged))
}

fn transport(origin: Origin) -> Transport {
    match origin {
        Origin::Tcp { loopback: true } => Transport::Loopback,
        Origin::Tcp { loopback: false } => Transport::Network,
        Origin::Unix => Transport::Unix,
    }
}
