//! Events of a feed.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use steprill::{
    api::{Catalog, WorkflowTexts, render_event},
    engine::{
        feed::Feed,
        keys::WorkflowId,
        published::{Published, StepOutput, StepState},
    },
    graph::{EventId, EventKind, StepId},
    json::Json,
    limits::SHARED_BYTES_MIN,
    pass::{EventRef, OtherEvent},
};

use super::{Damage, any_damage, any_json, graph};

/// Any id of [`graph`].
fn any_event() -> impl Strategy<Value = EventId> {
    (0..graph().events.len() as u16).prop_map(EventId)
}

fn any_step() -> impl Strategy<Value = StepId> {
    (0..graph().steps.len() as u16).prop_map(StepId)
}

fn any_published() -> impl Strategy<Value = Published> {
    let state = select(vec![StepState::Preparing, StepState::Running, StepState::NotRunning]);
    let output =
        prop_oneof![Just(StepOutput::None), Just(StepOutput::Nothing), any_event().prop_map(StepOutput::Event)];
    let step = (any_step(), state, any::<Option<u16>>(), any_event(), output)
        .prop_map(|(step, state, slot, input, output)| Published::Step { step, state, slot, input, output });
    let kind = select(vec![
        EventKind::Plain,
        EventKind::Start,
        EventKind::Stop,
        EventKind::InputRequired,
        EventKind::HumanResponse,
    ]);
    let other = (".*", ".*", kind, any_json()).prop_map(|(name, qualified_name, kind, value)| {
        let other = OtherEvent { name: name.into(), qualified_name: qualified_name.into(), kind };
        Published::Event(EventRef::Other(Arc::new(other)), value)
    });
    let failed = (option::of(any_step()), ".*", any::<u32>()).prop_map(|(step, error, attempts)| Published::Failed {
        step,
        error,
        attempts,
    });
    let retried = (any_step(), ".*", any::<u32>(), any::<u64>())
        .prop_map(|(step, error, attempt, next_us)| Published::Retried { step, error, attempt, next_us });
    let step_failed = (any_step(), ".*", any::<u32>()).prop_map(|(step, error, attempts)| Published::StepFailed {
        step,
        error,
        attempts,
    });
    let timed_out = (any::<Duration>(), vec(any_step(), 0..4))
        .prop_map(|(timeout, active)| Published::TimedOut { timeout, active });
    prop_oneof![
        step,
        (any_event(), any_json()).prop_map(|(event, value)| Published::Event(EventRef::Known(event), value)),
        (any_event(), SHARED_BYTES_MIN - 4..SHARED_BYTES_MIN + 4).prop_map(|(event, bytes)| {
            let value = Json::parse(&format!("\"{}\"", "x".repeat(bytes))).expect("JSON");
            Published::Event(EventRef::Known(event), value)
        }),
        other,
        failed,
        retried,
        step_failed,
        timed_out,
        Just(Published::Cancelled),
        Just(Published::Ended { step: None, error: None }),
        (option::of(any_step()), ".*").prop_map(|(step, error)| Published::Ended { step, error: Some(error) }),
    ]
}

fn feed(first: u64, events: &[Published]) -> Feed {
    let mut feed = Feed::new(first);
    for event in events {
        feed.push(event);
    }
    feed
}

/// Renders each event as a reader gets it.
fn render(feed: &Feed, texts: &WorkflowTexts) -> Vec<Vec<u8>> {
    let lines = (feed.first()..feed.next()).map(|sequence| {
        let mut line = Vec::new();
        let item = feed.get(sequence).expect("an event under every number");
        render_event(&mut line, texts, &item, true, Some(sequence));
        line
    });
    lines.collect()
}

proptest! {
    #[test]
    fn what_a_feed_gives_is_read_back(first in 0..u64::MAX / 2, events in vec(any_published(), 0..8)) {
        let whole = feed(first, &events);
        prop_assert_eq!(Feed::decode_events(first, &whole.encode_events(), &graph()), Ok(whole));
    }

    #[test]
    fn what_two_feeds_give_is_what_they_give_as_one(
        events in vec(any_published(), 0..8),
        more in vec(any_published(), 0..8),
    ) {
        let mut bytes = feed(5, &events).encode_events();
        bytes.extend(feed(9, &more).encode_events());
        let both = [events, more].concat();
        prop_assert_eq!(Feed::decode_events(7, &bytes, &graph()), Ok(feed(7, &both)));
    }

    #[test]
    fn damaged_events_are_refused_or_can_all_be_shown(
        events in vec(any_published(), 1..4),
        damages in vec(any_damage(), 1..3),
    ) {
        let (graph, mut bytes) = (graph(), feed(0, &events).encode_events());
        for damage in &damages {
            Damage::apply(damage, &mut bytes);
        }
        if let Ok(read) = Feed::decode_events(0, &bytes, &graph) {
            let catalog = Catalog::new(std::slice::from_ref(&graph), 1);
            prop_assert_eq!(render(&read, catalog.workflow(WorkflowId(0))).len() as u64, read.next());
            prop_assert_eq!(read.encode_events(), bytes, "bytes have one meaning, and it has one form");
        }
    }
}

#[test]
fn what_is_no_event_is_refused_in_words() {
    let graph = graph();
    let event = |text: &[u8]| [&[text.len() as u8], text].concat();
    let good = event(b"C");
    let cases: [(&[u8], &str); 14] = [
        (b"", "damaged"),
        (b"?", "damaged"),
        (b"C.", "damaged"),
        (b"E\0", "damaged"),
        (b"p\0\0\0\0\0\0\0\0", "damaged"),
        (b"p\0\0\x7F\0\0\0\0\0\0", "damaged"),
        (b"O\x07\0\0\0\0\0\0\0\0\0\0{}", "damaged"),
        (b"O\0\0\0\0\0\x09\0\0\0\0\0{}", "damaged"),
        (b"F\x7F\x7F\x7F\0\0\0\0", "damaged"),
        (b"T\0\0\0\0\0\0\0\0\0\0\x7F\x7F\x7F\x7F\x7F", "damaged"),
        (b"T\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "damaged"),
        (b"E\0\0\xFF", "UTF-8"),
        (b"E\x01\0{}", "does not have"),
        (b"T\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04", "does not have"),
    ];
    for (text, fault) in cases {
        let error = Feed::decode_events(3, &[good.clone(), event(text)].concat(), &graph).expect_err("no event");
        assert_eq!(error.sequence, 4);
        assert!(error.to_string().contains(fault), "{text:?}: {error}");
    }
    for bytes in [&b"\x01"[..], b"\x80", b"\x81\x00C", b"\xFF\xFF\xFF\xFF\xFF\x01", b"\x80\x80\x80\x80\x80\x80"] {
        let error = Feed::decode_events(0, bytes, &graph).expect_err("no event");
        assert_eq!(error.fault, "its length is damaged, or it is cut off", "{bytes:?}");
    }
    assert!(Feed::decode_events(u64::MAX, &good, &graph).is_err(), "no number is left");
}
