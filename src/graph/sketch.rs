//! Graphs written as lines, for this repository's tests, benches and fuzz targets.

use std::collections::BTreeSet;

use super::{EventKind, EventType, Parts, Shape, StepParts};

/// Parses a graph from lines: `name: A|B -> C`, with `[A]` for a `Vec`, `+ X` for sends, `? Q/A` for asks, `~ T` for
/// streams, `! X` for the event emitted on failure. Types named `Need..` are input-required, `Human..` human responses,
/// `Open..` open to clients. `S` starts, `T` stops.
///
/// # Panics
/// If a line is written otherwise.
pub fn parts(lines: &str) -> Parts {
    let mut steps = Vec::new();
    let mut names = BTreeSet::from(["S".to_owned(), "T".to_owned()]);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, rest) = line.split_once(": ").expect("name: takes -> returns");
        let mut step = StepParts { name: name.into(), workers: 4, ..StepParts::default() };
        let mut words = rest.split_whitespace();
        (step.takes, step.fan_in) = types(words.next().expect("takes"));
        while let (Some(sign), Some(word)) = (words.next(), words.next()) {
            match sign {
                "->" => (step.returns, step.fan_out) = types(word),
                "+" => step.sends = types(word).0,
                "!" => step.on_failure = Some(word.to_owned()),
                "~" => step.streams = types(word).0,
                "?" => step.asks.extend(word.split_once('/').map(|(q, a)| (q.to_owned(), a.to_owned()))),
                _ => panic!("unknown sign {sign}"),
            }
        }
        names.extend([&step.takes, &step.returns, &step.sends, &step.streams].into_iter().flatten().cloned());
        names.extend(step.on_failure.clone());
        names.extend(step.asks.iter().flat_map(|(q, a)| [q.clone(), a.clone()]));
        steps.push(step);
    }
    Parts {
        name: "flow".into(),
        module: None,
        events: names.iter().map(|name| event(name)).collect(),
        steps,
        start: "S".into(),
        stop: "T".into(),
        timeout: None,
        max_runs: None,
    }
}

fn types(word: &str) -> (Vec<String>, bool) {
    let inner = word.trim_matches(['[', ']']);
    (inner.split('|').filter(|name| *name != "()").map(str::to_owned).collect(), word.starts_with('['))
}

/// Returns the type that a line means by this name.
pub fn event(name: &str) -> EventType {
    let kind = match name {
        _ if name.starts_with("Need") => EventKind::InputRequired,
        _ if name.starts_with("Human") => EventKind::HumanResponse,
        _ => EventKind::Plain,
    };
    EventType {
        name: name.into(),
        qualified_name: format!("flow.{name}").into(),
        kind,
        builtin: false,
        external: name.starts_with("Open"),
        schema: serde_json::json!({ "title": name }),
        shape: Shape::default(),
    }
}
