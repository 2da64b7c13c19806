//! Finished handlers: how long they are retained, and how they are listed and continued when they are not resident.

use std::time::Instant;

use super::*;
use crate::support::PATIENCE;

/// More than are resident.
const MANY: usize = 600;

/// Runs `echo` this many times. Returns the handlers' ids, in order.
#[track_caller]
fn echo(program: &Program, times: usize) -> Vec<String> {
    let mut connection = program.connect();
    let mut run = || connection.request("POST", "/workflows/echo/run", &[], Some(b"{}"));
    (0..times).map(|_| run().json()["handler_id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until this many handlers are left. Returns their ids, in order.
#[track_caller]
fn left(program: &Program, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let left = program.listed("");
        if left.len() == count {
            return left;
        }
        assert!(begun.elapsed() < PATIENCE, "{} handlers are left, not {count}", left.len());
    }
}

#[test]
fn the_newest_finished_handlers_and_those_being_read_are_retained() {
    let data = DataDir::new();
    let flags = ["--keep-finished", "5"];
    let program = data.start_with(&flags);
    let waiting = program.begin("interactive", json!({}));
    // More than fits into the sockets' buffers, so that its reader is still there when it has ended.
    let read = program.begin("streaming", json!({ "count": 50_000, "delay_ms": 0 }));
    let mut reader = follow(&program, &read);
    assert!(reader.event().is_some());
    while handler(&program, &read)["status"] == "running" {}
    let echoes = echo(&program, 20);
    // The one that is read is one of the five.
    let retained = left(&program, 6);
    assert_eq!(retained[..2], [waiting.clone(), read.clone()]);
    assert_eq!(retained[2..], echoes[16..]);
    for id in &echoes[..16] {
        assert_eq!(program.get(&format!("/results/{id}")).status, 404);
    }
    let mut last = None;
    while let Some(event) = reader.event() {
        last = Some(event);
    }
    assert_eq!(last.expect("an end")["type"], "StopEvent");
    drop(reader);
    let echoes = [&echoes[16..], &echo(&program, 1)[..]].concat();
    assert_eq!(left(&program, 6), [&[waiting.clone()][..], &echoes].concat());
    kill(program);
    let program = data.start_with(&["--keep-finished", "2"]);
    let echoes = [&echoes[..], &echo(&program, 1)[..]].concat();
    assert_eq!(left(&program, 3), [&[waiting][..], &echoes[4..]].concat());
}

#[test]
fn a_server_that_is_killed_while_it_removes_handlers_resumes_the_removal() {
    let data = DataDir::new();
    let flags = ["--keep-finished", "10", "--durability", "normal"];
    let (mut waiting, mut echoes) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let program = data.start_with(&flags);
        waiting.push(program.begin("interactive", json!({})));
        echoes.extend(echo(&program, 60));
        kill(program);
    }
    let program = data.start_with(&flags);
    let mut left = left(&program, waiting.len() + 10);
    left.retain(|id| !waiting.contains(id));
    assert_eq!(left, echoes[echoes.len() - 10..]);
    for id in &echoes[..echoes.len() - 10] {
        assert_eq!(program.get(&format!("/events/{id}")).status, 404);
    }
}

#[test]
fn finished_handlers_are_retained_for_the_configured_time() {
    let data = DataDir::new();
    let program = data.start();
    let waiting = program.begin("interactive", json!({}));
    echo(&program, 3);
    assert_eq!(program.listed("").len(), 4);
    kill(program);
    let program = data.start_with(&["--keep-for", "300ms"]);
    assert_eq!(left(&program, 1), [&*waiting]);
    let id = echo(&program, 1).remove(0);
    let ended = Instant::now();
    while program.get(&format!("/results/{id}")).status == 200 {
        assert!(ended.elapsed() < PATIENCE, "it stays for ever");
    }
    assert_eq!(left(&program, 1), [waiting]);
}

#[test]
fn a_list_has_handlers_that_are_here_and_those_in_the_store_alike() {
    let data = DataDir::new();
    let program = data.start_with(&["--durability", "off"]);
    let waiting = program.begin("interactive", json!({}));
    let failed = program.finish("error", json!({}));
    let echoes = echo(&program, MANY);
    let last = program.begin("approval", json!({ "subject": "a lamp" }));
    let all = [&[waiting.clone(), failed.clone()][..], &echoes[..], &[last.clone()][..]].concat();
    let check = |program: &Program| {
        assert_eq!(program.listed(""), all);
        assert_eq!(program.listed("?status=running"), [&*waiting, &*last]);
        assert_eq!(program.listed("?status=failed"), [&*failed]);
        assert_eq!(program.listed("?status=failed&status=running&workflow_name=error"), [&*failed]);
        assert_eq!(program.listed("?workflow_name=echo"), echoes);
        assert_eq!(program.listed(&format!("?status=completed&limit=3&after={}", echoes[300])), echoes[301..304]);
        assert_eq!(program.listed(&format!("?after={}", echoes[MANY - 1])), [&*last]);
        let mut pages = program.listed("?limit=250");
        while let page = program.listed(&format!("?limit=250&after={}", pages[pages.len() - 1]))
            && !page.is_empty()
        {
            pages.extend(page);
        }
        assert_eq!(pages, all);
        assert_eq!(program.get("/handlers?after=nothing").status, 400);
    };
    check(&program);
    kill(program);
    check(&data.start());
}

#[test]
fn a_handler_that_is_not_resident_is_continued_and_retains_its_position_in_lists() {
    let data = DataDir::new();
    let program = data.start_with(&["--durability", "off"]);
    let id = program.finish("cumulative", json!({ "increment": 3 }));
    let go_on = |program: &Program, increment: i64| {
        let body = json!({ "handler_id": id, "start_event": { "increment": increment } });
        program.post("/workflows/cumulative/run", &body)
    };
    echo(&program, MANY);
    let first = handler(&program, &id);
    let next = feed(&program, &id).len();
    let second = go_on(&program, 4).json();
    assert_eq!(second["result"], "count: 7, runs: 2");
    assert_ne!(first["run_id"], second["run_id"]);
    assert_eq!(program.listed("?limit=1"), [&*id]);
    assert_eq!(feed(&program, &id)[0]["sequence"], next, "the feed continues to count");
    kill(program);
    let program = data.start();
    assert_eq!(go_on(&program, 5).json()["result"], "count: 12, runs: 3");
    assert_eq!(program.listed("?limit=1"), [&*id]);
    let wrong = json!({ "handler_id": id, "start_event": {} });
    assert_eq!(program.post("/workflows/echo/run", &wrong).status, 404, "it is of another workflow");
}

#[test]
fn an_id_chosen_by_a_client_names_the_same_handler_across_restarts() {
    let data = DataDir::new();
    let begin = |program: &Program, workflow: &str| {
        let body = json!({ "handler_id": "the.lamp", "context": { "version": 1 }, "start_event": {} });
        program.post(&format!("/workflows/{workflow}/run-nowait"), &body)
    };
    let program = data.start();
    let begun = begin(&program, "interactive");
    assert_eq!((begun.status, &begun.json()["handler_id"]), (200, &json!("the.lamp")));
    kill(program);
    let program = data.start();
    assert_eq!(handler(&program, "the.lamp")["run_id"], begun.json()["run_id"]);
    assert_eq!(begin(&program, "interactive").status, 409, "it still runs");
    post(&program, "the.lamp", "ExternalEvent", &json!({ "response": "pong" }));
    ended(&program, "the.lamp");
    kill(program);
    let program = data.start();
    assert_eq!(begin(&program, "echo").status, 409, "it is of another workflow");
    let again = begin(&program, "interactive");
    assert_eq!(again.status, 200);
    assert_eq!(cancel(&program, "the.lamp", "?purge=true").status, 200);
    kill(program);
    let program = data.start();
    assert_eq!(program.get("/handlers/the.lamp").status, 404);
    assert_eq!(begin(&program, "echo").status, 200, "it is free again");
    assert_eq!(program.listed(""), ["the.lamp"]);
}

#[test]
fn the_id_of_a_handler_that_was_purged_does_not_come_again() {
    let data = DataDir::new();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let program = data.start();
        let id = program.begin("echo", json!({}));
        assert_eq!(cancel(&program, &id, "?purge=true").status, 200);
        assert!(ids.insert(id), "{ids:?}");
        kill(program);
    }
}

