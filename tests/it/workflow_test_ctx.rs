//! `TestCtx`: one pass of a step without an engine.

// Steps take their events by value and return a `Result`, whatever they do with them.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::time::Duration;

use steprill::{Asks, Ctx, Result, Sends, StartEvent, StopEvent, TestCtx, event};

event! {
    struct Token { text: String }
    struct Mail { to: String }
    struct Approve: Asks<Verdict> { n: u32 }
    struct Verdict { good: bool }
}

fn step(ctx: &Ctx<(Sends<Mail>, Asks<Approve>)>, start: StartEvent) -> Result<StopEvent> {
    ctx.stream(Token { text: "begins".into() })?;
    ctx.send(Mail { to: start.get_or("to", "nobody".to_owned())? })?;
    ctx.state().push("log", ctx.attempt())?;
    let answer = ctx.ask(Approve { n: 7 }).timeout(Duration::from_secs(50)).wait()?;
    let verdict = answer.given().ok_or("nobody answered")?;
    ctx.sleep(Duration::from_secs(5))?;
    if !verdict.good {
        Err("no good")?;
    }
    Ok(StopEvent::new("done"))
}

#[test]
fn a_step_that_waits_shows_its_question_and_has_sent_nothing_yet() {
    let tested = TestCtx::new().state("log", [0]).run(step, StartEvent::new());
    assert_eq!(tested.question::<Approve>().map(|question| question.n), Some(7));
    assert_eq!(tested.streamed::<Token>().len(), 1);
    assert!(tested.sent::<Mail>().is_empty());
    assert_eq!(tested.state::<Vec<u32>>("log"), Some(vec![0]));
    assert_eq!((tested.sleeps(), tested.error()), (None, None));
}

#[test]
fn waits_that_are_over_let_the_step_continue() {
    let answered = || TestCtx::new().answer::<Approve>(Verdict { good: true });
    assert_eq!(answered().run(step, StartEvent::new()).sleeps(), Some(Duration::from_secs(5)));
    let tested = answered().slept().attempt(2).run(step, StartEvent::new().with("to", "ann"));
    assert_eq!(tested.sent::<Mail>()[0].to, "ann");
    assert_eq!(tested.state::<Vec<u32>>("log"), Some(vec![2]));
    assert_eq!(tested.returned().result::<String>().unwrap(), "done");
}

#[test]
fn a_failure_has_its_error_text() {
    let tested = TestCtx::new().answer::<Approve>(Verdict { good: false }).slept().run(step, StartEvent::new());
    assert_eq!(tested.error(), Some("no good"));
    let tested = TestCtx::new().timed_out::<Approve>().run(step, StartEvent::new());
    assert_eq!(tested.error(), Some("nobody answered"));
    let tested = TestCtx::new().slept().run(step, StartEvent::new());
    assert!(tested.error().is_some_and(|error| error.contains("`ctx.sleep`")), "{tested:?}");
}

#[test]
#[should_panic(expected = "the step returned nothing: Waits")]
fn asking_a_waiting_step_for_its_return_tells_that_it_waits() {
    TestCtx::new().run(step, StartEvent::new()).returned();
}

#[test]
fn a_step_may_stream_more_than_a_running_pass_may_be_ahead() {
    let text = "x".repeat(steprill::limits::NOTES_BYTES_MAX / 2);
    let stream_all = |ctx: &Ctx, _: StartEvent| {
        for _ in 0..8 {
            ctx.stream(Token { text: text.clone() })?;
        }
        Ok(())
    };
    let tested = TestCtx::new().run(stream_all, StartEvent::new());
    assert_eq!(tested.streamed::<Token>().len(), 8);
}
