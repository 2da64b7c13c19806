//! Simulates the whole server except for its sockets: the real calls, core, scheduler, runs and records, with a store
//! and workers that are values. There is no thread, socket or clock: one seed decides what completes when, how time
//! passes, and what is lost.
//!
//! A failure prints its seed; `STEPRILL_SIM_SEED` runs only that one, and `STEPRILL_SIM_TRACE` prints what happens in
//! it. For longer:
//!
//! ```text
//! STEPRILL_SIM_SECONDS=3600 cargo test --release --test it simulation::server::for_long -- --ignored --nocapture
//! ```
//!
//! runs random seeds for that long (`STEPRILL_SIM_SEEDS`: that many), from `STEPRILL_SIM_FIRST` on.
//!
//! | module | contents |
//! |---|---|
//! | `model` | what a batch means: a store as a value |
//! | `store` | the model made slow, failing and forgetful |
//! | `history` | every record that was committed, and the run that follows from it |
//! | `world` | turns of the loop, crashes, starts |
//! | `driver` | how the core is driven: as the server does |
//! | `workers`, `workflows` | what runs |
//! | `clients` | clients, and what they were told |
//! | `calls` | requests to the API, and its replies |
//! | `lists` | clients that list handlers |
//! | `readers` | clients that read feeds |
//! | `audit` | what must hold |
//! | `mirror` | the SQLite store, beside the model |

mod audit;
mod calls;
mod clients;
mod driver;
mod history;
mod lists;
#[cfg(feature = "sqlite")]
pub(crate) mod mirror;
pub(crate) mod model;
mod readers;
pub(crate) mod store;
mod workers;
pub(crate) mod workflows;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use crate::simulation::random::hash;
use world::World;

/// Totals over a number of worlds.
#[derive(Default, Debug)]
struct Played {
    worlds: u64,
    turns: u64,
    records: u64,
    runs: u64,
    crashes: u64,
    failures: u64,
    damaged: u64,
    loads: u64,
    snapshots: u64,
    /// Snapshots with records behind them.
    joined: u64,
}

/// Simulates one world.
fn play(seed: u64, played: &mut Played) {
    play_in(World::new, seed, played);
}

fn play_in(world: impl Fn(u64) -> World, seed: u64, played: &mut Played) {
    let mut turns = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = world(seed);
        world.play(&mut turns);
        played.turns += world.counts.turns;
        played.records += world.history.records;
        played.runs += world.counts.runs;
        played.crashes += world.counts.crashes;
        played.failures += world.counts.failures;
        played.damaged += world.counts.damaged;
        played.loads += world.counts.loads;
        played.snapshots += world.counts.snapshots;
        played.joined += world.counts.joined;
    }));
    played.worlds += 1;
    if let Err(panic) = result {
        eprintln!("at turn {turns}; to repeat it: STEPRILL_SIM_SEED={seed}");
        resume_unwind(panic);
    }
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn what_was_acknowledged_survives_whatever_happens() {
    let mut played = Played::default();
    if let Some(seed) = number("STEPRILL_SIM_SEED") {
        play(seed, &mut played);
    } else {
        // A finished handler is set aside while the removal of a younger one is pending.
        play(12_089_348_012_227_231_075, &mut played);
        (0..WORLDS).for_each(|index| play(hash(&[5, index]), &mut played));
        assert!(played.joined > 0, "snapshots are made beside the loop");
    }
    println!("{played:?}");
}

#[test]
#[cfg(feature = "sqlite")]
fn the_sqlite_store_agrees_with_the_model() {
    let mut played = Played::default();
    if let Some(seed) = number("STEPRILL_SIM_SEED") {
        play_in(World::mirrored, seed, &mut played);
    } else {
        // An id that was chosen, purged and chosen again before the first choice was committed.
        play_in(World::mirrored, 1_105_250_846_943_797_110, &mut played);
        (0..MIRRORED_WORLDS).for_each(|index| play_in(World::mirrored, hash(&[7, index]), &mut played));
    }
    println!("{played:?}");
}

#[test]
#[ignore = "runs for as long as configured"]
fn for_long() {
    let seconds =
        number("STEPRILL_SIM_SECONDS").unwrap_or(if number("STEPRILL_SIM_SEEDS").is_some() { u64::MAX } else { 60 });
    let seeds = number("STEPRILL_SIM_SEEDS").unwrap_or(u64::MAX);
    let first = number("STEPRILL_SIM_FIRST").unwrap_or(1 << 32);
    let (began, mut played) = (Instant::now(), Played::default());
    for index in 0..seeds {
        if began.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        // The disk is slow.
        #[cfg(feature = "sqlite")]
        if index % 50 == 49 {
            play_in(World::mirrored, hash(&[first, index]), &mut played);
            continue;
        }
        play(hash(&[first, index]), &mut played);
        if index.is_multiple_of(1_000) {
            println!("{:?} {played:?}", began.elapsed());
        }
    }
    println!("{:?} {played:?}", began.elapsed());
}

/// This many take some twenty seconds on a slow core without optimisation.
const WORLDS: u64 = 200;
#[cfg(feature = "sqlite")]
const MIRRORED_WORLDS: u64 = 20;
