//! Checks the invariants of a run by simulating random workflows. A failure prints its seed; `STEPRILL_SEED` runs only
//! that one, `STEPRILL_STEPS` runs for longer.

pub(crate) mod body;
pub(crate) mod flows;
pub(crate) mod model;
pub(crate) mod places;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::simulation::random::{Random, hash};
use flows::{Kind, flow};
use steprill::{engine::input::Outcome, limits::CONFLICTS_MAX};
use world::{Faults, World};

/// Runs seed after seed until `steps_min` steps are made. Prints how many runs that took.
fn play(steps_min: u64, salt: u64, one: impl Fn(u64) -> u64) {
    let fixed = std::env::var("STEPRILL_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let steps_min = std::env::var("STEPRILL_STEPS").map_or(steps_min, |steps| steps.parse().expect("a number"));
    let (mut steps, mut runs) = (0, 0);
    while steps < steps_min {
        let seed = fixed.unwrap_or_else(|| hash(&[salt, runs]));
        match catch_unwind(AssertUnwindSafe(|| one(seed))) {
            Ok(made) => steps += made + 1,
            Err(panic) => {
                eprintln!("to repeat it: STEPRILL_SEED={seed}");
                resume_unwind(panic);
            }
        }
        runs += 1;
        if fixed.is_some() {
            break;
        }
    }
    println!("{steps} steps in {runs} runs");
}

#[test]
fn every_run_keeps_the_invariants_whatever_happens() {
    play(80_000, 1, |seed| {
        let mut random = Random::new(seed);
        let (lines, graph) = flow(&mut random, Kind::Wild);
        let faults = Faults { crash: 2 + random.below(60), noise: 2 + random.below(20) };
        let mut world = World::new(&graph, Kind::Wild, random.next(), faults);
        let played = catch_unwind(AssertUnwindSafe(|| world.play()));
        if let Err(panic) = played {
            eprintln!("{lines}");
            resume_unwind(panic);
        }
        world.steps
    });
}

#[test]
fn the_outcome_does_not_depend_on_the_order_of_completion() {
    play(30_000, 2, |seed| {
        let mut random = Random::new(seed);
        let (lines, graph) = flow(&mut random, Kind::Ordered);
        let mut steps = 0;
        let outcomes: Vec<_> = (0..3)
            .map(|index| {
                let faults = Faults { crash: [1_000_000, 30, 5][index], noise: 50 };
                let mut world = World::new(&graph, Kind::Ordered, random.next(), faults);
                let outcome = world.play();
                steps += world.steps;
                outcome
            })
            .collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}\n{lines}");
        steps
    });
}

#[test]
fn a_pass_that_conflicts_too_often_runs_alone_and_everything_else_continues_after_it() {
    let most_conflicts = std::cell::Cell::new(0);
    play(20_000, 3, |seed| {
        let mut random = Random::new(seed);
        let (_, graph) = flow(&mut random, Kind::Contended);
        let mut world = World::new(&graph, Kind::Contended, random.next(), Faults { crash: 60, noise: 50 });
        let outcome = world.play();
        assert!(matches!(outcome, Some(Outcome::Completed(_))), "{outcome:?}");
        most_conflicts.set(most_conflicts.get().max(world.model.most_conflicts));
        world.steps
    });
    assert!(std::env::var("STEPRILL_SEED").is_ok() || most_conflicts.get() == CONFLICTS_MAX, "there was contention");
}
