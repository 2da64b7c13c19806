//! The calls on a real scheduler, whose passes the tests end themselves.

mod lists;
mod requests;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    account::Room,
    api::{Catalog, Cursor, Follow, fixtures},
    awaited::Awaited,
    engine::{
        channel::ReaderId,
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::{Capacity, Lane, SchedulerLimits},
        storage::Recall,
    },
    http::{Field, Method},
    json::Json,
    now::Now,
    pass::{Done, PassEnd, StateUse},
};

const NOW: Now = Now { wall_us: 1_795_533_581_245_592, alive_us: 0 };

/// A scheduler with workflow `w` of the fixtures.
struct World {
    scheduler: Scheduler,
    catalog: Catalog,
    drawn: u8,
}

impl World {
    fn new() -> Self {
        Self::with_runs_max(10)
    }

    fn with_runs_max(runs_max: usize) -> Self {
        let graphs = vec![fixtures::graph(true)];
        let catalog = Catalog::new(&graphs, 1);
        let limits = SchedulerLimits {
            runs_max,
            keep_finished: 10,
            keep_for: None,
            finished_bytes_max: usize::MAX,
            idle_after: std::time::Duration::MAX,
            ..SchedulerLimits::default()
        };
        Self { scheduler: Scheduler::new(graphs, limits, Recall::Feeds, 0), catalog, drawn: 0 }
    }

    fn send(&mut self, method: Method, target: &str, body: &str, headers: &[(Field, &str)]) -> Reply {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut fields = [None; 7];
        for (field, value) in headers {
            fields[*field as usize] = Some(value.as_bytes());
        }
        let body = body.as_bytes();
        let request = Request { method, http10: false, path, query, cross_site: false, fields: &fields, body };
        let drawn = &mut self.drawn;
        let mut ids = || {
            *drawn += 1;
            Uuid::from_u128(u128::from(*drawn))
        };
        let (scheduler, catalog) = (&mut self.scheduler, &self.catalog);
        let (is_read, room, callers_full) = (false, Room::Runs, false);
        let mut context =
            Context { scheduler, catalog, now: NOW, ids: &mut ids, is_read, parsed: None, room, callers_full };
        let reply = call(&request, &mut context);
        self.settle();
        reply
    }

    /// Makes a request. Returns the status and body of its reply, after a commit if it waits for one.
    #[track_caller]
    fn ask(&mut self, method: Method, target: &str, body: &str) -> (u16, String) {
        match self.send(method, target, body, &[]) {
            Reply::Now(response) | Reply::Later(Awaited::Commit(_, response)) => text(&response),
            reply => panic!("{target} {body}: {reply:?}"),
        }
    }

    #[track_caller]
    fn get(&mut self, target: &str) -> (u16, String) {
        self.ask(Method::Get, target, "")
    }

    #[track_caller]
    fn get_json(&mut self, target: &str) -> (u16, Value) {
        let (status, body) = self.get(target);
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
    }

    #[track_caller]
    fn check_post(&mut self, target: &str, body: &str, status: u16, starts: &str) {
        let (actual_status, text) = self.ask(Method::Post, target, body);
        assert!(actual_status == status && text.starts_with(starts), "{target} {body}: {actual_status} {text}");
    }

    #[track_caller]
    fn follow(&mut self, target: &str, headers: &[(Field, &str)]) -> Follow {
        match self.send(Method::Get, target, "", headers) {
            Reply::Follow(follow) => follow,
            reply => panic!("{target}: {reply:?}"),
        }
    }

    /// Starts a run and returns its handler's id.
    #[track_caller]
    fn start(&mut self, body: &str) -> String {
        let (status, body) = self.ask(Method::Post, "/workflows/w/run-nowait", body);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["handler_id"].as_str().unwrap().to_owned()
    }

    /// Commits all changes.
    fn settle(&mut self) {
        while let Some(batch) = self.scheduler.seal() {
            self.scheduler.handle_committed(batch.number);
        }
    }

