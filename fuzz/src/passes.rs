//! Bytes that the loop and an executor that shares no memory with it send each other. Decoding any bytes is harmless;
//! what is decoded is encoded as bytes that decode to the same; and a run continues with it and stays sound.

use std::sync::{Arc, OnceLock};

use steprill::{
    engine::{
        input::{Effect, Input},
        record::Names,
        run::Run,
    },
    graph::{Graph, StepId},
    now::Now,
    pass::{
        Done, EventRef, FeedOrder, NewWait, Note, OnceValue, Order, OtherEvent, PassEnd, Report, StateUse, Stop, Write,
        wire::{Start, Wire},
    },
};

use crate::{
    graphs::{GRAPHS, build},
    inputs::{json, uuid},
};

/// The first byte says what follows the second one, which chooses the graph. The version and the fingerprint of the
/// graph stand before what follows, unless the highest bit of the first byte is set.
pub fn run(data: &[u8]) {
    let [kind, which, rest @ ..] = data else { return };
    let (graph, wire) = &known()[usize::from(*which) % GRAPHS.len()];
    match kind % 3 {
        0 => start(wire, &sent(wire, *kind, rest)),
        1 => reports(graph, wire, *kind, rest),
        _ => {
            if let Ok((tag, order)) = wire.decode_order(&sent(wire, *kind, rest)) {
                let again = wire.encode_order(tag, order).expect("it is short");
                assert_eq!(wire.decode_order(&again), Ok((tag, order)));
            }
        }
    }
}

fn known() -> &'static [(Arc<Graph>, Wire)] {
    static KNOWN: OnceLock<Vec<(Arc<Graph>, Wire)>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let graphs = GRAPHS.iter().map(|lines| Arc::new(build(lines)));
        graphs.map(|graph| (Arc::clone(&graph), Wire::new(graph))).collect()
    })
}

fn sent(wire: &Wire, kind: u8, rest: &[u8]) -> Vec<u8> {
    let order = wire.encode_order(0, Order::Abandon).expect("it is short");
    let header = if kind < 128 { &order[..HEADER_BYTES] } else { &[] };
    [header, rest].concat()
}

/// The version and the fingerprint.
const HEADER_BYTES: usize = 17;

fn start(wire: &Wire, bytes: &[u8]) {
    let Ok(start) = wire.decode_start(bytes) else { return };
    let again = wire.encode_start(&start).expect("it is short");
    assert_eq!(wire.decode_start(&again), Ok(start));
}

