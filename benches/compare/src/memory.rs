//! The first table: servers that keep everything in memory.

use std::{fs, thread, time::Duration};

use crate::{
    Plan, Result,
    client::post,
    load::{self, Follow, Load, Streams, Until},
    server::{Peer, Server},
    table::{Table, Unit, least, median},
};

/// Connections of a load that keeps a server busy.
pub const CONNECTIONS: usize = 64;

/// Runs that wait concurrently, each with an open stream.
const WAITING: usize = 10_000;

const STARTS: usize = 15;

/// The measurements of each server in each round.
struct Measured {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
}

pub fn measure(plan: &Plan) -> Result<()> {
    let peers: Vec<&Peer> = [&plan.steprill, &plan.floor, &plan.axum].into_iter().chain(&plan.reference).collect();
    // Rows that would take the reference minutes, or that compare Rust programs only.
    let compiled = &peers[..3];
    let table = Table::begin(&peers.iter().map(|peer| peer.name).collect::<Vec<_>>());
    let rounds = plan.rounds;

    let servers = start(&peers)?;
    let measured = echo_runs(&servers, plan, rounds)?;
    let what = format!("CPU per `POST echo/run`, {CONNECTIONS} connections, least of {rounds} rounds");
    table.row(&what, Unit::Microseconds, &leasts(&measured));
    let rates: Vec<f64> = measured.into_iter().map(|measured| median(measured.per_second)).collect();
    table.row("the same, runs per second, median", Unit::PerSecond, &rates);

    let cpu = stream_events(&servers, 1, 100_000, rounds)?;
    let what = format!("CPU per event, one stream of 100,000, least of {rounds} rounds");
    table.row(&what, Unit::Microseconds, &cpu);
    let cpu = stream_events(&servers[..compiled.len()], 1_000, 100, rounds)?;
    let what = format!("CPU per event, 1,000 streams of 100, least of {rounds} rounds");
    table.row(&what, Unit::Microseconds, &cpu);
    drop(servers);

    let waiting = compiled.iter().map(|peer| memory_of_a_waiting_run(peer)).collect::<Result<Vec<_>>>()?;
    table.row("memory per waiting run with an open stream, 10,000 of them", Unit::Bytes, &waiting);

    let starts = compiled.iter().map(|peer| median_start_ms(peer, STARTS)).collect::<Result<Vec<_>>>()?;
    table.row(&format!("start to the first 200, median of {STARTS}"), Unit::Milliseconds, &starts);
    let idle = peers.iter().map(|peer| idle_memory(peer)).collect::<Result<Vec<_>>>()?;
    table.row("resident memory, idle", Unit::Bytes, &idle);
    let size = fs::metadata(&plan.program)?.len();
    table.row("release binary, stripped, with SQLite", Unit::Bytes, &[size as f64]);
    Ok(())
}

fn start(peers: &[&Peer]) -> Result<Vec<Server>> {
    peers.iter().map(|peer| peer.start()).collect()
}

/// Measures `POST echo/run` on each of the servers in turn, after a second of warming up.
fn echo_runs(servers: &[Server], plan: &Plan, rounds: usize) -> Result<Vec<Measured>> {
    for server in servers {
        load::requests(server.address, &echo_run(), CONNECTIONS, Until::Time(Duration::from_secs(1)))?;
    }
    let mut measured: Vec<_> =
        servers.iter().map(|_| Measured { cpu_us: Vec::new(), per_second: Vec::new() }).collect();
    for _ in 0..rounds {
        for (server, measured) in servers.iter().zip(&mut measured) {
            let (load, cpu_us) = echo_round(server, CONNECTIONS, plan.round())?;
            measured.cpu_us.push(cpu_us);
            measured.per_second.push(load.per_second());
        }
    }
    Ok(measured)
}

/// Measures one load of `POST echo/run`, and the processor time of each.
pub fn echo_round(server: &Server, connections: usize, until: Until) -> Result<(Load, f64)> {
    let before_us = server.cpu_us()?;
    let load = load::requests(server.address, &echo_run(), connections, until)?;
    let cpu_us = (server.cpu_us()? - before_us) / load.requests as f64;
    Ok((load, cpu_us))
}

fn echo_run() -> Vec<u8> {
    post("/workflows/echo/run", r#"{"start_event":{"message":"hi"}}"#)
}

fn leasts(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|measured| least(&measured.cpu_us)).collect()
}

/// Measures the least processor time per event, for streams that are followed while they are written.
pub fn stream_events(servers: &[Server], runs: usize, events: u64, rounds: usize) -> Result<Vec<f64>> {
    let streams = Streams {
        workflow: "streaming",
        start_event: format!(r#"{{"count":{events},"delay_ms":0}}"#),
        runs,
        opening_max: runs,
        follow: Follow::ToEnd,
    };
    let mut cpu_us: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (server, cpu_us) in servers.iter().zip(&mut cpu_us) {
            let before_us = server.cpu_us()?;
            let (_, came) = load::streams(server.address, &streams)?;
            // Including the stop event.
            let expected = runs as u64 * (events + 1);
            if came != expected {
                return Err(format!("expected {expected} events, got {came}").into());
            }
            cpu_us.push((server.cpu_us()? - before_us) / came as f64);
        }
    }
    Ok(cpu_us.iter().map(|rounds| least(rounds)).collect())
}

fn memory_of_a_waiting_run(peer: &Peer) -> Result<f64> {
    let server = peer.start()?;
    let before = server.memory_bytes()?;
    let streams = Streams {
        workflow: "interactive",
        start_event: "{}".to_owned(),
        runs: WAITING,
        opening_max: CONNECTIONS,
        follow: Follow::ToFirstEvent,
    };
    let followers = load::streams(server.address, &streams)?;
    // Buffers that grew temporarily are freed by then.
    thread::sleep(Duration::from_secs(2));
    let after = server.memory_bytes()?;
    drop(followers);
    Ok((after - before) / WAITING as f64)
}

pub fn median_start_ms(peer: &Peer, starts: usize) -> Result<f64> {
    let times = (0..starts).map(|_| Ok(peer.start()?.start.as_secs_f64() * 1e3)).collect::<Result<Vec<_>>>()?;
    Ok(median(times))
}

pub fn idle_memory(peer: &Peer) -> Result<f64> {
    let server = peer.start()?;
    thread::sleep(Duration::from_millis(500));
    server.memory_bytes()
}
