//! `Runtime::test`: scripted answers, and a clock that jumps.

use std::time::{Duration, Instant};

use serde_json::json;
use steprill::{
    Answer, Asks, Ctx, Failure, Outcome, Result, Retry, Runtime, StartEvent, Step, StopEvent, Workflow, event, one_of,
};

use super::{build, done, workflow};
use crate::support::PATIENCE;

event! {
    struct Approve: Asks<Verdict> { n: u32 }
    struct Verdict { n: u32 }
    struct Wanted: InputRequired { text: String }
    struct Given: HumanResponse { text: String }
    struct Progress { percent: u32 }
    struct Item { n: u64 }
    struct ItemDone { n: u64 }
}

one_of! {
    enum Again { StartEvent, StopEvent }
}

const DAY: Duration = Duration::from_hours(24);

fn approval() -> Workflow {
    build(workflow("approval").add(Step::new("review", |ctx: &Ctx<Asks<Approve>>, _: StartEvent| {
        let mut given = Vec::new();
        for n in 0..3 {
            match ctx.ask(Approve { n }).timeout(DAY).wait()? {
                Answer::Given(Verdict { n }) => given.push(n),
                Answer::TimedOut => return Ok(done("too late")),
            }
            ctx.stream(Progress { percent: n * 50 })?;
        }
        Ok(done(given))
    })))
}

#[test]
fn questions_are_answered_by_script_and_the_events_shown_are_returned() {
    let run =
        Runtime::test(&approval()).answer(|question: Approve| Verdict { n: question.n + 10 }).run(StartEvent::new());
    assert_eq!(run.stop::<StopEvent>().result::<Vec<u32>>().unwrap(), [10, 11, 12]);
    assert_eq!(run.names(), ["Approve", "Progress", "Approve", "Progress", "Approve", "Progress", "StopEvent"]);
    let percents: Vec<u32> = run.events::<Progress>().into_iter().map(|progress| progress.percent).collect();
    assert_eq!((percents, run.elapsed), (vec![0, 50, 100], Duration::ZERO));
}

#[test]
fn a_day_passes_at_once() {
    let begun = Instant::now();
    let run = Runtime::test(&approval()).run(StartEvent::new());
    assert_eq!(
        run.outcome,
        Outcome::Completed(steprill::json::Json::from_value(&json!({"result": "too late"})).unwrap())
    );
    assert_eq!(run.elapsed, DAY);
    assert!(begun.elapsed() < PATIENCE, "no real time passes");
}

#[test]
fn a_returned_question_is_answered_too_and_scripted_events_are_sent() {
    let asking = build(
        workflow("w")
            .step("ask", |_, _: StartEvent| Ok(Wanted { text: "name?".into() }))
            .step("answer", |_, given: Given| Ok(done(given.text))),
    );
    let answered = Runtime::test(&asking).answer(|wanted: Wanted| Given { text: wanted.text + " Ada" });
    assert_eq!(answered.run(StartEvent::new()).stop::<StopEvent>().result::<String>().unwrap(), "name? Ada");
    let posted = Runtime::test(&asking).post_after(DAY, &Given { text: "late".into() }).run(StartEvent::new());
    assert_eq!(posted.stop::<StopEvent>().result::<String>().unwrap(), "late");
    assert_eq!(posted.elapsed, DAY);
}

#[test]
#[should_panic(expected = "nobody answers `Wanted`; script it with `.answer(|question: Wanted| ..)`")]
fn a_question_without_a_script_is_named() {
    let asking = build(
        workflow("w")
            .step("ask", |_, _: StartEvent| Ok(Wanted { text: String::new() }))
            .step("answer", |_, given: Given| Ok(done(given.text))),
    );
    let _ = Runtime::test(&asking).run(StartEvent::new());
}

#[test]
#[should_panic(expected = "it goes on for ever")]
fn a_run_that_never_ends_is_told_from_one_that_does() {
    let looping = build(workflow("w").step("again", |_, start: StartEvent| {
        Ok(if start.get_or("stop", false)? { Again::from(done(0)) } else { start.into() })
    }));
    let _ = Runtime::test(&looping).run(StartEvent::new());
}

#[test]
fn sleeps_pauses_retries_and_time_outs_go_by_the_clock_of_the_run() {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        ctx.sleep(Duration::from_hours(1))?;
        ctx.pause(Duration::from_secs(5))?;
        if ctx.attempt() < 3 { Err("not yet")? } else { Ok(done(ctx.attempt())) }
    });
    let retried = build(workflow("w").add(step.retry(Retry::fixed(Duration::from_mins(10)))));
    let run = Runtime::test(&retried).run(StartEvent::new());
    assert_eq!(run.stop::<StopEvent>().result::<u32>().unwrap(), 3);
    assert_eq!(run.elapsed, Duration::from_hours(1) + 3 * Duration::from_secs(5) + 2 * Duration::from_mins(10));

    let slow = Step::new("slow", |ctx: &Ctx, _: StartEvent| -> Result<StopEvent> {
        loop {
            ctx.pause(Duration::from_secs(7))?;
        }
    });
    let slow = slow.timeout(Duration::from_mins(1)).on_failure(|failure: Failure<StartEvent>| done(failure.error));
    let run = Runtime::test(&build(workflow("w").add(slow))).run(StartEvent::new());
    assert_eq!(run.stop::<StopEvent>().result::<String>().unwrap(), "Step slow timed out after 60 seconds");
    assert_eq!(run.elapsed, Duration::from_mins(1));

    let limited = workflow("w").timeout(DAY).step("sleep", |ctx, _: StartEvent| {
        ctx.sleep(2 * DAY)?;
        Ok(done(0))
    });
    let run = Runtime::test(&build(limited)).run(StartEvent::new());
    assert_eq!(run.error(), Some("Operation timed out after 86400 seconds. Currently active steps: sleep"));
}

#[test]
fn a_test_goes_the_same_way_every_time() {
    let fanned = build(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok((0..20).map(|n| Item { n }).collect::<Vec<_>>()))
            .add(
                Step::new("work", |ctx: &Ctx, item: Item| {
                    ctx.stream(Progress { percent: 5 * item.n as u32 })?;
                    ctx.sleep(Duration::from_secs(60 - item.n))?;
                    if ctx.attempt() == 1 { Err("once more")? } else { Ok(ItemDone { n: item.n }) }
                })
                .retry(Retry::exponential(Duration::from_secs(1))),
            )
            .step("join", |_, all: Vec<ItemDone>| Ok(done(all.iter().map(|one| one.n).collect::<Vec<_>>()))),
    );
    let run = || Runtime::test(&fanned).run(StartEvent::new());
    let first = run();
    assert_eq!(first.stop::<StopEvent>().result::<Vec<u64>>().unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(run(), first);
}

#[test]
fn a_run_without_a_server_that_waits_for_somebody_fails_instead_of_waiting_for_ever() {
    let asking = build(workflow("w").add(Step::new("ask", |ctx: &Ctx<Asks<Approve>>, _: StartEvent| {
        Ok(done(ctx.ask(Approve { n: 0 }).wait()?.n))
    })));
    let Outcome::Failed(error) = Runtime::run(&asking, StartEvent::new()) else { panic!("nobody answers") };
    assert_eq!(error, "the run waits for an event from outside, which nobody can send here");
}
