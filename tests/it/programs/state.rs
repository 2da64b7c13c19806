//! The run's state: transactions of passes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::json;
use steprill::{Ctx, Retry, StartEvent, Step, WorkflowBuilder, event};

use super::{Counter, done, error_of, result_of, workflow};

event! {
    struct Item { n: usize }
    struct Done { n: usize }
}

/// Runs `count` works of one body concurrently. Returns the state's `key` after all have finished.
fn concurrent(
    count: usize,
    key: &'static str,
    body: impl Fn(&Ctx, usize) -> steprill::Result<()> + Send + Sync + 'static,
) -> WorkflowBuilder {
    workflow("w")
        .step("split", move |_, _: StartEvent| Ok((0..count).map(|n| Item { n }).collect::<Vec<_>>()))
        .add(
            Step::new("work", move |ctx: &Ctx, item: Item| {
                body(ctx, item.n)?;
                Ok(Done { n: item.n })
            })
            .workers(count as u16),
        )
        .step("join", move |ctx, _: Vec<Done>| Ok(done(ctx.state().get::<serde_json::Value>(key)?)))
}

#[test]
fn fifty_increments_at_once_make_fifty_and_none_runs_more_than_four_times() {
    static PASSES: Counter = Counter::new();
    let builder = concurrent(50, "n", |ctx, _| {
        PASSES.count();
        let n: i64 = ctx.state().get("n")?.unwrap_or(0);
        ctx.pause(Duration::from_millis(1))?;
        ctx.state().set("n", n + 1)
    });
    assert_eq!(result_of(builder, StartEvent::new()), json!(50));
    let passes = PASSES.get();
    assert!((51..=200).contains(&passes), "{passes} passes: conflicts, and at most three of each work");
}

#[test]
fn adding_pushing_and_blind_writes_never_conflict() {
    static PASSES: Counter = Counter::new();
    let builder = concurrent(50, "sum", |ctx, n| {
        PASSES.count();
        ctx.state().add("sum", n)?;
        ctx.state().push("all", n)?;
        ctx.state().set("last", n)?;
        ctx.pause(Duration::from_millis(1))?;
        ctx.state().remove("nothing")
    });
    assert_eq!(result_of(builder, StartEvent::new()), json!(1225));
    assert_eq!(PASSES.get(), 50);
}

#[test]
fn reading_an_absent_key_and_listing_keys_are_reads() {
    let listed = concurrent(20, "k0", |ctx, _| {
        let keys = ctx.state().keys()?.len();
        ctx.pause(Duration::from_millis(1))?;
        ctx.state().set(&format!("k{keys}"), keys)?;
        if keys == 19 {
            let all: Vec<usize> = (0..20).map(|n| n.min(keys)).collect();
            ctx.state().set("k0", all.len())?;
        }
        Ok(())
    });
    assert_eq!(result_of(listed, StartEvent::new()), json!(20));
    let absent = concurrent(20, "winners", |ctx, _| {
        if ctx.state().get::<bool>("taken")?.is_none() {
            ctx.pause(Duration::from_millis(1))?;
            ctx.state().set("taken", true)?;
            ctx.state().add("winners", 1)?;
        }
        Ok(())
    });
    assert_eq!(result_of(absent, StartEvent::new()), json!(1));
}

#[test]
fn a_write_of_another_type_fails_the_pass_and_names_key_and_type() {
    let add = workflow("w").step("w", |ctx, _: StartEvent| {
        ctx.state().set("count", "many")?;
        ctx.state().add("count", 1)?;
        Ok(done(1))
    });
    assert_eq!(error_of(add, StartEvent::new()), "state key `count`: `add` needs a number, found a string");
    let push = workflow("w").step("w", |ctx, _: StartEvent| {
        ctx.state().set("list", 7)?;
        ctx.state().push("list", 1)?;
        Ok(done(1))
    });
    assert_eq!(error_of(push, StartEvent::new()), "state key `list`: `push` needs an array, found a number");
    let get = workflow("w").step("w", |ctx, _: StartEvent| {
        ctx.state().set("list", 7)?;
        Ok(done(ctx.state().get::<Vec<i64>>("list")?))
    });
    let error = error_of(get, StartEvent::new());
    assert!(error.contains("`list`") && error.contains("array"), "{error}");
}