    fn end_pass(&mut self, end: PassEnd) {
        let pass = self.scheduler.poll_pass(NOW, Lane(0), Capacity::UNBOUNDED).expect("a pass is ready");
        let state = StateUse { version: pass.input.state.version, ..StateUse::default() };
        self.scheduler.handle_done(pass.tag, Done { end, sent: Vec::new(), state }, NOW);
        self.settle();
    }

    /// Ends the only pass that is ready with this event.
    fn return_event(&mut self, name: &str, value: &str) {
        let event = self.scheduler.graph(WorkflowId(0)).event_id(name).unwrap();
        self.end_pass(PassEnd::Returned(vec![(event, Json::parse(value).unwrap())]));
    }

    /// Completes the only run with this result.
    fn complete(&mut self, result: &str) {
        self.return_event("Work", "{\"text\":\"\"}");
        self.return_event("StopEvent", &format!("{{\"result\":{result}}}"));
    }

    fn fail(&mut self, error: &str) {
        self.end_pass(PassEnd::Failed { error: error.to_owned(), retry: false });
    }

    fn key(&self, id: &str) -> HandlerKey {
        self.scheduler.find(id).unwrap()
    }

    fn ended(&self, id: &str) -> (u16, String) {
        text(&run_ended(self.scheduler.view(self.key(id)), ErrorFormat::Text))
    }
}

fn text(response: &Response) -> (u16, String) {
    (response.status, String::from_utf8(response.body.clone()).unwrap())
}

