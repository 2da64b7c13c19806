//! A workflow's graph in the form in which clients draw it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::to_vec;
use crate::graph::{EventId, EventKind, Graph};

/// Returns `{"graph": {"name", "nodes", "edges"}}`: the steps in order of name, then the events that pass between them
/// or to and from outside in order of name, then, if a person takes part, the outside.
pub(crate) fn representation(graph: &Graph) -> Vec<u8> {
    let edges = edges(graph);
    let events: BTreeSet<EventId> = edges.iter().flat_map(|edge| [edge.0, edge.1]).filter_map(End::event).collect();
    let is_interactive = edges.iter().any(|edge| edge.0 == End::Outside || edge.1 == End::Outside);

    let steps = graph.steps.iter().map(|step| Node::new(&step.name, "step", None));
    let events = events.iter().map(|event| &*graph.event(*event).name).map(|name| Node::new(name, "event", Some(name)));
    let outside = is_interactive.then(|| Node::new(EXTERNAL_STEP, "external", None));
    let nodes = steps.chain(events).chain(outside).collect();
    let edges = edges.iter().map(|(source, target)| Edge { source: source.name(graph), target: target.name(graph) });
    to_vec(&Representation { graph: Drawn { name: &graph.name, nodes, edges: edges.collect() } })
}

const EXTERNAL_STEP: &str = "external_step";

#[derive(Serialize)]
struct Representation<'a> {
    graph: Drawn<'a>,
}

#[derive(Serialize)]
struct Drawn<'a> {
    name: &'a str,
    nodes: Vec<Node<'a>>,
    edges: Vec<Edge<'a>>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the members of the JSON object")]
struct Node<'a> {
    id: &'a str,
    label: &'a str,
    node_type: &'static str,
    title: Option<&'a str>,
    event_type: Option<&'a str>,
}

#[derive(Serialize)]
struct Edge<'a> {
    source: &'a str,
    target: &'a str,
}

impl<'a> Node<'a> {
    fn new(name: &'a str, node_type: &'static str, event_type: Option<&'a str>) -> Self {
        Self { id: name, label: name, node_type, title: None, event_type }
    }
}

/// One end of an edge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Step(usize),
    Event(EventId),
    Outside,
}

impl End {
    fn event(self) -> Option<EventId> {
        match self {
            Self::Event(event) => Some(event),
            Self::Step(_) | Self::Outside => None,
        }
    }

    fn name(self, graph: &Graph) -> &str {
        match self {
            Self::Step(step) => &graph.steps[step].name,
            Self::Event(event) => &graph.event(event).name,
            Self::Outside => EXTERNAL_STEP,
        }
    }
}

/// Returns each edge once. A type that is only streamed has none.
fn edges(graph: &Graph) -> BTreeSet<(End, End)> {
    let mut edges = BTreeSet::new();
    for (index, step) in graph.steps.iter().enumerate() {
        let end = End::Step(index);
        for &event in &step.takes {
            edges.insert((End::Event(event), end));
            if graph.is_open(event) {
                edges.insert((End::Outside, End::Event(event)));
            }
        }
        for event in step.outputs() {
            edges.insert((end, End::Event(event)));
            if graph.event(event).kind == EventKind::InputRequired {
                edges.insert((End::Event(event), End::Outside));
            }
        }
        for &(question, answer) in &step.asks {
            let way = [end, End::Event(question), End::Outside, End::Event(answer), end];
            edges.extend(way.windows(2).map(|pair| (pair[0], pair[1])));
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::fixtures;

    #[test]
    fn waits_pass_through_what_is_outside_and_what_is_only_streamed_is_not_drawn() {
        let text = representation(&fixtures::graph(true));
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let graph = &value["graph"];
        assert_eq!(graph["name"], "w");
        let edges: BTreeSet<(&str, &str)> = graph["edges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|edge| (edge["source"].as_str().unwrap(), edge["target"].as_str().unwrap()))
            .collect();
        let expected = [
            ("StartEvent", "ask"),
            ("ask", "Question"),
            ("Question", "external_step"),
            ("external_step", "Answer"),
            ("Answer", "ask"),
            ("ask", "Work"),
            ("Work", "finish"),
            ("external_step", "Tick"),
            ("Tick", "finish"),
            ("finish", "StopEvent"),
        ];
        assert_eq!(edges, BTreeSet::from(expected));
        let nodes: Vec<(&str, &str, Option<&str>)> = graph["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| {
                assert_eq!((&node["label"], node["title"].is_null()), (&node["id"], true));
                (node["id"].as_str().unwrap(), node["node_type"].as_str().unwrap(), node["event_type"].as_str())
            })
            .collect();
        let expected = [
            ("ask", "step", None),
            ("finish", "step", None),
            ("Answer", "event", Some("Answer")),
            ("Question", "event", Some("Question")),
            ("StartEvent", "event", Some("StartEvent")),
            ("StopEvent", "event", Some("StopEvent")),
            ("Tick", "event", Some("Tick")),
            ("Work", "event", Some("Work")),
            ("external_step", "external", None),
        ];
        assert_eq!(nodes, expected);
    }
}
