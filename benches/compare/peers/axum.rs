//! A server as a Rust user would write it by hand: the part of the Workflows API that the bench uses, faked on axum and
//! tokio, with one worker thread behind a bounded channel. `axum-peer PORT`.

use std::{
    cmp::Ordering,
    collections::HashMap,
    convert::Infallible,
    env,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use uuid::Uuid;

/// Jobs that wait for the worker.
const JOBS_MAX: usize = 8192;

/// Events that wait for their reader.
const EVENTS_MAX: usize = 64;

#[derive(Deserialize)]
struct RunBody {
    #[serde(default)]
    start_event: Value,
}

#[derive(Serialize)]
struct Envelope {
    value: Value,
    qualified_name: &'static str,
    r#type: &'static str,
    types: Option<Vec<&'static str>>,
}

/// With the member names of the API.
#[derive(Serialize)]
#[allow(clippy::struct_field_names)]
struct Handler {
    handler_id: String,
    workflow_name: String,
    run_id: String,
    error: Option<String>,
    result: Option<String>,
    status: &'static str,
    started_at: String,
    updated_at: String,
    completed_at: Option<String>,
}

enum Job {
    Run { start: Value, reply: oneshot::Sender<String> },
    Stream(Producer),
}

/// A stream in progress.
struct Producer {
    next: u64,
    count: u64,
    events: mpsc::Sender<Envelope>,
    /// An event for which there was no room.
    pending: Option<Envelope>,
}

/// The events of a run, and what keeps its stream open.
struct Run {
    events: mpsc::Receiver<Envelope>,
    open: Option<mpsc::Sender<Envelope>>,
}

#[derive(Clone)]
struct App {
    jobs: Sender<Job>,
    runs: Arc<Mutex<HashMap<String, Run>>>,
    /// The senders of streams that wait.
    waiting: Arc<Mutex<Vec<mpsc::Sender<Envelope>>>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port: u16 = env::args().nth(1).and_then(|port| port.parse().ok()).expect("axum-peer PORT");
    let (jobs, taken) = bounded(JOBS_MAX);
    thread::spawn(move || work(&taken));
    let routes = Router::new()
        .route("/health", get(async || Json(json!({"status": "healthy"}))))
        .route("/workflows/{name}/run", post(run))
        .route("/workflows/{name}/run-nowait", post(run_nowait))
        .route("/events/{id}", get(events))
        .with_state(App { jobs, runs: Arc::default(), waiting: Arc::default() });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let listener = axum::serve::ListenerExt::tap_io(listener, |socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, routes).await.expect("it serves");
}

async fn run(State(app): State<App>, Path(workflow_name): Path<String>, Json(body): Json<RunBody>) -> Response {
    let started_at = now();
    let (reply, result) = oneshot::channel();
    if app.jobs.try_send(Job::Run { start: body.start_event, reply }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let result = result.await.ok();
    let ended_at = now();
    let handler = Handler {
        handler_id: Uuid::new_v4().to_string(),
        workflow_name,
        run_id: Uuid::new_v4().to_string(),
        error: None,
        result,
        status: "completed",
        started_at,
        updated_at: ended_at.clone(),
        completed_at: Some(ended_at),
    };
    Json(handler).into_response()
}

async fn run_nowait(State(app): State<App>, Path(workflow_name): Path<String>, Json(body): Json<RunBody>) -> Response {
    let handler_id = Uuid::new_v4().to_string();
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let open = if workflow_name == "streaming" {
        let count = body.start_event["count"].as_u64().unwrap_or(3);
        let producer = Producer { next: 0, count, events: sender, pending: None };
        if app.jobs.try_send(Job::Stream(producer)).is_err() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        None
    } else {
        let _ = sender.try_send(Envelope {
            value: json!({"message": "ping"}),
            qualified_name: "app.RequestedExternalEvent",
            r#type: "RequestedExternalEvent",
            types: Some(vec!["InputRequiredEvent"]),
        });
        Some(sender)
    };
    app.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(handler_id.clone(), Run { events, open });
    let started_at = now();
    let handler = Handler {
        handler_id,
        workflow_name,
        run_id: Uuid::new_v4().to_string(),
        error: None,
        result: None,
        status: "running",
        updated_at: started_at.clone(),
        started_at,
        completed_at: None,
    };
    Json(handler).into_response()
}

async fn events(State(app): State<App>, Path(id): Path<String>) -> Response {
    let Some(run) = app.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    app.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(run.open);
    let events = ReceiverStream::new(run.events).map(|event| {
        let mut text = Vec::with_capacity(192);
        text.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut text, &event).expect("an event");
        text.extend_from_slice(b"\n\n");
        Ok::<_, Infallible>(Bytes::from(text))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

/// The worker. Advances all streams in turn, so that a slow reader of one does not block the others.
fn work(taken: &Receiver<Job>) {
    let mut producers: Vec<Producer> = Vec::new();
    loop {
        let job = if producers.is_empty() { taken.recv().ok() } else { taken.try_recv().ok() };
        match job {
            Some(Job::Run { start, reply }) => {
                let message = start["message"].as_str().unwrap_or("default");
                let _ = reply.send(format!("processed: {message}"));
            }
            Some(Job::Stream(producer)) => producers.push(producer),
            None if producers.is_empty() => return,
            None => {}
        }
        if producers.is_empty() {
            continue;
        }
        let mut has_progressed = false;
        producers.retain_mut(|producer| producer.advance(&mut has_progressed));
        if !has_progressed {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

impl Producer {
    /// Sends up to 64 events. Returns `false` at the end.
    fn advance(&mut self, has_progressed: &mut bool) -> bool {
        for _ in 0..64 {
            let Some(event) = self.pending.take().or_else(|| self.make()) else { return false };
            match self.events.try_send(event) {
                Ok(()) => *has_progressed = true,
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.pending = Some(event);
                    return true;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    fn make(&mut self) -> Option<Envelope> {
        let sequence = self.next;
        self.next += 1;
        let (value, qualified_name, r#type) = match sequence.cmp(&self.count) {
            Ordering::Less => {
                let value = json!({"message": format!("event_{sequence}"), "sequence": sequence});
                (value, "app.StreamEvent", "StreamEvent")
            }
            Ordering::Equal => {
                let value = json!({"result": format!("completed_{}_events", self.count)});
                (value, "workflows.events.StopEvent", "StopEvent")
            }
            Ordering::Greater => return None,
        };
        Some(Envelope { value, qualified_name, r#type, types: None })
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}
