//! Questions and answers.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use steprill::{Answer, Asks, Ctx, Retry, StartEvent, Step, Workflow, event};

use super::{Counter, Gate, Served, build, done, error_of, result_of, served::values, workflow};

event! {
    struct Approve: Asks<Verdict> { n: i64 }
    struct Verdict { n: i64 }
    struct Choose: Asks<Choice> {}
    struct Choice { text: String }
    struct Wanted: InputRequired {}
    struct Given: HumanResponse { n: i64 }
}

type Asking = Ctx<Asks<(Approve,)>>;
type AskingBoth = Ctx<Asks<(Approve, Choose)>>;

fn result(handler: &Value) -> &Value {
    &handler["result"]["value"]["result"]
}

fn asking(name: &str, body: impl Fn(&Asking) -> steprill::Result<Value> + Send + Sync + 'static) -> Workflow {
    build(workflow(name).add(Step::new("ask", move |ctx: &Asking, _: StartEvent| Ok(done(body(ctx)?)))))
}

#[test]
fn an_answer_reaches_the_oldest_question_that_it_matches() {
    event! {
        struct Item { n: i64 }
        struct Got { asked: i64, came: i64 }
    }
    let server = Served::start([build(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok((0..3).map(|n| Item { n }).collect::<Vec<_>>()))
            .add(Step::new("work", |ctx: &Asking, item: Item| {
                let ask = ctx.ask(Approve { n: item.n });
                // The middle one accepts only 7, the others accept any.
                let answer = if item.n == 1 { ask.matching("n", 7).wait()? } else { ask.wait()? };
                Ok(Got { asked: item.n, came: answer.n })
            }))
            .step("join", |_, all: Vec<Got>| Ok(done(all.iter().map(|got| (got.asked, got.came)).collect::<Vec<_>>()))),
    )]);
    let handler = server.begin("w", &json!({}));
    let mut feed = server.follow(&handler);
    let asked: Vec<Value> = (0..3).map(|_| feed.event_of("Approve")["value"]["n"].clone()).collect();
    for n in [1, 2, 7] {
        assert_eq!(server.send(&handler, "Verdict", &json!({ "n": n })).status, 200);
    }
    let free: Vec<&Value> = asked.iter().filter(|n| **n != json!(1)).collect();
    let mut expected = json!([[free[0], 1], [free[1], 2], [1, 7]]);
    expected.as_array_mut().unwrap().sort_by_key(|pair| pair[0].as_i64());
    assert_eq!(result(&server.ended(&handler)), &expected);
}

#[test]
fn early_answers_wait_in_order() {
    let gate = std::sync::Arc::new(super::Gate::default());
    let held = std::sync::Arc::clone(&gate);
    let server = Served::start([asking("w", move |ctx| {
        held.pass();
        Ok(json!([ctx.ask(Approve { n: 1 }).matching("n", 2).wait()?.n, ctx.ask(Approve { n: 2 }).wait()?.n]))
    })]);
    let handler = server.begin("w", &json!({}));
    gate.await_comers(1);
    for n in 1..=16 {
        assert_eq!(server.send(&handler, "Verdict", &json!({ "n": n })).status, 200, "{n}");
    }
    assert_eq!(server.send(&handler, "Verdict", &json!({ "n": 17 })).status, 409);
    gate.open();
    let feed = server.feed(&handler);
    assert_eq!(result(&server.ended(&handler)), &json!([2, 1]));
    assert_eq!(values(&feed, "Approve"), [&json!({ "n": 1 }), &json!({ "n": 2 })]);
}

