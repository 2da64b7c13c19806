//! Compares the cost that a run counts with the memory that the process uses, and checks that it does not grow with the
//! duration of the run.

#![cfg(target_os = "linux")]

use std::hint::black_box;

use super::*;
use crate::support::is_alone;
use steprill::{
    engine::{feed::Feed, record::Names},
    limits::{INBOX_ANSWERS_MAX, WORK_WAITS_MAX},
    values::Values,
};

/// Returns the memory of this process in bytes, without free memory and code.
pub(crate) fn resident() -> usize {
    steprill_trim::give_back();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Makes enough of one thing to count as some megabytes, and compares that with the memory used.
#[track_caller]
pub(crate) fn check_cost<T>(what: &str, make: impl FnOnce() -> T, counted: impl FnOnce(&T) -> usize) {
    let before = resident();
    let made = black_box(make());
    let taken = resident().saturating_sub(before);
    let counted = counted(&made);
    let percent = counted * 100 / taken.max(1);
    assert!((70..200).contains(&percent), "{what}: {counted} bytes counted, {taken} taken: {percent} %");
    // Freed memory would be reused by what comes next, and so not be measured.
    std::mem::forget(made);
}

fn wide(lines: &str) -> Flow {
    Flow::with(lines, |parts| parts.steps.iter_mut().for_each(|step| step.workers = u16::MAX))
}

fn spread(count: usize) -> Flow {
    let mut flow = wide("a: S -> [E]\nb: E -> F ? NeedQ/HumanA\nc: [F] -> T");
    flow.start();
    let event = flow.event("E");
    let end = PassEnd::Returned((0..count).map(|index| (event, json(&format!("{{\"n\":{index}}}")))).collect());
    let done = Done::of(end);
    flow.run.handle(Input::Done { pass: pass_id((0, 0)), done }, flow.now, &mut Vec::new());
    flow
}

fn cost(flow: &Flow) -> usize {
    flow.run.cost_bytes()
}

#[test]
fn states_of_small_and_of_large_values_cost_what_they_take() {
    if !is_alone(module_path!(), "states_of_small_and_of_large_values_cost_what_they_take") {
        return;
    }
    let values = |count: usize, bytes: usize| -> Values {
        let value = format!("\"{}\"", "x".repeat(bytes));
        (0..count).map(|index| (Arc::from(index.to_string()), json(&value))).collect()
    };
    check_cost("keys of small values", || values(100_000, 1), Values::cost_bytes);
    check_cost("keys of some bytes", || values(20_000, 500), Values::cost_bytes);
    check_cost("keys of large values", || values(20, 1 << 20), Values::cost_bytes);
}

#[test]
fn works_cost_what_they_take() {
    if !is_alone(module_path!(), "works_cost_what_they_take") {
        return;
    }
    check_cost("works that run", || spread(40_000), cost);
}

#[test]
fn open_questions_cost_what_they_take() {
    if !is_alone(module_path!(), "open_questions_cost_what_they_take") {
        return;
    }
    let asking = || {
        let mut flow = spread(8_000);
        for work in 0..8_000 {
            flow.asks((work + 1, 0), 0, &[("n", &work.to_string())], Some(60));
        }
        flow
    };
    check_cost("works that ask, each for its number, until some time", asking, cost);
}

#[test]
fn answers_that_wait_cost_what_they_take() {
    if !is_alone(module_path!(), "answers_that_wait_cost_what_they_take") {
        return;
    }
    let waiting = || {
        let inbox = |parts: &mut steprill::graph::Parts| {
            parts.steps[0].inboxes = vec![("HumanA".to_owned(), INBOX_ANSWERS_MAX)];
        };
        let runs = (0..6).map(|_| {
            let mut flow = Flow::with("a: S -> T ? NeedQ/HumanA", inbox);
            flow.start();
            (0..INBOX_ANSWERS_MAX)
                .for_each(|n| _ = flow.post("HumanA", &format!("{{\"n\":{n},\"text\":\"yes\"}}"), None));
            flow
        });
        runs.collect::<Vec<_>>()
    };
    check_cost("answers in inboxes", waiting, |flows| flows.iter().map(cost).sum());
}

#[test]
fn what_works_remember_costs_what_it_takes() {
    if !is_alone(module_path!(), "what_works_remember_costs_what_it_takes") {
        return;
    }
    let pass = pass_id((0, 0));
    let once = || {
        let mut flow = Flow::new("a: S -> T");
        flow.start();
        let value = OnceValue { value: json("{\"id\":12345}"), stream_ordinal: 0 };
        let notes = (0..50_000).map(|ordinal| Note::Once { ordinal, value: value.clone() }).collect();
        flow.give(Input::Noted { pass, notes });
        flow
    };
    // Each value is allocated separately, like those that a pass notes.
    let once_each = || {
        let mut flow = once();
        let value = |_| OnceValue { value: json("{\"id\":12345}"), stream_ordinal: 0 };
        let notes = (50_000..90_000).map(|ordinal| Note::Once { ordinal, value: value(ordinal) }).collect();
        flow.give(Input::Noted { pass, notes });
        flow
    };
    check_cost("`once` values", once_each, cost);
    let streamed = || {
        let mut flow = Flow::new("a: S -> E|T\nb: E -> T");
        flow.run = Run::new(Arc::clone(&flow.graph), uuid::Uuid::nil(), "h".into()).with_window();
        flow.start();
        let event = EventRef::Known(flow.event("E"));
        for part in 0..200 {
            let note = |ordinal: u32| Note::Stream { ordinal, hash: 7, event: event.clone(), value: json("1") };
            flow.give(Input::Noted { pass, notes: (part * 2_000..(part + 1) * 2_000).map(note).collect() });
        }
        flow
    };
    check_cost("hashes of streamed events", streamed, cost);
    let answered = || {
        let works = 5;
        let mut flow = spread(works);
        for ordinal in 0..WORK_WAITS_MAX as u32 / 2 {
            for work in 1..=works as u64 {
                flow.asks((work, ordinal), ordinal, &[], None);
                flow.post("HumanA", "{\"text\":\"yes\"}", None);
            }
        }
        flow
    };
    check_cost("answers that works remember", answered, cost);
}

#[test]
fn a_feed_costs_what_it_takes() {
    if !is_alone(module_path!(), "a_feed_costs_what_it_takes") {
        return;
    }
    let feed = |value: &'static str| {
        move || {
            let mut feed = Feed::new(0);
            let event = Published::Event(EventRef::Known(steprill::graph::EventId(1)), json(value));
            (0..400_000).for_each(|_| _ = feed.push(&event));
            feed
        }
    };
    check_cost("a feed of small events", feed("1"), Feed::bytes);
    check_cost("a feed of larger ones", feed("{\"text\":\"a word or two, as a model streams them\"}"), Feed::bytes);
}

