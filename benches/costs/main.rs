//! Measures everything that the loop's thread does, up to the sizes that the limits allow: `cargo bench --bench costs`.
//! An argument selects the rows whose names contain it.
//!
//! Each row is measured at a quarter, half and all of its size. The exponent says how the median grows: 0 not at all, 1
//! in proportion to the size. `OVER` marks what takes the loop more than [`TURN_US`] at once.

mod runs;
mod scheduler;
mod setup;

use std::time::{Duration, Instant};

/// The limit in microseconds for one input or page.
const TURN_US: f64 = 2_000.0;

/// The median of many operations, and the longest except one in fifty, which other programs may have interrupted.
#[derive(Clone, Copy)]
struct Cost {
    usual: Duration,
    longest: Duration,
}

impl Cost {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let place = |part: usize| times[(times.len() - 1) * part / 100];
        Self { usual: place(50), longest: place(98) }
    }

    fn least(self, other: Self) -> Self {
        Self { usual: self.usual.min(other.usual), longest: self.longest.min(other.longest) }
    }
}

fn main() {
    // As the server does.
    steprill_trim::join_at_once();
    println!("{:<52}{:>9}{:>11}{:>11}{:>11}{:>12}{:>10}", "us", "n", "n/4", "n/2", "n", "longest", "exponent");
    runs::measure();
    scheduler::measure();
}

/// Times each of `count` operations.
fn each(count: usize, mut operation: impl FnMut(usize)) -> Cost {
    let time = |index| {
        let begun = Instant::now();
        operation(index);
        begun.elapsed()
    };
    Cost::of((0..count).map(time).collect())
}

/// Times one operation.
fn once(operation: impl FnOnce()) -> Cost {
    let mut operation = Some(operation);
    each(1, |_| operation.take().expect("it is called once")())
}

/// Measures `cost` with a quarter, half and all of `size`. The least of several rounds counts: other programs make an
/// operation longer, never shorter.
fn row(name: &str, size: usize, cost: impl Fn(usize) -> Cost) {
    if std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).any(|part| !name.contains(&part)) {
        return;
    }
    let least = |size: usize| (0..ROUNDS).map(|_| cost(size)).reduce(Cost::least).expect("there is a round");
    let costs = [size / 4, size / 2, size].map(least);
    let us = |duration: Duration| duration.as_secs_f64() * 1_000_000.0;
    let [first, second, last] = costs.map(|cost| us(cost.usual));
    let exponent = (last / first).log2() / 2.0;
    let longest = us(costs[2].longest);
    let mark = if longest > TURN_US && !name.ends_with(BESIDE) { " OVER" } else { "" };
    println!("{name:<52}{size:>9}{first:>11.2}{second:>11.2}{last:>11.2}{longest:>12.1}{exponent:>10.2}{mark}");
}

const ROUNDS: usize = 3;

/// The end of the names of rows about what other threads do for the loop.
const BESIDE: &str = "beside the loop";
