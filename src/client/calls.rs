//! The calls of the Workflows API, and what their errors mean for people.

use std::{env, fmt::Write as _};

use serde_json::{Map, Value, json};
use steprill::limits::{CLIENT_BODY_BYTES_MAX, CLIENT_ERROR_BYTES_MAX, CLIENT_SILENCE_TIMEOUT};

use super::{
    arguments::Arguments,
    failure::{Exit, Failure, Result},
    http::{HttpError, Progress, Request, Response},
    link::ServerAddress,
    show,
};

/// A server, and the token that identifies the caller to it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    address: ServerAddress,
    token: Option<String>,
}

/// A reply that was read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) value: Value,
}

impl Client {
    /// Returns the client of the server that the arguments or the environment name.
    pub(super) fn of(arguments: &Arguments) -> Result<Self> {
        let address = ServerAddress::chosen(arguments.value("--server"))?;
        let token = env::var("STEPRILL_TOKEN").ok().filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Failure::usage("STEPRILL_TOKEN: expected printable ASCII without spaces"));
        }
        Ok(Self { address, token })
    }

    /// Sends a request and returns the reply with its head read.
    pub(super) fn open(&self, method: &str, path: &str, accept: &str, body: Option<&str>) -> Opened {
        Response::to(&self.address, &Request { method, path, accept, token: self.token.as_deref(), body })
    }

    /// Sends a request, and reads its reply, whatever its status.
    fn reply(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        let body = body.map(Value::to_string);
        let opened = self.open(method, path, "application/json", body.as_deref());
        let mut response = opened.map_err(|error| self.failure(&error))?;
        let bytes = self.body(&mut response)?;
        let value = serde_json::from_slice(&bytes);
        let value = match value {
            Ok(value) => value,
            // Errors may be plain text.
            Err(_) if response.status >= 400 => Value::from(String::from_utf8_lossy(&bytes)),
            Err(error) => {
                return Err(Failure::new(format!("{}: expected JSON, got something else: {error}", self.address)));
            }
        };
        Ok(Reply { status: response.status, value })
    }

    fn body(&self, response: &mut Response) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            match response.read(&mut bytes, CLIENT_SILENCE_TIMEOUT).map_err(|error| self.failure(&error))? {
                Progress::Bytes if bytes.len() <= CLIENT_BODY_BYTES_MAX => {}
                Progress::Bytes => {
                    return Err(Failure::new(format!(
                        "the reply has more than {CLIENT_BODY_BYTES_MAX} bytes; use curl"
                    )));
                }
                Progress::Ended => return Ok(bytes),
                Progress::Interrupted => return Err(Failure::interrupted()),
                Progress::Silent => return Err(self.failure(&HttpError::Lost("nothing came".to_owned()))),
            }
        }
    }

    /// Returns the JSON of a reply that is no error.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let reply = self.reply("GET", path, None)?;
        if reply.status < 400 { Ok(reply.value) } else { Err(refused(reply.status, &reply.value)) }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let reply = self.reply("POST", path, Some(body))?;
        if reply.status < 400 { Ok(reply.value) } else { Err(refused(reply.status, &reply.value)) }
    }

    /// Returns the handler. Its result is the stop event.
    pub(super) fn handler(&self, id: &str) -> Result<Value> {
        let reply = self.reply("GET", &format!("/handlers/{}", encoded(id)), None)?;
        // The status shows how the run has ended.
        let is_handler = reply.value.get("handler_id").is_some();
        if is_handler { Ok(reply.value) } else { Err(refused(reply.status, &reply.value)) }
    }

    /// Returns the schemas of the start and the stop event.
    pub(super) fn schema(&self, workflow: &str) -> Result<Value> {
        self.get(&format!("/workflows/{}/schema", encoded(workflow)))
    }

    /// Returns the schema of one of the workflow's events, if it has one.
    pub(super) fn event_schema(&self, workflow: &str, kind: &str) -> Result<Option<Value>> {
        let known = self.get(&format!("/workflows/{}/events", encoded(workflow)))?;
        let schemas = known["events"].as_array().into_iter().flatten();
        Ok(schemas.into_iter().find(|schema| schema["title"] == kind).cloned())
    }

    /// Returns the workflow's graph.
    pub(super) fn graph(&self, workflow: &str) -> Result<Value> {
        let mut reply = self.get(&format!("/workflows/{}/representation", encoded(workflow)))?;
        Ok(reply["graph"].take())
    }

    /// Starts a run and returns its handler.
    pub(super) fn start(&self, workflow: &str, fields: &Map<String, Value>) -> Result<Value> {
        let path = format!("/workflows/{}/run-nowait", encoded(workflow));
        let reply = self.reply("POST", &path, Some(&json!({"start_event": fields})))?;
        match reply.status {
            0..400 => Ok(reply.value),
            // The start event does not fit: as a wrong option does not.
            400 => Err(Failure { exit: Exit::Usage, ..refused(400, &reply.value) }),
            status => Err(refused(status, &reply.value)),
        }
    }

    /// Sends an event to a run: to the question of that number, if one is named.
    pub(super) fn send(
        &self,
        id: &str,
        kind: &str,
        fields: &Map<String, Value>,
        rest: Destination<'_>,
    ) -> Result<Value> {
        let mut body = json!({"event": {"type": kind, "value": fields}});
        if let Some(number) = rest.in_reply_to {
            body["in_reply_to"] = Value::from(number);
        }
        if let Some(step) = rest.step {
            body["step"] = Value::from(step);
        }
        self.post(&format!("/events/{}", encoded(id)), &body)
    }

    pub(super) fn cancel(&self, id: &str, is_purge: bool) -> Result<Value> {
        self.post(&format!("/handlers/{}/cancel?purge={is_purge}", encoded(id)), &json!({}))
    }

    /// Describes why there is no reply, and what to do.
    pub(super) fn failure(&self, error: &HttpError) -> Failure {
        let address = &self.address;
        Failure::new(match error {
            HttpError::Interrupted => return Failure::interrupted(),
            HttpError::Unreachable(error) => format!(
                "cannot reach a server at {address}: {error}; start one with `steprill serve PATH`, or say where it is \
                 with --server URL or unix:PATH"
            ),
            HttpError::Lost(error) => format!("the connection to {address} was lost: {error}; try again"),
            HttpError::Malformed(what) => {
                format!(
                    "{address}: expected HTTP/1.1, got something else: {what}; does a server of workflows listen there?"
                )
            }
        })
    }
}

