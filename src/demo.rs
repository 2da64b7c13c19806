//! `steprill demo`: small workflows that show streaming, approval by a person, and fan-out with retries.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "what steps take and give is the library's to say"
)]

use std::{ffi::OsString, process::ExitCode, time::Duration};

use steprill::{Asks, Ctx, Faults, Result, Retry, Sends, Server, StartEvent, Step, StopEvent, Workflow, event};

event! {
    /// A word of the story, as it is told.
    pub struct Word { pub text: String }

    /// Asks for a purchase.
    pub struct PurchaseRequest { pub item: String, #[serde(default)] pub price: f64 }
    /// Asks a person whether the purchase is in order.
    pub struct ApprovalRequested: Asks<Approval> { pub item: String, pub price: f64 }
    /// The person's answer.
    pub struct Approval { pub approved: bool, #[serde(default)] pub by: String }
    /// How the purchase ended.
    pub struct Purchase { pub item: String, pub status: String, pub by: String }

    /// A device to be read.
    pub struct Device { pub number: u32 }
    /// What a device measured.
    pub struct Reading { pub number: u32, pub celsius: f64, pub attempts: u32 }
}

/// Serves the demo workflows.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let workflows = [story(), purchase(), devices()].into_iter().collect::<Result<Vec<_>, Faults>>();
    let workflows = workflows.expect("the demo's graphs are whole: a test builds them");
    let arguments: Vec<OsString> = arguments.collect();
    let server = workflows.into_iter().fold(Server::new(), Server::add);
    server.greeting(GREETING).run_with(crate::PROGRAM, crate::COMMANDS, arguments)
}

/// Streams a story word by word, at reading speed.
fn story() -> Result<Workflow, Faults> {
    let tell = |ctx: &Ctx, start: StartEvent| {
        let pace = Duration::from_millis(start.get_or("pace_ms", 60)?);
        let mut count = 0;
        for word in STORY.split_whitespace() {
            ctx.stream(Word { text: word.to_owned() })?;
            ctx.pause(pace)?;
            count += 1;
        }
        Ok(StopEvent::new(format!("{count} words")))
    };
    Workflow::new::<StartEvent, StopEvent>("story").add(Step::new("tell", tell).streams::<Word>()).build()
}

/// Waits for a person's answer for as long as it takes, holding no thread.
fn purchase() -> Result<Workflow, Faults> {
    fn review(ctx: &Ctx<Asks<ApprovalRequested>>, request: PurchaseRequest) -> Result<Purchase> {
        let PurchaseRequest { item, price } = request;
        let Approval { approved, by } = ctx.ask(ApprovalRequested { item: item.clone(), price }).wait()?;
        let status = if approved { "ordered" } else { "refused" };
        Ok(Purchase { item, status: status.into(), by })
    }
    Workflow::new::<PurchaseRequest, Purchase>("purchase").add(Step::new("review", review)).build()
}

/// Reads many simulated devices concurrently. Some do not answer at once, so that their steps are retried.
fn devices() -> Result<Workflow, Faults> {
    fn find(ctx: &Ctx<Sends<Device>>, start: StartEvent) -> Result<()> {
        let count = start.get_or("count", 5)?;
        for number in 0..count {
            ctx.send(Device { number })?;
        }
        Ok(())
    }
    fn read(ctx: &Ctx, device: Device) -> Result<Reading> {
        let Device { number } = device;
        ctx.pause(Duration::from_millis(100))?;
        if number % 3 == ctx.attempt() {
            Err(format!("device {number} does not answer"))?;
        }
        Ok(Reading { number, celsius: 20.0 + f64::from(number) / 2.0, attempts: ctx.attempt() })
    }
    fn report(_: &Ctx, readings: Vec<Reading>) -> Result<StopEvent> {
        Ok(StopEvent::new(readings))
    }
    let retry = Retry::exponential(Duration::from_millis(100)).attempts(4);
    Workflow::new::<StartEvent, StopEvent>("devices")
        .add(Step::new("find", find))
        .add(Step::new("read", read).workers(8).retry(retry))
        .add(Step::new("report", report))
        .build()
}

const GREETING: &str = include_str!("demo.txt");

const STORY: &str = "A stream came down from the hills. At each step it fell a little, and at each step it was told \
    where to go next. When the water was low it waited, and when somebody opened a gate it went on. In the end it \
    reached the sea, and every step of its way had been written down.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_graph_of_the_demo_is_whole() {
        for workflow in [story(), purchase(), devices()] {
            workflow.unwrap();
        }
    }
}
