//! Calls, and clients that wait for something.

use steprill::{
    account::Room,
    api::{self, Context, ListProgress, Reply},
    awaited::Awaited,
    client_id::ClientId,
    http::{self, FieldValues, Method},
};

use super::world::{Call, Doing, World};
use crate::simulation::run::body;

impl World {
    pub(super) fn act(&mut self) {
        let id = self.draw_id();
        let (method, path, query, body) = match self.random.below(12) {
            0..5 => {
                let flow = self.random.below(self.flows.len());
                let waits = if self.random.one_in(2) { "run" } else { "run-nowait" };
                let mut start = serde_json::json!({ "start_event": body::fields(1 + self.random.next() % 3) });
                match self.random.below(4) {
                    0 => start["handler_id"] = format!("chosen{}", self.random.below(4)).into(),
                    1 => start["handler_id"] = id.into(),
                    _ => {}
                }
                let path = format!("/workflows/{}/{waits}", self.flows[flow].name);
                (Method::Post, path, None, start.to_string().into_bytes())
            }
            5 | 6 => (Method::Post, format!("/events/{id}"), None, self.compose_answer(&id)),
            7 => {
                let query = self.random.one_in(2).then_some("purge=true");
                (Method::Post, format!("/handlers/{id}/cancel"), query, Vec::new())
            }
            8 => (Method::Get, format!("/results/{id}"), None, Vec::new()),
            9 => (Method::Get, "/handlers".to_owned(), None, Vec::new()),
            10 => {
                let queries = [None, Some("acquire_timeout=0"), Some("after_sequence=-1"), Some("after_sequence=2")];
                (Method::Get, format!("/events/{id}"), *self.random.pick(&queries), Vec::new())
            }
            _ => return self.hang_up_one(),
        };
        self.request(Call { method, path, query, body, parsed: None });
    }

    pub(super) fn draw_id(&mut self) -> String {
        let recent = &self.ids[self.ids.len().saturating_sub(12)..];
        if recent.is_empty() { "nobody".to_owned() } else { self.random.pick(recent).clone() }
    }

    /// The answer to a question of this handler's run, if there is one.
    pub(super) fn compose_answer(&mut self, id: &str) -> Vec<u8> {
        let scheduler = self.core.scheduler();
        let open = scheduler.find(id).and_then(|key| {
            let open = scheduler.open_questions(key).next()?;
            let graph = scheduler.graph(scheduler.workflow_of(key)?);
            let asks = graph.steps.iter().flat_map(|step| &step.asks);
            let (_, answer) = asks.clone().find(|(question, _)| *question == open.question)?;
            let mut value = serde_json::Map::new();
            for (member, matched) in open.matching {
                value.insert(member.clone(), serde_json::from_str(matched.as_str()).expect("JSON"));
            }
            Some(serde_json::json!({
                "event": { "type": &*graph.event(*answer).name, "value": value }, "in_reply_to": open.sequence,
            }))
        });
        let unwanted = || serde_json::json!({ "event": { "type": "S", "value": {} } });
        open.unwrap_or_else(unwanted).to_string().into_bytes()
    }

    pub(super) fn request(&mut self, call: Call) {
        let client = |slot: usize, generation: u32| ClientId { slot: slot as u32, generation };
        let slots = self.generations.iter().enumerate();
        let free = slots.map(|(slot, generation)| client(slot, *generation)).find(|id| !self.doing.contains_key(id));
        let free = free.unwrap_or_else(|| {
            self.generations.push(0);
            client(self.generations.len() - 1, 0)
        });
        self.call(free, call);
    }

    pub(super) fn call(&mut self, client: ClientId, mut call: Call) {
        self.drawn += 1;
        let run_id = uuid::Uuid::from_u128(self.drawn.into());
        let room = if self.is_closing { Room::Runs } else { *self.random.pick(&ROOMS) };
        let callers_full = !self.is_closing && self.random.one_in(8);
        let fields = FieldValues::default();
        let request = http::Request {
            method: call.method,
            http10: false,
            path: &call.path,
            query: call.query,
            cross_site: false,
            fields: &fields,
            body: &call.body,
        };
        let running = self.core.scheduler().counts().running;
        let mut context = Context {
            scheduler: self.core.scheduler_mut(),
            catalog: &self.catalog,
            now: self.now,
            ids: &mut || run_id,
            is_read: false,
            parsed: call.parsed.take(),
            room,
            callers_full,
        };
        let reply = api::call(&request, &mut context);
        call.parsed = context.parsed;
        let is_start = call.path.starts_with("/workflows/");
        match reply {
            Reply::Now(response) => {
                self.refused += u64::from(response.status == 503);
                let is_begun = self.scheduler().counts().running > running;
                assert!(!(is_start && is_begun), "what is refused changes nothing: {response:?}");
            }
            Reply::Later(awaited) => {
                if let Awaited::Commit(key, _) | Awaited::End(key) = awaited
                    && is_start
                {
                    let begins = room == Room::Runs && !(callers_full && call.path.ends_with("/run"));
                    assert!(begins, "nothing begins without room");
                    let run = self.scheduler().run_of(key).expect("it has just begun");
                    self.runs.entry(run).or_default();
                    self.ids.push(self.scheduler().view(key).expect("it has just begun").id.to_owned());
                }
                let doing = match &awaited {
                    Awaited::Handler(address) => panic!("all handlers are resident: {address:?}"),
                    Awaited::Batch(_) | Awaited::Driver => Doing::Calling(call),
                    Awaited::Commit(..) => Doing::Committing,
                    Awaited::End(key) => Doing::Ending(self.scheduler().run_of(*key).expect("it has just begun")),
                };
                self.doing.insert(client, doing);
                self.core.wait(client, awaited);
            }
            Reply::Parse(_) => panic!("no body is large"),
            Reply::Follow(follow) => self.begin_reading(client, &follow),
            Reply::List(mut list) => {
                let mut body = Vec::new();
                let scheduler = self.core.scheduler();
                while api::list_some(scheduler, &mut list, &mut body, 300) == ListProgress::More {}
                serde_json::from_slice::<serde_json::Value>(&body).expect("a list is JSON");
            }
        }
    }

    pub(super) fn hang_up_one(&mut self) {
        let clients: Vec<ClientId> = self.doing.keys().copied().collect();
        if clients.is_empty() {
            return;
        }
        let client = *self.random.pick(&clients);
        self.leave(client);
        self.generations[client.slot as usize] += 1;
    }

    /// The client waits for nothing any longer.
    pub(super) fn leave(&mut self, client: ClientId) {
        match self.doing.remove(&client) {
            Some(Doing::Locking(run, _)) => self.core.stop_waiting(client, run),
            Some(Doing::Reading(run, mut reading)) => {
                let taken = if self.random.one_in(2) { reading.next() } else { 0 };
                self.core.stop_reading(client, run, &mut reading, taken);
            }
            Some(_) => self.core.forget(client),
            None => {}
        }
    }
}

/// Memory is short now and then.
const ROOMS: [Room; 8] =
    [Room::Runs, Room::Runs, Room::Runs, Room::Runs, Room::Runs, Room::Runs, Room::Events, Room::Nothing];