fn plain(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

#[test]
fn workflows_are_described() {
    let mut world = World::new();
    assert_eq!(world.get("/health"), plain(200, "{\"status\":\"healthy\"}"));
    assert_eq!(world.get("/workflows"), plain(200, "{\"workflows\":[\"w\"]}"));
    let (status, schema) = world.get_json("/workflows/w/schema");
    assert_eq!(
        (status, &schema["start"]["title"], &schema["stop"]["title"]),
        (200, &json!("StartEvent"), &json!("StopEvent"))
    );
    let (_, events) = world.get_json("/workflows/w/events");
    let titles: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Answer", "Question", "StartEvent", "StopEvent", "Tick", "Token", "Work"]);
    let opened = |event: &serde_json::Value| event["x-steprill-external"] == json!(true);
    let opened: Vec<bool> = events["events"].as_array().unwrap().iter().map(opened).collect();
    assert_eq!(opened, titles.iter().map(|title| *title == "Tick").collect::<Vec<_>>());
    assert_eq!(world.get_json("/workflows/w/representation").1["graph"]["name"], "w");
    for what in ["schema", "events", "representation"] {
        assert_eq!(world.get(&format!("/workflows/x/{what}")), plain(404, "Workflow not found"));
    }
}

#[test]
fn wrong_paths_and_methods_are_refused_in_the_form_that_accept_names() {
    let mut world = World::new();
    assert_eq!(world.get("/nope"), plain(404, "Not Found"));
    let Reply::Now(response) = world.send(Method::Other, "/health", "", &[(Field::Accept, "application/json")]) else {
        panic!("a reply")
    };
    assert_eq!(text(&response), plain(405, "{\"detail\":\"Method Not Allowed\"}"));
    assert_eq!(response.headers, [("Allow", "GET, HEAD, OPTIONS".to_owned())]);
    let Reply::Now(response) = world.send(Method::Options, "/events/x", "", &[]) else { panic!("a reply") };
    assert_eq!((response.status, response.content_type), (204, None));
    assert_eq!(response.headers, [("Allow", "GET, HEAD, POST, OPTIONS".to_owned())]);
    let preflight = [(Field::Origin, "http://localhost"), (Field::AccessControlRequestMethod, "POST")];
    let Reply::Now(response) = world.send(Method::Options, "/events/x", "", &preflight) else { panic!("a reply") };
    assert_eq!(response.status, 200);
    let Reply::Now(response) = world.send(Method::Options, "/nope", "", &preflight) else { panic!("a reply") };
    assert_eq!(response.status, 200, "so that the page may read the 404 itself");
    assert_eq!(world.ask(Method::Options, "/nope", ""), plain(404, "Not Found"));
}

#[test]
fn a_run_is_checked_in_order_and_nothing_is_created_before_all_checks_pass() {
    let mut world = World::new();
    let running = world.start("{\"handler_id\":\"taken\",\"context\":{\"version\":1}}");
    assert_eq!(running, "taken");
    let bad_context = "\"context\":{\"state\":{\"state_data\":{\"_data\":{\"k\":\"x\"}}}}";
    let bad_start = "\"start_event\":{\"text\":5}";
    for call in ["run", "run-nowait"] {
        let target = format!("/workflows/w/{call}");
        let unparsed = if call == "run" { 500 } else { 400 };
        for body in ["{", "[]", "{\"context\":[],\"handler_id\":5}"] {
            world.check_post(&target, body, unparsed, "Error processing request body: ");
            world.check_post(&format!("/workflows/x/{call}"), body, 404, "Workflow not found");
        }
        for (body, status, starts) in [
            (format!("{{\"handler_id\":\"a b\",{bad_context},{bad_start}}}"), 400, "Invalid handler_id: "),
            (format!("{{\"handler_id\":\"nobody\",{bad_start}}}"), 404, "Handler not found"),
            (format!("{{\"handler_id\":\"taken\",{bad_start}}}"), 409, "Handler is still running"),
            (format!("{{\"handler_id\":\"taken\",{bad_context},{bad_start}}}"), 409, "Handler is still running"),
            (format!("{{{bad_context},{bad_start}}}"), 400, "Invalid context: state key k: "),
            (
                format!("{{{bad_start}}}"),
                400,
                "Validation error for 'start_event': field text: expected string, got number",
            ),
        ] {
            world.check_post(&target, &body, status, starts);
        }
    }
    assert_eq!(world.scheduler.next_handler(Some(world.key("taken"))), None);
}

#[test]
fn a_run_is_described_at_every_stage() {
    let mut world = World::new();
    let running = "{\"handler_id\":\"BDXwPuW4go\",\"workflow_name\":\"w\",\
                   \"run_id\":\"00000000-0000-0000-0000-000000000001\",\"error\":null,\"result\":null,\
                   \"status\":\"running\",\"started_at\":\"2026-11-24T15:19:41.245592+00:00\",\
                   \"updated_at\":\"2026-11-24T15:19:41.245592+00:00\",\"completed_at\":null}";
    let reply = world.send(Method::Post, "/workflows/w/run-nowait", "", &[]);
    let Reply::Later(Awaited::Commit(_, response)) = reply else { panic!("{reply:?}") };
    assert_eq!(text(&response), plain(200, running));
    assert_eq!(world.get("/results/BDXwPuW4go"), plain(202, running));
    assert_eq!(world.get("/handlers/BDXwPuW4go"), plain(202, running));
    assert_eq!(world.get("/results/nobody"), plain(404, "Handler not found"));
    assert_eq!(world.get("/handlers/nobody"), plain(404, "Handler not found"));

    world.complete("[1]");
    let completed = running
        .replace("\"result\":null,\"status\":\"running\"", "\"result\":[1],\"status\":\"completed\"")
        .replace("\"completed_at\":null", "\"completed_at\":\"2026-11-24T15:19:41.245592+00:00\"");
    assert_eq!(world.get("/results/BDXwPuW4go"), plain(200, &completed));
    assert_eq!(world.ended("BDXwPuW4go"), plain(200, &completed));
    let (status, handler) = world.get_json("/handlers/BDXwPuW4go");
    assert_eq!(
        (status, &handler["result"]["type"], &handler["result"]["value"]),
        (200, &json!("StopEvent"), &json!({"result": [1]}))
    );

    let reply = world.send(Method::Post, "/workflows/w/run", "{\"start_event\":{\"a\":1}}", &[]);
    let Reply::Later(Awaited::End(key)) = reply else { panic!("{reply:?}") };
    let id = world.scheduler.view(key).unwrap().id.to_owned();
    world.fail("no luck");
    assert_eq!(world.ended(&id), plain(500, "Error running workflow: no luck"));
    assert_eq!(world.get(&format!("/results/{id}")), plain(500, "Error getting workflow result: no luck"));
    let (status, handler) = world.get_json(&format!("/handlers/{id}"));
    assert_eq!((status, &handler["status"], &handler["error"]), (500, &json!("failed"), &json!("no luck")));
}

#[test]
fn a_cancelled_handler_is_shown_but_has_no_result() {
    let mut world = World::new();
    let id = world.start("");
    let cancel = format!("/handlers/{id}/cancel");
    world.check_post("/handlers/nobody/cancel", "", 404, "Handler not found");
    world.check_post("/handlers/nobody/cancel?purge=true", "", 404, "Handler not found");
    world.check_post(&cancel, "", 200, "{\"status\":\"cancelled\"}");
    assert_eq!(world.ended(&id), plain(500, "Error running workflow: Workflow was cancelled"));
    assert_eq!(world.get(&format!("/results/{id}")), plain(404, "Handler not found"));
    world.check_post(&format!("/events/{id}"), "{\"event\":{\"type\":\"Token\"}}", 404, "Handler not found");
    let (status, handler) = world.get_json(&format!("/handlers/{id}"));
    assert_eq!((status, &handler["status"], &handler["result"]), (500, &json!("cancelled"), &Value::Null));
    assert!(handler["completed_at"].is_string());
    world.check_post(&cancel, "", 404, "Handler not found: it has already been cancelled");
    world.check_post(&format!("{cancel}?purge=TRUE"), "", 200, "{\"status\":\"deleted\"}");
    assert_eq!(world.get(&format!("/handlers/{id}")), plain(404, "Handler not found"));
    assert_eq!(text(&run_ended(None, ErrorFormat::Text)), plain(500, "Error running workflow: Workflow was cancelled"));

    let id = world.start("");
    world.complete("1");
    world.check_post(&format!("/handlers/{id}/cancel"), "", 404, "Handler not found: it has already completed");
    assert_eq!(world.get(&format!("/results/{id}")).0, 200);
    let id = world.start("");
    world.check_post(&format!("/handlers/{id}/cancel?purge=true"), "", 200, "{\"status\":\"deleted\"}");
}

#[test]
fn a_handler_is_continued_only_if_it_completed() {
    let mut world = World::new();
    let id = world.start("");
    world.complete("1");
    let continued = format!("{{\"handler_id\":\"{id}\"}}");
    let (status, body) = world.ask(Method::Post, "/workflows/w/run-nowait", &continued);
    let handler: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &handler["handler_id"], &handler["status"]), (200, &json!(id), &json!("running")));
    assert_eq!(handler["run_id"], "00000000-0000-0000-0000-000000000002");
    world.fail("no luck");
    world.check_post("/workflows/w/run", &continued, 404, "Handler not found: it has already failed");
    let with_context = format!("{{\"handler_id\":\"{id}\",\"context\":{{\"version\":1}}}}");
    assert_eq!(world.start(&with_context), id);
}

