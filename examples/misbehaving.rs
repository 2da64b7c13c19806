//! Workflows whose steps misbehave, to see how a server copes with them.
//!
//! ```text
//! cargo run --example misbehaving -- --workers 2
//! curl http://127.0.0.1:8080/workflows/panics/run -d '{}'
//! ```

// Every step takes its event by value and returns a result, whether it needs to or not.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{process::ExitCode, thread, time::Duration};

use steprill::{Ctx, Result, Server, StartEvent, Step, StopEvent, Workflow, event};

event! {
    /// The step that hangs has begun.
    struct Begun {}
}

fn main() -> ExitCode {
    let panics = Workflow::new::<StartEvent, StopEvent>("panics").step("burst", burst).build();
    let deaf = Workflow::new::<StartEvent, StopEvent>("deaf").add(Step::new("hang", hang).streams::<Begun>()).build();
    let late = Step::new("linger", linger).timeout(Duration::from_millis(20));
    let late = Workflow::new::<StartEvent, StopEvent>("late").add(late).build();
    [panics, deaf, late]
        .into_iter()
        .fold(Server::new(), |server, built| server.add(built.expect("the graph is whole")))
        .run()
}

/// Panics.
fn burst(_: &Ctx, start: StartEvent) -> Result<StopEvent> {
    let text: String = start.get_or("text", "a bug".to_owned())?;
    panic!("{text}")
}

/// Exceeds its time-out, but ends when it is told to.
fn linger(ctx: &Ctx, _: StartEvent) -> Result<StopEvent> {
    ctx.pause(Duration::from_hours(1))?;
    Ok(StopEvent::new("late"))
}

/// Never uses `ctx` again, and so learns of no time-out and no cancel.
fn hang(ctx: &Ctx, start: StartEvent) -> Result<StopEvent> {
    ctx.stream(Begun {})?;
    thread::sleep(Duration::from_millis(start.get_or("ms", 3_600_000)?));
    Ok(StopEvent::new("late"))
}
