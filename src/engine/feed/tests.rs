use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    engine::published::{StepOutput, StepState},
    graph::{EventId, EventKind, StepId},
    limits::{GRAPH_NAMES_MAX, SHARED_BYTES_MIN},
    pass::OtherEvent,
};

const LAST: u16 = GRAPH_NAMES_MAX as u16 - 1;

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

fn step(slot: Option<u16>, output: StepOutput) -> Published {
    Published::Step { step: StepId(LAST), state: StepState::NotRunning, slot, input: EventId(129), output }
}

fn samples() -> Vec<(Published, Item<'static>)> {
    let of = |slot, output| Item::Step {
        step: StepId(LAST),
        state: StepState::NotRunning,
        slot,
        input: EventId(129),
        output,
    };
    let other = OtherEvent { name: "Tick".into(), qualified_name: "µ.Tick".into(), kind: EventKind::HumanResponse };
    vec![
        (step(None, StepOutput::None), of(None, StepOutput::None)),
        (step(Some(u16::MAX), StepOutput::Nothing), of(Some(u16::MAX), StepOutput::Nothing)),
        (step(Some(0), StepOutput::Event(EventId(LAST))), of(Some(0), StepOutput::Event(EventId(LAST)))),
        (
            Published::Event(EventRef::Known(EventId(LAST)), json(r#"{"a":"ü"}"#)),
            Item::Event(EventId(LAST), r#"{"a":"ü"}"#),
        ),
        (
            Published::Event(EventRef::Other(Arc::new(other)), json(r#""é""#)),
            Item::Other { name: "Tick", qualified_name: "µ.Tick", kind: EventKind::HumanResponse, value: r#""é""# },
        ),
        (
            Published::Failed { step: Some(StepId(0)), error: "größer".into(), attempts: u32::MAX },
            Item::Failed { step: Some(StepId(0)), error: "größer", attempts: u32::MAX },
        ),
        (
            Published::Failed { step: None, error: String::new(), attempts: 0 },
            Item::Failed { step: None, error: "", attempts: 0 },
        ),
        (
            Published::Retried { step: StepId(LAST), error: "größer".into(), attempt: u32::MAX, next_us: u64::MAX },
            Item::Retried { step: StepId(LAST), error: "größer", attempt: u32::MAX, next_us: u64::MAX },
        ),
        (
            Published::StepFailed { step: StepId(LAST), error: "größer".into(), attempts: u32::MAX },
            Item::StepFailed { step: StepId(LAST), error: "größer", attempts: u32::MAX },
        ),
        (
            Published::TimedOut { timeout: Duration::MAX, active: vec![StepId(0), StepId(LAST)] },
            Item::TimedOut { timeout: Duration::MAX, active: vec![StepId(0), StepId(LAST)] },
        ),
        (Published::Cancelled, Item::Cancelled),
        (Published::Ended { step: None, error: None }, Item::Ended { step: None, error: None }),
        (
            Published::Ended { step: Some(StepId(LAST)), error: Some("größer".into()) },
            Item::Ended { step: Some(StepId(LAST)), error: Some("größer") },
        ),
        (Published::Ended { step: None, error: Some(String::new()) }, Item::Ended { step: None, error: Some("") }),
    ]
}

#[test]
fn what_is_pushed_is_read_back_under_its_number() {
    let mut feed = Feed::new(7);
    assert_eq!((feed.first(), feed.next(), feed.get(7)), (7, 7, None));
    for (index, (event, _)) in samples().iter().enumerate() {
        assert_eq!(feed.push(event), 7 + index as u64);
    }
    for (index, (_, item)) in samples().iter().enumerate() {
        assert_eq!(feed.get(7 + index as u64).as_ref(), Some(item));
    }
    assert_eq!(feed.next(), 7 + samples().len() as u64);
    assert_eq!([6, feed.next(), u64::MAX].map(|sequence| feed.get(sequence)), [None, None, None]);
}

#[test]
fn the_cost_is_what_is_held() {
    let mut feed = Feed::new(0);
    for (event, _) in samples() {
        let before = feed.bytes();
        feed.push(&event);
        assert_eq!(feed.bytes() - before, Feed::cost_bytes(&event), "{event:?}");
    }
}

#[test]
fn a_page_is_a_part_of_the_feed_under_the_same_numbers() {
    let mut feed = Feed::new(7);
    for (event, _) in samples() {
        feed.push(&event);
    }
    for start in 0..20 {
        for end in 0..20 {
            for bytes_max in [0, 40, 1_000] {
                let page = feed.page(start..end, bytes_max);
                let numbers = page.first()..page.next();
                assert!(
                    numbers.clone().all(|number| feed.get(number).is_some() && page.get(number) == feed.get(number))
                );
                let wanted: Vec<u64> = (start.max(7)..end.min(feed.next())).collect();
                let given: Vec<u64> = numbers.collect();
                assert!(wanted.starts_with(&given) && given.is_empty() == wanted.is_empty(), "{start} {end}");
                assert!(page.bytes() <= bytes_max || given.len() <= 1);
                assert!(bytes_max < 1_000 || given == wanted);
            }
        }
    }
}

#[test]
fn only_program_events_and_the_end_show_without_internal_ones() {
    let shows: Vec<bool> = samples().iter().map(|(_, item)| !item.is_internal()).collect();
    assert_eq!(shows, [false, false, false, true, true, false, false, false, false, false, false, true, true, true]);
}

#[test]
fn a_large_event_is_shared_and_stored_like_any_other() {
    let text = format!("\"{}\u{2028}\"", "x".repeat(SHARED_BYTES_MIN));
    let escaped = text.replace('\u{2028}', "\\u2028");
    let value = json(&text);
    let other = Arc::new(OtherEvent { name: "Tick".into(), qualified_name: "a.Tick".into(), kind: EventKind::Plain });
    let mut feed = Feed::new(5);
    for event in [EventRef::Known(EventId(0)), EventRef::Other(other)] {
        feed.push(&Published::Event(EventRef::Known(EventId(0)), json("1")));
        feed.push(&Published::Event(event, value.clone()));
    }
    assert_eq!(feed.get(6), Some(Item::Event(EventId(0), &escaped)));
    let item = Item::Other { name: "Tick", qualified_name: "a.Tick", kind: EventKind::Plain, value: &escaped };
    assert_eq!(feed.get(8), Some(item));
    assert_eq!(feed.large().collect::<Vec<_>>(), [6, 8]);
    assert!(feed.bytes() > 2 * escaped.len() && feed.bytes() < 2 * escaped.len() + 100);

    let page = feed.page(5..9, 100);
    assert_eq!((page.first(), page.next(), page.shared(6)), (5, 6, None), "what fits, before a large one");
    let page = feed.page(6..9, 100);
    assert_eq!((page.first(), page.next()), (6, 7), "one at least");
    assert_eq!(page.get(6), feed.get(6));
    assert_eq!(page.shared(6).map(Json::holders), Some(2), "a page has no copy");
    assert_eq!(feed.page(5..9, usize::MAX), feed);
}