#[test]
fn a_run_too_many_gets_503_and_retry_after() {
    let mut world = World::with_runs_max(1);
    world.start("");
    for call in ["run", "run-nowait"] {
        let reply = world.send(Method::Post, &format!("/workflows/w/{call}"), "", &[]);
        let Reply::Now(response) = reply else { panic!("{reply:?}") };
        assert_eq!((response.status, response.headers[0].0), (503, "Retry-After"));
    }
}

#[test]
fn a_stream_is_checked_in_order() {
    let mut world = World::new();
    let id = world.start("");
    let target = format!("/events/{id}");
    let bad_timeout = plain(400, "Invalid acquire_timeout: 'abc'");
    assert_eq!(world.get("/events/nobody?acquire_timeout=abc"), bad_timeout);
    assert_eq!(world.get("/events/nobody?acquire_timeout=1"), plain(404, "Handler not found"));
    assert_eq!(world.get("/events/nobody?after_sequence=x").0, 400);

    let run = RunKey { handler: world.key(&id), run: 0 };
    let cursor = Cursor::Queue { acquire_timeout: std::time::Duration::from_secs(1), acquire_timeout_s: 1.0 };
    let follow = Follow {
        run,
        workflow: WorkflowId(0),
        cursor,
        sse: true,
        include_internal: false,
        include_qualified_name: true,
        numbered: false,
        head_only: false,
    };
    assert_eq!(world.follow(&target, &[]), follow);
    let all = format!("{target}?sse=false&include_internal=true&include_qualified_name=false&after_sequence=-1");
    let log = Follow {
        cursor: Cursor::Log { from: 0 },
        sse: false,
        include_internal: true,
        include_qualified_name: false,
        numbered: true,
        ..follow.clone()
    };
    assert_eq!(world.follow(&all, &[]), log);
    let Reply::Follow(head) = world.send(Method::Head, &target, "", &[]) else { panic!("a stream") };
    assert_eq!(head, Follow { head_only: true, ..follow });

    world.complete("1");
    let end = world.scheduler.feed_range(run.handler).unwrap().end;
    assert_eq!(world.follow(&target, &[(Field::LastEventId, "0")]).cursor, Cursor::Log { from: 1 });
    for used_up in [format!("{target}?after_sequence={}", end - 1), format!("{target}?after_sequence=now")] {
        assert_eq!(world.get(&used_up), plain(204, ""));
    }
    let reader = ReaderId(1);
    assert_eq!(world.scheduler.acquire(run, reader), Some(true));
    world.scheduler.handle_taken(run, end);
    world.scheduler.leave(run, reader);
    assert_eq!(world.get(&target), plain(204, ""));
    assert_eq!(world.ask(Method::Head, &target, ""), plain(204, ""));
    assert_eq!(world.get(&format!("{target}?acquire_timeout=abc")), bad_timeout);
    assert_eq!(world.follow(&all, &[]), log);
}

