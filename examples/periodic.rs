//! Work that is done again and again, for as long as wanted, and outlives failures and restarts.
//!
//! ```text
//! cargo run --example periodic -- --data watch
//!
//! curl localhost:8080/workflows/watch/run-nowait -d '{"start_event": {"directory": ".", "every_s": 1}}'
//! curl -N localhost:8080/events/HANDLER_ID
//! curl localhost:8080/handlers/HANDLER_ID/cancel -d ''
//! ```
//!
//! The second line shows how many entries the directory has, every second; the third ends the run. With `--data` a
//! server that is restarted continues when the next round is due, or at once if that time has passed.

// Steps take their event by value and return a `Result`, even where they need neither.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{fs, process::ExitCode, time::Duration};

use steprill::{Ctx, Failure, Result, Retry, Server, Step, StopEvent, Workflow, event, one_of};

event! {
    /// Asks for a directory to be watched.
    struct Watch {
        directory: String,
        /// Seconds between two rounds.
        every_s: u64,
        /// How many rounds; without it there is no end.
        rounds: Option<u64>,
    }
    /// One round.
    struct Round { number: u64, watch: Watch }
    /// What a round found.
    struct Counted { round: u64, entries: usize }
}

one_of! {
    enum Next { Round, StopEvent }
}

fn begin(_: &Ctx, watch: Watch) -> Result<Round> {
    Ok(Round { number: 1, watch })
}

/// Does one round and returns the next: each is a work of its own, so the run stays small however long it lasts.
fn count(ctx: &Ctx, round: Round) -> Result<Next> {
    let Round { number, watch } = round;
    if number > 1 {
        ctx.sleep(Duration::from_secs(watch.every_s))?;
    }
    let entries = fs::read_dir(&watch.directory)?.count();
    ctx.stream(Counted { round: number, entries })?;
    let is_last = watch.rounds.is_some_and(|rounds| number >= rounds);
    Ok(if is_last { StopEvent::new(number).into() } else { Round { number: number + 1, watch }.into() })
}

fn main() -> ExitCode {
    let count = Step::new("count", count)
        .streams::<Counted>()
        .retry(Retry::fixed(Duration::from_secs(1)).attempts(3))
        // A round that fails for good is skipped, and the next one begins.
        .on_failure(|Failure { input, .. }: Failure<Round>| Round { number: input.number + 1, ..input });
    let watch = Workflow::new::<Watch, StopEvent>("watch").step("begin", begin).add(count).build();
    Server::new().add(watch.expect("the graph is valid")).run()
}
