//! Requests to the API, and its replies.

use std::sync::Arc;

use steprill::{
    api::{self, Context, Parsed, Reply},
    awaited::Awaited,
    client_id::ClientId,
    engine::{
        keys::{HandlerKey, RunKey},
        stored::HandlerAddress,
    },
    graph::{EventId, Graph},
    http::{self, FieldValues, Method, Response},
    json::Json,
};

use super::{
    clients::{Doing, Request, Told},
    model::Version,
    world::World,
};
use crate::simulation::{random::hash, run::body};

/// A request with all its parts.
pub(crate) struct Call {
    request: Request,
    /// The handler that the store had under the request's id when it was sent.
    stored: Option<HandlerKey>,
    method: Method,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
    /// The run that it begins.
    run_id: uuid::Uuid,
    /// What it posts.
    posted: String,
    /// How its body is parsed, if that is done outside the loop, and the result.
    form: Option<api::Form>,
    parsed: Option<Parsed>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        write!(formatter, "{:?} {} {:?} {body}", self.request, self.path, self.query)
    }
}

/// The handler of a request before the call.
#[derive(Clone, Copy)]
struct Before {
    run: RunKey,
    run_id: uuid::Uuid,
}

impl World {
    /// Encodes a request.
    pub(crate) fn compose(&mut self, request: Request) -> Call {
        let run_id = uuid::Uuid::from_u128(u128::from(self.draw()));
        let (mut query, mut body, mut posted) = (None, Vec::new(), String::new());
        let (method, path) = match &request {
            Request::Start { flow, id, context, waits } => {
                let call = if *waits { "run" } else { "run-nowait" };
                body = self.compose_start(id.as_deref(), *context);
                (Method::Post, format!("/workflows/{}/{call}", self.flows[*flow].name))
            }
            Request::Post { id } => {
                (body, posted) = self.compose_post(id);
                (Method::Post, format!("/events/{id}"))
            }
            Request::Cancel { id, purge } => {
                query = purge.then(|| "purge=true".to_owned());
                (Method::Post, format!("/handlers/{id}/cancel"))
            }
            Request::Result { id } => (Method::Get, format!("/results/{id}")),
            Request::Read { id, queue } => {
                query = self.compose_cursor(id, *queue);
                (Method::Get, format!("/events/{id}"))
            }
            Request::List { only_running } => {
                query = only_running.then(|| "status=running".to_owned());
                (Method::Get, "/handlers".to_owned())
            }
        };
        let stored = match &request {
            Request::Start { .. } | Request::List { .. } => None,
            Request::Post { id } | Request::Cancel { id, .. } | Request::Result { id } | Request::Read { id, .. } => {
                self.stored(id)
            }
        };
        Call { request, stored, method, path, query, body, run_id, posted, form: None, parsed: None }
    }

    fn compose_start(&mut self, id: Option<&str>, context: bool) -> Vec<u8> {
        let mut start = serde_json::json!({ "start_event": body::fields(1 + self.random.next() % 3) });
        if let Some(id) = id {
            start["handler_id"] = id.into();
        }
        if context {
            let mut data = serde_json::Map::new();
            if self.random.one_in(2) {
                data.insert("a".into(), "5".into());
                if self.random.one_in(3) {
                    // More than a store puts in a row, and sometimes more than the loop itself parses.
                    let length = if self.random.one_in(24) { 70_000 } else { 20_000 };
                    data.insert("d".into(), "1".into());
                    data.insert("large".into(), format!("\"{}\"", "x".repeat(length)).into());
                }
            }
            start["context"] = serde_json::json!({ "version": 1, "state": { "state_data": { "_data": data } } });
        }
        start.to_string().into_bytes()
    }

