//! The conformance workflows: a fixed set that any client or test suite of the Workflows API can drive.
//!
//! ```text
//! cargo run --release --example conformance -- --listen 127.0.0.1:8080
//! curl http://127.0.0.1:8080/workflows/echo/run --json '{"start_event": {"message": "hi"}}'
//! ```

// Every step takes its event by value and returns a result, whether it needs to or not.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{process::ExitCode, time::Duration};

use steprill::{
    Asks, Ctx, Event, Faults, Result, Retry, Sends, Server, StartEvent, Step, StopEvent, Workflow, WorkflowBuilder,
    event, one_of,
};

fn main() -> ExitCode {
    match workflows() {
        Ok(workflows) => workflows.into_iter().fold(Server::new(), Server::add).run(),
        Err(faults) => {
            eprint!("{faults}");
            ExitCode::FAILURE
        }
    }
}

fn workflows() -> std::result::Result<Vec<Workflow>, Faults> {
    Ok(vec![
        workflow::<StartEvent, StopEvent>("echo").step("process", process).build()?,
        workflow::<StartEvent, StopEvent>("error").step("error_step", error_step).build()?,
        workflow::<StartEvent, StopEvent>("streaming")
            .add(Step::new("stream_data", stream_data).streams::<StreamEvent>())
            .build()?,
        workflow::<StartEvent, StopEvent>("interactive").step("ask", ask).step("answer", answer).build()?,
        workflow::<ApprovalStart, ApprovalResult>("approval").add(Step::new("review", review)).build()?,
        workflow::<StartEvent, StopEvent>("cumulative").step("accumulate", accumulate).build()?,
        workflow::<RequiredStartEvent, StopEvent>("structured").step("start", start).build()?,
        workflow::<FanOutStart, StopEvent>("fan_out")
            .add(Step::new("split", split))
            .add(Step::new("square", square).workers(4).streams::<ItemDone>())
            .step("join", join)
            .build()?,
        workflow::<LoopStart, StopEvent>("looping").step("begin", begin).step("advance", advance).build()?,
        workflow::<BranchStart, StopEvent>("branching")
            .step("choose", choose)
            .step("take_left", |_, _: LeftBranch| Ok(StopEvent::new("left")))
            .step("take_right", |_, _: RightBranch| Ok(StopEvent::new("right")))
            .build()?,
        workflow::<FlakyStart, StopEvent>("flaky")
            .add(Step::new("attempt", attempt).retry(Retry::fixed(Duration::from_millis(10)).attempts(3)))
            .build()?,
        workflow::<StartEvent, StopEvent>("sleepy").step("sleep", sleep).build()?,
        workflow::<StartEvent, StopEvent>("timeout")
            .timeout(Duration::from_millis(200))
            .step("sleep", sleep)
            .build()?,
    ])
}

/// All of them declare their events in the module `conformance`.
fn workflow<Start: Event, Stop: Event>(name: &str) -> WorkflowBuilder {
    Workflow::new::<Start, Stop>(name).module("conformance")
}

/// A negative delay counts as zero.
fn milliseconds(delay_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0))
}

// echo: returns its input, unless the state contains a value.

fn process(ctx: &Ctx, start: StartEvent) -> Result<StopEvent> {
    let message = match ctx.state().get::<String>("test_param")? {
        Some(message) => message,
        None => start.get_or("message", "default".to_owned())?,
    };
    Ok(StopEvent::new(format!("processed: {message}")))
}

// error: fails.

fn error_step(_: &Ctx, _: StartEvent) -> Result<StopEvent> {
    Err("Test error")?
}

// streaming: shows its progress while it runs.

event! {
    struct StreamEvent { message: String, sequence: i64 }
}

fn stream_data(ctx: &Ctx, start: StartEvent) -> Result<StopEvent> {
    let count = start.get_or("count", 3_i64)?.max(0);
    let delay = milliseconds(start.get_or("delay_ms", 10)?);
    for sequence in 0..count {
        ctx.stream(StreamEvent { message: format!("event_{sequence}"), sequence })?;
        ctx.sleep(delay)?;
    }
    Ok(StopEvent::new(format!("completed_{count}_events")))
}

// interactive: returns a question; the answer is an event like any other.

event! {
    struct RequestedExternalEvent: InputRequired { message: String }
    struct ExternalEvent: HumanResponse { response: String }
}

fn ask(_: &Ctx, _: StartEvent) -> Result<RequestedExternalEvent> {
    Ok(RequestedExternalEvent { message: "ping".to_owned() })
}

fn answer(_: &Ctx, event: ExternalEvent) -> Result<StopEvent> {
    Ok(StopEvent::new(format!("received: {}", event.response)))
}

// approval: asks in the middle of a step and continues with the answer, without holding a thread.