/// Returns the size of all files of the data directory.
fn bytes_on_disk(data: &DataDir) -> u64 {
    let entries = std::fs::read_dir(data.directory.path()).expect("a directory").flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn at_the_size_limit_the_longest_finished_are_removed_and_then_nothing_new_begins() {
    let data = DataDir::new();
    let bytes_max = 2 << 20;
    let program = data.start_with(&["--data-bytes-max", "2M", "--durability", "off"]);
    let large = json!({ "message": "x".repeat(20_000) });
    let mut connection = program.connect();
    let mut post = |workflow: &str, how: &str| {
        let body = json!({ "start_event": large }).to_string();
        connection.request("POST", &format!("/workflows/{workflow}/{how}"), &[], Some(body.as_bytes()))
    };
    let id = |reply: &Response| reply.json()["handler_id"].as_str().expect("an id").to_owned();
    let echoes: Vec<String> = (0..150).map(|_| id(&post("echo", "run"))).collect();
    assert!(bytes_on_disk(&data) <= bytes_max, "{} bytes", bytes_on_disk(&data));
    let left = program.listed("");
    assert!((10..100).contains(&left.len()), "{} are left", left.len());
    assert_eq!(left, echoes[150 - left.len()..], "the newest");
    // Running ones are not removed; once no finished one is left, no more are accepted.
    let (mut waiting, mut refused) = (Vec::new(), None);
    while refused.is_none() && waiting.len() < 500 {
        let reply = post("interactive", "run-nowait");
        match reply.status {
            200 => waiting.push(id(&reply)),
            _ => refused = Some(reply),
        }
    }
    let refused = refused.expect("there is an end");
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.text().contains("--data-bytes-max"), "{refused:?}");
    assert_eq!(program.listed(""), waiting);
    assert!(bytes_on_disk(&data) <= bytes_max * 5 / 4, "{} bytes", bytes_on_disk(&data));
    let event = json!({ "event": { "type": "ExternalEvent", "value": { "response": "pong" } } });
    for id in &waiting[..10] {
        assert_eq!(program.post(&format!("/events/{id}"), &event).status, 200, "live runs continue");
    }
    let begun = Instant::now();
    while post("echo", "run").status != 200 {
        assert!(begun.elapsed() < PATIENCE, "there is room again");
    }
}

