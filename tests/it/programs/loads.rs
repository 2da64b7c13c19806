//! Many runs at once: workers work concurrently, and the loop is not blocked.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use steprill::{Ctx, Runtime, StartEvent, Step, StopEvent, event};

use super::{Counter, Gate, Served, build, done, workflow};
use crate::support::PATIENCE;

event! {
    struct Item { n: usize }
    struct Small { n: u64 }
}

#[test]
fn eight_workers_work_side_by_side() {
    let meeting = Arc::new((Mutex::new((0, 0)), Condvar::new()));
    let step_meeting = Arc::clone(&meeting);
    let server = Served::start([build(workflow("w").step("w", move |_, _: StartEvent| {
        let (count, changed) = &*step_meeting;
        let mut there = count.lock().unwrap();
        there.0 += 1;
        let generation = there.1;
        if there.0 == 8 {
            *there = (0, generation + 1);
            changed.notify_all();
        }
        // Each waits for seven others: with fewer than eight at work, none would finish.
        let waited = changed.wait_timeout_while(there, PATIENCE, |there| there.1 == generation).unwrap();
        Ok(done(!waited.1.timed_out()))
    }))]);
    let handlers: Vec<String> = (0..96).map(|_| server.begin("w", &json!({}))).collect();
    for handler in handlers {
        assert_eq!(server.ended(&handler)["result"]["value"]["result"], true);
    }
}

#[test]
fn a_hundred_runs_that_block_are_done_by_eight_workers_in_an_eighth_of_the_time() {
    let server = Served::start([build(workflow("w").step("w", |ctx, _: StartEvent| {
        ctx.pause(Duration::from_millis(50))?;
        Ok(done(1))
    }))]);
    let began = Instant::now();
    let handlers: Vec<String> = (0..100).map(|_| server.begin("w", &json!({}))).collect();
    for handler in handlers {
        assert_eq!(server.ended(&handler)["status"], "completed");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1_300), "{took:?}, of 650 ms at best");
}

#[test]
fn one_free_worker_is_enough_for_quick_runs() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let slow = build(workflow("slow").step("w", move |_, _: StartEvent| {
        held.pass();
        Ok(done(1))
    }));
    let quick = build(workflow("quick").step("w", |_, _: StartEvent| Ok(done(1))));
    let server = Served::start([slow, quick]);
    for _ in 0..7 {
        server.begin("slow", &json!({}));
    }
    gate.await_comers(7);
    let mut connection = server.connect();
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            let body = json!({ "start_event": {} }).to_string();
            let response = connection.request("POST", "/workflows/quick/run", &[], Some(body.as_bytes()));
            assert_eq!(response.status, 200);
            began.elapsed()
        })
        .collect();
    took.sort();
    gate.open();
    assert!(took[25] <= Duration::from_millis(5), "median {:?}", took[25]);
}

#[test]
fn streams_at_full_speed_do_not_keep_others_waiting() {
    let stop = Arc::new(AtomicBool::new(false));
    let (told, streaming) = (Arc::clone(&stop), Arc::new(Gate::default()));
    let begun = Arc::clone(&streaming);
    begun.open();
    let stream = Step::new("w", move |ctx: &Ctx, _: StartEvent| {
        begun.pass();
        let mut n = 0;
        while !told.load(Ordering::Relaxed) {
            ctx.stream(Small { n })?;
            n += 1;
        }
        Ok(done(1))
    });
    let quick = build(workflow("quick").step("w", |_, _: StartEvent| Ok(done(1))));
    let server = Served::start([build(workflow("stream").add(stream)), quick]);
    let streams: Vec<String> = (0..6).map(|_| server.begin("stream", &json!({}))).collect();
    streaming.await_comers(6);
    for _ in 0..5 {
        assert_eq!(server.run("quick", &json!({})).status, 200);
    }
    let running = server.get("/handlers?status=running").json()["handlers"].as_array().map_or(0, Vec::len);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(running, 6, "they were answered while the streams went on");
    for handler in streams {
        server.cancel(&handler);
    }
}

#[test]
fn runs_without_a_server_leave_no_threads_behind() {
    let workflow = build(workflow("w").step("w", |_, _: StartEvent| Ok(done(1))));
    let threads = || {
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(entry.ok()?.path().join("comm")).ok().map(|name| name.trim().to_owned())
        };
        let tasks = std::fs::read_dir("/proc/self/task").map(|tasks| tasks.filter_map(name).collect::<Vec<_>>());
        tasks.unwrap_or_default().iter().filter(|name| name.starts_with("steprill-work")).count()
    };
    for _ in 0..300 {
        Runtime::run(&workflow, StartEvent::new());
    }
    // Other tests have workers, too, but far fewer, and each ends within moments.
    let since = Instant::now();
    while threads() >= 150 {
        assert!(since.elapsed() < Duration::from_secs(5), "{} worker threads stay", threads());
    }
}

#[test]
fn a_run_of_many_works_with_retries_ends() {
    static PASSES: Counter = Counter::new();
    let workflow = build(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok((0..5_000).map(|n| Item { n }).collect::<Vec<_>>()))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    PASSES.count();
                    if ctx.attempt() == 1 {
                        Err("again")?;
                    }
                    ctx.state().add("sum", item.n)?;
                    Ok((ctx.state().get::<usize>("never")?.is_some()).then_some(Small { n: 0 }))
                })
                .retry(steprill::Retry::fixed(Duration::from_millis(10))),
            )
            .step("join", |ctx, _: Vec<Small>| Ok(StopEvent::new(ctx.state().get::<usize>("sum")?))),
    );
    let steprill::Outcome::Completed(stop) = Runtime::run(&workflow, StartEvent::new()) else { panic!("it completes") };
    assert_eq!(super::result(stop.as_str()), json!(4_999 * 2_500));
    assert_eq!(PASSES.get(), 10_000);
}