#[test]
fn a_posted_event_is_checked_in_order() {
    let mut world = World::new();
    let id = world.start("");
    let target = format!("/events/{id}");
    world.check_post("/events/nobody", "{", 404, "Handler not found");
    let answer = "\"event\":{\"type\":\"Answer\",\"value\":{\"text\":\"a\"}}";
    let sent = "{\"status\":\"sent\"}";
    for (body, status, starts) in [
        ("{".to_owned(), 400, "Error processing request body: "),
        ("{\"step\":\"nope\"}".to_owned(), 400, "Event data is required"),
        ("{\"event\":{\"type\":\"Nope\"},\"step\":\"nope\"}".to_owned(), 400, "Unknown event type: Nope; "),
        (
            "{\"event\":{\"type\":\"Answer\"},\"step\":\"nope\"}".to_owned(),
            400,
            "Failed to deserialize event: Answer: ",
        ),
        (format!("{{{answer},\"step\":5}}"), 400, "Invalid step: expected a string, got a number"),
        (format!("{{{answer},\"step\":\"nope\"}}"), 400, "Failed to send event: Step nope does not exist"),
        (format!("{{{answer},\"step\":\"finish\"}}"), 400, "Failed to send event: Step finish does not accept Answer"),
        (format!("{{{answer},\"step\":\"ask\"}}"), 200, sent),
        (format!("{{{answer}}}"), 200, sent),
        (
            "{\"event\":{\"type\":\"Token\"}}".to_owned(),
            400,
            "Failed to send event: Token may not be sent from outside; ",
        ),
        (
            "{\"event\":{\"type\":\"StopEvent\"},\"step\":\"nope\"}".to_owned(),
            400,
            "Failed to send event: StopEvent may",
        ),
        (format!("{{{answer},\"in_reply_to\":\"0\"}}"), 400, "Invalid in_reply_to: expected the number of an event"),
        (format!("{{{answer},\"in_reply_to\":0}}"), 409, "Question 0 does not wait for this Answer now; no question"),
    ] {
        world.check_post(&target, &body, status, starts);
    }
    assert_eq!(world.get(&format!("/results/{id}")).0, 202, "a stop event from outside ends nothing");
    for _ in 2..16 {
        world.check_post(&target, &format!("{{{answer}}}"), 200, sent);
    }
    world.check_post(&target, &format!("{{{answer}}}"), 409, "The run keeps 16 answers");
    world.complete("1");
    world.check_post(&target, "{", 409, "Workflow already completed");
}
