//! What an executor that shares no memory with the loop is sent, and what it sends.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*};
use steprill::{
    graph::{EventId, EventKind, Graph, StepId, sketch::parts},
    limits::PASS_WIRE_BYTES_MAX,
    pass::{
        Done, EventRef, FeedOrder, Note, OnceValue, Order, OtherEvent, PassEnd, PassInput, Report, Snapshot, StateUse,
        Stop, Wait, WorkEvent,
        wire::{self, Start, VERSION, Wire, WireError},
    },
};

use super::{
    any_damage, any_json, graph, json,
    records::{any_end, any_event, any_key, any_state_use},
};

fn any_start() -> impl Strategy<Value = Start> {
    let event = prop_oneof![
        (any_event(), any_json()).prop_map(|(event, value)| WorkEvent::One(event, value)),
        vec((any_event(), any_json()), 0..4).prop_map(|events| WorkEvent::All(Arc::new(events))),
    ];
    let wait = prop_oneof![
        Just(Wait::Slept),
        (any_event(), option::of(any_json())).prop_map(|(question, answer)| Wait::Asked { question, answer }),
        any_event().prop_map(|question| Wait::Forgotten { question }),
    ];
    let once = (any_json(), any::<u32>()).prop_map(|(value, stream_ordinal)| OnceValue { value, stream_ordinal });
    let state = (any::<u64>(), vec((any_key(), any_json()), 0..3));
    let memory = (vec(wait, 0..3), vec(once, 0..3), vec(any::<u128>(), 0..3), option::of(".*"));
    let names = (any::<u64>(), 0..graph().steps.len() as u16, any::<usize>(), any::<u128>(), any::<u64>(), 1_u32..);
    (names, event, state, memory).prop_map(|(names, event, (version, values), (waits, once, published, failure))| {
        let (tag, step, grant_bytes, run_id, work, attempt) = names;
        let values = std::collections::BTreeMap::from_iter(values).into();
        let input = PassInput {
            run_id: uuid::Uuid::from_u128(run_id),
            handler_id: "handler".into(),
            work,
            attempt,
            event,
            state: Snapshot { version, values },
            waits: waits.into_iter().collect(),
            once: once.into_iter().collect(),
            published: published.into_iter().collect(),
            failure: failure.map(|failure: String| failure.into()),
        };
        Start { tag, step: StepId(step), grant_bytes, input }
    })
}

fn any_report() -> impl Strategy<Value = Report> {
    let other = (".*", ".*").prop_map(|(name, qualified_name)| {
        let (name, qualified_name) = (name.into(), qualified_name.into());
        EventRef::Other(Arc::new(OtherEvent { name, qualified_name, kind: EventKind::InputRequired }))
    });
    let event = prop_oneof![any_event().prop_map(EventRef::Known), other];
    let note = prop_oneof![
        (any::<u32>(), any::<u128>(), event, any_json()).prop_map(|(ordinal, hash, event, value)| Note::Stream {
            ordinal,
            hash,
            event,
            value
        }),
        (any::<u32>(), any_json(), any::<u32>()).prop_map(|(ordinal, value, stream_ordinal)| Note::Once {
            ordinal,
            value: OnceValue { value, stream_ordinal }
        }),
    ];
    let end = any_end().prop_filter("said by the scheduler", |end| *end != PassEnd::TimedOut);
    let done = (end, vec((any_event(), any_json()), 0..3), any_state_use());
    prop_oneof![
        Just(Report::NotBegun),
        vec(note, 0..4).prop_map(Report::Noted),
        any::<usize>().prop_map(Report::FeedWanted),
        any::<usize>().prop_map(Report::FeedGivenBack),
        ".*".prop_map(Report::Panicked),
        done.prop_map(|(end, sent, state)| Report::Done(Done { end, sent, state })),
        Just(Report::Lost),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Stop(Stop::Cancelled)),
        Just(Order::Stop(Stop::TimedOut)),
        Just(Order::Abandon),
        any::<usize>().prop_map(|bytes| Order::Feed(FeedOrder::Grant(bytes))),
        Just(Order::Feed(FeedOrder::Refuse)),
        Just(Order::Feed(FeedOrder::TakeBack)),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_is_read_back_and_damage_does_no_harm(
        start in any_start(), report in any_report(), order in any_order(), tag in any::<u64>(), damage in any_damage(),
    ) {
        let wire = Wire::new(graph());
        let mut bytes = wire.encode_start(&start).expect("it is short");
        prop_assert_eq!(wire.decode_start(&bytes), Ok(start));
        damage.apply(&mut bytes);
        if let Ok(start) = wire.decode_start(&bytes) {
            let again = wire.encode_start(&start).expect("it is short");
            prop_assert_eq!(wire.decode_start(&again), Ok(start));
        }
        let mut bytes = wire.encode_report(tag, &report).expect("it is short");
        prop_assert_eq!(wire.decode_report(&bytes), Ok((tag, report)));
        damage.apply(&mut bytes);
        if let Ok((tag, report)) = wire.decode_report(&bytes) {
            let again = wire.encode_report(tag, &report).expect("it is short");
            prop_assert_eq!(wire.decode_report(&again), Ok((tag, report)));
        }
        let mut bytes = wire.encode_order(tag, order).expect("it is short");
        prop_assert_eq!(wire.decode_order(&bytes), Ok((tag, order)));
        damage.apply(&mut bytes);
        let _ = wire.decode_order(&bytes);
    }
}

