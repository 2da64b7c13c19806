//! One pass of a step's body: how it treats waits, `once`, streams, the state and orders to stop.

// Steps take their events by value and return a `Result`, whatever they do with them.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use steprill::{
    Asks, Ctx, Result, Sends, StartEvent, Step, StepError, StopEvent, Workflow, event,
    graph::EventId,
    json::Json,
    pass::{
        Done, EventRef, NewWait, Note, OnceValue, PassEnd, PassInput, SharedList, Snapshot, Stop, Wait, WorkEvent,
        Write,
    },
    workflow::link::PassLink,
};

event! {
    struct Token { n: u32 }
    struct Approve: Asks<Verdict> { n: u32 }
    struct Verdict { good: bool }
    struct Choose: Asks<Choice> {}
    struct Choice { index: u32 }
    struct Undeclared {}
}

type Grants = (Sends<Token>, Asks<(Approve, Choose)>);

/// A workflow with one step, and the input of its next pass.
struct Rig {
    workflow: Workflow,
    input: PassInput,
    link: Arc<PassLink>,
}

impl Rig {
    fn new<F>(function: F) -> Self
    where
        F: Fn(&Ctx<Grants>, StartEvent) -> Result<StopEvent> + Send + Sync + 'static,
    {
        Self::of(Step::new("step", function))
    }

    fn of(step: Step) -> Self {
        let workflow = Workflow::new::<StartEvent, StopEvent>("flow")
            .add(step)
            .step("tokens", |_, _: Token| Ok(()))
            .build()
            .unwrap_or_else(|faults| panic!("{faults}"));
        let input = PassInput {
            run_id: uuid::Uuid::nil(),
            handler_id: "handler".into(),
            work: 7,
            attempt: 1,
            event: WorkEvent::One(workflow.graph().start, json("{}")),
            state: Snapshot::default(),
            waits: SharedList::default(),
            once: SharedList::default(),
            published: SharedList::default(),
            failure: None,
        };
        Self { workflow, input, link: link_with_room(1 << 20) }
    }

    fn id(&self, name: &str) -> EventId {
        self.workflow.graph().event_id(name).expect(name)
    }

    fn state(&mut self, key: &str, value: &str) {
        let mut values = self.input.state.values.clone();
        values.insert(key.into(), json(value));
        self.input.state = Snapshot { version: 5, values };
    }

    fn answered(&mut self, question: &str, answer: Option<&str>) {
        let question = self.id(question);
        self.wait(Wait::Asked { question, answer: answer.map(json) });
    }

    fn wait(&mut self, wait: Wait) {
        self.input.waits.push(wait);
    }

    /// Runs one pass. Streams and `once` values are remembered for the next, as by the loop.
    fn pass(&mut self) -> Done {
        let (done, notes) = self.pass_notes();
        for note in notes {
            match note {
                Note::Stream { ordinal, hash, .. } => {
                    let published = &mut self.input.published;
                    published.truncate(ordinal as usize);
                    published.push(hash);
                }
                Note::Once { value, .. } => self.input.once.push(value),
                Note::Recorded { .. } => panic!("no pass gives it"),
            }
        }
        done
    }

    fn pass_notes(&self) -> (Done, Vec<Note>) {
        let step = self.workflow.graph().step_id("step").unwrap();
        let done = self.workflow.body(step)(self.input.clone(), &self.link);
        (done, self.link.take_notes())
    }
}