    /// Returns an event for a handler: often the answer to a question of its run.
    fn compose_post(&mut self, id: &str) -> (Vec<u8>, String) {
        let serial = self.draw();
        let Some((run, version, graph)) = self.newest_run(id) else {
            return (br#"{"event":{"type":"S","value":{}}}"#.to_vec(), String::new());
        };
        let questions = self.history.runs.get(&run).filter(|run| run.version == version).map(|run| &run.questions);
        let questions: Vec<_> = questions.into_iter().flatten().map(|(_, question)| *question).collect();
        let (event, number, step) = if !questions.is_empty() && !self.random.one_in(4) {
            let (number, event) = *self.random.pick(&questions);
            (event, number, None)
        } else {
            let step = self.random.one_in(3).then(|| self.random.below(graph.steps.len()));
            (EventId(self.random.below(graph.events.len()) as u16), self.random.next() % 1_000_000, step)
        };
        let value = if graph.takers(event).is_empty() {
            serde_json::json!({ "q": number, "serial": serial })
        } else {
            body::fields(hash(&[number, serial]))
        };
        let mut post = serde_json::json!({ "event": { "type": &*graph.event(event).name, "value": value } });
        if let Some(step) = step {
            post["step"] = (*graph.steps[step].name).into();
        }
        let open: Vec<u64> = self.core.scheduler().open_questions(run.handler).map(|open| open.sequence).collect();
        if !open.is_empty() && self.random.one_in(6) {
            post["in_reply_to"] = (*self.random.pick(&open)).into();
        }
        (post.to_string().into_bytes(), Json::from_value(&value).expect("an object").as_str().to_owned())
    }

    /// Returns where a reader begins: with the queue, for which it waits long, a while or not at all; or somewhere in
    /// the log.
    fn compose_cursor(&mut self, id: &str, queue: bool) -> Option<String> {
        if queue {
            return self
                .random
                .pick(&[None, Some("acquire_timeout=0"), Some("acquire_timeout=1e9")])
                .map(str::to_owned);
        }
        let range = self.newest_run(id).and_then(|(run, ..)| self.core.scheduler().feed_range(run.handler));
        let range = range.unwrap_or_default();
        let after = range.start + self.random.next() % (range.end - range.start + 2);
        Some(if after == 0 { "after_sequence=-1".to_owned() } else { format!("after_sequence={}", after - 1) })
    }

    /// Returns the newest run of a handler, resident or stored, and the version of its workflow.
    fn newest_run(&self, id: &str) -> Option<(RunKey, Version, Arc<Graph>)> {
        let scheduler = self.core.scheduler();
        if let Some(run) = scheduler.find(id).and_then(|key| scheduler.run_of(key)) {
            let workflow = scheduler.workflow_of(run.handler).expect("it is here");
            return Some((run, self.store.session.version(workflow), Arc::clone(scheduler.graph(workflow))));
        }
        let (key, model) = (self.stored(id)?, &self.store.model);
        let row = &model.handlers[&key];
        Some((RunKey { handler: key, run: row.run }, row.version, Arc::clone(&model.versions[row.version])))
    }

    /// Returns the handler that the store has under an id.
    fn stored(&self, id: &str) -> Option<HandlerKey> {
        self.store.model.find(&HandlerAddress::Id(id.into()))
    }

    /// Makes a call. `is_read`: whether its handler was loaded from the store.
    pub(crate) fn call(&mut self, client: ClientId, mut call: Call, is_read: bool) {
        let before = self.before(&call.request);
        let fields = FieldValues::default();
        let request = http::Request {
            method: call.method,
            http10: false,
            path: &call.path,
            query: call.query.as_deref(),
            cross_site: false,
            fields: &fields,
            body: &call.body,
        };
        let run_id = call.run_id;
        let mut context = Context {
            scheduler: self.core.scheduler_mut(),
            catalog: &self.catalog,
            now: self.now,
            ids: &mut || run_id,
            is_read,
            parsed: call.parsed.take(),
            room: steprill::account::Room::Runs,
            callers_full: false,
        };
        let reply = api::call(&request, &mut context);
        let parsed = context.parsed;
        let awaited = match reply {
            Reply::Now(response) => return self.take_answer(&call, &response, is_read),
            Reply::Follow(follow) => return self.begin_reading(client, &follow),
            Reply::List(list) => return self.begin_list(client, list),
            Reply::Parse(form) => {
                call.form = Some(form);
                Awaited::Driver
            }
            Reply::Later(awaited) => awaited,
        };
        match awaited {
            Awaited::Commit(key, response) => return self.take_promise(client, &call, before, key, response),
            Awaited::End(key) => {
                let run = self.note_started(key);
                self.clients.doing.insert(client, Doing::Awaiting(run, run_id));
            }
            Awaited::Handler(_) | Awaited::Batch(_) | Awaited::Driver => {
                let is_asked = matches!(awaited, Awaited::Handler(_));
                assert!(!(is_asked && is_read), "the store is not queried again for what has been read");
                call.parsed = parsed;
                self.clients.doing.insert(client, Doing::Calling(call));
            }
        }
        self.core.wait(client, awaited);
    }

    fn before(&self, request: &Request) -> Option<Before> {
        let (Request::Post { id } | Request::Cancel { id, .. }) = request else { return None };
        let scheduler = self.core.scheduler();
        let key = scheduler.find(id)?;
        Some(Before { run: scheduler.run_of(key)?, run_id: scheduler.view(key)?.run_id })
    }

    fn note_started(&mut self, key: HandlerKey) -> RunKey {
        let view = self.core.scheduler().view(key).expect("it has just begun");
        self.clients.ids.push(view.id.to_owned());
        self.core.scheduler().run_of(key).expect("it has just begun")
    }

    /// Replies once the change made by the call is committed.
    fn take_promise(
        &mut self,
        client: ClientId,
        call: &Call,
        before: Option<Before>,
        key: HandlerKey,
        response: Response,
    ) {
        let told = match (&call.request, before) {
            _ if response.status != 200 => Told::Refused,
            (Request::Start { .. }, _) => Told::Started(self.note_started(key), call.run_id),
            (Request::Post { .. }, Some(before)) => Told::Posted(before.run, call.posted.clone()),
            (Request::Cancel { purge: true, .. }, Some(before)) => {
                self.history.cancelling.insert(before.run);
                self.clients.purging.insert(key);
                Told::Purged(key, before.run_id)
            }
            (Request::Cancel { purge: false, .. }, Some(before)) => {
                self.history.cancelling.insert(before.run);
                Told::Cancelled(before.run)
            }
            (request, _) => panic!("{request:?} changes nothing"),
        };
        self.promise(client, key, told, response);
    }

    /// Replies at once.
    fn take_answer(&mut self, call: &Call, response: &Response, is_read: bool) {
        self.trace(|| format!("{} to {:?}", response.status, call.request));
        let (Request::Result { id } | Request::Post { id } | Request::Cancel { id, .. } | Request::Read { id, .. }) =
            &call.request
        else {
            return assert_ne!(response.status, 200, "nothing is acknowledged before it is committed");
        };
        let Some(key) = self.core.scheduler().find(id) else {
            assert_eq!(response.status, 404);
            let stored = self.stored(id).filter(|key| Some(*key) == call.stored);
            let is_going = |key: &HandlerKey| self.clients.purging.contains(key);
            let lost = stored.filter(|key| !is_going(key) && !self.store.unreadable.contains(key));
            return assert!(lost.is_none(), "{call:?}, {is_read}: what the store has is found: {lost:?}");
        };
        if matches!(call.request, Request::Result { .. }) {
            if response.status == 200 {
                let view = self.core.scheduler().view(key).expect("it is here");
                assert!(matches!(view.outcome, Some(steprill::Outcome::Completed(_))));
            }
            self.look(key);
        } else {
            assert_ne!(response.status, 200, "nothing is acknowledged before it is committed");
        }
    }

    /// Parses bodies outside the loop.
    pub(crate) fn parse_some(&mut self) {
        let parsing = self.clients.doing.iter().filter_map(|(client, doing)| match doing {
            Doing::Calling(Call { form: Some(_), .. }) => Some(*client),
            _ => None,
        });
        for client in parsing.collect::<Vec<_>>() {
            if !self.is_closing && self.random.one_in(2) {
                continue;
            }
            assert!(self.core.resume_call(client), "it waits for its body to be parsed");
            let Some(Doing::Calling(mut call)) = self.clients.doing.remove(&client) else { unreachable!() };
            let form = call.form.take().expect("it is to be parsed");
            call.parsed = Some(form.parse(&call.body));
            self.call(client, call, false);
        }
    }
}
