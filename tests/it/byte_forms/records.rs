//! Records and snapshots.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{collection::vec, option, prelude::*};
use steprill::{
    engine::{
        input::{Effect, External, Input, PassId, TimerId},
        published::Published,
        record::{self, Names},
        run::Run,
    },
    graph::{EventId, EventKind, Graph, StepId},
    now::Now,
    pass::{Done, EventRef, NewWait, Note, OnceValue, OtherEvent, PassEnd, StateUse, Write},
    values::Values,
};

use super::{Damage, any_damage, any_json, graph, json};

pub(super) fn any_event() -> impl Strategy<Value = EventId> {
    (0..graph().events.len() as u16).prop_map(EventId)
}

pub(super) fn any_key() -> impl Strategy<Value = Arc<str>> {
    "[a-c]{0,2}".prop_map(Arc::from)
}

pub(super) fn any_end() -> impl Strategy<Value = PassEnd> {
    let ask = (any_event(), any_event(), any_json(), vec((".*", any_json()), 0..2), any::<Option<Duration>>());
    let ask = ask.prop_map(|(question, answer, value, matching, timeout)| NewWait::Ask {
        question,
        answer,
        value,
        matching,
        timeout,
    });
    prop_oneof![
        vec((any_event(), any_json()), 0..4).prop_map(PassEnd::Returned),
        (any::<u32>(), ask).prop_map(|(ordinal, wait)| PassEnd::Waits { ordinal, wait }),
        (any::<u32>(), any::<Duration>())
            .prop_map(|(ordinal, sleep)| PassEnd::Waits { ordinal, wait: NewWait::Sleep(sleep) }),
        (".*", any::<bool>()).prop_map(|(error, retry)| PassEnd::Failed { error, retry }),
        ".*".prop_map(PassEnd::Panicked),
        ".*".prop_map(PassEnd::Diverged),
        Just(PassEnd::TimedOut),
    ]
}

pub(super) fn any_state_use() -> impl Strategy<Value = StateUse> {
    let write = prop_oneof![
        any_json().prop_map(Write::Set),
        Just(Write::Remove),
        any_json().prop_map(Write::Add),
        any_json().prop_map(Write::Push),
    ];
    (any::<u64>(), vec(any_key(), 0..3), any::<bool>(), vec((any_key(), write), 0..3))
        .prop_map(|(version, reads, listed, writes)| StateUse { version, reads, listed, writes })
}

