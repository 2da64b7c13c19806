//! Faults of the graph in the words and at the places of a workflow file.

use super::{events::Events, fault::Faults};
use crate::graph::{Fault, Subject, Words};

/// The words of faults of a graph, for authors of files.
const WORDS: Words = Words {
    takes: "accepts",
    take: "accept",
    returns: "emits",
    return_: "emit",
    returns_or_sends: "emits",
    gives_out: "emits",
    list: ["", "[]"],
    in_list: "in a list",
    return_list: "emit a list, as in `emits = \"X[]\"`",
    stream: "name it in `streams` instead of `emits`",
    name_question: "name the question in `ask`",
    is_external: "has `external = true`",
    not_external: "remove `external`",
    declare_external: ["write `external = true` in `[events.", "]`"],
    rename: "rename yours",
};

/// Adds the faults of the graph, each at the first step or event that it is about.
pub(super) fn add(found: &[Fault], steps: &[(&str, usize)], events: &Events, faults: &mut Faults<'_>) {
    for fault in found {
        if faults.is_full() {
            faults.add(0, "");
            continue;
        }
        faults.add(place(fault, steps, events), text(fault));
    }
}

fn text(fault: &Fault) -> String {
    let text = fault.in_words(&WORDS).to_string();
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    format!("{}{}", first.to_lowercase(), rest.trim_end_matches('.'))
}

/// Returns where the first that it is about is declared.
fn place(fault: &Fault, steps: &[(&str, usize)], events: &Events) -> usize {
    let at = |subject| match subject {
        Subject::Step(name) => steps.iter().find(|(step, _)| *step == name).map(|(_, at)| *at),
        Subject::Event(name) => events.get(name).map(|event| event.at).filter(|at| *at > 0),
    };
    fault.subjects().into_iter().find_map(at).unwrap_or(0)
}
