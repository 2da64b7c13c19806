//! Values from outside: the program's code for them runs on workers, and every whole number is an integer.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use steprill::{
    Asks, Ctx, Retry, StartEvent, Step, StopEvent, Workflow, event,
    schemars::JsonSchema,
    serde::{Deserialize, Deserializer, Serialize, de::Error as _},
};

use super::{done, served::Served};

/// A string, unless its text says what to do instead.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(crate = "steprill::serde")]
#[schemars(crate = "steprill::schemars")]
struct Trap(String);

static DECODED: AtomicU32 = AtomicU32::new(0);

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DECODED.fetch_add(1, Ordering::SeqCst);
        match &*text {
            "panic" => panic!("trapped"),
            "error" => Err(D::Error::custom("not this one")),
            _ => Ok(Self(text)),
        }
    }
}

event! {
    struct Trapped { trap: Trap }
    struct Numbers { n: i64, list: Vec<u8>, ratio: f64, any: Value }
    struct Wanted: Asks<Given> {}
    struct Given { n: i64 }
}

#[test]
fn a_deserialize_of_the_program_runs_on_a_worker_and_harms_one_run() {
    let step = Step::new("take", |_: &Ctx, start: Trapped| Ok(done(start.trap.0)));
    let step = step.retry(Retry::fixed(Duration::from_millis(1)).attempts(2));
    let workflow = Workflow::new::<Trapped, StopEvent>("w").add(step).build().unwrap();
    let served = Served::start([workflow]);
    let run = |trap: Value| served.run("w", &json!({ "trap": trap }));

    let panicked = run(json!("panic"));
    assert_eq!((panicked.status, panicked.text().contains("Step take panicked: trapped")), (500, true), "{panicked:?}");
    let before = DECODED.load(Ordering::SeqCst);
    let refused = run(json!("error"));
    let told = "Error running workflow: event Trapped: field trap: not this one";
    assert_eq!((refused.status, refused.text()), (500, told));
    assert_eq!(DECODED.load(Ordering::SeqCst) - before, 2, "once for the value and once for the path: no retry");
    let wrong = run(json!(5));
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert_eq!(wrong.text(), "Validation error for 'start_event': field trap: expected string, got number");
    assert_eq!(DECODED.load(Ordering::SeqCst) - before, 2, "the loop has not called it");
    assert_eq!(run(json!("fine")).json()["result"], "fine");
}

#[test]
fn every_whole_number_is_an_integer_wherever_it_comes_in() {
    let typed = Workflow::new::<Numbers, StopEvent>("typed")
        .step("take", |_, start: Numbers| Ok(done(json!([start.n, start.list, start.ratio, start.any]))))
        .build()
        .unwrap();
    let open = Workflow::new::<StartEvent, StopEvent>("open")
        .step("take", |ctx, start: StartEvent| {
            let kept = ctx.state().get::<i64>("kept")?.unwrap_or(0);
            ctx.state().add("kept", 1)?;
            Ok(done((start.get_or("n", 0_i64)?, kept, ctx.state().get::<i64>("kept")?)))
        })
        .build()
        .unwrap();
    let asks = Workflow::new::<StartEvent, StopEvent>("asks")
        .add(Step::new("ask", |ctx: &Ctx<Asks<(Wanted,)>>, _: StartEvent| Ok(done(ctx.ask(Wanted {}).wait()?.n))))
        .build()
        .unwrap();
    let served = Served::start([typed, open, asks]);
    let post = |path: &str, body: &str| {
        served.connect().request("POST", path, &[("Content-Type", "application/json")], Some(body.as_bytes()))
    };
    let numbers = r#"{"start_event":{"n":2.0,"list":[3e0,-0,2550e-1],"ratio":4.0,"any":[5.0]}}"#;
    assert_eq!(post("/workflows/typed/run", numbers).json()["result"].to_string(), "[2,[3,0,255],4.0,[5.0]]");
    let fraction = post("/workflows/typed/run", r#"{"start_event":{"n":2.5,"list":[],"ratio":1,"any":null}}"#);
    assert_eq!(fraction.text(), "Validation error for 'start_event': field n: expected integer, got number 2.5");
    let with_state =
        r#"{"start_event":{"n":2e0},"handler_id":"h","context":{"state":{"state_data":{"_data":{"kept":"7.0"}}}}}"#;
    assert_eq!(post("/workflows/open/run", with_state).json()["result"], json!([2, 7, 8]));
    let large = post("/workflows/open/run", r#"{"start_event":{"n":18446744073709551616}}"#);
    assert_eq!((large.status, large.text().contains("does not fit into 64 bits")), (400, true), "{large:?}");
    let large = r#"{"context":{"state":{"state_data":{"_data":{"kept":"[18446744073709551616]"}}}}}"#;
    let large = post("/workflows/open/run", large);
    assert_eq!((large.status, large.text().contains("state key kept")), (400, true), "{large:?}");

    let id = served.post("/workflows/asks/run-nowait", &json!({})).json()["handler_id"].as_str().unwrap().to_owned();
    let answer = post(&format!("/events/{id}"), r#"{"event":{"type":"Given","value":{"n":6.0}}}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    served.ended(&id);
    assert_eq!(served.get(&format!("/results/{id}")).json()["result"], json!(6));
}