#[test]
fn the_bound_of_the_directory_counts_the_log_and_free_pages() {
    let data = DataDir::new();
    let bytes_max = 8 << 20;
    let program = data.start_with(&["--data-bytes-max", "8M", "--durability", "off"]);
    let large = json!({ "start_event": { "message": "x".repeat(1_000_000) } });
    // The size of one commit: the start event, the result, and their rows and indexes.
    let commit = 3 << 20;
    for _ in 0..20 {
        assert_eq!(program.post("/workflows/echo/run", &large).status, 200);
        assert!(bytes_on_disk(&data) <= bytes_max + commit, "{} bytes", bytes_on_disk(&data));
    }
    // The store does not back off, and these need no room.
    for _ in 0..10 {
        program.finish("echo", json!({}));
    }
    assert!(bytes_on_disk(&data) <= bytes_max, "{} bytes", bytes_on_disk(&data));
    assert!(program.listed("").len() > 3, "what fits stays");
}

#[test]
fn a_lists_cursor_survives_its_handler() {
    let data = DataDir::new();
    let program = data.start();
    let chosen = json!({ "handler_id": "mine", "context": { "version": 1 } });
    assert_eq!(program.post("/workflows/echo/run", &chosen).status, 200);
    let ids = [&["mine".to_owned()][..], &echo(&program, 4)].concat();
    assert_eq!(program.listed("?limit=3"), ids[..3]);
    let after = |program: &Program, id: &str| program.listed(&format!("?after={id}"));
    for id in &ids[..3] {
        assert_eq!(cancel(&program, id, "?purge=true").status, 200);
    }
    assert_eq!((after(&program, "mine"), after(&program, &ids[2])), (ids[3..].to_vec(), ids[3..].to_vec()));
    kill(program);
    // What retention removes leaves its position, too.
    let program = data.start_with(&["--keep-finished", "1"]);
    assert_eq!(left(&program, 1), ids[4..]);
    assert_eq!((after(&program, "mine"), after(&program, &ids[3])), (ids[4..].to_vec(), ids[4..].to_vec()));
    for never in ["nobody", "0123456789"] {
        assert_eq!(program.get(&format!("/handlers?after={never}")).status, 400, "{never}");
    }
    // The same without a store.
    let program = Program::with(&["--keep-finished", "1"]);
    assert_eq!(program.post("/workflows/echo/run", &chosen).status, 200);
    let ids = echo(&program, 2);
    assert_eq!((after(&program, "mine"), after(&program, &ids[0])), (ids[1..].to_vec(), ids[1..].to_vec()));
}

#[test]
fn old_runs_that_wait_are_found_and_do_not_keep_new_ones_out() {
    let data = DataDir::new();
    let program = data.start_with(&["--runs-max", "2", "--idle-after", "0"]);
    let begun = Instant::now();
    let mut waiting = Vec::new();
    while waiting.len() < 6 {
        let reply = program.post("/workflows/interactive/run-nowait", &json!({}));
        if reply.status == 200 {
            waiting.push(reply.json()["handler_id"].as_str().expect("an id").to_owned());
        }
        assert!(begun.elapsed() < PATIENCE, "runs that only wait keep others out");
    }
    let fourth = handler(&program, &waiting[3])["started_at"].as_str().expect("a time").to_owned();
    assert_eq!(program.listed(&format!("?status=running&before={fourth}")), waiting[..3]);
    assert_eq!(program.listed("?status=running&before=1970-01-01T00:00:00Z"), Vec::<String>::new());
    assert_eq!(program.get("/handlers?before=yesterday").status, 400);
    for id in &waiting {
        post(&program, id, "ExternalEvent", &json!({ "response": "pong" }));
    }
    for id in &waiting {
        assert_eq!(ended(&program, id)["status"], "completed");
    }
}
