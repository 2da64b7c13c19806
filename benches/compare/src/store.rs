//! The second table: servers that store everything on a disk, synced before anybody is told.

use std::{
    fs::File,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Plan, Result,
    client::post,
    load::{self, Load, Until},
    memory::{CONNECTIONS, echo_round, idle_memory, median_start_ms, stream_events},
    server::{Peer, Server},
    table::{Table, Unit, least, median, three_digits},
};

/// Runs that wait when the server is killed.
const WAITING: usize = 100_000;

/// Finished runs, all retained.
const FINISHED: usize = 500_000;

const STARTS: usize = 15;

pub fn measure(plan: &Plan) -> Result<()> {
    let names: Vec<&str> = [&plan.steprill].into_iter().chain(&plan.reference).map(|peer| peer.name).collect();
    let table = Table::begin(&names);
    let directory = TempDir::new_in(&plan.data)?;
    let path = directory.path().join("store");
    let steprill = stored(&plan.steprill, &path)?;
    let mut peers = vec![steprill.clone()];
    if let Some(reference) = &plan.reference {
        peers
            .push(reference.with(&[directory.path().join("reference.db").to_str().ok_or("a path that is not UTF-8")?]));
    }
    let servers = peers.iter().map(Peer::start).collect::<Result<Vec<_>>>()?;
    echo_runs(plan, &servers, &table)?;
    let cpu = stream_events(&servers[..1], 1, 100_000, plan.rounds)?;
    table.row("CPU per event, one stream of 100,000", Unit::Microseconds, &cpu);
    drop(servers);
    starts(plan, &table)?;
    after_a_kill(plan, &table)?;
    many_finished(plan, &table)
}

fn echo_runs(plan: &Plan, servers: &[Server], table: &Table) -> Result<()> {
    let (mut rates, mut costs) = (vec![Vec::new(); servers.len()], vec![Vec::new(); servers.len()]);
    for server in servers {
        echo_round(server, CONNECTIONS, Until::Time(Duration::from_secs(1)))?;
    }
    for _ in 0..plan.rounds {
        for (column, server) in servers.iter().enumerate() {
            let (load, cpu_us) = echo_round(server, CONNECTIONS, plan.round())?;
            rates[column].push(load.per_second());
            costs[column].push(cpu_us);
        }
    }
    let rates: Vec<f64> = rates.into_iter().map(median).collect();
    table.row(&format!("`POST echo/run`, {CONNECTIONS} connections, runs per second"), Unit::PerSecond, &rates);
    let costs: Vec<f64> = costs.iter().map(|costs| least(costs)).collect();
    table.row(&format!("the same, CPU per run, least of {} rounds", plan.rounds), Unit::Microseconds, &costs);

    let (one, one_bytes) = written(&servers[0], 1, plan.round())?;
    let (_, many_bytes) = written(&servers[0], CONNECTIONS, plan.round())?;
    let sync = Unit::Microseconds.show(synced_append_us(plan)?);
    let median = Unit::Microseconds.show(one.median_us());
    let cell = format!("{median}; one synced append of 4 KB takes {sync}");
    table.text("the same, 1 connection, median of the time", &[cell]);
    let cell = format!("{} KB and {} KB", three_digits(one_bytes / 1e3), three_digits(many_bytes / 1e3));
    let what = format!("bytes written per run to the disk, checkpoints included, 1 connection and {CONNECTIONS}");
    table.text(&what, &[cell]);
    Ok(())
}

/// Measures how many bytes each run causes to be written.
fn written(server: &Server, connections: usize, until: Until) -> Result<(Load, f64)> {
    let before = server.written_bytes()?;
    let (load, _) = echo_round(server, connections, until)?;
    let bytes = (server.written_bytes()? - before) / load.requests as f64;
    Ok((load, bytes))
}

/// Measures how long the disk takes to append 4 KB to a file.
fn synced_append_us(plan: &Plan) -> Result<f64> {
    let mut file = tempfile::tempfile_in(&plan.data)?;
    let append = |file: &mut File| -> Result<f64> {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        Ok(begun.elapsed().as_secs_f64() * 1e6)
    };
    Ok(median((0..200).map(|_| append(&mut file)).collect::<Result<Vec<_>>>()?))
}

fn starts(plan: &Plan, table: &Table) -> Result<()> {
    let without = median_start_ms(&plan.steprill, STARTS)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let directory = TempDir::new_in(&plan.data)?;
        times.push(median_start_ms(&stored(&plan.steprill, directory.path())?, 1)?);
    }
    let more = Unit::Milliseconds.show(median(times) - without);
    table.text("start with an empty database, to the first 200", &[format!("{more} more than without")]);
    Ok(())
}

fn after_a_kill(plan: &Plan, table: &Table) -> Result<()> {
    let directory = TempDir::new_in(&plan.data)?;
    // More than the server would accept by default, if they start faster than they leave memory.
    let steprill = stored(&plan.steprill, directory.path())?.with(&["--runs-max", "200000"]);
    let server = steprill.start()?;
    let begin = post("/workflows/interactive/run-nowait", r#"{"start_event":{}}"#);
    load::requests(server.address, &begin, CONNECTIONS, Until::Requests(WAITING))?;
    server.kill()?;
    let server = steprill.start()?;
    thread::sleep(Duration::from_secs(2));
    let (start, memory) = (Unit::Seconds.show(server.start.as_secs_f64()), Unit::Bytes.show(server.memory_bytes()?));
    table.text(
        "start after a kill with 100,000 waiting runs, to the first 200; memory then",
        &[format!("{start}; {memory}")],
    );
    Ok(())
}

fn many_finished(plan: &Plan, table: &Table) -> Result<()> {
    let directory = TempDir::new_in(&plan.data)?;
    let steprill = stored(&plan.steprill, directory.path())?.with(&["--keep-finished", "100000000"]);
    let idle = idle_memory(&steprill)?;
    let server = steprill.start()?;
    echo_round(&server, CONNECTIONS, Until::Requests(FINISHED))?;
    // By then the memory that was used under load has gone back to the system.
    thread::sleep(Duration::from_secs(5));
    let memory = Unit::Bytes.show(server.memory_bytes()? - idle);
    table.text("memory after 500,000 finished runs, all kept, above that when idle", &[memory]);
    server.kill()?;
    let server = steprill.start()?;
    table.row("start with those, after a kill", Unit::Seconds, &[server.start.as_secs_f64()]);
    Ok(())
}

/// Returns the server with a store in this directory.
fn stored(steprill: &Peer, path: &Path) -> Result<Peer> {
    Ok(steprill.with(&["--data", path.to_str().ok_or("a path that is not UTF-8")?]))
}
