//! Graphs.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use steprill::graph::{EventId, Graph, Retry, StoredGraphError, sketch::parts};

use super::{Damage, any_damage, graph};

/// Returns as text what a run needs of a graph.
fn essence(graph: &Graph) -> String {
    let events: Vec<_> = graph
        .events
        .iter()
        .map(|event| (&event.name, &event.qualified_name, event.kind, event.builtin, event.external))
        .collect();
    let names = (&graph.name, &graph.module, graph.start, graph.stop, graph.timeout, graph.max_runs);
    format!("{names:?} {events:?} {:?} {:?} {:?} {:?}", graph.steps, graph.takers, graph.joiners, graph.open)
}

/// Returns graphs of all kinds, with all settings.
fn graphs() -> Vec<Graph> {
    let lines = [
        "a: S -> T",
        "ask: S -> NeedHelp\n answer: Human -> T",
        "split: S -> [A|X] + B\n work: A -> B ? Need/Human\n tick: X -> X ~ P\n join: [B] -> T",
        "a: S -> [G]\n b: G -> U + E\n c: E -> F\n d: [F] -> U\n e: U -> U|V\n f: [V] -> T",
    ];
    let settings = [
        Retry::never(),
        Retry::fixed(Duration::from_millis(5)).within(Duration::MAX),
        Retry::exponential(Duration::from_secs(1)).attempts(u32::MAX),
        Retry::exponential(Duration::MAX).factor(3).longest(Duration::MAX).without_jitter(),
    ];
    let graphs = lines.iter().zip(settings).enumerate().map(|(index, (lines, retry))| {
        let mut parts = parts(lines);
        parts.steps[0].retry = retry;
        parts.steps[0].timeout = (index > 0).then_some(Duration::from_nanos(u64::MAX));
        parts.steps[0].workers = u16::MAX;
        parts.timeout = (index > 1).then_some(Duration::MAX);
        parts.max_runs = (index > 2).then_some(usize::MAX);
        parts.module = Some("µ".into());
        Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}"))
    });
    graphs.collect()
}

#[test]
fn all_but_schemas_and_checks_is_read_back() {
    for graph in graphs() {
        let bytes = graph.to_stored();
        let read = Graph::from_stored(&bytes).expect("a graph");
        assert_eq!(essence(&read), essence(&graph));
        assert_eq!(read.to_stored(), bytes);
        assert!(read.events.iter().all(|event| event.schema.is_null() && event.shape.check("}").is_ok()));
    }
}

#[test]
fn graphs_that_differ_in_schemas_alone_are_equal_and_others_are_not() {
    let of = |change: &dyn Fn(&mut steprill::graph::Parts)| {
        let mut parts = parts("a: S -> A\n b: A -> T");
        change(&mut parts);
        Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}")).to_stored()
    };
    let plain = of(&|_| {});
    assert_eq!(plain, of(&|parts| parts.events[0].schema = serde_json::json!({ "description": "new words" })));
    assert_eq!(plain, of(&|parts| parts.steps.reverse()), "order of declaration is no part of it");
    assert_ne!(plain, of(&|parts| parts.steps[0].workers = 5));
    assert_ne!(plain, of(&|parts| parts.steps[1].retry = Retry::fixed(Duration::ZERO)));
    assert_ne!(plain, of(&|parts| parts.timeout = Some(Duration::from_secs(1))));
    assert_ne!(plain, of(&|parts| parts.events[0].qualified_name = "other.A".into()));
}

/// Looks up everything that code looks up in a graph.
fn visit(graph: &Graph) -> usize {
    let ids = (0..graph.events.len() as u16).map(EventId);
    let taken: usize = ids.map(|event| graph.takers(event).len() + graph.joiners(event).len()).sum();
    let steps = graph.steps.iter().flat_map(|step| {
        let asks = step.asks.iter().flat_map(|(question, answer)| [question, answer]);
        let events = [&step.takes, &step.returns, &step.sends, &step.streams].into_iter().flatten().chain(asks);
        let names = events.map(|event| graph.event(*event).name.len()).sum::<usize>();
        step.closers.iter().map(|closer| graph.step(*closer).name.len()).chain([names])
    });
    let ends = graph.event(graph.start).name.len() + graph.event(graph.stop).name.len();
    taken + steps.sum::<usize>() + ends
}

proptest! {
    #[test]
    fn damaged_graphs_are_refused_or_do_no_harm(
        which in 0..graphs().len(),
        damages in vec(any_damage(), 1..3),
    ) {
        let mut bytes = graphs()[which].to_stored();
        for damage in &damages {
            Damage::apply(damage, &mut bytes);
        }
        if let Ok(graph) = Graph::from_stored(&bytes) {
            visit(&graph);
            for event in &graph.events {
                prop_assert!(graph.event_id(&event.name).is_some());
            }
            for step in &graph.steps {
                prop_assert!(graph.step_id(&step.name).is_some());
                step.retry.policy(1, Duration::MAX, 7);
                step.retry.policy(u32::MAX - 1, Duration::ZERO, 7);
            }
            let again = Graph::from_stored(&graph.to_stored()).expect("it is a graph");
            prop_assert_eq!(essence(&again), essence(&graph));
        }
    }
}

#[test]
fn what_is_no_graph_is_refused_in_words() {
    let bytes = graph().to_stored();
    for end in 0..bytes.len() {
        assert!(Graph::from_stored(&bytes[..end]).is_err(), "cut at {end}");
    }
    let refused = |bytes: &[u8]| Graph::from_stored(bytes).expect_err("no graph");
    assert_eq!(refused(&[&[9], &bytes[1..]].concat()), StoredGraphError::Version(9));
    assert!(refused(&[9]).to_string().contains("version 9"));
    assert!(refused(&[&bytes[..], &[0]].concat()).to_string().contains("something stands behind it"));
}
