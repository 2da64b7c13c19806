//! Graphs to fuzz with.

use std::time::Duration;

use steprill::graph::{Graph, Parts, Retry, sketch::parts};

/// The lines of each graph.
pub const GRAPHS: [&[&str]; 5] = [
    &["a: S -> T ? NeedQ/HumanA"],
    &["ask: S -> NeedQ", "answer: HumanA -> T", "watch: NeedQ -> S"],
    &["split: S -> [E]", "b: E -> F ? NeedQ/HumanA", "c: E -> F", "join: [F] -> T"],
    &["a: S -> [G]", "b: G -> U + E", "c: E -> F", "d: [F] -> U", "e: U -> U|V", "f: [V] -> T"],
    &["a: S -> NeedQ|T ? NeedQ/HumanA", "b: OpenX -> S ? NeedQ/HumanA", "c: HumanB -> T"],
];

/// Builds the graph described by these lines: each step is retried and has inboxes for its answers, and each pass and the
/// run have time-outs.
pub fn build(lines: &[&str]) -> Graph {
    let mut parts = Parts { timeout: Some(Duration::from_secs(30)), ..parts(&lines.join("\n")) };
    for step in &mut parts.steps {
        step.workers = 2;
        step.retry = Retry::exponential(Duration::from_secs(1));
        step.timeout = Some(Duration::from_secs(1));
        step.inboxes = step.asks.iter().map(|(_, answer)| (answer.clone(), 2)).collect();
    }
    Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}"))
}
