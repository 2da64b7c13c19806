//! A server inside the test.

use std::{
    net::TcpStream,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use steprill::{Config, Server, Stopper, Workflow};

use crate::support::{Connection, Response};

/// A server of these workflows. Stopped on drop.
#[derive(Debug)]
pub(crate) struct Served {
    host: String,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn start(workflows: impl IntoIterator<Item = Workflow>) -> Self {
        Self::with(workflows, |_| {})
    }

    pub(crate) fn with(workflows: impl IntoIterator<Item = Workflow>, change: impl FnOnce(&mut Config)) -> Self {
        let server = workflows.into_iter().fold(Server::new(), Server::add);
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let mut config = Config { listen, grace: Duration::ZERO, ..Config::default() };
        change(&mut config);
        let (bound_to, bound) = mpsc::channel();
        let thread = thread::spawn(move || {
            let server = server.bind(&config).expect("a port is free");
            let _ = bound_to.send((server.addresses().remove(0), server.stopper()));
            server.serve().expect("the loop does not fail");
        });
        let (address, stopper) = bound.recv().expect("it is bound");
        let host = address.strip_prefix("http://").expect("TCP").to_owned();
        Self { host, stopper, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::tcp(TcpStream::connect(&self.host).expect("the port is open"), &self.host)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.connect().request("GET", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        let headers = [("Content-Type", "application/json")];
        self.connect().request("POST", path, &headers, Some(body.to_string().as_bytes()))
    }

    /// Starts a run and waits for its end.
    pub(crate) fn run(&self, workflow: &str, start: &Value) -> Response {
        self.post(&format!("/workflows/{workflow}/run"), &json!({ "start_event": start }))
    }

    /// Starts a run. Returns its handler id.
    #[track_caller]
    pub(crate) fn begin(&self, workflow: &str, start: &Value) -> String {
        let response = self.post(&format!("/workflows/{workflow}/run-nowait"), &json!({ "start_event": start }));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["handler_id"].as_str().expect("a handler id").to_owned()
    }

    /// Posts an event to a run.
    pub(crate) fn send(&self, handler: &str, name: &str, value: &Value) -> Response {
        let event = json!({ "type": name, "value": value });
        self.post(&format!("/events/{handler}"), &json!({ "event": event }))
    }

    pub(crate) fn cancel(&self, handler: &str) -> Response {
        self.post(&format!("/handlers/{handler}/cancel"), &json!({}))
    }

    /// Reads the feed from its beginning while the run continues.
    pub(crate) fn follow(&self, handler: &str) -> Connection {
        let mut connection = self.connect();
        let path = format!("/events/{handler}?sse=false&include_internal=true&after_sequence=-1");
        connection.send("GET", &path, &[], None);
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?}");
        connection
    }

    /// Returns all events of a run once it has ended.
    pub(crate) fn feed(&self, handler: &str) -> Vec<Value> {
        let mut connection = self.follow(handler);
        std::iter::from_fn(|| connection.event()).collect()
    }

    /// Returns the handler once its run has ended.
    #[track_caller]
    pub(crate) fn ended(&self, handler: &str) -> Value {
        self.feed(handler);
        self.get(&format!("/handlers/{handler}")).json()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server has panicked");
        }
    }
}

/// Returns the values of the events of this type, in order.
pub(crate) fn values<'a>(feed: &'a [Value], name: &str) -> Vec<&'a Value> {
    feed.iter().filter(|event| event["type"] == name).map(|event| &event["value"]).collect()
}

#[test]
fn a_connection_that_reads_a_long_list_may_read_events_next() {
    use super::{build, done, workflow};
    use steprill::{StartEvent, event};

    event! { struct Given: HumanResponse {} }
    let server = Served::start([build(
        workflow("w")
            .step("begin", |_, start: StartEvent| Ok((!start.get_or("waits", false)?).then(|| done(1))))
            .step("end", |_, _: Given| Ok(done(2))),
    )]);
    let waiting = server.begin("w", &json!({ "waits": true }));
    let mut starting = server.connect();
    for _ in 0..900 {
        let body = json!({ "start_event": { "pad": "x" } }).to_string();
        assert_eq!(starting.request("POST", "/workflows/w/run", &[], Some(body.as_bytes())).status, 200);
    }
    let mut connection = server.connect();
    connection.send("GET", "/handlers", &[], None);
    connection.send("GET", &format!("/events/{waiting}?sse=false"), &[], None);
    assert_eq!(connection.head().status, 200);
    assert!(connection.rest().len() > 100_000);
    assert_eq!(connection.head().status, 200);
    assert_eq!(server.send(&waiting, "Given", &json!({})).status, 200);
    assert_eq!(connection.event_of("StopEvent")["value"]["result"], 2);
    assert_eq!(connection.event(), None);
}

#[test]
fn stopping_answers_waiting_clients_and_finishes_a_reply_in_progress() {
    use super::{Gate, build, done, workflow};
    use steprill::StartEvent;

    let gate = std::sync::Arc::new(Gate::default());
    let held = std::sync::Arc::clone(&gate);
    let server = Served::with(
        [build(workflow("w").step("w", move |_, _: StartEvent| {
            held.pass();
            Ok(done(1))
        }))],
        |config| config.grace = crate::support::PATIENCE,
    );
    let mut waiting = server.connect();
    waiting.send("POST", "/workflows/w/run", &[], Some(b"{}"));
    gate.await_comers(1);
    let handler = server.get("/handlers").json()["handlers"][0]["handler_id"].as_str().unwrap().to_owned();
    let mut reader = server.follow(&handler);
    server.stopper.stop();
    let told = waiting.head();
    assert_eq!(told.status, 503);
    assert_eq!((told.header("location"), told.header("retry-after")), (None, None), "in memory the run ends, too");
    assert!(reader.breaks_off(), "a client that follows learns that it is to come back");
    gate.open();
    drop(server);
}
