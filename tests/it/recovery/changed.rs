//! A program that has changed since it wrote its data directory.

use std::time::Duration;

use serde_json::{Value, json};
use steprill::{Asks, Config, Ctx, StartEvent, Step, Workflow, event};

use super::DataDir;
use crate::programs::{build, done, served::Served, workflow};

event! {
    struct Asked: InputRequired {}
    struct Given: HumanResponse { n: i64 }
    struct Doubled { n: i64 }
}

/// Serves these workflows on the directory.
fn serve(data: &DataDir, workflows: impl IntoIterator<Item = Workflow>) -> Served {
    Served::with(workflows, |config: &mut Config| config.data = Some(data.directory.path().to_owned()))
}

/// Asks, and ends with the answer.
fn first_version() -> Workflow {
    let asks = workflow("w").step("ask", |_, _: StartEvent| Ok(Asked {}));
    build(asks.step("end", |_, given: Given| Ok(done(given.n))))
}

/// Starts a run, which asks.
#[track_caller]
fn asked(server: &Served, name: &str) -> String {
    let id = server.begin(name, &json!({}));
    server.follow(&id).event_of("Asked");
    id
}

#[test]
fn a_run_continues_under_a_workflow_with_an_additional_step() {
    let data = DataDir::new();
    let server = serve(&data, [first_version()]);
    let id = asked(&server, "w");
    let finished = asked(&server, "w");
    server.send(&finished, "Given", &json!({ "n": 1 }));
    assert_eq!(server.ended(&finished)["status"], "completed");
    let before = server.get(&format!("/results/{finished}")).body;
    drop(server);
    // The step before it has another name, and all later ids have changed.
    let longer = workflow("w").step("ask", |_, _: StartEvent| Ok(Asked {}));
    let longer = longer.step("double", |_, given: Given| Ok(Doubled { n: 2 * given.n }));
    let longer = build(longer.step("a_new_end", |_, doubled: Doubled| Ok(done(doubled.n))));
    let server = serve(&data, [longer]);
    assert_eq!(server.get(&format!("/results/{finished}")).body, before);
    assert_eq!(server.send(&id, "Given", &json!({ "n": 21 })).status, 200);
    assert_eq!(server.ended(&id)["result"]["value"]["result"], 42);
    let feed = server.feed(&id);
    let steps: Vec<&Value> = feed.iter().map(|event| &event["value"]["name"]).filter(|name| !name.is_null()).collect();
    assert_eq!(steps, ["ask", "ask", "double", "double", "a_new_end", "a_new_end"]);
    assert_eq!(feed.iter().filter(|event| event["type"] == "Asked").count(), 1);
}

#[test]
fn a_run_whose_next_step_is_gone_fails_and_names_it() {
    let data = DataDir::new();
    let waits = workflow("w").step("wait", |ctx: &steprill::Ctx, _: StartEvent| {
        ctx.sleep(Duration::from_hours(1))?;
        Ok(done(1))
    });
    let server = serve(&data, [build(waits)]);
    let id = server.begin("w", &json!({}));
    server.follow(&id).event_of("StepStateChanged");
    drop(server);
    let server = serve(&data, [build(workflow("w").step("other", |_, _: StartEvent| Ok(done(2))))]);
    let handler = server.ended(&id);
    assert_eq!(handler["status"], "failed");
    let error = handler["error"].as_str().expect("an error");
    assert!(error.contains("wait"), "{error}");
    let feed = server.feed(&id);
    assert_eq!(feed.last().expect("an end")["type"], "StopEvent");
    drop(server);
    let server = serve(&data, [build(workflow("w").step("other", |_, _: StartEvent| Ok(done(2))))]);
    assert_eq!(server.ended(&id), handler, "its end is retained");
}

#[test]
fn a_run_that_can_no_longer_get_its_event_from_outside_fails_and_names_what_it_lacks() {
    let data = DataDir::new();
    let server = serve(&data, [first_version()]);
    let id = asked(&server, "w");
    drop(server);
    let server = serve(&data, [build(workflow("w").step("ask", |_, _: StartEvent| Ok(done(1))))]);
    assert_eq!(server.ended(&id)["error"], "no step is left to run and none returned StopEvent");
}

