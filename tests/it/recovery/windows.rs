//! A run's feed is a window: old events leave it, numbers stay, and readers that ask for removed events are told.

use super::*;

const HEADER: &str = "x-first-sequence";

fn open(program: &Program, id: &str, query: &str, last_event_id: Option<u64>) -> (Response, Connection) {
    let mut reader = program.connect();
    let number = last_event_id.map(|number| number.to_string());
    let headers: Vec<_> = number.iter().map(|number| ("Last-Event-ID", number.as_str())).collect();
    reader.send("GET", &format!("/events/{id}?include_internal=true&{query}"), &headers, None);
    let head = reader.head();
    (head, reader)
}

/// Returns the numbers of a log, which must have no gap, and the first number according to its head.
#[track_caller]
fn numbers(program: &Program, id: &str, after: &str) -> (std::ops::Range<u64>, Option<u64>) {
    let (head, mut reader) = open(program, id, &format!("sse=false&after_sequence={after}"), None);
    assert_eq!(head.status, 200, "{head:?}");
    let events: Vec<Value> = std::iter::from_fn(|| reader.event()).collect();
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect();
    let (first, next) = (numbers[0], numbers[numbers.len() - 1] + 1);
    assert!(numbers.iter().copied().eq(first..next), "no gap: {numbers:?}");
    (first..next, head.header(HEADER).map(|number| number.parse().expect("a number")))
}

#[test]
fn a_reader_that_requests_events_before_the_window_gets_the_window_and_a_comment() {
    let data = DataDir::new();
    let program = data.start_with(&["--feed-keep", "100", "--durability", "off"]);
    let short = program.begin("streaming", json!({ "count": 50, "delay_ms": 0 }));
    let id = program.begin("streaming", json!({ "count": 5_000, "delay_ms": 0 }));
    for id in [&short, &id] {
        while handler(&program, id)["status"] == "running" {}
    }
    assert_eq!(numbers(&program, &short, "-1"), (0..53, None), "it has all of a short one");
    // running, 5,000 events, not_running, the stop event
    let (all, told) = numbers(&program, &id, "-1");
    assert_eq!((all.end, told), (5_003, Some(all.start)));
    // Events leave in the units in which they were stored, whatever their number.
    assert!((3..=100).contains(&(all.end - all.start)), "{all:?}");
    assert_eq!(numbers(&program, &id, "3"), (all.clone(), told));
    assert_eq!(numbers(&program, &id, &(all.start - 2).to_string()), (all.clone(), told));
    assert_eq!(numbers(&program, &id, &(all.start - 1).to_string()), (all.clone(), None));
    assert_eq!(numbers(&program, &id, "5000"), (5_001..5_003, None));
    let text = String::from_utf8(open(&program, &id, "", Some(7)).1.rest()).expect("UTF-8");
    let begins = format!(": events before {0} are no longer kept\n\nid: {0}\ndata: ", all.start);
    assert!(text.starts_with(&begins), "{}", &text[..200]);
    kill(program);
    // The queue's cursor is before the window, too, also after a restart.
    let program = data.start();
    assert_eq!(numbers(&program, &id, "-1"), (all.clone(), told));
    let head = program.connect().request("HEAD", &format!("/events/{id}"), &[], None);
    assert_eq!(head.header(HEADER), Some(&*all.start.to_string()));
    let (head, mut queue) = open(&program, &id, "sse=false", None);
    assert_eq!(head.header(HEADER), Some(&*all.start.to_string()));
    assert_eq!(std::iter::from_fn(|| queue.event()).count() as u64, all.end - all.start);
    assert_eq!(open(&program, &id, "", None).0.status, 204);
}

#[test]
fn a_reader_passed_by_the_window_is_disconnected_and_resumes_when_it_reconnects() {
    let data = DataDir::new();
    let program = data.start_with(&["--feed-keep", "1000,64K", "--durability", "off"]);
    let id = program.begin("streaming", json!({ "count": 60_000, "delay_ms": 0 }));
    let (_, mut slow) = open(&program, &id, "sse=false&after_sequence=-1", None);
    while handler(&program, &id)["status"] == "running" {}
    assert!(slow.breaks_off(), "there is more, which it cannot have");
    let (rest, told) = numbers(&program, &id, "1000");
    assert_eq!((rest.end, told), (60_003, Some(rest.start)));
    // What has left takes no room.
    let size = std::fs::metadata(data.directory.path().join("steprill.db")).expect("a database").len();
    assert!(size < 2 << 20, "{size} bytes");
}

#[test]
fn a_reader_gets_events_each_time_it_connects_however_fast_the_window_moves() {
    let data = DataDir::new();
    let program = data.start_with(&["--feed-keep", "100", "--durability", "off"]);
    let id = program.begin("streaming", json!({ "count": 15_000, "delay_ms": 0 }));
    let mut after = -1;
    while after < 15_002 {
        let (head, mut reader) = open(&program, &id, &format!("sse=false&after_sequence={after}"), None);
        assert_eq!(head.status, 200, "{head:?}");
        let text = String::from_utf8(reader.rest_or_cut()).expect("UTF-8");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
        let numbers: Vec<i64> = events.map(|event| event["sequence"].as_i64().expect("a number")).collect();
        let told = head.header(HEADER).map(|number| number.parse().expect("a number"));
        assert_eq!(numbers.first().copied(), Some(told.unwrap_or(after + 1)), "behind {after} it begins as it says");
        assert!(numbers.is_sorted() && numbers[0] > after, "{numbers:?}");
        after = numbers[numbers.len() - 1];
    }
}
