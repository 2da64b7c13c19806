//! The costs of the inputs of one run.

use std::{hint::black_box, sync::Arc, time::Duration};

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, External, Input, PassId, TimerId},
        published::Published,
        record::Names,
        run::Run,
    },
    limits::{
        BODY_BYTES_MAX_DEFAULT, COMPACTED_COST_BYTES_MIN, INBOX_ANSWERS_MAX, RUN_WORKS_MAX, WORK_NOTES_MAX,
        WORK_STREAMS_MAX, WORK_WAITS_MAX,
    },
    pass::{EventRef, NewWait, Note, OnceValue, PassEnd, Write},
    values::Values,
};

use super::{
    each, once, row,
    setup::{Driven, graph_with, json, numbered, scattered},
};

/// How often a pass is handed out and notes something.
const FIRST: usize = 200;

/// How many members like `{"m0":0}` a body of the default limit may have.
const MEMBERS: usize = 250_000;

/// How many members like `{"0":0}` a body may have that the loop parses itself.
const LOOP_MEMBERS: usize = 7_500;

/// How many keys a state of small values may have.
const KEYS: usize = 140_000;

pub(crate) fn measure() {
    answers();
    large_answers();
    notes();
    state();
    works();
    feeds();
}

fn answers() {
    row("answer, matching among n open questions", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::asking(n, true);
        each(200, |index| {
            let external = driven.answer(numbered(scattered(index, n)), None);
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("answer, to the oldest of n open questions", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::asking(n, false);
        each(200, |index| {
            let external = driven.answer(numbered(index), None);
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("answer, in_reply_to among n open questions", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::asking(n, false);
        let numbers: Vec<u64> = driven.run.open_questions().map(|question| question.sequence).collect();
        each(200, |index| {
            let external = driven.answer(json("{}"), Some(numbers[scattered(index, n)]));
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("answer that matches none of n open questions", RUN_WORKS_MAX, |n| {
        let driven = Driven::asking(n, true);
        let external = driven.answer(numbered(n), Some(u64::MAX));
        each(50, |_| {
            black_box(driven.run.check_external(&external).is_err());
            black_box((driven.run.open_questions().take(8).count(), driven.run.open_question_count()));
        })
    });
    row("question, matching the last of n answers in an inbox", INBOX_ANSWERS_MAX, |n| {
        let mut driven = Driven::spread(2);
        let ask = driven.ask(Some(n));
        driven.done(1, 0, ask);
        for index in 0..n {
            let external = driven.answer(numbered(index), None);
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        }
        let ask = driven.ask(Some(n - 1));
        once(|| driven.done(2, 0, ask))
    });
    row("answer, kept in an inbox with n others", INBOX_ANSWERS_MAX - 1, |n| {
        let mut driven = Driven::asking(1, true);
        for index in 0..n {
            driven.handle(Input::External(driven.answer(numbered(index + 1), None)));
        }
        let external = driven.answer(numbered(n + 1), None);
        once(|| {
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("posted event, with n works at hand", RUN_WORKS_MAX - 300, |n| {
        let mut driven = Driven::spread(n);
        let event = driven.event("OpenX");
        each(200, |index| {
            let external = External { event, ..driven.answer(numbered(index), None) };
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
}

fn large_answers() {
    let members = |n: usize| {
        let members: Vec<String> = (0..n).map(|index| format!("\"m{index}\":{index}")).collect();
        json(&format!("{{{}}}", members.join(",")))
    };
    // As the thread that parses large bodies does.
    let read = |external: External| {
        external.members.read(&external.value);
        external
    };
    row("answer of n members, matching", MEMBERS, |n| {
        let mut driven = Driven::asking(2, true);
        let external = read(driven.answer(members(n), None));
        once(|| {
            _ = driven.run.check_external(&external);
            driven.handle(Input::External(external));
        })
    });
    row("answer of n members, early", MEMBERS, |n| {
        let mut driven = Driven::spread(1);
        let external = read(driven.answer(members(n), None));
        once(|| {
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("short answer of n members, which the loop reads", LOOP_MEMBERS, |n| {
        let mut driven = Driven::asking(2, true);
        let members: Vec<String> = (0..n).map(|index| format!("\"{}\":0", scattered(index, n))).collect();
        let external = driven.answer(json(&format!("{{{}}}", members.join(","))), None);
        once(|| {
            _ = driven.run.check_external(&external);
            driven.handle(Input::External(external));
        })
    });
    row("answer of n bytes, to the only question that it matches", BODY_BYTES_MAX_DEFAULT, |n| {
        let mut driven = Driven::asking(100, true);
        let external = read(driven.answer(json(&format!("{{\"n\":7,\"m\":\"{}\"}}", "x".repeat(n))), None));
        once(|| {
            driven.run.check_external(&external).expect("it is taken");
            driven.handle(Input::External(external));
        })
    });
    row("answer of n bytes, all of which many questions look at", BODY_BYTES_MAX_DEFAULT, |n| {
        let mut driven = Driven::asking(100, true);
        let external = read(driven.answer(json(&format!("{{\"n\":\"{}\"}}", "x".repeat(n))), None));
        once(|| {
            _ = driven.run.check_external(&external);
            driven.handle(Input::External(external));
        })
    });
}

fn note(driven: &Driven, index: usize) -> Note {
    let event = EventRef::Known(driven.event("E"));
    Note::Stream { ordinal: index as u32, hash: index as u128 + 1, event, value: json("{}") }
}

fn notes() {
    let pass = |pass: u32| PassId { work: 1, pass };
    // The pass has a clone of the list, so the run copies the list at its first note. Done many times in one run, so
    // that the list is copied each time and no memory of another row is freed meanwhile.
    row("pass handed out and its first note, after n events", WORK_STREAMS_MAX - FIRST, |n| {
        let mut driven = Driven::spread(1);
        let notes = (0..n).map(|index| note(&driven, index)).collect();
        driven.handle(Input::Noted { pass: pass(0), notes });
        driven.effects.clear();
        each(FIRST, |index| {
            let held = driven.run.pass_input(pass(0));
            let notes = vec![note(&driven, n + index)];
            driven.handle(Input::Noted { pass: pass(0), notes });
            assert!(!driven.effects.is_empty(), "it is published");
            drop(held);
        })
    });
    row("pass handed out and its first `once`, after n", WORK_NOTES_MAX - FIRST, |n| {
        let mut driven = Driven::spread(1);
        let value = |ordinal| Note::Once { ordinal, value: OnceValue { value: json("1"), stream_ordinal: 0 } };
        driven.handle(Input::Noted { pass: pass(0), notes: (0..n as u32).map(value).collect() });
        each(FIRST, |index| {
            let held = driven.run.pass_input(pass(0));
            driven.handle(Input::Noted { pass: pass(0), notes: vec![value((n + index) as u32)] });
            drop(held);
        })
    });
    row("end of a wait, after n of them", WORK_WAITS_MAX, |n| {
        let mut driven = Driven::spread(1);
        let sleep = |ordinal| PassEnd::Waits { ordinal, wait: NewWait::Sleep(Duration::from_secs(1)) };
        let due = |driven: &mut Driven| {
            let Some(Effect::Arm(timer, _)) = driven.effects.pop() else { panic!("{:?}", driven.effects) };
            Input::Due { timer }
        };
        for ordinal in 0..n as u32 - 1 {
            driven.done(1, ordinal, sleep(ordinal));
            let due = due(&mut driven);
            driven.handle(due);
        }
        let held = driven.run.pass_input(pass(n as u32 - 1));
        driven.done(1, n as u32 - 1, sleep(n as u32 - 1));
        let due = due(&mut driven);
        let cost = once(|| driven.handle(due));
        drop(held);
        cost
    });
}

fn values(count: usize) -> Values {
    (0..count).map(|index| (key(index), json("1"))).collect()
}

fn key(index: usize) -> Arc<str> {
    format!("{index:06}").into()
}

fn state() {
    let written = |n: usize, write: Write| {
        let mut driven = Driven::new(values(n));
        driven.done(0, 0, PassEnd::Returned(vec![(driven.event("E"), json("{}")); 200]));
        each(200, |index| {
            let held = driven.run.pass_input(PassId { work: index as u64 + 1, pass: 0 });
            let output = vec![(driven.event("F"), json("{}"))];
            let writes = vec![(key(scattered(index, n)), write.clone())];
            driven.done_with(index as u64 + 1, 0, PassEnd::Returned(output), writes);
            black_box(held);
        })
    };
    row("pass that sets one of n keys, and its snapshot", KEYS, |n| written(n, Write::Set(json("2"))));
    row("pass that removes one of n keys, and its snapshot", KEYS, |n| written(n, Write::Remove));
    row("push to an array of n elements", 2_000_000, |n| {
        let array = json(&format!("[{}]", vec!["1"; n].join(",")));
        let mut driven = Driven::new([(key(0), array)].into_iter().collect());
        driven.done(0, 0, PassEnd::Returned(vec![(driven.event("E"), json("{}")); 200]));
        let push = |driven: &mut Driven, work: u64| {
            let output = vec![(driven.event("F"), json("{}"))];
            driven.done_with(work, 0, PassEnd::Returned(output), vec![(key(0), Write::Push(json("1")))]);
        };
        // Turns the array into one that is stored in parts.
        push(&mut driven, 1);
        each(199, |index| push(&mut driven, index as u64 + 2))
    });
    row("first push to an array of n elements", 2_000_000, |n| {
        let array = json(&format!("[{}]", vec!["1"; n].join(",")));
        let mut driven = Driven::new([(key(0), array)].into_iter().collect());
        let writes = vec![(key(0), Write::Push(json("1")))];
        once(|| driven.done_with(0, 0, PassEnd::Returned(Vec::new()), writes))
    });
    row("snapshot of a run with n keys, beside the loop", KEYS, |n| {
        let driven = Driven::new(values(n));
        once(|| drop(black_box(driven.run.snapshot())))
    });
    row("return of a run with n keys, beside the loop", KEYS, |n| {
        let driven = Driven::new(values(n));
        let (snapshot, translation) = (driven.run.snapshot(), Names::of(&driven.graph).translation(&driven.graph));
        let mut restored = None;
        let graph = Arc::clone(&driven.graph);
        once(|| restored = Some(Run::restore(&snapshot, &translation, graph).expect("a snapshot")))
    });
    row("end of a state of n keys, beside the loop", KEYS, |n| {
        let values = values(n);
        once(|| drop(values))
    });
}

fn works() {
    row("end of a pass that gives n events to a step", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::new(Values::default());
        let emitted = driven.elements(n);
        once(|| driven.large_done(emitted))
    });
    row("next part of n events that a pass gave", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::new(Values::default());
        let emitted = driven.elements(n);
        driven.large_done(emitted);
        driven.each_part()
    });
    row("end of one of n works", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::spread(n);
        each(200, |index| {
            let output = vec![(driven.event("F"), json("{}"))];
            driven.done(scattered(index, n / 4) as u64 + 1, 0, PassEnd::Returned(output));
        })
    });
    row("fan-in of n", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::spread(n);
        let end = |driven: &mut Driven, work: usize| {
            let output = vec![(driven.event("F"), numbered(work))];
            driven.done(work as u64 + 1, 0, PassEnd::Returned(output));
        };
        // Only this many run at a time.
        let part = n / 4;
        let order = (0..4).flat_map(|block| (0..part).map(move |index| block * part + (index * 7_919) % part));
        order.skip(1).for_each(|work| end(&mut driven, work));
        once(|| end(&mut driven, 0))
    });
    row("next part of a fan-in of n", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::spread(n);
        for work in 0..n {
            let output = vec![(driven.event("F"), numbered(work))];
            driven.done(work as u64 + 1, 0, PassEnd::Returned(output));
        }
        driven.each_part()
    });
    row("end of a fan-in of n", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::spread(n);
        for work in 0..n {
            let output = vec![(driven.event("F"), numbered(work))];
            driven.done(work as u64 + 1, 0, PassEnd::Returned(output));
        }
        driven.go_on();
        let output = vec![(driven.event("L"), json("{}"))];
        let cost = once(|| driven.done(n as u64 + 1, 0, PassEnd::Returned(output)));
        // The helper thread frees these.
        drop(driven.run.take_remains());
        cost
    });
    row("cancel of a run with n works", RUN_WORKS_MAX, |n| {
        let mut driven = Driven::spread(n);
        once(|| driven.handle(Input::Cancel))
    });
    row("time-out of a run with n works", RUN_WORKS_MAX, |n| {
        let graph = graph_with(None, Some(Duration::from_mins(1)));
        let mut driven = Driven::of(graph, Values::default()).spread_out(n);
        once(|| driven.handle(Input::Due { timer: TimerId(0) }))
    });
    row("snapshot of a run with n works, beside the loop", RUN_WORKS_MAX, |n| {
        let driven = Driven::asking(n, true);
        once(|| drop(black_box(driven.run.snapshot())))
    });
    row("snapshot of a run with n works, on the loop", COMPACTED_COST_BYTES_MIN / 600, |n| {
        let driven = Driven::asking(n, true);
        assert!(driven.run.cost_bytes() <= COMPACTED_COST_BYTES_MIN * 3 / 2, "{}", driven.run.cost_bytes());
        once(|| drop(black_box(driven.run.snapshot())))
    });
    row("round of a loop, after n rounds", 1_000_000, |n| {
        let mut driven = Driven::new(Values::default());
        driven.done(0, 0, PassEnd::Returned(Vec::new()));
        let round = |driven: &mut Driven, work: usize| {
            let output = vec![(driven.event("L"), json("{}"))];
            driven.done(work as u64, 0, PassEnd::Returned(output));
        };
        (1..n).for_each(|work| round(&mut driven, work));
        each(200, |index| round(&mut driven, n + index))
    });
}

fn feeds() {
    row("event published, after n of them", 3_000_000, |n| {
        let event = Published::Event(EventRef::Known(Driven::new(Values::default()).event("E")), json("{}"));
        let mut feed = Feed::new(0);
        (0..n).for_each(|_| _ = feed.push(&event));
        each(200, |_| _ = feed.push(&event))
    });
    row("page of a feed of n events", 3_000_000, |n| {
        let event = Published::Event(EventRef::Known(Driven::new(Values::default()).event("E")), json("{}"));
        let mut feed = Feed::new(0);
        (0..n).for_each(|_| _ = feed.push(&event));
        each(200, |index| {
            let from = scattered(index, n) as u64;
            drop(black_box(feed.page(from..u64::MAX, steprill::limits::PAGE_BYTES_MAX)));
        })
    });
}
