//! The floor: a bare loop on mio that fakes the part of the Workflows API that the bench uses, without any engine. Its
//! cost is that of the machine, HTTP and JSON. `floor PORT`.
//!
//! One thread owns all sockets; the runs of a turn go to one worker thread as one batch and return as one. Events of a
//! stream are generated as the socket takes them, in large chunks. Nothing is checked: only the bench's own requests
//! work.

use std::{
    collections::HashMap,
    env,
    io::{ErrorKind, Read, Write},
    sync::Arc,
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use serde::{Deserialize, Serialize};

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// The approximate size of a stream's chunk.
const CHUNK_BYTES: usize = 64 * 1024;

const DATE: &str = "Mon, 01 Jan 2025 00:00:00 GMT";
const TIME: &str = "2025-01-01T00:00:00.000000+00:00";

#[derive(Deserialize)]
struct RunBody {
    #[serde(default)]
    start_event: Start,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Start {
    message: String,
    count: u64,
}

#[derive(Serialize)]
struct Envelope<'a, V> {
    value: V,
    qualified_name: &'a str,
    r#type: &'a str,
    types: Option<&'a [&'a str]>,
}

#[derive(Serialize)]
struct StopValue<'a> {
    result: &'a str,
}

#[derive(Serialize)]
struct StreamValue<'a> {
    message: &'a str,
    sequence: u64,
}

/// With the member names of the API.
#[derive(Serialize)]
#[allow(clippy::struct_field_names)]
struct Handler<'a> {
    handler_id: &'a str,
    workflow_name: &'a str,
    run_id: &'a str,
    error: Option<&'a str>,
    result: Option<&'a str>,
    status: &'a str,
    started_at: &'a str,
    updated_at: &'a str,
    completed_at: Option<&'a str>,
}

/// A run of `echo` for the worker; its result comes back in the same form.
struct Job {
    connection: usize,
    text: String,
}

struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    phase: Phase,
}

/// The state of a connection.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Idle,
    /// The worker has its run.
    Running,
    Streaming {
        next: u64,
        count: u64,
    },
    /// Its stream waits for an answer.
    Waiting,
}

/// A run that was started and whose events were not requested yet.
enum Started {
    Streaming { count: u64 },
    Interactive,
}

struct Floor {
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    started: HashMap<String, Started>,
    readers: HashMap<String, usize>,
    ids: u64,
    jobs: Vec<Job>,
    scratch: Vec<u8>,
}

fn main() {
    let port: u16 = env::args().nth(1).and_then(|port| port.parse().ok()).expect("floor PORT");
    let mut poll = Poll::new().expect("a poll");
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into()).expect("the port is free");
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("a listener");
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).expect("a waker"));
    let (jobs, taken) = unbounded::<Vec<Job>>();
    let (done, results) = unbounded::<Vec<Job>>();
    thread::spawn(move || work(&taken, &done, &waker));
    let mut floor = Floor {
        connections: Vec::new(),
        free: Vec::new(),
        started: HashMap::new(),
        readers: HashMap::new(),
        ids: 0,
        jobs: Vec::new(),
        scratch: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            continue;
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener, &poll),
                WAKER => results.try_iter().flatten().for_each(|result| floor.finish(&result)),
                Token(token) => floor.serve(token, event.is_readable(), &mut buffer),
            }
        }
        if !floor.jobs.is_empty() {
            jobs.send(std::mem::take(&mut floor.jobs)).expect("the worker lives");
        }
    }
}