/// The layout: another one needs another version.
#[test]
fn the_bytes_are_these() {
    let wire = Wire::new(graph());
    let check = |bytes: Result<Vec<u8>, WireError>, expected: &str| {
        let bytes = bytes.expect("it is short");
        assert_eq!((bytes[0], wire::fingerprint(&bytes)), (1, Ok(wire.fingerprint())));
        let rest: Vec<String> = bytes[17..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(rest.join(" "), expected);
    };
    let state = StateUse { version: 3, reads: vec!["k".into()], listed: true, writes: Vec::new() };
    let end = PassEnd::Returned(vec![(EventId(2), json("{}"))]);
    let done = Done { end, sent: Vec::new(), state };
    let note = Note::Stream { ordinal: 1, hash: 7, event: EventRef::Known(EventId(4)), value: json("[1]") };
    check(wire.encode_report(5, &Report::NotBegun), "05 00");
    check(wire.encode_report(5, &Report::Noted(vec![note])), "05 01 01 00 01 07 00 04 03 5b 31 5d");
    check(wire.encode_report(5, &Report::FeedWanted(300)), "05 02 ac 02");
    check(wire.encode_report(5, &Report::FeedGivenBack(0)), "05 03 00");
    check(wire.encode_report(5, &Report::Panicked("x".into())), "05 04 01 78");
    check(wire.encode_report(5, &Report::Done(done)), "05 05 00 01 02 02 7b 7d 00 03 01 01 6b 01 00");
    check(wire.encode_report(5, &Report::Lost), "05 06");
    check(wire.encode_order(5, Order::Stop(Stop::Cancelled)), "05 00 00");
    check(wire.encode_order(5, Order::Stop(Stop::TimedOut)), "05 00 01");
    check(wire.encode_order(5, Order::Abandon), "05 01");
    check(wire.encode_order(5, Order::Feed(FeedOrder::Grant(9))), "05 02 00 09");
    check(wire.encode_order(5, Order::Feed(FeedOrder::Refuse)), "05 02 01");
    check(wire.encode_order(5, Order::Feed(FeedOrder::TakeBack)), "05 02 02");
    check(
        wire.encode_start(&start()),
        "09 02 64 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 03 01 68 07 02 00 01 02 7b 7d 04 01 01 6b 01 31 \
         01 00 01 01 38 06 01 05 01 01 65",
    );
}

fn start() -> Start {
    let values = std::collections::BTreeMap::from([("k".into(), json("1"))]).into();
    let input = PassInput {
        run_id: uuid::Uuid::from_u128(3),
        handler_id: "h".into(),
        work: 7,
        attempt: 2,
        event: WorkEvent::One(EventId(1), json("{}")),
        state: Snapshot { version: 4, values },
        waits: [Wait::Slept].into_iter().collect(),
        once: [OnceValue { value: json("8"), stream_ordinal: 6 }].into_iter().collect(),
        published: [5].into_iter().collect(),
        failure: Some("e".into()),
    };
    Start { tag: 9, step: StepId(2), grant_bytes: 100, input }
}

#[test]
fn what_is_not_of_this_graph_and_version_is_refused_with_what_to_do() {
    let wire = Wire::new(graph());
    let other = Wire::new(Arc::new(Graph::build(parts("a: S -> T")).unwrap_or_else(|faults| panic!("{faults}"))));
    let bytes = wire.encode_start(&start()).expect("it is short");
    let refused = |bytes: &[u8]| wire.decode_start(bytes).expect_err("it is refused");
    let texts = |error: &WireError, text: &str| assert!(error.to_string().contains(text), "{error}");

    let of_other = other.decode_start(&bytes).expect_err("another graph refuses it");
    assert_eq!(of_other, WireError::OtherGraph(wire.fingerprint()));
    texts(&of_other, "is of a workflow that this program does not have: run the same program at both ends");
    let mut later = bytes.clone();
    later[0] = VERSION + 1;
    texts(&refused(&later), "has version 2, and this program reads 1: run the same program");
    texts(&refused(&[]), "is damaged: it is empty");
    texts(&refused(&bytes[..9]), "is damaged: it is cut");
    texts(&refused(&[&bytes[..], &[0]].concat()), "is damaged: something stands behind it");
    assert_eq!(refused(&vec![VERSION; PASS_WIRE_BYTES_MAX + 1]), WireError::TooLong(PASS_WIRE_BYTES_MAX + 1));

    let changed = |change: fn(&mut Start)| {
        let mut start = start();
        change(&mut start);
        refused(&wire.encode_start(&start).expect("it is short"))
    };
    texts(&changed(|start| start.step = StepId(4)), "it names step 4 of 4");
    texts(&changed(|start| start.input.event = WorkEvent::One(EventId(99), json("{}"))), "it names event type 99 of");
    texts(&changed(|start| start.input.attempt = 0), "its work remembers what none can");
    let report = |report: &Report| {
        let bytes = wire.encode_report(1, report).expect("it is short");
        wire.decode_report(&bytes).expect_err("it is refused")
    };
    let recorded = Note::Recorded { ordinal: 0, hash: 0, event: None, bytes: 0 };
    texts(&report(&Report::Noted(vec![recorded])), "it notes what only a journal has");
    let done = |end| Report::Done(Done::of(end));
    texts(&report(&done(PassEnd::TimedOut)), "it ends as only the scheduler may say");
    texts(&report(&done(PassEnd::Returned(vec![(EventId(99), json("{}"))]))), "it names event type 99 of");
}
