//! Bytes that a store may return: records, snapshots, graphs, events of a feed. Decoding any bytes is harmless; what is
//! decoded is encoded as bytes that decode to the same; and a run continues with it and stays sound.

use std::sync::{Arc, OnceLock};

use steprill::{
    api::{Catalog, render_event},
    engine::{
        feed::Feed,
        input::{Effect, External, Input},
        keys::WorkflowId,
        record::{self, Names, RecordError},
        run::Run,
    },
    graph::{EventId, Graph},
    hash::hash128,
    now::Now,
    pass::{Done, PassEnd, StateUse},
};

use crate::{
    graphs::{GRAPHS, build},
    inputs::{EVENTS_AT_ONCE, Inputs, json, uuid},
};

/// The first byte says what follows the second one, which chooses the graph.
pub fn run(data: &[u8]) {
    let [kind, which, bytes @ ..] = data else { return };
    let which = usize::from(*which) % GRAPHS.len();
    let graph = &known().graphs[which];
    match kind % 4 {
        0 => records(graph, bytes),
        1 => snapshot(which, bytes),
        2 => stored_graph(bytes),
        _ => events(which, bytes),
    }
}

struct Known {
    graphs: Vec<Arc<Graph>>,
    catalog: Catalog,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let graphs: Vec<_> = GRAPHS.iter().map(|lines| Arc::new(build(lines))).collect();
        Known { catalog: Catalog::new(&graphs, graphs.len()), graphs }
    })
}

/// Reads a length, of one byte or of two if the first is 128 or more, and that many bytes.
fn take_chunk<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = match bytes {
        [length @ ..128, rest @ ..] => (usize::from(*length), rest),
        [high, low, rest @ ..] => ((usize::from(*high) - 128) << 8 | usize::from(*low), rest),
        _ => return None,
    };
    let (chunk, rest) = rest.split_at(rest.len().min(length));
    *bytes = rest;
    Some(chunk)
}

/// Decodes consecutive records, and reduces them by a new run.
fn records(graph: &Arc<Graph>, bytes: &[u8]) {
    go_on(Run::new(Arc::clone(graph), uuid(), "h".into()), graph, bytes);
}

/// Decodes a snapshot under the same graph and the next one, and then records that follow it.
fn snapshot(which: usize, mut bytes: &[u8]) {
    let Some(snapshot) = take_chunk(&mut bytes) else { return };
    let Ok((snapshot, behind)) = record::split(snapshot) else { return };
    let graphs = &known().graphs;
    let graph = &graphs[which];
    for record in behind {
        let _ = record::decode(record, graph);
    }
    for other in [graph, &graphs[(which + 1) % graphs.len()]] {
        let translation = Names::of(graph).translation(other);
        if let Ok(run) = Run::restore(snapshot, &translation, Arc::clone(other)) {
            go_on(run, other, bytes);
        }
    }
}

fn go_on(run: Run, graph: &Arc<Graph>, mut bytes: &[u8]) {
    let mut run = run.with_events_at_once(EVENTS_AT_ONCE);
    while check_run(&run, graph)
        && let Some(bytes) = take_chunk(&mut bytes)
    {
        let Ok((input, now)) = record::decode(bytes, graph) else { continue };
        let again = record::encode(&input, now);
        assert_eq!(record::decode(&again, graph).as_ref(), Ok(&(input.clone(), now)));
        assert_eq!(record::encode(&input, now), again);
        run.handle(input, now, &mut Vec::new());
    }
    // What it waits for arrives.
    for effect in run.pending() {
        if let Effect::Arm(timer, _) = effect {
            run.handle(Input::Due { timer }, Now::default(), &mut Vec::new());
            check_run(&run, graph);
        }
    }
    give_everything(&mut run, graph, 4);
    check_run(&run, graph);
}

/// Calls all getters of a run, and decodes its snapshot. Returns whether the run can continue.
fn check_run(run: &Run, graph: &Arc<Graph>) -> bool {
    for effect in run.pending() {
        if let Effect::StartPass(pass) = effect {
            assert!(run.pass_input(pass).is_some() && run.pass_step(pass).is_some());
        }
    }
    for event in (0..=graph.events.len() as u16).map(EventId) {
        let _ = run.check_external(&External::new(event, json("{}")));
    }
    let snapshot = run.snapshot();
    match Run::restore(&snapshot, &Names::of(graph).translation(graph), Arc::clone(graph)) {
        Ok(again) => {
            assert_eq!(again.snapshot(), snapshot);
            true
        }
        // The bytes contain the highest possible numbers.
        Err(RecordError::Malformed(fault)) if fault.contains("used up") => false,
        Err(error) => panic!("a sound run has become another: {error}"),
    }
}

