//! Graphs to fuzz with.

use std::{collections::BTreeSet, time::Duration};

use steprill::graph::{EventKind, EventType, Graph, Parts, Retry, StepParts};

/// Steps as `name: takes -> returns`, `[E]` for a `Vec`, `+` what it sends, `?` what it asks and by what it is
/// answered.
pub const GRAPHS: [&[&str]; 5] = [
    &["a: S -> T ? NeedQ HumanA"],
    &["ask: S -> NeedQ", "answer: HumanA -> T", "watch: NeedQ -> S"],
    &["split: S -> [E]", "b: E -> F ? NeedQ HumanA", "c: E -> F", "join: [F] -> T"],
    &["a: S -> [G]", "b: G -> U + E", "c: E -> F", "d: [F] -> U", "e: U -> U|V", "f: [V] -> T"],
    &["a: S -> NeedQ|T ? NeedQ HumanA", "b: OpenX -> S ? NeedQ HumanA", "c: HumanB -> T"],
];

/// Builds the graph described by these lines.
pub fn build(lines: &[&str]) -> Graph {
    let mut names = BTreeSet::from(["S".to_owned(), "T".to_owned()]);
    let mut steps = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(": ").expect("name: takes -> returns");
        let mut words = rest.split(' ');
        let mut types = |word: &str| -> Vec<String> {
            let found: Vec<_> = word.trim_matches(['[', ']']).split('|').map(str::to_owned).collect();
            names.extend(found.iter().cloned());
            found
        };
        let (takes, _, returns) = (words.next().expect("takes"), words.next(), words.next().expect("returns"));
        let mut step = StepParts {
            name: name.into(),
            takes: types(takes),
            fan_in: takes.starts_with('['),
            returns: types(returns),
            fan_out: returns.starts_with('['),
            workers: 2,
            retry: Retry::exponential(Duration::from_secs(1)),
            timeout: Some(Duration::from_secs(1)),
            ..StepParts::default()
        };
        match words.next() {
            Some("+") => step.sends = types(words.next().expect("sends")),
            Some(_) => {
                let (question, answer) = (words.next().expect("question"), words.next().expect("answer"));
                types(question);
                types(answer);
                step.asks.push((question.to_owned(), answer.to_owned()));
                step.inboxes.push((answer.to_owned(), 2));
            }
            None => {}
        }
        steps.push(step);
    }
    let event = |name: String| EventType {
        qualified_name: name.clone().into(),
        external: name.starts_with("Open"),
        kind: match &name[..1] {
            "N" => EventKind::InputRequired,
            "H" => EventKind::HumanResponse,
            _ => EventKind::Plain,
        },
        name: name.into(),
        builtin: false,
        schema: Default::default(),
        shape: steprill::graph::Shape::default(),
    };
    let parts = Parts {
        name: "fuzzed".into(),
        module: None,
        events: names.into_iter().map(event).collect(),
        steps,
        start: "S".into(),
        stop: "T".into(),
        timeout: Some(Duration::from_secs(30)),
        max_runs: None,
    };
    Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}"))
}
