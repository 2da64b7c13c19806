//! Turns requests into replies: at once, after a commit, or after the end of a run.

use super::{clients::Client, turn::Loop};
use crate::{
    account::Room,
    api::{self, Access, ErrorFormat, Granted, List, ListProgress, ListWritten, Reply, Transport},
    awaited::Awaited,
    client_id::ClientId,
    core::Refused,
    engine::{keys::HandlerKey, storage::Recall, stored::StoredHandler},
    http::{FieldValues, Refusal, Request, Response, exchange::Exchange},
    limits::{LIST_COST_BYTES, PAGE_BYTES_MAX},
    net::{Origin, Reactor},
};

impl Loop {
    /// Handles a connection that is ready: it has hung up, can take more, or has requests.
    pub(super) fn serve(&mut self, id: ClientId) {
        // Its request waits untouched: touching the connection would make the reactor report it again.
        if self.core.holds_call(id) {
            return self.handle_taken(id);
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.exchange().hung_up() {
            let taken = connection.taken_position();
            connection.exchange().close();
            return self.forget_client(id, taken);
        }
        self.handle_taken(id);
        match self.clients.get(id) {
            Some(Client::Reading(_)) => self.pump(id),
            Some(Client::Listing(..)) => self.write_list(id),
            Some(Client::Answering(_)) | None => {}
        }
        self.answer_all(id);
    }

    /// Returns whether the connection's next request may be answered.
    fn is_free(&self, id: ClientId) -> bool {
        self.clients.get(id).is_none() && !self.core.is_waiting(id)
    }

    pub(super) fn answer_all(&mut self, id: ClientId) {
        while self.is_free(id)
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

    /// Refuses a request whose body has not arrived, if its head is enough for that.
    fn judge_head(&mut self, id: ClientId) {
        let room = self.memory.account.room(&self.held());
        let judged =
            judge(&mut self.reactor, &self.site.access, id, Exchange::offered_request, |request, _, checked| {
                match checked {
                    Err(refused) => (Granted::default(), Some(refused)),
                    Ok(granted) => (granted, api::call_head(request, self.core.scheduler(), room)),
                }
            });
        let Some((exchange, (granted, refused))) = judged else { return };
        match refused {
            Some(response) => exchange.refuse_body(&response, &granted.lines(), self.now),
            None => exchange.take_body(self.now),
        }
    }

    /// The handler that the connection's request waited for is loaded, or does not exist.
    pub(super) fn answer_read(&mut self, id: ClientId) {
        if self.reactor.connection(id).is_some_and(|connection| connection.exchange().has_request()) {
            self.answer(id, true);
            self.answer_all(id);
        }
    }

    /// The body of the connection's request is parsed.
    pub(super) fn answer_parsed(&mut self, id: ClientId) {
        self.answer_all(id);
        // Its connection may be gone. A call that now waits for something else takes the body later.
        if !self.core.holds_call(id) {
            self.helper.take(id);
        }
    }

    /// Answers the connection's request without making its call.
    pub(super) fn answer_with(&mut self, id: ClientId, reply: impl FnOnce(ErrorFormat) -> Response) {
        // It must not be used as the body of the connection's next request.
        self.helper.take(id);
        let judged = judge(&mut self.reactor, &self.site.access, id, Exchange::request, |request, _, checked| {
            (checked.unwrap_or_default(), reply(ErrorFormat::of(request)))
        });
        let Some((exchange, (granted, response))) = judged else { return };
        exchange.accept_request(granted.lines());
        exchange.respond(&response, self.now);
        self.answer_all(id);
    }

    /// `is_read`: the scheduler has what the store knows of the request's handler.
    fn answer(&mut self, id: ClientId, is_read: bool) {
        let room = self.memory.account.room(&self.held());
        let mut parsed = self.helper.take(id);
        let judged = judge(&mut self.reactor, &self.site.access, id, Exchange::request, |request, refusal, checked| {
            let errors = ErrorFormat::of(request);
            let (granted, reply) = match (checked, refusal) {
                (Err(refused), _) => (Granted::default(), Reply::Now(refused)),
                (Ok(granted), Some(refusal)) => {
                    let refused = || errors.error(refusal.status, &refusal.text);
                    let response = api::call_head(request, self.core.scheduler(), Room::Runs).unwrap_or_else(refused);
                    (granted, Reply::Now(response))
                }
                // What was not begun may be sent again, to the next server.
                (Ok(granted), None) if self.stop.has_begun() => (granted, Reply::Now(errors.not_begun())),
                (Ok(granted), None) => {
                    let entropy = &mut self.site.ids;
                    let mut draw = || entropy.draw().expect("the system gave random bytes when the server began");
                    let callers_full = self.core.caller_count() >= self.site.callers_max;
                    let (scheduler, catalog, now) = (self.core.scheduler_mut(), &self.site.catalog, self.now);
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
        if !reply.repeats_call() {
            exchange.accept_request(granted.lines());
        }
        match reply {
            Reply::Now(response) => exchange.respond(&response, self.now),
            Reply::Later(awaited) => {
                if !awaited.repeats_call() {
                    self.clients.put_answering(id, errors);
                } else if let Some(parsed) = parsed {
                    self.helper.keep(id, parsed);
                }
                self.core.wait(id, awaited);
            }
            Reply::Parse(form) => {
                self.core.wait(id, Awaited::Driver);
                self.begin_parsing(id, form);
            }
            Reply::Follow(follow) => self.begin_reading(id, follow, errors),
            Reply::List(list) => self.begin_list(id, *list),
        }
    }

    /// Returns the form of errors for the connection, if the core produces its reply.
    fn errors_of(&self, id: ClientId) -> Option<ErrorFormat> {
        match self.clients.get(id) {
            Some(Client::Answering(errors)) => Some(*errors),
            _ => None,
        }
    }

    /// The run that a caller waits for has ended; without a handler, it was purged.
    pub(super) fn answer_caller(&mut self, id: ClientId, handler: Option<HandlerKey>) {
        if let Some(errors) = self.errors_of(id) {
            let response = api::run_ended(handler.and_then(|key| self.core.scheduler().view(key)), errors);
            self.respond(id, &response);
        }
    }

    /// The request has failed.
    pub(super) fn refuse(&mut self, id: ClientId, refused: &Refused) {
        if let Some(errors) = self.errors_of(id) {
            let response = match refused {
                Refused::NotStored(error) => errors.not_committed(error),
                Refused::RunUnreadable => errors.not_read("the run's stored rows are damaged"),
                Refused::RunDelayed(handler_id) => errors.delayed(handler_id),
            };
            self.respond(id, &response);
        }
    }

    /// The server stops before the run that the connection waits for ends.
    pub(super) fn answer_stopping(&mut self, id: ClientId) {
        let (Some(errors), Some(key)) = (self.errors_of(id), self.core.release_caller(id)) else { return };
        let response = if self.core.scheduler().recall() == Recall::Everything {
            errors.stopping(&self.core.scheduler().known_id(key))
        } else if self.core.scheduler().view(key).is_some() {
            errors.ending()
        } else {
            api::run_ended(None, errors)
        };
        self.respond(id, &response);
    }

    /// Answers, after which the connection is free for its next request.
    pub(super) fn respond(&mut self, id: ClientId, response: &Response) {
        self.clients.remove(id);
        if let Some(connection) = self.reactor.connection(id) {
            connection.exchange().respond(response, self.now);
        }
    }

    fn begin_list(&mut self, id: ClientId, list: List) {
        self.clients.put_list(id, Box::new(list));
        self.write_list(id);
    }

    fn write_first(&mut self, id: ClientId, mut list: Box<List>) {
        let mut body = Vec::new();
        let progress = api::list_some(self.core.scheduler(), &mut list, &mut body, PAGE_BYTES_MAX);
        self.shares.spend(LIST_COST_BYTES + body.len());
        let headers = match self.core.scheduler().damaged_count() {
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

    /// Continues a list, now or when it is its turn.
    pub(super) fn write_list(&mut self, id: ClientId) {
        if self.shares.admits(id) {
            self.write_list_now(id);
        }
    }

    pub(super) fn write_list_now(&mut self, id: ClientId) {
        // The list may have ended, and the connection may be at its next request.
        let Some(mut list) = self.clients.take_list(id) else { return };
        if list.written == ListWritten::Nothing {
            return self.write_first(id, list);
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        let exchange = connection.exchange();
        let room = exchange.stream_room();
        // The connection may be ready while a query is pending; there is only one query at a time.
        if room == 0 || list.is_asked {
            self.clients.put_list(id, list);
            return;
        }
        let mut progress = ListProgress::More;
        let scheduler = self.core.scheduler();
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

    fn go_on_listing(&mut self, id: ClientId, mut list: Box<List>, progress: ListProgress) {
        let (after, only_running) = (list.after, list.only_running());
        list.is_asked = progress == ListProgress::Read;
        self.clients.put_list(id, list);
        if progress == ListProgress::Read {
            self.core.ask_list(id, after, only_running);
        } else {
            self.shares.wait(id);
        }
    }

    /// Handles the handlers that the connection's list has requested; `None` if they cannot be read.
    pub(super) fn take_list_page(&mut self, id: ClientId, page: Option<(Vec<StoredHandler>, bool)>) {
        let Some((handlers, is_complete)) = page else { return self.cut_list(id) };
        if let Some(mut list) = self.clients.take_list(id) {
            list.page = handlers.into();
            list.is_complete = is_complete;
            list.is_asked = false;
            self.clients.put_list(id, list);
            self.write_list(id);
        }
    }

    /// The connection is gone, or has hung up: releases what it held.
    pub(super) fn forget_client(&mut self, id: ClientId, taken: u64) {
        self.helper.take(id);
        self.core.forget(id);
        if let Some(reader) = self.clients.take_reader(id) {
            self.drop_reader(*reader, taken);
        }
        self.clients.remove(id);
        self.drop_finishing(id, taken);
    }
}

/// Examines the request that `find` returns. Returns the result of `judge` for the request, the fault of its body and
/// whether it is allowed, and the exchange for the reply.
fn judge<'a, T>(
    reactor: &'a mut Reactor,
    access: &Access,
    id: ClientId,
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
