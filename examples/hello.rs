//! The smallest useful workflow: one step from a typed start event to a result.
//!
//! ```text
//! cargo run --example hello
//!
//! curl localhost:8080/workflows/hello/run -d '{"start_event": {"name": "Ada"}}'
//! curl localhost:8080/workflows/hello/run -d '{"start_event": {}}'
//! curl localhost:8080/workflows/hello/schema
//! ```
//!
//! The first prints the handler of the finished run, with its result. The second lacks a field and is refused with 400.
//! The third shows the JSON Schema of the start event, which the server derives from the struct.

// Steps take their event by value and return a `Result`, even where they need neither.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::process::ExitCode;

use steprill::{Ctx, Result, Server, StopEvent, Workflow, event};

event! {
    /// Asks for a greeting.
    struct Hello {
        /// Who is greeted.
        name: String,
        /// How many times.
        #[serde(default = "one")]
        times: usize,
    }
}

fn one() -> usize {
    1
}

fn greet(_: &Ctx, hello: Hello) -> Result<StopEvent> {
    if hello.times > 100 {
        // The run fails with this text. `?` works on any error.
        Err("100 greetings are enough")?;
    }
    Ok(StopEvent::new(vec![format!("hello {}", hello.name); hello.times].join(", ")))
}

fn main() -> ExitCode {
    let hello = Workflow::new::<Hello, StopEvent>("hello").step("greet", greet).build();
    Server::new().add(hello.expect("the graph is valid")).run()
}
