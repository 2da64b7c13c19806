//! Bodies that run again: sleep and pause, once, streams.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use serde_json::{Value, json};
use steprill::{Ctx, Result, Retry, StartEvent, Step, event};

use super::{Counter, Served, build, done, error_of, result_of, served::values, workflow};
use crate::support::PATIENCE;

event! {
    struct Token { text: String }
}

fn token(text: &str) -> Token {
    Token { text: text.into() }
}

/// Returns what the body streams, in order.
fn streamed(body: impl Fn(&Ctx) -> Result<()> + Send + Sync + 'static) -> Vec<String> {
    let step = Step::new("w", move |ctx: &Ctx, _: StartEvent| body(ctx).map(|()| done(1)));
    let retry = Retry::fixed(Duration::ZERO).attempts(3);
    let server = Served::start([build(workflow("w").add(step.retry(retry).streams::<Token>()))]);
    let handler = server.begin("w", &json!({}));
    let feed = server.feed(&handler);
    assert_eq!(server.ended(&handler)["status"], "completed", "{feed:#?}");
    values(&feed, "Token").iter().filter_map(|value| value["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn sleep_runs_the_body_again_and_pause_does_not() {
    static SLEPT: Counter = Counter::new();
    static PAUSED: Counter = Counter::new();
    let sleeps = workflow("w").step("w", |ctx, _: StartEvent| {
        SLEPT.count();
        ctx.sleep(Duration::from_millis(1))?;
        ctx.sleep(Duration::ZERO)?;
        ctx.sleep(Duration::from_millis(1))?;
        Ok(done(ctx.attempt()))
    });
    assert_eq!(result_of(sleeps, StartEvent::new()), json!(1));
    let pauses = workflow("w").step("w", |ctx, _: StartEvent| {
        PAUSED.count();
        ctx.pause(Duration::from_millis(1))?;
        ctx.pause(Duration::from_millis(1))?;
        Ok(done(ctx.attempt()))
    });
    assert_eq!(result_of(pauses, StartEvent::new()), json!(1));
    assert_eq!((SLEPT.get(), PAUSED.get()), (3, 1));
}

#[test]
fn cancelling_ends_sleep_and_pause_at_once() {
    let (ended, ends) = mpsc::channel();
    let (began, begins) = mpsc::channel();
    let server = Served::start([build(workflow("w").step("w", move |ctx, start: StartEvent| {
        let _ = began.send(());
        let hour = Duration::from_hours(1);
        let waited = if start.get_or("pause", false)? { ctx.pause(hour) } else { ctx.sleep(hour) };
        let _ = ended.send(waited.is_err() && ctx.check().is_err() && ctx.stream(token("late")).is_err());
        waited.map(|()| done(1))
    }))]);
    for pause in [false, true] {
        let handler = server.begin("w", &json!({ "pause": pause }));
        begins.recv_timeout(PATIENCE).expect("the body begins");
        assert_eq!(server.cancel(&handler).status, 200);
        assert_eq!(ends.recv_timeout(PATIENCE), Ok(true), "pause: {pause}");
        assert_eq!(server.ended(&handler)["status"], "cancelled");
        assert!(values(&server.feed(&handler), "Token").is_empty());
    }
}

#[test]
fn once_runs_its_closure_once_over_passes_and_attempts() {
    static CALLS: Counter = Counter::new();
    static PASSES: Counter = Counter::new();
    let builder = workflow("w").add(
        Step::new("w", |ctx: &Ctx, _: StartEvent| {
            PASSES.count();
            let first = ctx.once(|| Ok(CALLS.count()))?;
            ctx.sleep(Duration::from_millis(1))?;
            let second = ctx.once(|| Ok(CALLS.count()))?;
            if ctx.attempt() < 3 {
                Err("again")?;
            }
            Ok(done((first, second)))
        })
        .retry(Retry::fixed(Duration::ZERO)),
    );
    assert_eq!(result_of(builder, StartEvent::new()), json!([0, 1]));
    assert_eq!((CALLS.get(), PASSES.get()), (2, 4));
}

#[test]
fn a_once_that_fails_is_tried_again_by_the_next_attempt() {
    static CALLS: Counter = Counter::new();
    let builder = workflow("w").add(
        Step::new("w", |ctx: &Ctx, _: StartEvent| {
            let call = ctx.once(|| if CALLS.count() < 2 { Err("down")? } else { Ok("up") }.map(str::to_owned))?;
            Ok(done((call, ctx.attempt())))
        })
        .retry(Retry::fixed(Duration::ZERO)),
    );
    assert_eq!(result_of(builder, StartEvent::new()), json!(["up", 3]));
}

#[test]
fn waits_and_writes_inside_of_once_fail_and_name_the_call() {
    type Call = fn(&Ctx) -> Result<()>;
    let calls: [(&str, Call); 3] = [
        ("`ctx.sleep`", |ctx| ctx.sleep(Duration::from_millis(1))),
        ("`ctx.state`", |ctx| ctx.state().set("k", 1)),
        ("`ctx.once`", |ctx| ctx.once(|| Ok(()))),
    ];
    for (name, call) in calls {
        let builder = workflow("w").step("w", move |ctx, _: StartEvent| {
            ctx.once(|| call(ctx))?;
            Ok(done(1))
        });
        let error = error_of(builder, StartEvent::new());
        assert!(error.starts_with(&format!("{name} inside of `ctx.once`")), "{error}");
    }
}

#[test]
fn passes_of_one_attempt_do_not_stream_the_same_twice() {
    let seen = streamed(|ctx| {
        ctx.stream(token("a"))?;
        ctx.sleep(Duration::from_millis(1))?;
        ctx.stream(token("b"))?;
        ctx.stream(token("b"))?;
        ctx.sleep(Duration::from_millis(1))?;
        ctx.stream(token("c"))
    });
    assert_eq!(seen, ["a", "b", "b", "c"]);
}

#[test]
fn from_the_first_write_that_differs_all_are_streamed_anew() {
    let passes = Counter::new();
    let seen = streamed(move |ctx| {
        ctx.stream(token("a"))?;
        ctx.stream(token(if passes.count() == 0 { "b" } else { "c" }))?;
        ctx.stream(token("d"))?;
        ctx.sleep(Duration::from_millis(1))
    });
    assert_eq!(seen, ["a", "b", "d", "c", "d"]);
}

#[test]
fn a_new_attempt_streams_anew() {
    let seen = streamed(|ctx| {
        ctx.stream(token("a"))?;
        if ctx.attempt() < 3 {
            Err("again")?;
        }
        ctx.stream(token("b"))
    });
    assert_eq!(seen, ["a", "a", "a", "b"]);
}

#[test]
fn writes_inside_of_a_once_that_is_skipped_stay_counted() {
    let calls = Arc::new(Counter::new());
    let counted = Arc::clone(&calls);
    let seen = streamed(move |ctx| {
        ctx.stream(token("a"))?;
        ctx.once(|| {
            counted.count();
            ctx.stream(token("inside"))
        })?;
        ctx.stream(token("b"))?;
        ctx.sleep(Duration::from_millis(1))?;
        ctx.stream(token("c"))
    });
    assert_eq!((seen, calls.get()), (["a", "inside", "b", "c"].map(str::to_owned).to_vec(), 1));
}

#[test]
fn a_pass_knows_its_work_its_run_and_its_handler() {
    let server = Served::start([build(workflow("w").step("w", |ctx, _: StartEvent| {
        let ids = ctx.once(|| Ok((ctx.work_id(), ctx.run_id())))?;
        ctx.sleep(Duration::from_millis(1))?;
        let same = ids == (ctx.work_id(), ctx.run_id());
        Ok(done((same, ids.0.starts_with(&ids.1), ctx.handler_id(), ids.1)))
    }))]);
    let handler: Value = server.run("w", &json!({})).json();
    let expected = json!([true, true, handler["handler_id"], handler["run_id"]]);
    assert_eq!(handler["result"], expected, "{handler}");
}
