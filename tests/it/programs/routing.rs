//! Where events go.

use serde_json::json;
use steprill::{Ctx, Result, Sends, StartEvent, Step, StopEvent, event, one_of};

use super::{done, error_of, result_of, workflow};

event! {
    struct Item { n: i64 }
    struct Seen { by: String, n: i64 }
    struct Left {}
    struct Right { n: i64 }
}
one_of! {
    enum Side { Left, Right }
    enum Either { Seen, StopEvent }
}

/// Stops with all values that were seen, in order, once there are `wanted` of them.
fn collect(ctx: &Ctx, seen: &Seen, wanted: usize) -> Result<Option<StopEvent>> {
    let mut all: Vec<(i64, String)> = ctx.state().get("seen")?.unwrap_or_default();
    all.push((seen.n, seen.by.clone()));
    all.sort();
    ctx.state().set("seen", &all)?;
    Ok((all.len() == wanted).then(|| done(all)))
}

#[test]
fn an_event_goes_to_every_step_that_takes_it() {
    let result = result_of(
        workflow("w")
            .step("begin", |_, _: StartEvent| Ok(Item { n: 1 }))
            .step("a", |_, item: Item| Ok(Seen { by: "a".into(), n: item.n }))
            .step("b", |_, item: Item| Ok(Seen { by: "b".into(), n: item.n }))
            .step("collect", |ctx, seen: Seen| collect(ctx, &seen, 2)),
        StartEvent::new(),
    );
    assert_eq!(result, json!([[1, "a"], [1, "b"]]));
}

#[test]
fn a_vec_without_a_fan_in_emits_each_of_its_events() {
    let result = result_of(
        workflow("w")
            .step("begin", |_, _: StartEvent| Ok((0..100).map(|n| Item { n }).collect::<Vec<_>>()))
            .step("a", |_, item: Item| Ok(Seen { by: String::new(), n: item.n }))
            .step("collect", |ctx, seen: Seen| collect(ctx, &seen, 100)),
        StartEvent::new(),
    );
    assert_eq!(result, json!((0..100).map(|n| (n, "")).collect::<Vec<_>>()));
}

#[test]
fn an_enum_is_emitted_and_received_as_the_event_that_it_holds() {
    for (left, expected) in [(true, json!("left")), (false, json!(7))] {
        let result = result_of(
            workflow("w")
                .step("choose", |_, start: StartEvent| {
                    let left = start.get_or("left", false)?;
                    Ok(if left { Side::from(Left {}) } else { Right { n: 7 }.into() })
                })
                .step("take", |_, side: Side| match side {
                    Side::Left(_) => Ok(done("left")),
                    Side::Right(right) => Ok(done(right.n)),
                }),
            StartEvent::new().with("left", left),
        );
        assert_eq!(result, expected);
    }
}

#[test]
fn vecs_and_options_of_enums_emit_the_events_that_they_hold() {
    let result = result_of(
        workflow("w")
            .step("begin", |_, _: StartEvent| {
                Ok(vec![Side::from(Left {}), Right { n: 1 }.into(), Right { n: 2 }.into()])
            })
            .step("take", |_, side: Side| {
                Ok(match side {
                    Side::Left(_) => None,
                    Side::Right(right) => Some(Either::from(Seen { by: String::new(), n: right.n })),
                })
            })
            .step("collect", |ctx, seen: Seen| collect(ctx, &seen, 2)),
        StartEvent::new(),
    );
    assert_eq!(result, json!([[1, ""], [2, ""]]));
}

#[test]
fn a_run_in_which_nothing_is_left_to_do_fails_with_that_reason() {
    let nothing = "no step is left to run and none returned StopEvent";
    let none = workflow("w").step("begin", |_, _: StartEvent| Ok(None::<StopEvent>));
    assert_eq!(error_of(none, StartEvent::new()), nothing);
    let empty =
        workflow("w").step("begin", |_, _: StartEvent| Ok(Vec::<Item>::new())).step("end", |_, _: Item| Ok(done(1)));
    assert_eq!(error_of(empty, StartEvent::new()), nothing);
    let unit = workflow("w")
        .add(Step::new("begin", |ctx: &Ctx<Sends<(Item,)>>, start: StartEvent| {
            if start.get_or("go", false)? {
                ctx.send(Item { n: 1 })?;
            }
            Ok(())
        }))
        .step("end", |_, _: Item| Ok(done(1)));
    assert_eq!(error_of(unit, StartEvent::new()), nothing);
}

#[test]
fn sent_events_come_before_returned_ones() {
    let result = result_of(
        workflow("w")
            .add(Step::new("begin", |ctx: &Ctx<Sends<(Item, Right)>>, _: StartEvent| {
                ctx.send(Item { n: 1 })?;
                ctx.send(Item { n: 2 })?;
                Ok(Item { n: 3 })
            }))
            .add(
                Step::new("take", |ctx: &Ctx, item: Item| {
                    ctx.state().push("order", item.n)?;
                    Ok((item.n == 3).then_some(Left {}))
                })
                .workers(1),
            )
            .step("unused", |_, _: Right| Ok(None::<StopEvent>))
            .step("end", |ctx, _: Left| Ok(done(ctx.state().get::<Vec<i64>>("order")?))),
        StartEvent::new(),
    );
    assert_eq!(result, json!([1, 2, 3]));
}

#[test]
fn steps_may_capture_what_they_need() {
    let (prefix, numbers) = ("n: ".to_owned(), vec![1, 2, 3]);
    let result = result_of(
        workflow("w")
            .step("begin", move |_, _: StartEvent| Ok(done(format!("{prefix}{}", numbers.iter().sum::<i32>())))),
        StartEvent::new(),
    );
    assert_eq!(result, json!("n: 6"));
}
