//! Slots, queues and the order of what is published.

use serde_json::{Value, json};
use steprill::{Ctx, StartEvent, Step, event};

use super::{Served, build, done, result_of, workflow};

event! {
    struct Item { n: i64 }
    struct Done { n: i64 }
}

fn items(start: &StartEvent) -> steprill::Result<Vec<Item>> {
    Ok((0..start.get_or("count", 5)?).map(|n| Item { n }).collect())
}

/// Returns `name state slot input output` of each `StepStateChanged`, and the type of each other event.
fn lines(feed: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => {
            text.rsplit(['.', '\'']).find(|part| !part.is_empty() && *part != ">").unwrap_or("").to_owned()
        }
        other => other.to_string(),
    };
    let line = |event: &Value| {
        let value = &event["value"];
        match event["type"].as_str() {
            Some("StepStateChanged") => ["name", "step_state", "worker_id", "input_event_name", "output_event_name"]
                .map(|member| text(&value[member]))
                .join(" "),
            other => other.unwrap_or_default().to_owned(),
        }
    };
    feed.iter().map(line).collect()
}

#[test]
fn one_slot_takes_works_in_order_of_arrival_and_the_others_are_prepared() {
    let server = Served::start([build(
        workflow("w")
            .step("split", |_, start: StartEvent| items(&start))
            .add(Step::new("work", |_: &Ctx, item: Item| Ok(Done { n: item.n })).workers(1))
            .step("join", |_, all: Vec<Done>| Ok(done(all.len()))),
    )]);
    let handler = server.begin("w", &json!({ "count": 3 }));
    let feed = server.feed(&handler);
    let work: Vec<String> = lines(&feed).into_iter().filter(|line| line.starts_with("work ")).collect();
    let states: Vec<&str> = work.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    let expected =
        ["running", "preparing", "preparing", "not_running", "running", "not_running", "running", "not_running"];
    let states: Vec<String> = states.iter().map(|state| state.to_lowercase()).collect();
    assert_eq!(states, expected, "{work:#?}");
    let sequences: Vec<u64> = feed.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    assert_eq!(sequences, (0..feed.len() as u64).collect::<Vec<_>>());
}

#[test]
fn one_slot_never_runs_two_passes_at_once() {
    let result = result_of(
        workflow("w")
            .step("split", |_, start: StartEvent| items(&start))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    let before: Vec<i64> = ctx.state().get("order")?.unwrap_or_default();
                    ctx.state().set("order", [before, vec![item.n]].concat())?;
                    ctx.state().add("passes", 1)?;
                    Ok(Done { n: item.n })
                })
                .workers(1),
            )
            .step("join", |ctx, _: Vec<Done>| {
                Ok(done((ctx.state().get::<Vec<i64>>("order")?, ctx.state().get::<i64>("passes")?)))
            }),
        StartEvent::new().with("count", 200),
    );
    assert_eq!(result, json!([(0..200).collect::<Vec<_>>(), 200]));
}

#[test]
fn a_sleeping_step_holds_its_slot() {
    let result = result_of(
        workflow("w")
            .step("split", |_, start: StartEvent| items(&start))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    let delay_ms = if item.n == 0 { 30 } else { 1 };
                    ctx.sleep(std::time::Duration::from_millis(delay_ms))?;
                    ctx.state().push("order", item.n)?;
                    Ok(Done { n: item.n })
                })
                .workers(1),
            )
            .step("join", |ctx, _: Vec<Done>| Ok(done(ctx.state().get::<Vec<i64>>("order")?))),
        StartEvent::new().with("count", 4),
    );
    assert_eq!(result, json!([0, 1, 2, 3]));
}