#[test]
fn a_type_that_changes_while_a_pass_runs_fails_it_and_names_key_and_type() {
    event! { struct Go { adds: bool } }
    let builder = workflow("w").step("begin", |_, _: StartEvent| Ok(vec![Go { adds: true }, Go { adds: false }])).step(
        "work",
        |ctx, go: Go| {
            if go.adds {
                ctx.state().add("k", 1)?;
                ctx.pause(Duration::from_millis(50))?;
            } else {
                ctx.state().set("k", "text")?;
            }
            Ok(None::<steprill::StopEvent>)
        },
    );
    assert_eq!(error_of(builder, StartEvent::new()), "state key `k`: `add` needs a number, found a string");
}

#[test]
fn a_failed_pass_leaves_no_writes() {
    let builder = workflow("w").add(
        Step::new("w", |ctx: &Ctx, _: StartEvent| {
            let seen: Option<i64> = ctx.state().get("n")?;
            ctx.state().set("n", 1)?;
            ctx.state().add("m", 1)?;
            if ctx.attempt() < 3 {
                Err("again")?;
            }
            Ok(done((seen, ctx.state().get::<i64>("m")?)))
        })
        .retry(Retry::fixed(Duration::from_millis(1))),
    );
    assert_eq!(result_of(builder, StartEvent::new()), json!([null, 1]));
}

#[test]
fn a_waiting_pass_leaves_no_writes_and_sees_the_state_anew() {
    let builder = workflow("w").step("w", |ctx, _: StartEvent| {
        ctx.state().add("n", 1)?;
        ctx.sleep(Duration::from_millis(1))?;
        ctx.sleep(Duration::from_millis(1))?;
        Ok(done(ctx.state().get::<i64>("n")?))
    });
    assert_eq!(result_of(builder, StartEvent::new()), json!(1));
}

#[test]
fn a_state_over_its_bound_fails_the_step_at_once_and_says_so() {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    let builder = workflow("w").add(
        Step::new("w", |ctx: &Ctx, _: StartEvent| {
            ATTEMPTS.fetch_add(1, Ordering::SeqCst);
            (0..17).try_for_each(|n| ctx.state().set(&format!("k{n}"), "x".repeat(1 << 20)))?;
            Ok(done(1))
        })
        .retry(Retry::fixed(Duration::from_millis(1))),
    );
    let error = error_of(builder, StartEvent::new());
    assert!(error.contains("may take 16777216"), "{error}");
    assert_eq!(ATTEMPTS.load(Ordering::SeqCst), 1, "no retry could mend it");
}

#[test]
fn a_value_that_does_not_serialise_fails_the_step_at_once() {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    let builder = workflow("w").add(
        Step::new("w", |ctx: &Ctx, _: StartEvent| {
            ATTEMPTS.fetch_add(1, Ordering::SeqCst);
            ctx.state().set("k", std::collections::BTreeMap::from([((1, 2), 3)]))?;
            Ok(done(1))
        })
        .retry(Retry::fixed(Duration::from_millis(1))),
    );
    assert_eq!(error_of(builder, StartEvent::new()), "state key `k`: key must be a string");
    assert_eq!(ATTEMPTS.load(Ordering::SeqCst), 1, "no retry could mend it");
}

#[test]
fn small_entries_count_as_what_they_cost() {
    let builder = workflow("w").step("w", |ctx, _: StartEvent| {
        (0..150_000).try_for_each(|n| ctx.state().set(&n.to_string(), 1))?;
        Ok(done(1))
    });
    let error = error_of(builder, StartEvent::new());
    assert!(error.contains("bytes of memory, and may take 16777216"), "{error}");
}

#[test]
fn pushes_and_sums_of_one_pass_are_one_write_each() {
    let builder = workflow("w").step("w", |ctx, _: StartEvent| {
        for n in 0..40_000 {
            ctx.state().push("list", n)?;
            ctx.state().add("sum", n)?;
        }
        let list: Vec<i64> = ctx.state().get("list")?.unwrap_or_default();
        Ok(done((list.len(), list[39_999], ctx.state().get::<i64>("sum")?)))
    });
    assert_eq!(result_of(builder, StartEvent::new()), json!([40_000, 39_999, 799_980_000]));
}