fn link_with_room(bytes: usize) -> Arc<PassLink> {
    Arc::new(PassLink::unattended(0, bytes))
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// Returns the streamed values with their ordinals.
fn streamed(notes: &[Note]) -> Vec<(u32, &str)> {
    let stream = |note| match note {
        &Note::Stream { ordinal, ref value, .. } => Some((ordinal, value.as_str())),
        Note::Once { .. } | Note::Recorded { .. } => None,
    };
    notes.iter().filter_map(stream).collect()
}

#[track_caller]
fn failed(done: &Done) -> (&str, bool) {
    match &done.end {
        PassEnd::Failed { error, retry } => (error, *retry),
        other => panic!("not failed: {other:?}"),
    }
}

#[track_caller]
fn result(done: &Done) -> &str {
    match &done.end {
        PassEnd::Returned(events) if events.len() == 1 => events[0].1.as_str(),
        other => panic!("not returned: {other:?}"),
    }
}

#[test]
fn a_question_ends_the_pass_and_its_answer_lets_the_next_continue() {
    let mut rig = Rig::new(|ctx, _| {
        let verdict = ctx.ask(Approve { n: 3 }).matching("n", 3).timeout(Duration::from_secs(9)).wait()?;
        ctx.sleep(Duration::from_millis(1))?;
        Ok(StopEvent::new(verdict.given().map(|verdict| verdict.good)))
    });
    let wait = NewWait::Ask {
        question: rig.id("Approve"),
        answer: rig.id("Verdict"),
        value: json(r#"{"n":3}"#),
        matching: vec![("n".into(), json("3"))],
        timeout: Some(Duration::from_secs(9)),
    };
    assert_eq!(rig.pass().end, PassEnd::Waits { ordinal: 0, wait });
    rig.answered("Approve", Some(r#"{"good":true}"#));
    assert_eq!(rig.pass().end, PassEnd::Waits { ordinal: 1, wait: NewWait::Sleep(Duration::from_millis(1)) });
    rig.wait(Wait::Slept);
    assert_eq!(result(&rig.pass()), r#"{"result":true}"#);
}

#[test]
fn a_body_that_ignores_the_interrupt_still_waits_and_does_nothing_more() {
    let rig = Rig::new(|ctx, _| {
        ctx.stream(Token { n: 0 })?;
        let interrupted = ctx.sleep(Duration::from_secs(1)).unwrap_err();
        assert!(interrupted.to_string().contains("pass this on with `?`"));
        assert!(ctx.stream(Token { n: 1 }).is_err());
        assert!(ctx.send(Token { n: 1 }).is_err());
        assert!(ctx.ask(Choose {}).wait().is_err());
        assert!(ctx.once(|| Ok(1)).is_err());
        assert!(ctx.state().set("a", 1).is_err());
        assert!(ctx.state().get::<u32>("a").is_err());
        assert!(ctx.state().keys().is_err());
        assert!(ctx.pause(Duration::ZERO).is_err());
        assert!(ctx.check().is_err());
        Ok(StopEvent::default())
    });
    let (done, notes) = rig.pass_notes();
    assert_eq!(done.end, PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_secs(1)) });
    assert_eq!(streamed(&notes), [(0, r#"{"n":0}"#)]);
    assert_eq!(notes.len(), 1);
}

#[test]
fn an_interrupt_that_is_unwrapped_waits_and_is_no_panic() {
    let mut rig = Rig::new(|ctx, _| {
        ctx.sleep(Duration::from_secs(1)).unwrap();
        Ok(StopEvent::default())
    });
    assert_eq!(rig.pass().end, PassEnd::Waits { ordinal: 0, wait: NewWait::Sleep(Duration::from_secs(1)) });
}

#[test]
fn what_a_waiting_or_failing_pass_sent_and_wrote_is_dropped() {
    let mut rig = Rig::new(|ctx, start| {
        ctx.send(Token { n: 1 })?;
        ctx.state().set("a", 1)?;
        ctx.state().get::<u32>("b")?;
        if start.get_or("fail", false)? {
            Err("no")?;
        }
        ctx.sleep(Duration::from_secs(1))?;
        Ok(StopEvent::default())
    });
    let waiting = rig.pass();
    assert!(waiting.sent.is_empty() && waiting.state.writes.is_empty());
    rig.input.event = WorkEvent::One(rig.workflow.graph().start, json(r#"{"fail":true}"#));
    let failing = rig.pass();
    assert!(failing.sent.is_empty() && failing.state.writes.is_empty());
    rig.input.event = WorkEvent::One(rig.workflow.graph().start, json("{}"));
    rig.wait(Wait::Slept);
    let done = rig.pass();
    assert_eq!(done.sent, [(rig.id("Token"), json(r#"{"n":1}"#))]);
    assert_eq!(done.state.writes, [("a".into(), Write::Set(json("1")))]);
    assert_eq!(done.state.reads, ["b".into()]);
}

#[test]
fn a_different_wait_at_the_same_place_diverges_and_names_both() {
    let mut rig = Rig::new(|ctx, _| {
        ctx.ask(Approve { n: 0 }).wait()?;
        Ok(StopEvent::default())
    });
    rig.answered("Choose", Some(r#"{"index":1}"#));
    let PassEnd::Diverged(text) = rig.pass().end else { panic!("not diverged") };
    assert!(
        text.starts_with("step step made wait 0 with `ctx.ask(Choose)` and now makes it with `ctx.ask(Approve)`"),
        "{text}"
    );
    rig.input.waits = [Wait::Slept].into_iter().collect();
    let PassEnd::Diverged(text) = rig.pass().end else { panic!("not diverged") };
    assert!(text.contains("`ctx.sleep`") && text.contains("`ctx.ask(Approve)`"), "{text}");
}

#[test]
fn a_time_out_is_a_value_and_a_forgotten_question_is_asked_again() {
    let mut rig = Rig::new(|ctx, _| {
        let answer = ctx.ask(Approve { n: 0 }).timeout(Duration::from_secs(9)).wait()?;
        Ok(StopEvent::new(answer.given().map_or("nobody answered", |_| "answered")))
    });
    rig.answered("Approve", None);
    assert_eq!(result(&rig.pass()), r#"{"result":"nobody answered"}"#);
    rig.input.waits = [Wait::Forgotten { question: rig.id("Approve") }].into_iter().collect();
    assert!(matches!(rig.pass().end, PassEnd::Waits { ordinal: 0, wait: NewWait::Ask { .. } }));
}

#[test]
fn a_sleep_of_zero_is_no_wait() {
    let mut rig = Rig::new(|ctx, _| {
        ctx.sleep(Duration::ZERO)?;
        ctx.sleep(Duration::from_secs(1))?;
        ctx.sleep(Duration::ZERO)?;
        Ok(StopEvent::default())
    });
    assert!(matches!(rig.pass().end, PassEnd::Waits { ordinal: 0, .. }));
    rig.wait(Wait::Slept);
    assert_eq!(result(&rig.pass()), "{}");
}

#[test]
fn stream_writes_equal_to_the_published_are_skipped_until_the_first_that_differs() {
    let mut rig = Rig::new(|ctx, start| {
        for n in start.get_or("tokens", vec![1, 2, 3])? {
            ctx.stream(Token { n })?;
        }
        Ok(StopEvent::default())
    });
    rig.pass();
    assert_eq!(rig.input.published.len(), 3);
    let (_, notes) = rig.pass_notes();
    assert_eq!(streamed(&notes), []);
    rig.input.event = WorkEvent::One(rig.workflow.graph().start, json(r#"{"tokens":[1,9,3,4]}"#));
    let (_, notes) = rig.pass_notes();
    assert_eq!(streamed(&notes), [(1, r#"{"n":9}"#), (2, r#"{"n":3}"#), (3, r#"{"n":4}"#)]);
}

#[test]
fn once_runs_its_closure_once_and_counts_its_stream_writes() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut rig = Rig::new(move |ctx, _| {
        let value = ctx.once(|| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            ctx.stream(Token { n: 1 })?;
            Ok(41)
        })?;
        ctx.stream(Token { n: 2 })?;
        ctx.sleep(Duration::from_secs(1))?;
        Ok(StopEvent::new(value + 1))
    });
    rig.pass();
    assert!(rig.input.once.iter().eq(&[OnceValue { value: json(r#"{"Ok":41}"#), stream_ordinal: 1 }]));
    rig.wait(Wait::Slept);
    let (done, notes) = rig.pass_notes();
    assert_eq!(result(&done), r#"{"result":42}"#);
    assert_eq!(notes, []);
    rig.input.published = SharedList::default(); // A new attempt.
    assert_eq!(streamed(&rig.pass_notes().1), [(1, r#"{"n":2}"#)]);
    assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_failed_once_is_retried_unless_the_body_continued_after_it() {
    fn first(ctx: &Ctx<Grants>) -> Result<u32> {
        ctx.once(|| if ctx.attempt() == 1 { Err("down")? } else { Ok(1) })
    }
    let mut passed_on = Rig::new(|ctx, _| Ok(StopEvent::new(first(ctx)?)));
    assert_eq!(failed(&passed_on.pass()), ("down", true));
    assert!(passed_on.input.once.is_empty());
    passed_on.input.attempt = 2;
    assert_eq!(result(&passed_on.pass()), r#"{"result":1}"#);

    let mut swallowed = Rig::new(|ctx, _| {
        let one = first(ctx).unwrap_or(0);
        let other = ctx.once(|| Ok("x".to_owned()))?;
        ctx.sleep(Duration::from_secs(1))?;
        Ok(StopEvent::new((one, other)))
    });
    swallowed.pass();
    let values: Vec<_> = swallowed.input.once.iter().map(|noted| noted.value.as_str()).collect();
    assert_eq!(values, [r#"{"Err":"down"}"#, r#"{"Ok":"x"}"#]);
    swallowed.wait(Wait::Slept);
    swallowed.input.attempt = 2;
    assert_eq!(result(&swallowed.pass()), r#"{"result":[0,"x"]}"#, "the same failure as before");
}

#[test]
fn inside_of_once_nothing_is_done_that_a_later_pass_would_miss() {
    fn check(call: impl Fn(&Ctx<Grants>) -> Result<()> + Send + Sync + 'static, name: &str) {
        let mut rig = Rig::new(move |ctx, _| {
            ctx.once(|| call(ctx))?;
            Ok(StopEvent::default())
        });
        let done = rig.pass();
        let (error, retry) = failed(&done);
        assert!(error.contains(&format!("`ctx.{name}` inside of `ctx.once`")) && !retry, "{error}");
    }
    check(|ctx| ctx.sleep(Duration::from_secs(1)), "sleep");
    check(|ctx| ctx.send(Token { n: 1 }), "send");
    check(|ctx| ctx.ask(Choose {}).wait().map(drop), "ask");
    check(|ctx| ctx.once(|| Ok(())), "once");
    check(|ctx| ctx.state().set("a", 1), "state");
}

#[test]
fn state_reads_see_own_writes_and_count_only_where_the_snapshot_is_in_them() {
    let mut rig = Rig::new(|ctx, _| {
        let state = ctx.state();
        state.set("own", 1)?;
        assert_eq!(state.get("own")?, Some(1));
        state.add("own", 2)?;
        assert_eq!(state.get("own")?, Some(3));
        state.remove("old")?;
        assert_eq!(state.get::<u32>("old")?, None);
        state.push("log", "blind")?;
        state.add("total", 5)?;
        state.add("count", 1)?;
        assert_eq!(state.get("count")?, Some(11));
        assert_eq!(state.get::<u32>("absent")?, None);
        Ok(StopEvent::default())
    });
    for (key, value) in [("old", "1"), ("log", "[]"), ("total", "1"), ("count", "10")] {
        rig.state(key, value);
    }
    let done = rig.pass();
    assert!(matches!(done.end, PassEnd::Returned(_)), "{:?}", done.end);
    assert_eq!(done.state.version, 5);
    assert_eq!(done.state.reads, ["absent".into(), "count".into()]);
    assert!(!done.state.listed);
    assert_eq!(done.state.writes.len(), 6);
    assert_eq!(done.state.writes[3], ("log".into(), Write::Push(json(r#""blind""#))));
}

#[test]
fn listing_keys_is_a_read_of_all_and_sees_own_writes() {
    let mut rig = Rig::new(|ctx, _| {
        ctx.state().set("c", 1)?;
        ctx.state().remove("a")?;
        Ok(StopEvent::new(ctx.state().keys()?))
    });
    rig.state("a", "1");
    rig.state("b", "1");
    let done = rig.pass();
    assert_eq!(result(&done), r#"{"result":["b","c"]}"#);
    assert!(done.state.listed && done.state.reads.is_empty());
}

#[test]
fn state_of_another_type_is_an_error_that_names_the_key() {
    fn check(call: impl Fn(&Ctx<Grants>) -> Result<()> + Send + Sync + 'static, expected: &str) {
        let mut rig = Rig::new(move |ctx, _| call(ctx).map(|()| StopEvent::default()));
        rig.state("text", r#""x""#);
        assert_eq!(failed(&rig.pass()), (expected, false));
    }
    check(|ctx| ctx.state().get::<u32>("text").map(drop), "state key `text`: expected integer, got string");
    check(|ctx| ctx.state().add("text", 1), "state key `text`: `add` needs a number, found a string");
    check(|ctx| ctx.state().push("text", 1), "state key `text`: `push` needs an array, found a string");
}

#[test]
fn an_order_to_stop_fails_every_call_and_the_pass() {
    let mut rig = Rig::new(|ctx, _| {
        assert!(ctx.check().is_err());
        assert!(ctx.stream(Token { n: 1 }).is_err());
        assert!(ctx.pause(Duration::from_secs(3_601)).is_err());
        Ok(StopEvent::default())
    });
    rig.link.stop(Stop::Cancelled);
    assert_eq!(failed(&rig.pass()), ("the run has ended", false));
    rig.link = link_with_room(1 << 20);
    rig.link.stop(Stop::TimedOut);
    assert_eq!(failed(&rig.pass()), ("the step ran past its time-out", false));
}

#[test]
fn a_panic_is_an_end_of_the_pass_with_its_message() {
    let mut rig = Rig::new(|_, start| {
        let index = start.get_or("index", 5)?;
        assert!(index != 7, "seven");
        let value = [1, 2, 3].get(index).copied().expect("an index in range");
        Ok(StopEvent::new(value))
    });
    assert_eq!(rig.pass().end, PassEnd::Panicked("an index in range".into()));
    rig.input.event = WorkEvent::One(rig.workflow.graph().start, json(r#"{"index":7}"#));
    assert_eq!(rig.pass().end, PassEnd::Panicked("seven".into()));
}

#[test]
fn the_live_error_decides_whether_another_attempt_is_worth_it() {
    fn parse(_: &Ctx<Sends<Token>>, start: StartEvent) -> Result<StopEvent> {
        let number: u32 = start.get_or("text", String::new())?.parse()?;
        if number == 0 {
            Err("zero")?;
        }
        Ok(StopEvent::new(number))
    }
    let only_numbers = |error: &StepError| error.downcast_ref::<std::num::ParseIntError>().is_none();
    let mut rig = Rig::of(Step::new("step", parse).retry_if(only_numbers));
    let mut failure = |text: &str| {
        rig.input.event = WorkEvent::One(rig.workflow.graph().start, json(&format!(r#"{{"text":{text}}}"#)));
        let done = rig.pass();
        let (error, retry) = failed(&done);
        (error.to_owned(), retry)
    };
    assert_eq!(failure(r#""x""#), ("invalid digit found in string".into(), false));
    assert_eq!(failure(r#""0""#), ("zero".into(), true));
    assert_eq!(failure("5"), ("field text: expected string, got number".into(), false));
    let mut judge_panics = Rig::of(Step::new("step", parse).retry_if(|_| panic!("no judge")));
    assert_eq!(judge_panics.pass().end, PassEnd::Panicked("no judge".into()));
}

#[test]
fn a_full_feed_fails_the_write_with_the_limit_and_a_smaller_write_may_succeed() {
    let mut rig = Rig::new(|ctx, _| {
        ctx.stream(Token { n: 1 })?;
        let error = ctx.stream(Token { n: 1_000_000 }).unwrap_err();
        assert!(error.to_string().contains("at most 67108864 bytes"), "{error}");
        ctx.stream(Token { n: 2 })?;
        Ok(StopEvent::default())
    });
    rig.link = link_with_room(2 * (7 + 16));
    let (done, notes) = rig.pass_notes();
    assert_eq!(result(&done), "{}");
    assert_eq!(streamed(&notes), [(0, r#"{"n":1}"#), (1, r#"{"n":2}"#)]);
}

#[test]
fn types_that_no_step_declares_can_be_streamed_and_the_stop_event_cannot() {
    let rig = Rig::new(|ctx, _| {
        ctx.stream(Undeclared {})?;
        ctx.stream(Undeclared {})?;
        Ok(StopEvent::default())
    });
    let (_, notes) = rig.pass_notes();
    let Note::Stream { event: EventRef::Other(other), .. } = &notes[1] else { panic!("{notes:?}") };
    assert_eq!((&*other.name, &*other.qualified_name), ("Undeclared", "flow.Undeclared"));

    let mut stop = Rig::new(|ctx, _| ctx.stream(StopEvent::new(1)).map(|()| StopEvent::default()));
    assert_eq!(failed(&stop.pass()), ("StopEvent ends a run and cannot be streamed: return it instead", false));
}

#[test]
fn an_output_that_could_not_be_read_again_fails_the_pass() {
    let deep = || (0..101).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let mut rig = Rig::new(move |_, _| Ok(StopEvent::new(deep())));
    assert_eq!(failed(&rig.pass()), ("event StopEvent: nested deeper than 100", false));
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let mut rig = Rig::new(move |_, _| Ok(StopEvent::new(&no_json)));
    assert_eq!(failed(&rig.pass()), ("event StopEvent: key must be a string", false));
}

#[test]
fn ids_are_those_of_the_run_and_the_work() {
    let mut rig = Rig::new(|ctx, _| Ok(StopEvent::new((ctx.run_id(), ctx.handler_id(), ctx.work_id(), ctx.attempt()))));
    rig.input.attempt = 3;
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(result(&rig.pass()), format!(r#"{{"result":["{nil}","handler","{nil}-7",3]}}"#));
}