/// Runs rounds of a step that returns its own type.
fn rounds(count: u64) {
    let mut flow = Flow::new("a: S -> S|T");
    flow.run = Run::new(Arc::clone(&flow.graph), uuid::Uuid::nil(), "h".into()).with_window();
    flow.start();
    let end = PassEnd::Returned(flow.events(&[("S", "{\"n\":1}")]));
    let mut effects = Vec::new();
    let mut round = |run: &mut Run, work: u64| {
        let state = StateUse {
            writes: vec![
                (Arc::from("rounds"), Write::Set(json("1000000000"))),
                (Arc::from("k"), Write::Add(json("0"))),
            ],
            ..StateUse::default()
        };
        effects.clear();
        let done = Done { end: end.clone(), sent: Vec::new(), state };
        run.handle(Input::Done { pass: PassId { work, pass: 0 }, done }, Now::default(), &mut effects);
    };
    (0..count / 2).for_each(|work| round(&mut flow.run, work));
    let (cost, snapshot, held) = (flow.run.cost_bytes(), flow.run.snapshot().len(), resident());
    (count / 2..count).for_each(|work| round(&mut flow.run, work));
    assert_eq!(flow.run.cost_bytes(), cost);
    // Its numbers have grown, by at most a digit of seven bits each.
    assert!(flow.run.snapshot().len() <= snapshot + 16, "{} bytes, then {}", snapshot, flow.run.snapshot().len());
    let grown = resident().saturating_sub(held);
    assert!(grown < 1 << 20, "{grown} bytes more");
    let names = Names::of(&flow.graph);
    let (bytes, translation) = (flow.run.snapshot(), names.translation(&flow.graph));
    let again = Run::restore(&bytes, &translation, Arc::clone(&flow.graph)).expect("it is sound");
    assert_eq!(again.pending(), flow.run.pending());
}

#[test]
fn a_loop_of_many_rounds_takes_no_more_than_one_of_few() {
    if !is_alone(module_path!(), "a_loop_of_many_rounds_takes_no_more_than_one_of_few") {
        return;
    }
    rounds(20_000);
}

#[test]
#[ignore = "a minute without optimisation"]
fn a_loop_of_a_million_rounds_takes_no_more_than_one_of_few() {
    if !is_alone(module_path!(), "a_loop_of_a_million_rounds_takes_no_more_than_one_of_few") {
        return;
    }
    rounds(1_000_000);
}
