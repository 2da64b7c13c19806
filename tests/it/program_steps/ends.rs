//! How programs are ended: time-outs, cancels, the server's stop; and what others leave behind.

use std::time::Duration;

use serde_json::json;

use super::{Fifo, Flow, Step, one, sh};
use crate::programs::served::Served;

#[test]
fn a_step_that_times_out_leaves_no_process_and_is_not_tried_again_without_a_policy() {
    let fifo = Fifo::new();
    let script = format!("{} sleep 100 & sleep 100", fifo.open_in_script());
    let step = Step::sh("only", "StartEvent", "StopEvent", &script);
    let flow = Flow::new("hang").step(step.with(|parts| parts.timeout = Some(Duration::from_millis(300))));
    let server = Served::start([flow.build()]);
    let handler = server.begin("hang", &json!({}));
    let opened = fifo.opened();
    let ended = server.ended(&handler);
    assert_eq!(ended["error"], "Step only timed out after 0.3 seconds", "{ended}");
    assert_eq!(opened.all_ended(), "");
}

#[test]
fn a_cancel_ends_the_program_and_its_children() {
    let fifo = Fifo::new();
    let script = format!("{} sh -c 'sleep 100; echo no >&9' & sleep 100", fifo.open_in_script());
    let server = Served::start([one(sh(&script)).build()]);
    let handler = server.begin("one", &json!({}));
    let opened = fifo.opened();
    assert_eq!(server.cancel(&handler).status, 200);
    assert_eq!(opened.all_ended(), "");
}

#[test]
fn a_program_may_tidy_up_and_one_that_ignores_sigterm_is_killed() {
    let fifo = Fifo::new();
    let tidy = format!("trap 'echo tidy >&9; exit 0' TERM; {} while :; do sleep 0.01; done", fifo.open_in_script());
    let deaf = Fifo::new();
    let ignore = format!("trap '' TERM; {} while :; do sleep 1; done", deaf.open_in_script());
    let flow = |name: &str, script: &str| Flow::new(name).step(Step::sh("only", "StartEvent", "StopEvent", script));
    let server = Served::start([flow("tidy", &tidy).build(), flow("deaf", &ignore).build()]);
    let handlers = ["tidy", "deaf"].map(|name| server.begin(name, &json!({})));
    let (tidies, ignores) = (fifo.opened(), deaf.opened());
    for handler in handlers {
        assert_eq!(server.cancel(&handler).status, 200);
    }
    assert_eq!(tidies.all_ended(), "tidy\n");
    assert_eq!(ignores.all_ended(), "");
}

#[test]
fn a_grandchild_that_holds_stdout_delays_nothing_and_is_killed() {
    let fifo = Fifo::new();
    let script = format!("{} sleep 100 & echo '{{\"result\":1}}'", fifo.open_in_script());
    let server = Served::start([one(sh(&script)).build()]);
    let handler = server.begin("one", &json!({}));
    let opened = fifo.opened();
    assert_eq!(server.ended(&handler)["status"], "completed");
    assert_eq!(opened.all_ended(), "");
}

#[test]
fn a_process_that_has_left_the_group_delays_nothing() {
    // It ends when the test does, as its fifo has no reader then.
    let fifo = Fifo::new();
    let escape = "setsid sh -c 'while echo more >&9; do sleep 0.05; done' & echo '{\"result\":1}'";
    let server = Served::start([one(sh(&format!("{} {escape}", fifo.open_in_script()))).build()]);
    let handler = server.begin("one", &json!({}));
    let opened = fifo.opened();
    assert_eq!(server.ended(&handler)["status"], "completed");
    drop(opened);
}

#[test]
fn the_end_of_the_server_ends_its_programs() {
    let fifo = Fifo::new();
    let script = format!("trap '' TERM; {} while :; do sleep 1; done", fifo.open_in_script());
    let server = Served::start([one(sh(&script)).build()]);
    server.begin("one", &json!({}));
    let opened = fifo.opened();
    drop(server);
    assert_eq!(opened.all_ended(), "");
}

#[test]
fn a_hundred_programs_at_a_time_need_no_thread_each() {
    let step = Step::sh("sleep", "Item", "Slept", "sleep 0.2; echo '{}'");
    let all = format!("echo '[{}]'", vec!["{}"; 100].join(","));
    let flow = Flow::new("hundred")
        .event("Item", &json!({}))
        .event("Slept", &json!({}))
        .step(Step::sh("split", "StartEvent", "Item[]", &all))
        .step(step.with(|parts| parts.workers = 100))
        .step(Step::sh("join", "Slept[]", "StopEvent", "echo '{\"result\":1}'"));
    let server = Served::with([flow.build()], |config| config.programs_max = 100);
    assert_eq!(server.run("hundred", &json!({})).json()["status"], "completed");
}
