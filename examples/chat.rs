//! A conversation that remembers what was said, across messages, restarts and runs.
//!
//! ```text
//! cargo run --example chat -- --data chats
//!
//! curl localhost:8080/workflows/chat/run-nowait -d '{}'
//! curl localhost:8080/events/HANDLER_ID -d '{"event": {"type": "Message", "value": {"text": "I like tea"}}}'
//! curl -N localhost:8080/events/HANDLER_ID
//! ```
//!
//! The third line shows the replies as they come. The message `bye` ends the run. To continue with the same memory,
//! start the next run with the id of the first: `-d '{"handler_id": "HANDLER_ID"}'`.

// Steps take their event by value and return a `Result`, even where they need neither.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::process::ExitCode;

use steprill::{Asks, Ctx, Result, Server, StartEvent, Step, StopEvent, Workflow, event, one_of};

event! {
    /// The chat is ready for the next message.
    struct Listening: Asks<Message> {}
    /// What the person says.
    struct Message { text: String }
    /// What the program says.
    struct Reply { text: String }
    /// One message and its reply.
    struct Turn {}
}

one_of! {
    enum Next { Turn, StopEvent }
}

fn begin(_: &Ctx, _: StartEvent) -> Result<Turn> {
    Ok(Turn {})
}

/// Takes one turn and returns the next one: each message is a work of its own, so the run stays small however long the
/// conversation gets. A loop around `ask` would run all earlier turns again for each message.
fn listen(ctx: &Ctx<Asks<Listening>>, _: Turn) -> Result<Next> {
    let Message { text } = ctx.ask(Listening {}).wait()?;
    let heard: Vec<String> = ctx.state().get("heard")?.unwrap_or_default();
    if text == "bye" {
        return Ok(StopEvent::new(format!("bye, I heard {} messages", heard.len())).into());
    }
    ctx.stream(Reply { text: reply(&heard, &text) })?;
    ctx.state().push("heard", text)?;
    Ok(Turn {}.into())
}

/// Stands for a language model.
fn reply(heard: &[String], text: &str) -> String {
    match heard.last() {
        None => format!("you say {text:?}; tell me more"),
        Some(last) => format!("you say {text:?}, and before that {last:?}"),
    }
}

fn main() -> ExitCode {
    // Messages that arrive while none is asked for wait in the inbox.
    let listen = Step::new("listen", listen).inbox::<Message>(100).streams::<Reply>();
    let chat = Workflow::new::<StartEvent, StopEvent>("chat").step("begin", begin).add(listen).build();
    Server::new().add(chat.expect("the graph is valid")).run()
}
