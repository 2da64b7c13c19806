//! Whole workflows of the authoring API on the real engine, without HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use steprill::{Outcome, Retry, Runtime, StartEvent, Step, StopEvent, Workflow, event};

event! {
    struct Section { n: u32 }
    struct Draft { n: u32, text: String }
    struct Token { text: String }
}

#[track_caller]
fn completed(outcome: Outcome) -> serde_json::Value {
    match outcome {
        Outcome::Completed(value) => value.decode().expect("a stop event"),
        other => panic!("not completed: {other:?}"),
    }
}

#[test]
fn sections_are_written_at_a_time_and_gathered_in_their_order() {
    let workflow = Workflow::new::<StartEvent, StopEvent>("article")
        .step("outline", |_, start: StartEvent| {
            Ok((0..start.get_or("sections", 3)?).map(|n| Section { n }).collect::<Vec<_>>())
        })
        .step("write", |ctx, section: Section| {
            ctx.stream(Token { text: format!("section {}", section.n) })?;
            ctx.sleep(Duration::from_millis(u64::from(5 - section.n % 5)))?;
            ctx.state().add("written", 1)?;
            Ok(Draft { n: section.n, text: format!("<{}>", section.n) })
        })
        .step("edit", |ctx, drafts: Vec<Draft>| {
            let text: String = drafts.iter().map(|draft| draft.text.as_str()).collect();
            let last = drafts.last().map(|draft| draft.n);
            Ok(StopEvent::new((text, last, ctx.state().get::<u32>("written")?)))
        })
        .build()
        .unwrap_or_else(|faults| panic!("{faults}"));
    let run = |sections: u32| {
        let start = StartEvent::new().with("sections", sections);
        completed(Runtime::run(&workflow, start))
    };
    assert_eq!(run(12), json!({ "result": ["<0><1><2><3><4><5><6><7><8><9><10><11>", 11, 12] }));
    assert_eq!(run(0), json!({ "result": ["", null, null] }));
}

#[test]
fn what_once_returned_is_remembered_across_waits_and_attempts_and_streams_continue_after_it() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let step = Step::new("buy", move |ctx: &steprill::Ctx, _: StartEvent| {
        ctx.stream(Token { text: "begins".into() })?;
        let ticket = ctx.once(|| {
            ctx.stream(Token { text: "calls".into() })?;
            Ok(counted.fetch_add(1, Ordering::Relaxed) + 100)
        })?;
        ctx.stream(Token { text: "has called".into() })?;
        ctx.sleep(Duration::from_millis(1))?;
        ctx.stream(Token { text: "has slept".into() })?;
        if ctx.attempt() < 3 {
            Err(format!("attempt {} failed", ctx.attempt()))?;
        }
        Ok(StopEvent::new((ticket, ctx.attempt())))
    });
    let workflow = Workflow::new::<StartEvent, StopEvent>("shop")
        .add(step.retry(Retry::fixed(Duration::from_millis(1)).attempts(3)))
        .build()
        .unwrap_or_else(|faults| panic!("{faults}"));
    let outcome = Runtime::run(&workflow, StartEvent::new());
    assert_eq!(completed(outcome), json!({ "result": [100, 3] }));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}