type Opened = std::result::Result<Response, HttpError>;

/// Where in a run an event goes.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Destination<'a> {
    pub(super) in_reply_to: Option<u64>,
    pub(super) step: Option<&'a str>,
}

/// Describes what a server's refusal means.
pub(super) fn refused(status: u16, value: &Value) -> Failure {
    let said = value.as_str().unwrap_or_else(|| show::text(value, "detail"));
    let said = &said[..said.floor_char_boundary(CLIENT_ERROR_BYTES_MAX)];
    let hint = match said {
        "Workflow not found" => "; `steprill workflows` lists what there is",
        _ if said.starts_with("Handler not found") && !said.contains(':') => "; `steprill list` lists what there is",
        _ if status == 401 => "; set STEPRILL_TOKEN",
        _ => "",
    };
    match said.trim() {
        "" => Failure::new(format!("the server refused with status {status}")),
        said => Failure::new(format!("{said}{hint} (status {status})")),
    }
}

/// Returns a segment of a path, percent-encoded.
pub(super) fn encoded(segment: &str) -> String {
    let mut path = String::new();
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

/// What a stop event means as a result: the value of a plain one, else its fields.
pub(super) fn result_of(stop: &Value) -> Value {
    let value = &stop["value"];
    if stop["type"] == "StopEvent" { value["result"].clone() } else { value.clone() }
}

/// Returns the exit code that shows how a run has ended; that of a failure if it has not.
pub(super) fn exit_of(handler: &Value) -> Exit {
    match show::text(handler, "status") {
        "completed" => Exit::Done,
        "cancelled" => Exit::Cancelled,
        "failed" if show::text(handler, "error").starts_with("Operation timed out after ") => Exit::TimedOut,
        _ => Exit::Failed,
    }
}

/// Prints how a run has ended, its result on stdout and an error on stderr. Returns the exit code.
pub(super) fn finish(handler: &Value) -> Result<Exit> {
    let error = show::text(handler, "error");
    let text = match (exit_of(handler), show::text(handler, "status")) {
        (Exit::Done, _) => return show::result(&result_of(&handler["result"])).map(|()| Exit::Done),
        (Exit::Cancelled, _) => "the run was cancelled".to_owned(),
        (Exit::TimedOut, _) => format!("the run has timed out: {error}"),
        (_, "failed") => format!("the run has failed: {error}"),
        _ => {
            let id = show::text(handler, "handler_id");
            format!("the run has not ended; `steprill events {id} --follow` follows it")
        }
    };
    Err(Failure { exit: exit_of(handler), text })
}