/// Notes as they are in records.
fn any_note() -> impl Strategy<Value = Note> {
    prop_oneof![
        (any::<u32>(), any::<u128>(), option::of(any_event()), any::<u32>())
            .prop_map(|(ordinal, hash, event, bytes)| Note::Recorded { ordinal, hash, event, bytes }),
        (any::<u32>(), any_json(), any::<u32>()).prop_map(|(ordinal, value, stream_ordinal)| Note::Once {
            ordinal,
            value: OnceValue { value, stream_ordinal }
        }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let pass = || (any::<u64>(), any::<u32>()).prop_map(|(work, pass)| PassId { work, pass });
    let state = vec((any_key(), any_json()), 0..3).prop_map(BTreeMap::from_iter);
    let step = (0..graph().steps.len() as u16).prop_map(StepId);
    let done = (any_end(), vec((any_event(), any_json()), 0..3), any_state_use()).prop_map(|(end, sent, state)| Done {
        end,
        sent,
        state,
    });
    prop_oneof![
        (any_json(), state, any::<bool>(), any::<u64>()).prop_map(|(event, state, admitted, sequence)| {
            Input::Started { event, state: state.into(), admitted, sequence }
        }),
        Just(Input::Admitted),
        (any_event(), any_json(), option::of(step), option::of(any::<u64>())).prop_map(
            |(event, value, step, in_reply_to)| Input::External(External {
                step,
                in_reply_to,
                ..External::new(event, value)
            })
        ),
        (pass(), vec(any_note(), 0..4)).prop_map(|(pass, notes)| Input::Noted { pass, notes }),
        (pass(), done).prop_map(|(pass, done)| Input::Done { pass, done }),
        any::<u64>().prop_map(|timer| Input::Due { timer: TimerId(timer) }),
        Just(Input::Cancel),
        pass().prop_map(|pass| Input::PassLost { pass }),
        ".*".prop_map(Input::Fail),
    ]
}

fn any_now() -> impl Strategy<Value = Now> {
    (any::<i64>(), any::<u64>()).prop_map(|(wall_us, alive_us)| Now { wall_us, alive_us })
}

proptest! {
    #[test]
    fn what_is_recorded_is_read_back(input in any_input(), now in any_now()) {
        prop_assert_eq!(record::decode(&record::encode(&input, now), &graph()), Ok((input, now)));
    }

    #[test]
    fn damaged_records_are_refused_or_are_others(
        input in any_input(),
        damages in vec(any_damage(), 1..3),
    ) {
        let mut bytes = record::encode(&input, Now::default());
        for damage in &damages {
            Damage::apply(damage, &mut bytes);
        }
        if let Ok((input, now)) = record::decode(&bytes, &graph()) {
            prop_assert_eq!(record::decode(&record::encode(&input, now), &graph()), Ok((input, now)));
        }
    }

    #[test]
    fn damaged_snapshots_are_refused_or_go_on(
        which in 0..6_usize,
        damages in vec(any_damage(), 1..3),
        inputs in vec((any_input(), any_now()), 0..4),
    ) {
        let graph = graph();
        let mut bytes = live(&graph, which).snapshot();
        for damage in &damages {
            Damage::apply(damage, &mut bytes);
        }
        if let Ok(mut run) = Run::restore(&bytes, &Names::of(&graph).translation(&graph), Arc::clone(&graph)) {
            for (input, now) in inputs.into_iter().chain(likely().into_iter().map(|input| (input, Now::default()))) {
                go_on(&mut run, input, now);
            }
        }
    }
}

/// Returns inputs most of which have an effect on a run of [`live`].
fn likely() -> Vec<Input> {
    let graph = graph();
    let event = |name| graph.event_id(name).expect("a type");
    let through = |work, pass, event| {
        let end = PassEnd::Returned(vec![(event, json("1"))]);
        Input::Done { pass: PassId { work, pass }, done: Done::of(end) }
    };
    let timers = (0..8).map(|timer| Input::Due { timer: TimerId(timer) });
    let answer = Input::External(External::new(event("HumanA"), json("{}")));
    let passes = (1..6).flat_map(|work| (0..3).map(move |pass| (work, pass)));
    let passes = passes.map(|(work, pass)| through(work, pass, event(if work < 4 { "F" } else { "T" })));
    [answer].into_iter().chain(timers).chain(passes).collect()
}

fn go_on(run: &mut Run, input: Input, now: Now) {
    run.handle(input, now, &mut Vec::new());
    for effect in run.pending() {
        if let Effect::StartPass(pass) = effect {
            assert!(run.pass_input(pass).is_some() && run.pass_step(pass).is_some());
        }
    }
    run.snapshot();
}

/// Returns a run in progress: one element has finished, one asks, one sleeps, one has noted things, one waits for a
/// slot; with fewer of these the smaller `progress` is.
fn live(graph: &Arc<Graph>, progress: usize) -> Run {
    let event = |name| graph.event_id(name).expect("a type");
    let done = |work, end| {
        let writes = vec![("k".into(), Write::Add(json("1")))];
        let state = StateUse { reads: vec!["k".into()], writes, ..StateUse::default() };
        Input::Done { pass: PassId { work, pass: 0 }, done: Done { end, sent: Vec::new(), state } }
    };
    let elements = (0..5).map(|number| (event("E"), json(&number.to_string()))).collect();
    let ask = NewWait::Ask {
        question: event("NeedQ"),
        answer: event("HumanA"),
        value: json("{}"),
        matching: vec![("n".into(), json("1"))],
        timeout: Some(Duration::from_secs(1)),
    };
    let notes = vec![
        Note::Recorded { ordinal: 0, hash: 7, event: None, bytes: 20 },
        Note::Once { ordinal: 0, value: OnceValue { value: json("1"), stream_ordinal: 1 } },
    ];
    let inputs = [
        Input::Started { event: json("{}"), state: Values::default(), admitted: true, sequence: 0 },
        done(0, PassEnd::Returned(elements)),
        done(2, PassEnd::Returned(vec![(event("F"), json("2"))])),
        done(1, PassEnd::Waits { ordinal: 0, wait: ask }),
        done(3, PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_secs(9)) }),
        Input::Noted { pass: PassId { work: 4, pass: 0 }, notes },
    ];
    let mut run = Run::new(Arc::clone(graph), uuid::Uuid::nil(), "h".into());
    for input in inputs.into_iter().take(progress + 1) {
        run.handle(input, Now::default(), &mut Vec::new());
    }
    run
}

#[test]
fn a_stream_write_is_counted_as_if_it_was_published_and_not_published_again() {
    let graph = graph();
    let pass = PassId { work: 0, pass: 0 };
    let note = |ordinal, hash: u128, text: &str| {
        let other = OtherEvent { name: "Tick".into(), qualified_name: "m.Tick".into(), kind: EventKind::Plain };
        let event = match hash % 2 {
            0 => EventRef::Known(graph.event_id("P").expect("a type")),
            _ => EventRef::Other(Arc::new(other)),
        };
        Note::Stream { ordinal, hash, event, value: json(text) }
    };
    let inputs = [
        Input::Started { event: json("{}"), state: Values::default(), admitted: true, sequence: 5 },
        Input::Noted { pass, notes: vec![note(0, 1, "1"), note(1, 2, "22"), note(1, 2, "22")] },
        Input::Noted { pass, notes: vec![note(1, 3, "333"), note(2, 4, "{}"), note(9, 5, "1")] },
    ];
    let fresh = || Run::new(Arc::clone(&graph), uuid::Uuid::nil(), "h".into());
    let (mut run, mut again) = (fresh(), fresh());
    for input in inputs {
        let bytes = record::encode(&input, Now::default());
        let (read, now) = record::decode(&bytes, &graph).expect("a record");
        let (mut effects, mut effects_again) = (Vec::new(), Vec::new());
        run.handle(input, now, &mut effects);
        again.handle(read, now, &mut effects_again);
        let is_event = |effect: &Effect| matches!(effect, Effect::Publish(Published::Event(..)));
        assert!(!effects_again.iter().any(is_event), "{effects_again:?}");
        effects.retain(|effect| !is_event(effect));
        assert_eq!(effects, effects_again);
        assert_eq!(again.snapshot(), run.snapshot());
        assert_eq!(again.cost_bytes(), run.cost_bytes());
        assert_eq!((again.feed_bytes(), again.next_sequence()), (run.feed_bytes(), run.next_sequence()));
    }
    assert!(run.outcome().is_some(), "write number 9 comes after 3");
}