/// Makes every pending pass emit all that its step declares, `rounds` times.
fn give_everything(run: &mut Run, graph: &Graph, rounds: usize) {
    for _ in 0..rounds {
        for effect in run.pending() {
            let Effect::StartPass(pass) = effect else { continue };
            let Some(step) = run.pass_step(pass).map(|step| graph.step(step)) else { continue };
            let all = |events: &[EventId]| events.iter().map(|event| (*event, json("1"))).collect();
            let (end, sent) = (PassEnd::Returned(all(&step.returns)), all(&step.sends));
            let done = Done { end, sent, state: StateUse::default() };
            run.handle(Input::Done { pass, done }, Now::default(), &mut Vec::new());
        }
        run.handle(Input::GoOn, Now::default(), &mut Vec::new());
    }
}

fn stored_graph(bytes: &[u8]) {
    let Ok(graph) = Graph::from_stored(bytes) else { return };
    let stored = graph.to_stored();
    let graph = Arc::new(graph);
    assert_eq!(Graph::from_stored(&stored).expect("a graph").to_stored(), stored);
    let mut run = Run::new(Arc::clone(&graph), uuid(), "h".into());
    let started = Input::Started { event: json("{}"), state: Default::default(), admitted: true, sequence: 0 };
    run.handle(started, Now::default(), &mut Vec::new());
    give_everything(&mut run, &graph, 3);
    check_run(&run, &graph);
}

fn events(which: usize, bytes: &[u8]) {
    let known = known();
    let Ok(feed) = Feed::decode_events(7, bytes, &known.graphs[which]) else { return };
    assert_eq!(feed.encode_events(), bytes);
    let texts = known.catalog.workflow(WorkflowId(which as u16));
    let mut line = Vec::new();
    for sequence in feed.first()..feed.next() {
        let item = feed.get(sequence).expect("an event under every number");
        render_event(&mut line, texts, &item, sequence % 2 == 0, Some(sequence));
        line.clear();
    }
    let page = feed.page(feed.first() + 1..feed.next(), 100);
    assert!(page.next() <= feed.next());
}

/// Returns valid inputs of this target by name, to start from.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (which, graph) in known().graphs.iter().enumerate() {
        let which = which as u8;
        let life = (0..500).map(|number| Life::lead(graph, number)).max_by_key(Life::worth).expect("some");
        let mut records = vec![0, which];
        life.records.iter().for_each(|record| put_chunk(&mut records, record));
        seeds.push((format!("records_{which}"), records));
        for (index, bytes) in life.snapshots.iter().enumerate().filter(|(index, _)| index % 4 == 3) {
            let mut snapshot = vec![1, which];
            put_chunk(&mut snapshot, bytes);
            life.records[index + 1..].iter().for_each(|record| put_chunk(&mut snapshot, record));
            seeds.push((format!("snapshot_{which}_{index}"), snapshot));
        }
        seeds.push((format!("graph_{which}"), [&[2, which][..], &graph.to_stored()].concat()));
        seeds.push((format!("feed_{which}"), [&[3, which][..], &life.feed.encode_events()].concat()));
    }
    seeds
}

/// The inputs of a run, and its state after each.
struct Life {
    records: Vec<Vec<u8>>,
    snapshots: Vec<Vec<u8>>,
    feed: Feed,
}

impl Life {
    /// Creates a run with inputs that follow from a number.
    fn lead(graph: &Arc<Graph>, number: u64) -> Self {
        let chance: Vec<u8> =
            (0..12_u64).flat_map(|part| hash128(&[&number.to_le_bytes(), &part.to_le_bytes()]).to_le_bytes()).collect();
        let mut inputs = Inputs::new(&chance);
        let mut run = Run::new(Arc::clone(graph), uuid(), "h".into());
        let mut life = Self { records: Vec::new(), snapshots: Vec::new(), feed: Feed::new(0) };
        let mut kind = 0;
        while inputs.bytes.len() > 0 && run.outcome().is_none() {
            let input = inputs.input(kind, &run, graph);
            let record = record::encode(&input, inputs.now);
            kind = inputs.byte() % 9;
            let before = run.snapshot();
            let mut effects = Vec::new();
            if record::decode(&record, graph).is_ok() {
                run.handle(input, inputs.now, &mut effects);
            }
            if run.snapshot() == before {
                continue;
            }
            life.records.push(record);
            life.snapshots.push(run.snapshot());
            inputs.owe(&run);
            for effect in &effects {
                if let Effect::Publish(event) = effect {
                    life.feed.push(event);
                }
            }
        }
        life
    }

    /// Rates long lives that end highest.
    fn worth(&self) -> usize {
        self.records.len().min(24)
    }
}

fn put_chunk(bytes: &mut Vec<u8>, chunk: &[u8]) {
    match chunk.len() {
        length @ ..128 => bytes.push(length as u8),
        length => bytes.extend([(length >> 8) as u8 | 128, length as u8]),
    }
    bytes.extend_from_slice(chunk);
}