#[test]
fn a_question_releases_its_slot_and_a_body_may_ask_twice() {
    static PASSES: Counter = Counter::new();
    let server = Served::start([build(workflow("w").add(Step::new("ask", |ctx: &AskingBoth, _: StartEvent| {
        PASSES.count();
        let verdict = ctx.ask(Approve { n: 1 }).wait()?;
        let choice = ctx.ask(Choose {}).wait()?;
        Ok(done((verdict.n, choice.text)))
    })))]);
    let handler = server.begin("w", &json!({}));
    let mut feed = server.follow(&handler);
    feed.event_of("Approve");
    server.send(&handler, "Verdict", &json!({ "n": 5 }));
    feed.event_of("Choose");
    server.send(&handler, "Choice", &json!({ "text": "x" }));
    assert_eq!(result(&server.ended(&handler)), &json!([5, "x"]));
    assert_eq!(PASSES.get(), 3);
    let feed = server.feed(&handler);
    let states: Vec<String> = values(&feed, "StepStateChanged")
        .iter()
        .map(|value| value["step_state"].as_str().unwrap_or_default().to_lowercase())
        .collect();
    assert_eq!(states, ["running", "not_running", "running", "not_running", "running", "not_running"]);
}

#[test]
fn the_time_out_of_a_question_is_a_value_and_lasts_as_long_as_the_attempt() {
    let builder = workflow("w").add(Step::new("ask", |ctx: &Asking, _: StartEvent| {
        let answer = ctx.ask(Approve { n: 1 }).timeout(Duration::from_millis(5)).wait()?;
        let late = matches!(answer, Answer::TimedOut);
        // The body runs again from its top, and the question is not asked again.
        ctx.sleep(Duration::from_millis(1))?;
        Ok(done(late))
    }));
    assert_eq!(result_of(builder, StartEvent::new()), json!(true));
    let given = workflow("w").add(Step::new("ask", |ctx: &Asking, _: StartEvent| {
        let answer = ctx.ask(Approve { n: 1 }).timeout(Duration::from_mins(10)).matching("n", 4).wait()?;
        Ok(done(answer.given().map(|verdict| verdict.n)))
    }));
    let server = Served::start([build(given)]);
    let handler = server.begin("w", &json!({}));
    server.follow(&handler).event_of("Approve");
    server.send(&handler, "Verdict", &json!({ "n": 4 }));
    assert_eq!(server.ended(&handler)["result"]["value"]["result"], 4);
}

#[test]
fn a_question_that_timed_out_and_then_has_no_time_out_fails_the_run_and_says_so() {
    static PASSES: Counter = Counter::new();
    let builder = workflow("w").add(Step::new("ask", |ctx: &Asking, _: StartEvent| {
        let ask = ctx.ask(Approve { n: 1 });
        if PASSES.count() == 0 {
            ask.timeout(Duration::from_millis(5)).wait()?;
            return Ok(done(0));
        }
        Ok(done(ask.wait()?.n))
    }));
    let error = error_of(builder, StartEvent::new());
    assert!(
        error.contains("`ctx.ask(Approve)` with a time-out and now makes it with `ctx.ask(Approve)` without"),
        "{error}"
    );
}

#[test]
fn the_next_attempt_asks_again_what_timed_out_and_not_what_was_answered() {
    let server = Served::start([build(
        workflow("w").add(
            Step::new("ask", |ctx: &AskingBoth, _: StartEvent| {
                let choice = ctx.ask(Choose {}).wait()?;
                let ask = ctx.ask(Approve { n: ctx.attempt().into() });
                let verdict = match ctx.attempt() {
                    1 => ask.timeout(Duration::from_millis(5)).wait()?.given().ok_or("nobody answered")?,
                    _ => ask.wait()?,
                };
                Ok(done((choice.text, verdict.n, ctx.attempt())))
            })
            .retry(Retry::fixed(Duration::ZERO)),
        ),
    )]);
    let handler = server.begin("w", &json!({}));
    let mut feed = server.follow(&handler);
    feed.event_of("Choose");
    server.send(&handler, "Choice", &json!({ "text": "x" }));
    assert_eq!(feed.event_of("Approve")["value"]["n"], 1);
    assert_eq!(feed.event_of("Approve")["value"]["n"], 2);
    server.send(&handler, "Verdict", &json!({ "n": 3 }));
    assert_eq!(result(&server.ended(&handler)), &json!(["x", 3, 2]));
    assert_eq!(values(&server.feed(&handler), "Choose").len(), 1);
}

