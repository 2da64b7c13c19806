//! The memory of the program, watched from outside under more load than fits.

use std::{fs, time::Duration};

use super::*;

const MIB: usize = 1 << 20;

/// Returns how many bytes the program has in memory.
fn resident(program: &Program) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Returns a body that starts a run with this many bytes.
fn large(bytes: usize) -> String {
    format!(r#"{{"start_event":{{"message":"{}"}}}}"#, "x".repeat(bytes))
}

#[test]
fn beyond_the_limit_new_work_is_refused_and_existing_work_continues() {
    // With a store they would leave memory.
    let flags = ["--listen", "127.0.0.1:0", "--memory-max", "4M", "--body-bytes-max", "512K"];
    let program = Program::of(Program::path(), &flags);
    let before = resident(&program);
    let asking = program.post("/workflows/interactive/run-nowait", &json!({})).json()["handler_id"].clone();
    let asking = asking.as_str().expect("an id");
    let (body, mut waiting) = (large(MIB / 4), Vec::new());
    // Ten times as much as it may hold.
    for _ in 0..160 {
        let reply = program.post_text("/workflows/sleepy/run-nowait", &body);
        if reply.status == 200 {
            waiting.push(reply.json()["handler_id"].as_str().expect("an id").to_owned());
        } else {
            assert_eq!(reply.status, 503, "{}", reply.text());
            assert!(reply.header("retry-after").is_some());
        }
        let grown = resident(&program).saturating_sub(before);
        assert!(grown < 16 * MIB, "{} MiB more behind {} runs", grown / MIB, waiting.len());
    }
    assert!((8..20).contains(&waiting.len()), "{} fit", waiting.len());
    // Smaller ones fill the remaining room.
    let small = large(2_000);
    while program.post_text("/workflows/sleepy/run-nowait", &small).status == 200 {}
    assert_eq!(program.get("/health").status, 200);
    assert_eq!(program.get(&format!("/handlers/{}", waiting[0])).status, 202);
    let answer = json!({ "event": { "type": "ExternalEvent", "value": { "response": "pong" } } });
    assert_eq!(program.post(&format!("/events/{asking}"), &answer).status, 200, "what waits for people can end");
    for handler in waiting.iter().take(8) {
        assert_eq!(program.post(&format!("/handlers/{handler}/cancel?purge=true"), &json!({})).status, 200);
    }
    // Large values are freed outside of the loop.
    let mut tries = (0..1_000).map(|_| program.post_text("/workflows/sleepy/run-nowait", &body).status);
    assert!(tries.any(|status| status == 200), "there is room again");
}

#[cfg(feature = "sqlite")]
#[test]
fn with_a_store_waiting_runs_leave_memory_when_it_is_short() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("a path of characters");
    let flags = ["--memory-max", "4M", "--body-bytes-max", "512K", "--idle-after", "1h", "--durability", "off"];
    let program = Program::with(&[&flags[..], &["--data", data]].concat());
    let (before, body) = (resident(&program), large(MIB / 4));
    for number in 0..160 {
        let begun = Instant::now();
        while program.post_text("/workflows/sleepy/run-nowait", &body).status != 200 {
            assert!(begun.elapsed() < PATIENCE, "run {number} has no room");
        }
        let grown = resident(&program).saturating_sub(before);
        assert!(grown < 24 * MIB, "{} MiB more behind {number} runs", grown / MIB);
    }
}

#[test]
fn unread_replies_share_the_result() {
    let program = Program::start();
    let handler = program.finish("echo", json!({"message": "x".repeat(3 * MIB)}));
    let before = resident(&program);
    let mut readers: Vec<Connection> = (0..60).map(|_| program.connect()).collect();
    for reader in &mut readers {
        reader.send("GET", &format!("/results/{handler}"), &[], None);
        assert_eq!(reader.head().status, 200);
    }
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 40 * MIB, "{} MiB more for 60 readers of 3 MiB", grown / MIB);
    let body = readers[59].rest();
    assert!(body.len() > 3 * MIB && body.ends_with(b"}"));
    let handler: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(handler["result"].as_str().map(str::len), Some(3 * MIB + "processed: ".len()));
    let envelope = program.get(&format!("/handlers/{}", handler["handler_id"].as_str().expect("an id"))).json();
    assert_eq!(envelope["result"]["value"]["result"], handler["result"]);
}