event! {
    struct ApprovalStart { subject: String }
    struct ApprovalRequested: Asks<ApprovalGiven> { subject: String }
    struct ApprovalGiven { approved: bool, by: String }
    struct ApprovalResult { subject: String, approved: bool, by: String }
}

fn review(ctx: &Ctx<Asks<ApprovalRequested>>, start: ApprovalStart) -> Result<ApprovalResult> {
    let subject = start.subject;
    let ApprovalGiven { approved, by } = ctx.ask(ApprovalRequested { subject: subject.clone() }).wait()?;
    Ok(ApprovalResult { subject, approved, by })
}

// cumulative: carries state from one run of a handler to the next.

fn accumulate(ctx: &Ctx, start: StartEvent) -> Result<StopEvent> {
    let increment = start.get_or("increment", 1_i64)?;
    let state = ctx.state();
    let count = state.get::<i64>("count")?.unwrap_or(0).checked_add(increment).ok_or("the count is beyond 64 bits")?;
    let mut history = state.get::<Vec<String>>("run_history")?.unwrap_or_default();
    history.push(format!("run_{}_increment_{increment}", history.len() + 1));
    state.set("count", count)?;
    state.set("run_history", &history)?;
    Ok(StopEvent::new(format!("count: {count}, runs: {}", history.len())))
}

// structured: a start event with a required field.

event! {
    struct RequiredStartEvent { message: String }
}

fn start(_: &Ctx, start: RequiredStartEvent) -> Result<StopEvent> {
    Ok(StopEvent::new(start.message))
}

// fan_out: sends many events, works on four at a time, and joins the results in the order of the items.

event! {
    struct FanOutStart { items: Vec<i64>, #[serde(default)] delay_ms: i64 }
    struct WorkItem { index: usize, value: i64 }
    struct ItemDone { index: usize }
    struct WorkDone { index: usize, value: i64 }
}

fn split(ctx: &Ctx<Sends<WorkItem>>, start: FanOutStart) -> Result<()> {
    ctx.state().set("delay_ms", start.delay_ms)?;
    for (index, value) in start.items.into_iter().enumerate() {
        ctx.send(WorkItem { index, value })?;
    }
    Ok(())
}

fn square(ctx: &Ctx, item: WorkItem) -> Result<WorkDone> {
    let WorkItem { index, value } = item;
    ctx.sleep(milliseconds(ctx.state().get("delay_ms")?.unwrap_or(0)))?;
    let value = value.checked_mul(value).ok_or_else(|| format!("the square of {value} is beyond 64 bits"))?;
    ctx.stream(ItemDone { index })?;
    Ok(WorkDone { index, value })
}

fn join(_: &Ctx, done: Vec<WorkDone>) -> Result<StopEvent> {
    Ok(StopEvent::new(done.iter().map(|done| done.value).collect::<Vec<_>>()))
}

// looping: a step that returns what it takes, until it is done.

event! {
    struct LoopStart { target: i64 }
    struct Tick { n: i64 }
}

one_of! {
    enum Advanced { Tick, StopEvent }
}

fn begin(ctx: &Ctx, start: LoopStart) -> Result<Tick> {
    ctx.state().set("target", start.target)?;
    Ok(Tick { n: 0 })
}

fn advance(ctx: &Ctx, tick: Tick) -> Result<Advanced> {
    let target = ctx.state().get::<i64>("target")?.ok_or("begin sets the target")?;
    let n = tick.n;
    ctx.stream(tick)?;
    Ok(if n < target { Tick { n: n + 1 }.into() } else { StopEvent::new(target).into() })
}

// branching: one of two ways.

event! {
    struct BranchStart { kind: String }
    struct LeftBranch {}
    struct RightBranch {}
}

one_of! {
    enum Branch { LeftBranch, RightBranch }
}

fn choose(_: &Ctx, start: BranchStart) -> Result<Branch> {
    match &*start.kind {
        "left" => Ok(LeftBranch {}.into()),
        "right" => Ok(RightBranch {}.into()),
        kind => Err(format!("unknown branch: {kind}"))?,
    }
}

// flaky: fails a few times before it succeeds. `max_attempts` is there to be ignored: the policy sets 3.

event! {
    struct FlakyStart { failures: i64, #[serde(default = "three")] max_attempts: i64 }
}

fn three() -> i64 {
    3
}

fn attempt(ctx: &Ctx, start: FlakyStart) -> Result<StopEvent> {
    let attempt = ctx.attempt();
    if i64::from(attempt) <= start.failures {
        Err(format!("attempt {attempt} failed"))?;
    }
    Ok(StopEvent::new(attempt))
}

// sleepy and timeout: sleep without holding a thread, so that cancel and time-out end them at once.

fn sleep(ctx: &Ctx, start: StartEvent) -> Result<StopEvent> {
    let delay_ms = start.get_or("delay_ms", 60_000)?;
    ctx.sleep(milliseconds(delay_ms))?;
    Ok(StopEvent::new(format!("slept {delay_ms}")))
}