/// Gives a run what is reported of its passes, one report after the other, each behind its length.
fn reports(graph: &Arc<Graph>, wire: &Wire, kind: u8, mut bytes: &[u8]) {
    let mut run = begun(graph);
    while let [length, rest @ ..] = bytes {
        let (report, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = rest;
        let Ok((tag, report)) = wire.decode_report(&sent(wire, kind, report)) else { continue };
        let again = wire.encode_report(tag, &report).expect("it is short");
        assert_eq!(wire.decode_report(&again), Ok((tag, report.clone())));
        let passes = run.pending().into_iter().filter_map(|effect| match effect {
            Effect::StartPass(pass) => Some(pass),
            _ => None,
        });
        let passes: Vec<_> = passes.collect();
        let Some(&pass) = passes.get(tag as usize % passes.len().max(1)) else { return };
        let input = match report {
            Report::Noted(notes) => Input::Noted { pass, notes },
            Report::Done(done) => Input::Done { pass, done },
            Report::Lost => Input::PassLost { pass },
            Report::NotBegun | Report::FeedWanted(_) | Report::FeedGivenBack(_) | Report::Panicked(_) => continue,
        };
        run.handle(input, Now::default(), &mut Vec::new());
        let snapshot = run.snapshot();
        let again = Run::restore(&snapshot, &Names::of(graph).translation(graph), Arc::clone(graph));
        assert_eq!(again.expect("it is sound").snapshot(), snapshot);
    }
}

fn begun(graph: &Arc<Graph>) -> Run {
    let mut run = Run::new(Arc::clone(graph), uuid(), "h".into());
    let started = Input::Started { event: json("{}"), state: Default::default(), admitted: true, sequence: 0 };
    run.handle(started, Now::default(), &mut Vec::new());
    run
}

/// Returns valid inputs of this target by name, to start from.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (which, (graph, wire)) in (0..).zip(known()) {
        let run = begun(graph);
        let pass = run.pending().into_iter().find_map(|effect| match effect {
            Effect::StartPass(pass) => Some(pass),
            _ => None,
        });
        let pass = pass.expect("a run begins with a pass");
        let input = run.pass_input(pass).expect("it is live");
        let step = run.pass_step(pass).expect("it is live");
        let bytes = wire.encode_start(&Start { tag: 1, step, grant_bytes: 7, input }).expect("it is short");
        seeds.push((format!("start_{which}"), [&[0, which], &bytes[HEADER_BYTES..]].concat()));
        let mut reports = vec![1, which];
        for report in all_reports(graph, step) {
            let bytes = wire.encode_report(0, &report).expect("it is short");
            reports.push((bytes.len() - HEADER_BYTES) as u8);
            reports.extend(&bytes[HEADER_BYTES..]);
        }
        seeds.push((format!("reports_{which}"), reports));
    }
    let (_, wire) = &known()[0];
    let orders = [Order::Stop(Stop::TimedOut), Order::Abandon, Order::Feed(FeedOrder::Grant(300))];
    for (index, order) in orders.into_iter().enumerate() {
        let bytes = wire.encode_order(2, order).expect("it is short");
        seeds.push((format!("order_{index}"), [&[2, 0], &bytes[HEADER_BYTES..]].concat()));
        seeds.push((format!("order_{index}_whole"), [&[128, 0], &bytes[..]].concat()));
    }
    seeds
}

/// Returns a report of each kind.
fn all_reports(graph: &Graph, step: StepId) -> Vec<Report> {
    let other = OtherEvent { name: "O".into(), qualified_name: "m.O".into(), kind: graph.event(graph.start).kind };
    let stream = |ordinal, event| Note::Stream { ordinal, hash: 7, event, value: json("{}") };
    let notes = vec![
        stream(0, EventRef::Known(graph.start)),
        stream(1, EventRef::Other(Arc::new(other))),
        Note::Once { ordinal: 0, value: OnceValue { value: json("1"), stream_ordinal: 2 } },
    ];
    let writes = vec![("k".into(), Write::Set(json("1"))), ("l".into(), Write::Push(json("2")))];
    let state = StateUse { version: 0, reads: vec!["k".into()], listed: true, writes };
    let step = graph.step(step);
    let all = |events: &[_]| events.iter().map(|event| (*event, json("{}"))).collect();
    let done = |end, sent| Report::Done(Done { end, sent, state: StateUse::default() });
    let waits = |ordinal, wait| done(PassEnd::Waits { ordinal, wait }, Vec::new());
    let ask = step.asks.first().map(|&(question, answer)| NewWait::Ask {
        question,
        answer,
        value: json("{}"),
        matching: vec![("n".into(), json("1"))],
        timeout: None,
    });
    let mut reports = vec![
        Report::NotBegun,
        Report::Noted(notes),
        Report::FeedWanted(300),
        Report::FeedGivenBack(1),
        Report::Panicked("here".into()),
        Report::Lost,
        done(PassEnd::Panicked("boom".into()), Vec::new()),
        done(PassEnd::Diverged("differs".into()), Vec::new()),
        Report::Done(Done { end: PassEnd::Returned(all(&step.returns)), sent: all(&step.sends), state }),
    ];
    reports.splice(6..6, ask.map(|ask| waits(0, ask)));
    reports
}
