//! Many pieces of work in parallel, with retries, where some may fail without failing the run.
//!
//! ```text
//! cargo run --example fan_out
//!
//! curl localhost:8080/workflows/probe/run -d '{"start_event": {"addresses": ["localhost:8080", "localhost:1"]}}'
//! curl localhost:8080/workflows/probe/run-nowait -d '{"start_event": {"addresses": ["localhost:1"]}}'
//! curl -N 'localhost:8080/events/HANDLER_ID?include_internal=true'
//! ```
//!
//! The first line checks which of the addresses accept connections: the server's own does. The third shows each
//! attempt of the run that the second starts.

// Steps take their event by value and return a `Result`, even where they need neither.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::{Duration, Instant},
};

use steprill::{Ctx, Failure, Result, Retry, Server, Step, Workflow, event, one_of};

event! {
    /// Asks which of these addresses accept connections.
    struct Probe { addresses: Vec<String> }
    /// One address to try.
    struct Target { address: String }
    /// It accepted a connection.
    struct Up { address: String, milliseconds: u64 }
    /// It did not, in any attempt.
    struct Down { address: String, error: String, attempts: u32 }
    /// The result, in the order of the addresses.
    struct Report { up: Vec<Up>, down: Vec<Down> }
}

one_of! {
    enum Probed { Up, Down }
}

/// Returning a `Vec` fans out: each element becomes a work of its own.
fn split(_: &Ctx, probe: Probe) -> Result<Vec<Target>> {
    Ok(probe.addresses.into_iter().map(|address| Target { address }).collect())
}

fn connect(_: &Ctx, target: Target) -> Result<Up> {
    let start = Instant::now();
    let sockets: Vec<_> = target.address.to_socket_addrs()?.collect();
    let accepts = |socket| TcpStream::connect_timeout(socket, Duration::from_secs(2)).is_ok();
    if !sockets.iter().any(accepts) {
        Err(format!("no connection to any of {sockets:?}"))?;
    }
    Ok(Up { address: target.address, milliseconds: start.elapsed().as_millis().try_into()? })
}

/// Taking a `Vec` fans in: runs once, when all work from `split` has ended.
fn collect(_: &Ctx, all: Vec<Probed>) -> Result<Report> {
    let mut report = Report { up: Vec::new(), down: Vec::new() };
    for probed in all {
        match probed {
            Probed::Up(up) => report.up.push(up),
            Probed::Down(down) => report.down.push(down),
        }
    }
    Ok(report)
}

fn main() -> ExitCode {
    let retry = Retry::exponential(Duration::from_millis(50)).attempts(3);
    // Without `on_failure` the run would fail after the last attempt at one address has failed.
    let connect = Step::new("connect", connect).workers(8).retry(retry).on_failure(|failure: Failure<Target>| Down {
        address: failure.input.address,
        error: failure.error,
        attempts: failure.attempts,
    });
    let probe = Workflow::new::<Probe, Report>("probe").step("split", split).add(connect).step("collect", collect);
    Server::new().add(probe.build().expect("the graph is valid")).run()
}
