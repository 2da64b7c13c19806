//! Fan-out and fan-in.

use std::time::Duration;

use serde_json::json;
use steprill::{Asks, Ctx, Retry, Sends, StartEvent, Step, StopEvent, event, one_of};

use super::{Counter, Served, build, done, result_of, workflow};

event! {
    struct Outer { n: usize }
    struct Inner { n: usize, m: usize }
    struct InnerDone { n: usize, m: usize }
    struct OuterDone { all: Vec<(usize, usize)> }
    struct Item { n: usize }
    struct ItemDone { n: usize }
    struct Approve: Asks<Verdict> { n: usize }
    struct Verdict { n: usize, good: bool }
}
one_of! {
    enum Either { ItemDone, Item }
}

fn items(count: usize) -> Vec<Item> {
    (0..count).map(|n| Item { n }).collect()
}

fn numbers(all: &[ItemDone]) -> Vec<usize> {
    all.iter().map(|done| done.n).collect()
}

#[test]
fn an_empty_fan_out_fires_its_fan_in_with_nothing() {
    let of_vec = workflow("w")
        .step("split", |_, _: StartEvent| Ok(items(0)))
        .step("work", |_, item: Item| Ok(ItemDone { n: item.n }))
        .step("join", |_, all: Vec<ItemDone>| Ok(done(all.len())));
    assert_eq!(result_of(of_vec, StartEvent::new()), json!(0));
    let of_sends = workflow("w")
        .add(Step::new("split", |_: &Ctx<Sends<(Item,)>>, _: StartEvent| Ok(())))
        .step("work", |_, item: Item| Ok(ItemDone { n: item.n }))
        .step("join", |_, all: Vec<ItemDone>| Ok(done(all.len())));
    assert_eq!(result_of(of_sends, StartEvent::new()), json!(0));
}

#[test]
fn the_order_of_a_fan_in_does_not_depend_on_completion() {
    let result = result_of(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok(items(12)))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    // The later ones finish first.
                    ctx.sleep(Duration::from_millis(3 * (12 - item.n) as u64))?;
                    Ok(ItemDone { n: item.n })
                })
                .workers(12),
            )
            .step("join", |_, all: Vec<ItemDone>| Ok(done(numbers(&all)))),
        StartEvent::new(),
    );
    assert_eq!(result, json!((0..12).collect::<Vec<_>>()));
}

#[test]
fn a_work_that_returns_nothing_adds_nothing() {
    let result = result_of(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok(items(10)))
            .step("work", |_, item: Item| Ok((item.n.is_multiple_of(3)).then_some(ItemDone { n: item.n })))
            .step("join", |_, all: Vec<ItemDone>| Ok(done(numbers(&all)))),
        StartEvent::new(),
    );
    assert_eq!(result, json!([0, 3, 6, 9]));
}

#[test]
fn nested_scopes_close_from_the_inside() {
    let result = result_of(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok((0..4).map(|n| Outer { n }).collect::<Vec<_>>()))
            .step("split_again", |_, outer: Outer| {
                Ok((0..outer.n).map(|m| Inner { n: outer.n, m }).collect::<Vec<_>>())
            })
            .add(
                Step::new("work", |ctx: &Ctx, inner: Inner| {
                    ctx.sleep(Duration::from_millis((9 - 2 * inner.n - inner.m) as u64))?;
                    Ok(InnerDone { n: inner.n, m: inner.m })
                })
                .workers(8),
            )
            .step("join", |_, all: Vec<InnerDone>| {
                Ok(OuterDone { all: all.iter().map(|inner| (inner.n, inner.m)).collect() })
            })
            .step("join_again", |_, all: Vec<OuterDone>| {
                Ok(done(all.into_iter().map(|outer| outer.all).collect::<Vec<_>>()))
            }),
        StartEvent::new(),
    );
    assert_eq!(result, json!([[], [[1, 0]], [[2, 0], [2, 1]], [[3, 0], [3, 1], [3, 2]]]));
}

#[test]
fn a_loop_inside_of_a_scope_stays_in_it() {
    let result = result_of(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok(items(5)))
            .step("work", |ctx, item: Item| {
                ctx.state().add("rounds", 1)?;
                Ok(if item.n < 10 { Either::from(Item { n: item.n + 3 }) } else { ItemDone { n: item.n }.into() })
            })
            .step("join", |ctx, all: Vec<ItemDone>| Ok(done((numbers(&all), ctx.state().get::<i64>("rounds")?)))),
        StartEvent::new(),
    );
    assert_eq!(result, json!([[12, 10, 11, 12, 10], 20]));
}

#[test]
fn a_retry_inside_of_a_scope_keeps_it_open() {
    let result = result_of(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok(items(6)))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    if ctx.attempt() as usize <= item.n % 3 {
                        Err("not yet")?;
                    }
                    ctx.state().add("attempts", ctx.attempt())?;
                    Ok(ItemDone { n: item.n })
                })
                .retry(Retry::fixed(Duration::from_millis(2)).attempts(3)),
            )
            .step("join", |ctx, all: Vec<ItemDone>| Ok(done((numbers(&all), ctx.state().get::<i64>("attempts")?)))),
        StartEvent::new(),
    );
    assert_eq!(result, json!([[0, 1, 2, 3, 4, 5], 12]));
}

#[test]
fn a_returned_event_beside_sent_ones_stays_outside_of_the_scope() {
    static BESIDE: Counter = Counter::new();
    let result = result_of(
        workflow("w")
            .add(Step::new("split", |ctx: &Ctx<Sends<(Item,)>>, _: StartEvent| {
                (0..3).try_for_each(|n| ctx.send(Item { n }))?;
                Ok(Outer { n: 9 })
            }))
            .step("beside", |_, _: Outer| {
                BESIDE.count();
                Ok(None::<StopEvent>)
            })
            .step("work", |_, item: Item| Ok(ItemDone { n: item.n }))
            .step("join", |ctx, all: Vec<ItemDone>| {
                ctx.pause(Duration::from_millis(1))?;
                Ok(done(numbers(&all)))
            }),
        StartEvent::new(),
    );
    assert_eq!((result, BESIDE.get()), (json!([0, 1, 2]), 1));
}

#[test]
fn questions_inside_of_a_scope_keep_it_open_and_each_gets_its_answer() {
    let server = Served::start([build(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok(items(6)))
            .add(Step::new("work", |ctx: &Ctx<Asks<(Approve,)>>, item: Item| {
                let verdict = ctx.ask(Approve { n: item.n }).matching("n", item.n).wait()?;
                Ok(verdict.good.then_some(ItemDone { n: item.n }))
            }))
            .step("join", |_, all: Vec<ItemDone>| Ok(done(numbers(&all)))),
    )]);
    let handler = server.begin("w", &json!({}));
    let mut feed = server.follow(&handler);
    for _ in 0..6 {
        feed.event_of("Approve");
    }
    for n in [3, 5, 1, 0, 4, 2] {
        assert_eq!(server.send(&handler, "Verdict", &json!({ "n": n, "good": n != 4 })).status, 200);
    }
    assert_eq!(server.ended(&handler)["result"]["value"]["result"], json!([0, 1, 2, 3, 5]));
}