#[test]
fn a_body_that_swallows_the_interrupt_waits_all_the_same() {
    static WRONG: Counter = Counter::new();
    let server = Served::start([asking("w", |ctx| {
        let Ok(verdict) = ctx.ask(Approve { n: 1 }).wait() else {
            // After the interrupt each call returns it again and does nothing.
            WRONG.0.fetch_add(
                usize::from(ctx.state().set("k", 1).is_ok())
                    + usize::from(ctx.stream(Verdict { n: 1 }).is_ok())
                    + usize::from(ctx.sleep(Duration::ZERO).is_ok())
                    + usize::from(ctx.pause(Duration::ZERO).is_ok())
                    + usize::from(ctx.once(|| Ok(1)).is_ok())
                    + usize::from(ctx.check().is_ok()),
                std::sync::atomic::Ordering::SeqCst,
            );
            return Ok(json!("swallowed"));
        };
        Ok(json!([verdict.n, ctx.state().get::<i64>("k")?]))
    })]);
    let handler = server.begin("w", &json!({}));
    server.follow(&handler).event_of("Approve");
    server.send(&handler, "Verdict", &json!({ "n": 4 }));
    assert_eq!(result(&server.ended(&handler)), &json!([4, null]));
    assert_eq!(WRONG.get(), 0);
    assert!(values(&server.feed(&handler), "Verdict").is_empty());
}

