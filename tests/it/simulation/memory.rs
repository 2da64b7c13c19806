//! A server without a data directory in a world of chance: the real calls, core, scheduler and runs over the store in
//! memory, by which nothing is recorded. What must hold is what clients see: every one of them is answered, every
//! reader sees the same events in order, and what is removed takes no memory.
//!
//! | module | what it has |
//! |---|---|
//! | `world` | turns of the loop |
//! | `passes` | what passes do |
//! | `clients` | calls, and clients that wait for something |
//! | `readers` | clients that read feeds |
//! | `audit` | what must hold after every turn and at the end |

mod audit;
mod clients;
mod passes;
mod readers;
mod world;

use super::{random::hash, server::number};
use world::World;

const WORLDS: u64 = 100;

#[test]
fn without_a_data_directory_every_client_is_answered_and_nothing_is_left() {
    let seeds = match number("STEPRILL_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("STEPRILL_SIM_SEEDS").unwrap_or(WORLDS))
            .map(|index| hash(&[number("STEPRILL_SIM_FIRST").unwrap_or(6), index]))
            .collect(),
    };
    let (mut turns, mut runs, mut refused) = (0, 0, 0);
    for seed in seeds {
        let play = || {
            let mut world = World::new(seed);
            world.play();
            (world.turns, world.runs.len(), world.refused)
        };
        let played = std::panic::catch_unwind(play);
        let (of_world, begun, unserved) = played.unwrap_or_else(|panic| {
            eprintln!("to repeat it: STEPRILL_SIM_SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        (turns, runs, refused) = (turns + of_world, runs + begun, refused + unserved);
    }
    println!("{turns} turns, {runs} runs, {refused} calls refused for lack of room");
}
