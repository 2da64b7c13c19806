//! Each example program does what its header says: the tests send the lines in the header.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Curl, Program, Response, example};

/// A running example program, and the three lines of its header.
struct Example {
    program: Program,
    lines: [String; 3],
}

impl Example {
    fn start(name: &str, source: &str) -> Self {
        Self::start_with(name, source, &[])
    }

    #[track_caller]
    fn start_with(name: &str, source: &str, flags: &[&str]) -> Self {
        let lines: Vec<String> = source
            .lines()
            .filter_map(|line| line.strip_prefix("//! curl "))
            .map(|line| format!("curl {line}"))
            .collect();
        let lines = lines.try_into().expect("three lines to try");
        Self { program: Program::of(&example(name), &[&["--listen", "127.0.0.1:0"], flags].concat()), lines }
    }

    /// Returns a line of the header, from 0, for this program and this handler.
    #[track_caller]
    fn line(&self, number: usize, handler: &str) -> Curl {
        let host = self.program.host();
        let line = self.lines[number].replace("localhost:8080", host).replace("HANDLER_ID", handler);
        Curl::parse(&line, host)
    }

    #[track_caller]
    fn reply(&self, number: usize, handler: &str) -> Response {
        self.line(number, handler).reply(&self.program)
    }

    /// Sends a line that starts a run. Returns the id of its handler.
    #[track_caller]
    fn begin(&self, number: usize) -> String {
        let reply = self.reply(number, "");
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["handler_id"].as_str().expect("an id").to_owned()
    }
}

/// Returns a directory for `--data` and the flags for it; no flags without a store.
fn data() -> (TempDir, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path of characters").to_owned();
    let flags = if cfg!(feature = "sqlite") { vec!["--data".to_owned(), path] } else { Vec::new() };
    (directory, flags)
}

#[test]
fn hello_greets_checks_its_start_event_and_shows_its_schema() {
    let hello = Example::start("hello", include_str!("../../examples/hello.rs"));
    assert_eq!(hello.reply(0, "").json()["result"], json!("hello Ada"));
    let refused = hello.reply(1, "");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("name"), "{}", refused.text());
    let schema = hello.reply(2, "").json();
    assert_eq!(schema["start"]["properties"]["times"]["default"], json!(1), "{schema}");
    assert_eq!(schema["start"]["required"], json!(["name"]), "{schema}");
}

#[test]
fn an_approval_survives_a_kill_of_the_server_and_ends_at_its_deadline() {
    let (_directory, flags) = data();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = || Example::start_with("approval", include_str!("../../examples/approval.rs"), &flags);
    let mut approval = start();
    let mut handler = approval.begin(0);
    if cfg!(feature = "sqlite") {
        approval.program.kill();
        approval = start();
    } else {
        handler = approval.begin(0);
    }
    assert_eq!(approval.reply(1, &handler).json(), json!({"status": "sent"}));
    assert_eq!(approval.program.get(&format!("/events/{handler}")).status, 200);
    assert_eq!(approval.reply(2, &handler).json()["result"], json!({"paid": true, "reason": "approved by Ada"}));
    assert!(approval.program.line().starts_with("paying 40 euros"));

    let late = json!({"start_event": {"what": "a boat", "euros": 40_000, "deadline_hours": 0.00001}});
    let late = approval.program.post("/workflows/expense/run", &late);
    assert_eq!(late.json()["result"], json!({"paid": false, "reason": "nobody decided in time"}), "{}", late.text());
}

#[test]
fn a_fan_out_reports_what_failed_beside_what_succeeded() {
    let fan_out = Example::start("fan_out", include_str!("../../examples/fan_out.rs"));
    let report = fan_out.reply(0, "").json()["result"].clone();
    assert_eq!(report["up"][0]["address"], json!(fan_out.program.host()), "{report}");
    assert_eq!(report["down"][0]["address"], json!("localhost:1"), "{report}");
    assert_eq!(report["down"][0]["attempts"], json!(3), "{report}");

    let handler = fan_out.begin(1);
    let shown = fan_out.reply(2, &handler);
    let attempts = shown.text().matches(r#""name":"connect","step_state":"running""#).count();
    assert_eq!(attempts, 3, "{}", shown.text());
}

#[test]
fn a_chat_remembers_what_was_said_over_messages_and_runs() {
    let chat = Example::start("chat", include_str!("../../examples/chat.rs"));
    let handler = chat.begin(0);
    let say = |text: &str| {
        let message = json!({"event": {"type": "Message", "value": {"text": text}}});
        assert_eq!(chat.program.post(&format!("/events/{handler}"), &message).status, 200);
    };
    assert_eq!(chat.reply(1, &handler).json(), json!({"status": "sent"}));
    say("black tea");
    say("bye");
    let replies = chat.reply(2, &handler);
    assert!(replies.text().contains(r#"you say \"black tea\", and before that \"I like tea\""#), "{}", replies.text());

    let next = chat.program.post("/workflows/chat/run-nowait", &json!({"handler_id": handler}));
    assert_eq!(next.status, 200, "{}", next.text());
    say("bye");
    assert_eq!(chat.program.get(&format!("/events/{handler}")).status, 200);
    let result = chat.program.get(&format!("/results/{handler}")).json();
    assert_eq!(result["result"], json!("bye, I heard 2 messages"));
}

#[test]
fn periodic_work_continues_until_it_is_cancelled() {
    let periodic = Example::start("periodic", include_str!("../../examples/periodic.rs"));
    let handler = periodic.begin(0);
    let mut stream = periodic.line(1, &handler).send(&periodic.program);
    assert_eq!(stream.head().status, 200);
    let mut data = std::iter::repeat_with(|| stream.line().expect("the run goes on"))
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let rounds: Vec<Value> = data.by_ref().take(2).map(|event| event["value"]["round"].clone()).collect();
    assert_eq!(rounds, [json!(1), json!(2)]);
    assert_eq!(periodic.reply(2, &handler).json(), json!({"status": "cancelled"}));
    assert!(data.any(|event| event["value"]["status"] == "cancelled"));
}
