//! What the store costs, to be run by hand: `cargo test --release --test it store::measures -- --ignored --nocapture
//! --test-threads 1`. The directory is made where `TMPDIR` says: it is to be on a disk.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::{fs, time::Instant};

use super::*;

/// What the system has counted for this process: bytes given to the disk, bytes written to files.
fn written() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    (field("write_bytes"), field("wchar"))
}

/// Microseconds of CPU of the writer's thread.
fn writer_cpu_us() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("tasks").flatten();
    let cpu = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        (name.trim() == "store writer").then(|| stat.split(' ').next()?.parse::<u64>().ok()).flatten()
    });
    cpu.sum::<u64>() / 1_000
}

fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("statm");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn step(batch: &mut Batch, run: RunKey, state: steprill::engine::published::StepState) {
    let (start, graph) = (graph().start, graph());
    let output = steprill::engine::published::StepOutput::None;
    let step = graph.step_id("a").expect("a");
    batch.published.push((run, Published::Step { step, state, slot: Some(0), input: start, output }));
}

/// A run of one step at `count` connections at a time: begun in one commit, done in another.
fn echo_runs(count: u64, rounds: u64, durability: Durability) {
    use steprill::engine::published::StepState;
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open_as(directory.path(), &[graph()], durability).expect("a store");
    let (before, cpu_us, begun) = (written(), writer_cpu_us(), Instant::now());
    let mut commits = 0;
    for _ in 0..rounds {
        let mut batch = kit.batch();
        let runs: Vec<RunKey> = (0..count)
            .map(|_| {
                let run = run(kit.next_handler, 0);
                kit.next_handler += 1;
                open(&mut batch, run, 0, None);
                record(&mut batch, run, "start");
                step(&mut batch, run, StepState::Running);
                run
            })
            .collect();
        batch.next_handler = kit.next_handler;
        kit.commit(batch);
        let mut batch = kit.batch();
        for run in runs {
            record(&mut batch, run, "done");
            step(&mut batch, run, StepState::NotRunning);
            complete(&mut batch, run, r#"{"result":"hello"}"#);
        }
        kit.commit(batch);
        commits += 2;
    }
    let cpu_us = writer_cpu_us() - cpu_us;
    kit.store.close();
    let (elapsed, after, runs) = (begun.elapsed(), written(), count * rounds);
    println!(
        "echo run, {count} at a time, {durability:?}: {} bytes to the disk, {} to files, {:.2} µs CPU, {:.2} commits; \
         {:?} a commit",
        (after.0 - before.0) / runs,
        (after.1 - before.1) / runs,
        cpu_us as f64 / runs as f64,
        f64::from(commits) / runs as f64,
        elapsed / commits,
    );
}

#[test]
#[ignore = "a measurement"]
fn what_an_echo_run_costs() {
    for durability in [Durability::Full, Durability::Normal] {
        echo_runs(1, 3_000, durability);
        echo_runs(64, 1_000, durability);
    }
}

#[test]
#[ignore = "a measurement"]
fn how_long_an_empty_database_takes_to_open() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().expect("a directory");
        let begun = Instant::now();
        let kit = Kit::open_as(directory.path(), &[graph()], Durability::Full).expect("a store");
        let made = begun.elapsed();
        drop(kit);
        let before = resident_bytes();
        let begun = Instant::now();
        let kit = Kit::open_as(directory.path(), &[graph()], Durability::Full).expect("a store");
        println!(
            "made in {made:?}, opened in {:?}, {} KB of memory",
            begun.elapsed(),
            (resident_bytes() - before) / 1024
        );
        drop(kit);
    }
}

#[test]
#[ignore = "a measurement"]
fn how_long_recovery_takes_and_what_finished_handlers_cost() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    for _ in 0..100 {
        let mut batch = kit.batch();
        let runs: Vec<RunKey> = (0..1_000).map(|_| kit.begin(&mut batch)).collect();
        kit.commit(batch);
        for _ in 0..2 {
            let mut batch = kit.batch();
            for run in &runs {
                record(&mut batch, *run, "more");
                publish(&mut batch, *run, 1);
            }
            kit.commit(batch);
        }
    }
    kit.store.close();
    let (before, begun) = (resident_bytes(), Instant::now());
    let mut kit = Kit::open(directory.path());
    let opened = begun.elapsed();
    let (mut count, mut records) = (0, 0);
    let recovered = kit.store.recover(&mut |recovered| {
        count += 1;
        records += whole(recovered).journal.records.len();
    });
    recovered.expect("all are recovered");
    println!(
        "{count} running handlers with {records} records: opened in {opened:?}, all in {:?}, {} KB more",
        begun.elapsed(),
        (resident_bytes() - before) / 1024
    );
    for _ in 0..1_000 {
        let mut batch = kit.batch();
        let runs: Vec<RunKey> = (0..1_000).map(|_| kit.begin(&mut batch)).collect();
        kit.commit(batch);
        let mut batch = kit.batch();
        for run in &runs {
            complete(&mut batch, *run, "1");
        }
        kit.commit(batch);
    }
    let size = fs::metadata(directory.path().join("steprill.db")).map_or(0, |file| file.len());
    println!(
        "a million more that have finished: {} KB more of memory, {} MB of disk",
        (resident_bytes() - before) / 1024,
        size >> 20
    );
    kit.store.close();
    let begun = Instant::now();
    let mut kit = Kit::open(directory.path());
    println!("opened in {:?}, {} finished", begun.elapsed(), kit.beginning.finished);
    let (begun, mut last) = (Instant::now(), None);
    while let Some(handler) = kit.list(last, 100).last() {
        last = Some(handler.key.0);
    }
    println!("all listed in {:?}, {} KB more of memory", begun.elapsed(), (resident_bytes() - before) / 1024);
}