#[test]
fn a_run_whose_waiting_answer_is_of_a_type_that_is_gone_fails_and_names_it() {
    event! {
        struct Choose: Asks<Choice> {}
        struct Choice { n: i64 }
    }
    let data = DataDir::new();
    let asks = Step::new("ask", |ctx: &Ctx<Asks<Choose>>, _: StartEvent| {
        ctx.sleep(Duration::from_hours(1))?;
        Ok(done(ctx.ask(Choose {}).wait()?.n))
    });
    let server = serve(&data, [build(workflow("w").add(asks))]);
    let id = server.begin("w", &json!({}));
    assert_eq!(server.send(&id, "Choice", &json!({ "n": 1 })).status, 200);
    drop(server);
    let sleeps = |ctx: &Ctx, _: StartEvent| {
        ctx.sleep(Duration::from_hours(1))?;
        Ok(done(1))
    };
    let server = serve(&data, [build(workflow("w").step("ask", sleeps))]);
    let error = server.ended(&id)["error"].as_str().expect("an error").to_owned();
    assert!(error.contains("event type `Choice`, which the workflow no longer has"), "{error}");
}

#[test]
fn runs_of_a_workflow_that_is_not_served_wait_until_it_is() {
    let data = DataDir::new();
    let other = || build(workflow("other").step("o", |_, _: StartEvent| Ok(done(3))));
    let server = serve(&data, [first_version()]);
    let (id, cancelled, purged) = (asked(&server, "w"), asked(&server, "w"), asked(&server, "w"));
    drop(server);

    let server = serve(&data, [other()]);
    let handler = server.get(&format!("/handlers/{id}"));
    assert_eq!((handler.status, &handler.json()["status"]), (202, &json!("running")));
    server.follow(&id).event_of("Asked");
    let refused = server.send(&id, "Given", &json!({ "n": 1 }));
    assert!(refused.status >= 400 && refused.text().contains('w'), "{refused:?}");
    assert_eq!(server.post("/workflows/w/run-nowait", &json!({})).status, 404);
    assert_eq!(server.cancel(&cancelled).status, 200);
    assert_eq!(server.ended(&cancelled)["status"], "cancelled");
    assert_eq!(server.post(&format!("/handlers/{purged}/cancel?purge=true"), &json!({})).status, 200);
    assert_eq!(server.run("other", &json!({})).json()["result"], 3);
    drop(server);

    let server = serve(&data, [other(), first_version()]);
    assert_eq!(server.send(&id, "Given", &json!({ "n": 5 })).status, 200);
    assert_eq!(server.ended(&id)["result"]["value"]["result"], 5);
    assert_eq!(server.ended(&cancelled)["status"], "cancelled");
    assert_eq!(server.get(&format!("/handlers/{purged}")).status, 404);
}

#[test]
fn ending_a_run_of_a_workflow_that_is_not_served_starts_no_other() {
    let data = DataDir::new();
    let one_at_a_time = || {
        let asks = workflow("w").max_runs(1).step("ask", |_, _: StartEvent| Ok(Asked {}));
        build(asks.step("end", |_, given: Given| Ok(done(given.n))))
    };
    let other = || build(workflow("other").step("o", |_, _: StartEvent| Ok(done(3))));
    let server = serve(&data, [one_at_a_time()]);
    let first = asked(&server, "w");
    let [second, third, fourth] = [(); 3].map(|()| server.begin("w", &json!({})));
    drop(server);

    let server = serve(&data, [other()]);
    assert_eq!(server.cancel(&third).status, 200);
    assert_eq!(server.cancel(&first).status, 200);
    assert_eq!(server.run("other", &json!({})).json()["result"], 3, "the server continues");
    assert_eq!(server.get(&format!("/handlers/{second}")).json()["status"], "running");
    assert_eq!(server.post(&format!("/handlers/{second}/cancel?purge=true"), &json!({})).status, 200);
    drop(server);

    let server = serve(&data, [other(), one_at_a_time()]);
    server.follow(&fourth).event_of("Asked");
    assert_eq!(server.send(&fourth, "Given", &json!({ "n": 5 })).status, 200);
    assert_eq!(server.ended(&fourth)["result"]["value"]["result"], 5);
}