#[test]
fn a_different_wait_at_the_same_place_fails_the_run_and_names_both() {
    static PASSES: Counter = Counter::new();
    let builder = workflow("w").add(Step::new("changes", |ctx: &Asking, _: StartEvent| {
        if PASSES.count() == 0 {
            ctx.sleep(Duration::from_millis(1))?;
        }
        Ok(done(ctx.ask(Approve { n: 1 }).wait()?.n))
    }));
    let error = error_of(builder, StartEvent::new());
    for named in ["changes", "`ctx.sleep`", "`ctx.ask(Approve)`", "wait 0"] {
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_graph_with_a_human_response_keeps_running_with_nothing_left_to_do() {
    let server = Served::start([build(
        workflow("w")
            .step("begin", |_, _: StartEvent| Ok(Wanted {}))
            .step("answer", |_, given: Given| Ok((given.n > 1).then(|| done(given.n)))),
    )]);
    let handler = server.begin("w", &json!({}));
    server.follow(&handler).event_of("Wanted");
    server.send(&handler, "Given", &json!({ "n": 1 }));
    let status = server.get(&format!("/handlers/{handler}"));
    assert_eq!((status.status, &status.json()["status"]), (202, &json!("running")));
    server.send(&handler, "Given", &json!({ "n": 2 }));
    assert_eq!(result(&server.ended(&handler)), &json!(2));
}

/// Asks for `verdicts` verdicts, and waits at a gate after the first.
fn asking_again(gate: &Arc<Gate>, verdicts: i64) -> impl Fn(&Asking) -> steprill::Result<Value> + use<> {
    let gate = Arc::clone(gate);
    move |ctx| {
        let mut heard = Vec::new();
        for n in 0..verdicts {
            heard.push(ctx.ask(Approve { n }).wait()?.n);
            if n == 0 {
                gate.pass();
            }
        }
        Ok(json!(heard))
    }
}

#[test]
fn an_answer_that_no_question_waits_for_is_refused_and_says_what_is_open() {
    let gate = Arc::new(Gate::default());
    let server = Served::start([asking("w", asking_again(&gate, 2))]);
    let handler = server.begin("w", &json!({}));
    let mut feed = server.follow(&handler);
    feed.event_of("Approve");
    // Two answers at once: one is for the question, the other for none that anybody has seen.
    let mut connection = server.connect();
    for n in [1, 2] {
        let body = json!({ "event": { "type": "Verdict", "value": { "n": n } } }).to_string();
        connection.send("POST", &format!("/events/{handler}"), &[], Some(body.as_bytes()));
    }
    let mut reply = || (connection.head().status, String::from_utf8(connection.rest()).expect("text"));
    assert_eq!(reply().0, 200);
    assert_eq!(reply(), (409, "No question waits for Verdict now; no question is open".to_owned()));
    gate.await_comers(1);
    assert_eq!(server.send(&handler, "Verdict", &json!({ "n": 3 })).status, 409);
    gate.open();
    let asked = feed.event_of("Approve");
    let reply = |n: i64, in_reply_to: &Value| {
        let event = json!({ "type": "Verdict", "value": { "n": n } });
        server.post(&format!("/events/{handler}"), &json!({ "event": event, "in_reply_to": in_reply_to }))
    };
    let refused = reply(4, &json!(0));
    let open = format!("open: Approve (number {})", asked["sequence"]);
    assert_eq!(
        (refused.status, refused.text()),
        (409, &*format!("Question 0 does not wait for this Verdict now; {open}"))
    );
    assert_eq!(reply(5, &asked["sequence"]).status, 200);
    assert_eq!(result(&server.ended(&handler)), &json!([1, 5]));
}

#[test]
fn an_inbox_holds_answers_that_arrive_between_two_questions() {
    let gate = Arc::new(Gate::default());
    let body = asking_again(&gate, 3);
    let chat = Step::new("ask", move |ctx: &Asking, _: StartEvent| Ok(done(body(ctx)?))).inbox::<Verdict>(2);
    let server = Served::start([build(workflow("w").add(chat))]);
    let handler = server.begin("w", &json!({}));
    server.follow(&handler).event_of("Approve");
    for n in [1, 2, 3] {
        assert_eq!(server.send(&handler, "Verdict", &json!({ "n": n })).status, 200, "{n}");
    }
    let refused = server.send(&handler, "Verdict", &json!({ "n": 4 }));
    assert_eq!((refused.status, refused.text()), (409, "The inbox for Verdict is full; no question is open"));
    gate.open();
    assert_eq!(result(&server.ended(&handler)), &json!([1, 2, 3]));
}

#[test]
fn a_plain_event_is_accepted_from_outside_only_if_its_program_opens_it() {
    event! {
        struct Approved { by: String }
        struct Tick: External { n: i64 }
    }
    let server = Served::start([build(
        workflow("invoice")
            .step("begin", |_, _: StartEvent| Ok(None::<Approved>))
            .step("pay", |_, approved: Approved| Ok(done(approved.by)))
            .step("count", |_, tick: Tick| Ok((tick.n > 1).then(|| done(tick.n)))),
    )]);
    let handler = server.begin("invoice", &json!({}));
    let refused = server.send(&handler, "Approved", &json!({ "by": "nobody" }));
    let text = "Failed to send event: Approved may not be sent from outside; invoice takes Tick";
    assert_eq!((refused.status, refused.text()), (400, text));
    for n in [1, 2] {
        assert_eq!(server.send(&handler, "Tick", &json!({ "n": n })).status, 200);
    }
    assert_eq!(result(&server.ended(&handler)), &json!(2));
}

#[test]
fn a_run_that_no_client_can_help_fails_and_names_what_it_lacks() {
    let builder = workflow("w").add(Step::new("ask", |ctx: &Asking, start: StartEvent| {
        Ok(if start.get_or("ask", false)? { Some(done(ctx.ask(Approve { n: 1 }).wait()?.n)) } else { None })
    }));
    assert_eq!(
        error_of(builder, StartEvent::new()),
        "no step is left to run and none returned StopEvent; no question is open, and Verdict only answers questions"
    );
}
