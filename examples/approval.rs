//! A step asks a person and waits for the answer, but no longer than a deadline.
//!
//! ```text
//! cargo run --example approval -- --data approvals
//!
//! curl localhost:8080/workflows/expense/run-nowait -d '{"start_event": {"what": "a lamp", "euros": 40}}'
//! curl localhost:8080/events/HANDLER_ID -d '{"event": {"type": "Decision", "value": {"approved": true, "by": "Ada"}}}'
//! curl localhost:8080/results/HANDLER_ID
//! ```
//!
//! Replace `HANDLER_ID` with the `handler_id` that the first line prints. The waiting run holds no thread, and with
//! `--data` it survives a restart of the server: the question stays open and is not asked twice.

// Steps take their event by value and return a `Result`, even where they need neither.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{process::ExitCode, time::Duration};

use steprill::{Answer, Asks, Ctx, Result, Server, Step, Workflow, event};

event! {
    /// Asks for an expense to be paid.
    struct Expense {
        what: String,
        euros: f64,
        /// How long the approver may take.
        #[serde(default = "a_day")]
        deadline_hours: f64,
    }
    /// The question that the approver sees.
    struct ApprovalWanted: Asks<Decision> { what: String, euros: f64 }
    /// The approver's answer.
    struct Decision { approved: bool, by: String }
    /// The result.
    struct Settled { paid: bool, reason: String }
}

fn a_day() -> f64 {
    24.0
}

fn review(ctx: &Ctx<Asks<ApprovalWanted>>, expense: Expense) -> Result<Settled> {
    let Expense { what, euros, deadline_hours } = expense;
    let deadline = Duration::try_from_secs_f64(deadline_hours * 3600.0)?;
    // The body runs again from its top when the answer is there, so nothing above this line may have an effect.
    match ctx.ask(ApprovalWanted { what, euros }).timeout(deadline).wait()? {
        Answer::Given(Decision { approved: true, by }) => {
            ctx.once(|| pay(euros, &ctx.work_id()))?;
            Ok(Settled { paid: true, reason: format!("approved by {by}") })
        }
        Answer::Given(Decision { by, .. }) => Ok(Settled { paid: false, reason: format!("rejected by {by}") }),
        Answer::TimedOut => Ok(Settled { paid: false, reason: "nobody decided in time".to_owned() }),
    }
}

/// Stands for a call to a bank. The key is the same whenever this work is repeated, so the bank can tell a repeated
/// call from a second payment.
fn pay(euros: f64, key: &str) -> Result<()> {
    println!("paying {euros} euros, idempotency key {key}");
    Ok(())
}

fn main() -> ExitCode {
    let expense = Workflow::new::<Expense, Settled>("expense").add(Step::new("review", review)).build();
    Server::new().add(expense.expect("the graph is valid")).run()
}
