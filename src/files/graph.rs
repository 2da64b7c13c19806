//! Faults of the graph in the words and at the places of a workflow file.

use super::{events::Events, fault::Faults};
use crate::graph::Fault;

/// What a fault of the graph says to who writes Rust, and what it says to who writes a file.
const WORDS: &[(&str, &str)] = &[
    (", or declare it as `struct ", ", or write `external = true` in `[events."),
    (": External` if it comes from outside", "]` if it comes from outside"),
    ("is declared `External`", "has `external = true`"),
    ("declare it without `External`", "remove `external`"),
    (
        "write it to the stream with `ctx.stream` if only clients are to see it",
        "name it in `streams` instead of `emits` if only clients are to see it",
    ),
    ("let its context name the question", "name the question in `ask`"),
    ("`Vec<", "`"),
    (">`", "[]`"),
    ("inside a `Vec`", "in a list"),
    ("return a `Vec` or declare sends", "emit a list, as in `emits = \"X[]\"`"),
    ("takes", "accepts"),
    ("take ", "accept "),
    ("returns or sends", "emits"),
    ("returns", "emits"),
    ("return ", "emit "),
    ("gives out", "emits"),
    ("rename yours, or give it another wire name", "rename yours"),
];

/// Adds the faults of the graph, each at the first step or event that it names.
pub(super) fn add(found: &[Fault], steps: &[(&str, usize)], events: &Events, faults: &mut Faults<'_>) {
    for fault in found {
        if faults.is_full() {
            faults.add(0, "");
            continue;
        }
        let at = place(&fault.0, steps, events);
        let text = WORDS.iter().fold(fault.0.clone(), |text, (rust, file)| text.replace(rust, file));
        let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
        faults.add(at, format!("{}{}", first.to_lowercase(), rest.trim_end_matches('.')));
    }
}

/// Returns where what is named first between backquotes is declared.
fn place(text: &str, steps: &[(&str, usize)], events: &Events) -> usize {
    let mut names = text.split('`').skip(1).step_by(2);
    let step = |name: &str| steps.iter().find(|(step, _)| *step == name).map(|(_, at)| *at);
    let event = |name: &str| events.get(name).map(|event| event.at).filter(|at| *at > 0);
    let at = |name: &str| {
        if text.starts_with("Step") { step(name) } else { event(name).or_else(|| step(name)) }
    };
    names.find_map(at).unwrap_or(0)
}
