//! Graphs for people: as text, and for Graphviz and Mermaid.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write as _,
};

use crate::graph::{EventId, Graph, StepId, StepType};

/// How a graph is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Drawing {
    /// A line for each step.
    #[default]
    Text,
    /// A `digraph` for Graphviz.
    Dot,
    /// A `flowchart` for Mermaid.
    Mermaid,
}

impl Drawing {
    /// Returns the graph in this form.
    pub fn draw(self, graph: &Graph) -> String {
        match self {
            Self::Text => text(graph),
            Self::Dot => {
                let mut out = format!("digraph {} {{\n  rankdir=LR\n", quoted(&graph.name));
                for step in &graph.steps {
                    let _ = writeln!(out, "  {} [shape=box]", quoted(&format!("step {}", step.name)));
                }
                for (from, to) in edges(graph) {
                    let _ = writeln!(out, "  {} -> {}", quoted(&from.label(graph)), quoted(&to.label(graph)));
                }
                out + "}\n"
            }
            Self::Mermaid => mermaid(graph),
        }
    }
}

/// Writes a string as Graphviz and Mermaid read it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text(graph: &Graph) -> String {
    let name = |id: EventId| graph.event(id).name.to_string();
    let mut out = format!("{}: {} to {}\n", graph.name, name(graph.start), name(graph.stop));
    let width = graph.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    for step in in_order(graph) {
        let list = if step.fan_in { "[]" } else { "" };
        let joined =
            |ids: &[EventId], end: &str, by: &str| ids.iter().map(|id| name(*id) + end).collect::<Vec<_>>().join(by);
        let _ = write!(out, "  {:width$}  {}", step.name, joined(&step.takes, list, " | "));
        let list = if step.fan_out { "[]" } else { "" };
        let emitted = joined(&step.returns, list, " | ");
        let _ = write!(out, " -> {}", if emitted.is_empty() { "nothing" } else { &emitted });
        for (question, answer) in &step.asks {
            let _ = write!(out, ", asks {} for {}", name(*question), name(*answer));
        }
        if !step.streams.is_empty() {
            let _ = write!(out, ", streams {}", joined(&step.streams, "", " and "));
        }
        if let Some(event) = step.on_failure {
            let _ = write!(out, ", on failure {}", name(event));
        }
        out.push('\n');
    }
    out
}

/// Returns the steps in the order in which they may first run, then those that only events from outside reach.
fn in_order(graph: &Graph) -> Vec<&StepType> {
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    let consumers = |id: EventId| graph.takers(id).iter().chain(graph.joiners(id)).copied();
    let all = (0..graph.steps.len()).map(|index| StepId(index as u16));
    for first in consumers(graph.start).chain(all) {
        let mut steps = VecDeque::from([first]);
        while let Some(id) = steps.pop_front() {
            if seen.insert(id) {
                order.push(graph.step(id));
                steps.extend(graph.step(id).outputs().flat_map(consumers));
            }
        }
    }
    order
}

/// One end of an edge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Step(StepId),
    Event(EventId),
}

impl End {
    fn label(self, graph: &Graph) -> String {
        match self {
            Self::Step(id) => format!("step {}", graph.step(id).name),
            Self::Event(id) => graph.event(id).name.to_string(),
        }
    }
}

fn edges(graph: &Graph) -> BTreeSet<(End, End)> {
    let mut edges = BTreeSet::new();
    for (index, step) in graph.steps.iter().enumerate() {
        let end = End::Step(StepId(index as u16));
        edges.extend(step.takes.iter().map(|event| (End::Event(*event), end)));
        edges.extend(step.outputs().chain(step.streams.iter().copied()).map(|event| (end, End::Event(event))));
        for (question, answer) in &step.asks {
            let way = [end, End::Event(*question), End::Event(*answer), end];
            edges.extend(way.windows(2).map(|pair| (pair[0], pair[1])));
        }
    }
    edges
}

fn mermaid(graph: &Graph) -> String {
    let node = |end: End| match end {
        End::Step(id) => format!("s{}", id.0),
        End::Event(id) => format!("e{}", id.0),
    };
    let edges = edges(graph);
    let ends: BTreeSet<End> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let mut out = "flowchart LR\n".to_owned();
    for end in ends {
        let label = quoted(match end {
            End::Step(id) => &graph.step(id).name,
            End::Event(id) => &graph.event(id).name,
        });
        let _ = match end {
            End::Step(_) => writeln!(out, "  {}[{label}]", node(end)),
            End::Event(_) => writeln!(out, "  {}([{label}])", node(end)),
        };
    }
    for (from, to) in edges {
        let _ = writeln!(out, "  {} --> {}", node(from), node(to));
    }
    out
}