#[test]
fn requests_whose_clients_have_closed_hold_no_memory() {
    let program = Program::with(&["--keep-finished", "1", "--memory-max", "16M"]);
    let handler = program.finish("echo", json!({"message": "x".repeat(2 * MIB)}));
    let body = large(MIB / 4);
    let before = resident(&program);
    for _ in 0..100 {
        program.connect().send("GET", &format!("/results/{handler}"), &[], None);
        program.connect().send("POST", "/workflows/sleepy/run", &[], Some(body.as_bytes()));
    }
    settle(&program);
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 48 * MIB, "{} MiB more for 100 replies of 2 MiB and as many runs", grown / MIB);
    let held = program.listed("?status=running").len();
    assert!(program.has_store() || held < 100, "{held} runs are held");
}

#[test]
fn freed_memory_goes_back_to_the_system() {
    let program = Program::with(&["--keep-finished", "0"]);
    let before = resident(&program);
    let body = large(3 * MIB);
    for _ in 0..16 {
        assert_eq!(program.post_text("/workflows/echo/run", &body).status, 200);
    }
    let start = Instant::now();
    let mut grown = usize::MAX;
    while grown > 20 * MIB {
        assert!(start.elapsed() < PATIENCE, "{} MiB more", grown / MIB);
        std::thread::sleep(Duration::from_millis(100));
        grown = resident(&program).saturating_sub(before);
    }
}

#[test]
fn readers_share_a_large_event() {
    let program = Program::with(&["--memory-max", "64M"]);
    let handler = program.begin("approval", json!({"subject": "x".repeat(3 * MIB)}));
    let path = format!("/events/{handler}?sse=false&after_sequence=-1");
    let mut connection = program.connect();
    connection.send("GET", &path, &[], None);
    connection.head();
    assert!(connection.event().is_some());
    let before = resident(&program);
    let mut readers: Vec<Connection> = (0..100).map(|_| program.connect()).collect();
    for reader in &mut readers {
        reader.send("GET", &path, &[], None);
        assert_eq!(reader.head().status, 200);
    }
    assert_eq!(program.get("/health").status, 200);
    let grown = resident(&program).saturating_sub(before);
    assert!(grown < 40 * MIB, "{} MiB more for 100 readers of 3 MiB", grown / MIB);
    for reader in readers.iter_mut().step_by(33) {
        assert_eq!(reader.event().expect("the event")["value"]["subject"].as_str().map(str::len), Some(3 * MIB));
    }
}

#[test]
fn large_events_that_were_read_leave_memory_with_their_runs() {
    let program = Program::with(&["--keep-finished", "0"]);
    let begin = || {
        let handler = program.begin("approval", json!({"subject": "x".repeat(3 * MIB)}));
        let mut reader = program.connect();
        reader.send("GET", &format!("/events/{handler}?sse=false&after_sequence=-1"), &[], None);
        reader.head();
        assert!(reader.event().is_some());
        handler
    };
    let end = |handler: String| {
        assert_eq!(program.post(&format!("/handlers/{handler}/cancel?purge=true"), &json!({})).status, 200);
    };
    end(begin());
    let before = resident(&program);
    (0..24).for_each(|_| end(begin()));
    let start = Instant::now();
    let mut grown = usize::MAX;
    // The allocator and the store retain some; all of the events would be 72 MiB.
    while grown > 40 * MIB {
        assert!(start.elapsed() < PATIENCE, "{} MiB more", grown / MIB);
        std::thread::sleep(Duration::from_millis(100));
        grown = resident(&program).saturating_sub(before);
    }
}
