//! The program `steprill`: the lines that its demo prints, and its usage errors.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Curl, Program, Response, STEPRILL, command};

#[test]
fn the_lines_that_the_demo_prints_do_what_they_say() {
    let program = Program::of(Path::new(STEPRILL), &["demo", "--listen", "127.0.0.1:0"]);
    let printed: Vec<String> = std::iter::repeat_with(|| program.line())
        .take_while(|line| !line.starts_with("What became"))
        .filter(|line| line.starts_with("curl "))
        .take(10)
        .collect();
    let [story, devices, purchase] = &printed[..] else { panic!("three lines to try: {printed:?}") };

    let (_, story) = curl(&program, story);
    assert!(story.text().starts_with("id: ") && story.text().contains(r#""text":"stream""#), "{}", story.text());
    assert!(story.text().trim_end().ends_with(r#""type":"StopEvent","types":null}"#), "{}", story.text());

    let (_, devices) = curl(&program, devices);
    let readings = devices.json()["result"].clone();
    let attempts: Vec<u64> =
        readings.as_array().expect("readings").iter().filter_map(|r| r["attempts"].as_u64()).collect();
    assert_eq!(attempts, [1, 2, 1, 1, 2, 1], "some answer only when asked again, and all stand in order");

    let (handler, sent) = curl(&program, purchase);
    assert_eq!(sent.json(), json!({"status": "sent"}));
    assert_eq!(program.get(&format!("/events/{handler}")).status, 200);
    let result = program.get(&format!("/results/{handler}")).json();
    assert_eq!(result["result"], json!({"item": "lamp", "status": "ordered", "by": "you"}));
}

#[test]
fn what_is_asked_for_and_not_there_is_a_fault_of_usage() {
    for (arguments, says) in [
        (&[][..], "expected a command"),
        (&["dmeo"], "dmeo"),
        (&["--listen", "127.0.0.1:0"], "--listen"),
        (&["demo", "--token-file", "file"], "later"),
        (&["demo", "--cors-origin", "nowhere"], "nowhere"),
    ] {
        let output = command(Path::new(STEPRILL)).args(arguments).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert_eq!(output.stdout, b"");
    }
}

/// Executes a line as a shell would: `curl URL [-d 'BODY']`, where the URL may end in the handler id that
/// `$(curl -s URL -d 'BODY' | cut -d'"' -f4)` prints. Returns the id and the reply.
#[track_caller]
fn curl(program: &Program, line: &str) -> (String, Response) {
    let reply = |line: &str| Curl::parse(line, program.listening()).reply(program);
    let Some((start, rest)) = line.split_once("$(") else { return (String::new(), reply(line)) };
    let (inner, rest) = rest.split_once(" | cut -d'\"' -f4)").expect("the handler's id is cut out");
    let begun = reply(inner);
    let id = begun.text().split('"').nth(3).expect("the fourth field").to_owned();
    assert_eq!(begun.json()["handler_id"], Value::from(id.as_str()));
    (id.clone(), reply(&format!("{start}{id}{rest}")))
}