fn work(taken: &Receiver<Vec<Job>>, done: &Sender<Vec<Job>>, waker: &Waker) {
    for jobs in taken {
        let run = |job: Job| Job { text: format!("processed: {}", job.text), ..job };
        done.send(jobs.into_iter().map(run).collect()).expect("the loop lives");
        waker.wake().expect("the loop lives");
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) {
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.set_nodelay(true);
            let token = self.free.pop().unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut socket, Token(token), interest).expect("a socket");
            let connection =
                Connection { socket, input: Vec::new(), output: Vec::new(), written: 0, phase: Phase::Idle };
            if token == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[token] = Some(connection);
        }
    }

    fn serve(&mut self, token: usize, is_readable: bool, buffer: &mut [u8]) {
        let Some(mut connection) = self.connections[token].take() else { return };
        let input_bytes = connection.input.len();
        if is_readable && !connection.read(buffer) {
            self.free.push(token);
            return;
        }
        if connection.input.len() > input_bytes {
            self.requests(token, &mut connection);
        }
        connection.pump(&mut self.scratch);
        self.connections[token] = Some(connection);
    }

    fn requests(&mut self, token: usize, connection: &mut Connection) {
        let input = std::mem::take(&mut connection.input);
        let mut taken = 0;
        while connection.phase == Phase::Idle && taken < input.len() {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut fields);
            let rest = &input[taken..];
            let Ok(httparse::Status::Complete(head_bytes)) = request.parse(rest) else { break };
            let length = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok()).unwrap_or(0);
            let Some(body) = rest.get(head_bytes..head_bytes + length) else { break };
            let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
            self.request(token, connection, (method, path), body);
            taken += head_bytes + length;
        }
        connection.input = input;
        connection.input.drain(..taken);
        if connection.input.is_empty() && connection.phase != Phase::Idle && connection.phase != Phase::Running {
            connection.input = Vec::new();
        }
    }

    fn request(&mut self, token: usize, connection: &mut Connection, (method, path): (&str, &str), body: &[u8]) {
        let output = &mut connection.output;
        match (method, path) {
            ("GET", "/health") => reply(output, br#"{"status":"healthy"}"#),
            ("POST", "/workflows/echo/run") => {
                let body: RunBody = serde_json::from_slice(body).expect("the bench's body");
                self.jobs.push(Job { connection: token, text: body.start_event.message });
                connection.phase = Phase::Running;
            }
            ("POST", "/workflows/streaming/run-nowait") => {
                let body: RunBody = serde_json::from_slice(body).expect("the bench's body");
                self.start(output, "streaming", Started::Streaming { count: body.start_event.count });
            }
            ("POST", "/workflows/interactive/run-nowait") => self.start(output, "interactive", Started::Interactive),
            ("GET", path) => {
                let id = path.trim_start_matches("/events/").split('?').next().unwrap_or_default();
                connection.phase = match self.started.remove(id).expect("a run of this server") {
                    Started::Streaming { count } => Phase::Streaming { next: 0, count },
                    Started::Interactive => {
                        self.readers.insert(id.to_owned(), token);
                        Phase::Waiting
                    }
                };
                output.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
                output.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                if connection.phase == Phase::Waiting {
                    let value = serde_json::json!({"message": "ping"});
                    self.scratch.clear();
                    event(&mut self.scratch, value, "RequestedExternalEvent", Some(&["InputRequiredEvent"]));
                    chunk(output, &self.scratch);
                }
            }
            _ => output.extend_from_slice(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        }
    }

    fn start(&mut self, output: &mut Vec<u8>, workflow: &str, started: Started) {
        let id = self.new_id();
        self.handler(output, &id, workflow, None);
        self.started.insert(id, started);
    }

    /// Writes the reply to a run that has ended.
    fn finish(&mut self, result: &Job) {
        let Some(mut connection) = self.connections[result.connection].take() else { return };
        let id = self.new_id();
        connection.phase = Phase::Idle;
        self.handler(&mut connection.output, &id, "echo", Some(&result.text));
        connection.pump(&mut self.scratch);
        self.connections[result.connection] = Some(connection);
    }

    fn handler(&mut self, output: &mut Vec<u8>, handler_id: &str, workflow_name: &str, result: Option<&str>) {
        let run_id = self.new_id();
        let handler = Handler {
            handler_id,
            workflow_name,
            run_id: &run_id,
            error: None,
            result,
            status: if result.is_some() { "completed" } else { "running" },
            started_at: TIME,
            updated_at: TIME,
            completed_at: result.map(|_| TIME),
        };
        self.scratch.clear();
        serde_json::to_writer(&mut self.scratch, &handler).expect("a handler");
        reply(output, &self.scratch);
    }

    /// Returns ten characters, computed as cheaply as possible.
    fn new_id(&mut self) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        self.ids += 1;
        let mut bits = self.ids.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (0..10).map(|place| char::from(LETTERS[(bits >> (6 * place)) as usize % 64])).collect()
    }
}

impl Connection {
    /// Reads what has arrived. Returns `false` if the client has gone.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        return true;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes, and continues its stream, until the socket is full or there is nothing more.
    fn pump(&mut self, scratch: &mut Vec<u8>) {
        loop {
            while self.written < self.output.len() {
                match self.socket.write(&self.output[self.written..]) {
                    Ok(written) => self.written += written,
                    Err(_) => return,
                }
            }
            self.output.clear();
            self.written = 0;
            match &mut self.phase {
                Phase::Streaming { next, count } => {
                    scratch.clear();
                    while scratch.len() < CHUNK_BYTES && next < count {
                        let message = format!("event_{next}");
                        event(scratch, StreamValue { message: &message, sequence: *next }, "StreamEvent", None);
                        *next += 1;
                    }
                    let is_last = next == count;
                    if is_last {
                        event(scratch, StopValue { result: "completed" }, "StopEvent", None);
                    }
                    chunk(&mut self.output, scratch);
                    if is_last {
                        chunk(&mut self.output, b"");
                        self.phase = Phase::Idle;
                    }
                }
                Phase::Waiting => {
                    self.output = Vec::new();
                    return;
                }
                Phase::Idle | Phase::Running => return,
            }
        }
    }
}

fn reply(output: &mut Vec<u8>, body: &[u8]) {
    let length = body.len();
    let _ = write!(
        output,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: {DATE}\r\ncontent-length: {length}\r\n\r\n"
    );
    output.extend_from_slice(body);
}

fn event(output: &mut Vec<u8>, value: impl Serialize, name: &str, types: Option<&[&str]>) {
    output.extend_from_slice(b"data: ");
    let envelope = Envelope { value, qualified_name: name, r#type: name, types };
    serde_json::to_writer(&mut *output, &envelope).expect("an event");
    output.extend_from_slice(b"\n\n");
}

fn chunk(output: &mut Vec<u8>, data: &[u8]) {
    let _ = write!(output, "{:x}\r\n", data.len());
    output.extend_from_slice(data);
    output.extend_from_slice(b"\r\n");
}
