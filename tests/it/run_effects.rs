//! What one run does, effect by effect: the sequences that clients see, and the corners of the rules.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use steprill::{
    engine::{
        input::{Effect, Input, Outcome, PassId, Published, Refusal, StepOutput, StepState, TimerId},
        run::Run,
    },
    graph::{Graph, Retry},
    json::Json,
    limits::{EARLY_ANSWERS_MAX, ERROR_BYTES_MAX, FEED_BYTES_MAX, RUN_WORKS_MAX},
    now::{Clock, Now},
    pass::{Done, EventRef, NewWait, Note, OnceValue, PassEnd, StateUse, Wait, WorkEvent, Write},
};

use crate::workflow_graph::parts;

/// A run under test: inputs in, effects out as lines of text.
struct Flow {
    graph: Arc<Graph>,
    run: Run,
    now: Now,
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

impl Flow {
    fn new(lines: &str) -> Self {
        Self::with(lines, |_| {})
    }

    /// A graph in lines, changed by `change`.
    fn with(lines: &str, change: impl FnOnce(&mut steprill::graph::Parts)) -> Self {
        let mut parts = parts(lines);
        change(&mut parts);
        let graph = Arc::new(Graph::build(parts).unwrap_or_else(|faults| panic!("refused:\n{faults}")));
        let run = Run::new(Arc::clone(&graph), uuid::Uuid::nil(), "h".into());
        Self { graph, run, now: Now { wall_us: 1_000_000, alive_us: 0 } }
    }

    /// A graph in lines whose first step retries so many times.
    fn retrying(lines: &str, retry: Retry) -> Self {
        Self::with(lines, |parts| parts.steps[0].retry = retry)
    }

    fn give(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.run.handle(input, self.now, &mut effects);
        effects.iter().map(|effect| self.show(effect)).collect()
    }

    fn start(&mut self) -> Vec<String> {
        self.start_with(&[], true)
    }

    fn start_with(&mut self, state: &[(&str, &str)], admitted: bool) -> Vec<String> {
        let state = state.iter().map(|(key, value)| (Arc::from(*key), json(value))).collect();
        self.give(Input::Started { event: json("{}"), state, admitted, sequence: 0 })
    }

    fn done(&mut self, pass: (u64, u32), end: PassEnd) -> Vec<String> {
        self.done_with(pass, end, &[], StateUse::default())
    }

    fn done_with(&mut self, pass: (u64, u32), end: PassEnd, sent: &[(&str, &str)], state: StateUse) -> Vec<String> {
        let sent = self.events(sent);
        self.give(Input::Done { pass: pass_id(pass), done: Done { end, sent, state } })
    }

    fn returns(&mut self, pass: (u64, u32), events: &[(&str, &str)]) -> Vec<String> {
        let end = PassEnd::Returned(self.events(events));
        self.done(pass, end)
    }

    fn sends(&mut self, pass: (u64, u32), events: &[(&str, &str)]) -> Vec<String> {
        self.done_with(pass, PassEnd::Returned(Vec::new()), events, StateUse::default())
    }

    fn fails(&mut self, pass: (u64, u32), error: &str) -> Vec<String> {
        self.done(pass, PassEnd::Failed { error: error.to_owned(), retry: true })
    }

    fn asks(
        &mut self,
        pass: (u64, u32),
        ordinal: u32,
        matching: &[(&str, &str)],
        timeout_s: Option<u64>,
    ) -> Vec<String> {
        let matching = matching.iter().map(|(member, value)| ((*member).to_owned(), json(value))).collect();
        let (question, answer) = (self.event("NeedQ"), self.event("HumanA"));
        let timeout = timeout_s.map(Duration::from_secs);
        let wait = NewWait::Ask { question, answer, value: json("{}"), matching, timeout };
        self.done(pass, PassEnd::Waits { ordinal, wait })
    }

    fn sleeps(&mut self, pass: (u64, u32), ordinal: u32) -> Vec<String> {
        self.done(pass, PassEnd::Waits { ordinal, wait: NewWait::Sleep(Duration::from_secs(1)) })
    }

    fn due(&mut self, timer: u64) -> Vec<String> {
        self.give(Input::Due { timer: TimerId(timer) })
    }

    fn post(&mut self, event: &str, value: &str, step: Option<&str>) -> Vec<String> {
        let (event, step) = (self.event(event), step.map(|step| self.graph.step_id(step).expect("a step")));
        self.give(Input::External { event, value: json(value), step })
    }

    fn check_post(&self, event: &str, step: Option<&str>) -> Result<(), Refusal> {
        let step = step.map(|step| self.graph.step_id(step).expect("a step"));
        self.run.check_external(self.event(event), step)
    }

    fn event(&self, name: &str) -> steprill::graph::EventId {
        self.graph.event_id(name).expect("an event type")
    }

    fn events(&self, events: &[(&str, &str)]) -> Vec<(steprill::graph::EventId, Json)> {
        events.iter().map(|(name, value)| (self.event(name), json(value))).collect()
    }

    /// The values that a pass of a fan-in is given.
    fn values(&self, pass: (u64, u32)) -> Vec<String> {
        match self.run.pass_input(pass_id(pass)).expect("a live pass").event {
            WorkEvent::All(values) => values.iter().map(|value| value.as_str().to_owned()).collect(),
            WorkEvent::One(..) => panic!("not a fan-in"),
        }
    }

    fn show(&self, effect: &Effect) -> String {
        match effect {
            Effect::StartPass(PassId { work, pass }) => format!("start {work}.{pass}"),
            Effect::Publish(event) => self.show_published(event),
            Effect::Arm(timer, deadline) => {
                let clock = match deadline.clock {
                    Clock::Wall => "wall",
                    Clock::Alive => "alive",
                };
                format!("arm {} {clock} {}ms", timer.0, self.now.until(*deadline).as_millis())
            }
            Effect::Disarm(timer) => format!("disarm {}", timer.0),
            Effect::Dropped(event) => format!("dropped {}", self.graph.event(*event).name),
            Effect::Finish(Outcome::Completed(value)) => format!("finish completed {value:?}"),
            Effect::Finish(Outcome::Failed(error)) => format!("finish failed {error}"),
            Effect::Finish(Outcome::Cancelled) => "finish cancelled".to_owned(),
        }
    }

    fn show_published(&self, event: &Published) -> String {
        let name = |event: &steprill::graph::EventId| &*self.graph.event(*event).name;
        match event {
            Published::Step { step, state, slot, input, output } => {
                let mut line = match state {
                    StepState::Preparing => "- preparing",
                    StepState::Running => "- running",
                    StepState::NotRunning => "- not_running",
                }
                .to_owned();
                let slot = slot.map_or("<enqueued>".to_owned(), |slot| slot.to_string());
                let _ = write!(line, " {} {slot} {}", self.graph.step(*step).name, name(input));
                match output {
                    StepOutput::None => {}
                    StepOutput::Nothing => line.push_str(" -> nothing"),
                    StepOutput::Event(event) => line.extend([" -> ", name(event)]),
                }
                line
            }
            Published::Event(EventRef::Known(event), value) => format!("- {} {value:?}", name(event)),
            Published::Event(EventRef::Other(other), value) => format!("- {} {value:?}", other.name),
            Published::Failed { step, error, attempts } => {
                let step = step.map_or("nobody", |step| &self.graph.step(step).name);
                format!("- failed {step} {attempts} {error}")
            }
            Published::TimedOut { timeout, active } => {
                let names: Vec<_> = active.iter().map(|step| &*self.graph.step(*step).name).collect();
                format!("- timed out {timeout:?} {}", names.join(" "))
            }
            Published::Cancelled => "- cancelled".to_owned(),
            Published::Ended => "- ended".to_owned(),
        }
    }
}

fn pass_id((work, pass): (u64, u32)) -> PassId {
    PassId { work, pass }
}

#[track_caller]
fn check(effects: Vec<String>, expected: &[&str]) {
    assert_eq!(effects, expected);
}

const STOP: (&str, &str) = ("T", "{}");
const NONE: &[&str] = &[];

const INTERACTIVE: &str = "ask: S -> NeedQ
    answer: HumanA -> T";
const APPROVAL: &str = "review: S -> T ? NeedQ/HumanA";
const FAN_OUT: &str = "split: S -> () + Item
    square: Item -> Out
    join: [Out] -> T";

#[test]
fn interactive_shows_its_question_and_waits_for_a_posted_event() {
    let mut flow = Flow::new(INTERACTIVE);
    check(flow.start(), &["- running ask 0 S", "start 0.0"]);
    check(flow.returns((0, 0), &[("NeedQ", "1")]), &["- not_running ask 0 S -> NeedQ", "- NeedQ 1"]);
    assert!(flow.run.pending().is_empty());
    check(flow.post("HumanA", "2", None), &["- running answer 0 HumanA", "start 1.0"]);
    check(flow.returns((1, 0), &[("T", "3")]), &["- not_running answer 0 HumanA -> T", "- T 3", "finish completed 3"]);
    assert_eq!(flow.run.outcome(), Some(&Outcome::Completed(json("3"))));
}

#[test]
fn approval_gives_its_slot_back_while_it_asks() {
    let mut flow = Flow::new(APPROVAL);
    check(flow.start(), &["- running review 0 S", "start 0.0"]);
    check(flow.asks((0, 0), 0, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", r#"{"ok":true}"#, None), &["- running review 0 S", "start 0.1"]);
    let waits = flow.run.pass_input(pass_id((0, 1))).expect("a live pass").waits;
    let answer = Some(json(r#"{"ok":true}"#));
    assert_eq!(*waits, [Wait::Asked { question: flow.event("NeedQ"), answer }]);
    check(flow.returns((0, 1), &[STOP]), &["- not_running review 0 S -> T", "- T {}", "finish completed {}"]);
}

#[test]
fn an_early_answer_gives_the_same_events_as_a_late_one() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    check(flow.post("HumanA", "{}", None), NONE);
    check(
        flow.asks((0, 0), 0, &[], Some(5)),
        &["- not_running review 0 S", "- NeedQ {}", "- running review 0 S", "start 0.1"],
    );
}

#[test]
fn fan_out_queues_beyond_the_slots_and_collects_in_order_of_emission() {
    let mut flow = Flow::with(FAN_OUT, |parts| parts.steps[1].workers = 2);
    check(flow.start(), &["- running split 0 S", "start 0.0"]);
    check(
        flow.sends((0, 0), &[("Item", "1"), ("Item", "2"), ("Item", "3")]),
        &[
            "- not_running split 0 S -> nothing",
            "- running square 0 Item",
            "start 1.0",
            "- running square 1 Item",
            "start 2.0",
            "- preparing square <enqueued> Item",
        ],
    );
    check(
        flow.returns((2, 0), &[("Out", "4")]),
        &["- not_running square 1 Item -> Out", "- running square 1 Item", "start 3.0"],
    );
    check(flow.returns((3, 0), &[("Out", "9")]), &["- not_running square 1 Item -> Out"]);
    check(
        flow.returns((1, 0), &[("Out", "1")]),
        &["- not_running square 0 Item -> Out", "- running join 0 Out", "start 4.0"],
    );
    assert_eq!(flow.values((4, 0)), ["1", "4", "9"]);
    check(flow.returns((4, 0), &[STOP]), &["- not_running join 0 Out -> T", "- T {}", "finish completed {}"]);
}

#[test]
fn an_empty_fan_out_gives_an_empty_fan_in() {
    let mut flow = Flow::new(FAN_OUT);
    flow.start();
    check(flow.returns((0, 0), &[]), &["- not_running split 0 S -> nothing", "- running join 0 Out", "start 1.0"]);
    assert!(flow.values((1, 0)).is_empty());
}

#[test]
fn flaky_is_retried_after_its_delay_and_fails_for_good_after_the_last_attempt() {
    let mut flow = Flow::retrying("attempt: S -> T", Retry::fixed(Duration::from_millis(10)).attempts(2));
    check(flow.start(), &["- running attempt 0 S", "start 0.0"]);
    check(flow.fails((0, 0), "attempt 1 failed"), &["- not_running attempt 0 S", "arm 1 wall 10ms"]);
    check(flow.due(1), &["- running attempt 0 S", "start 0.1"]);
    assert_eq!(flow.run.pass_input(pass_id((0, 1))).expect("a live pass").attempt, 2);
    check(
        flow.fails((0, 1), "attempt 2 failed"),
        &[
            "- not_running attempt 0 S",
            "- failed attempt 2 attempt 2 failed",
            "- ended",
            "finish failed attempt 2 failed",
        ],
    );
    check(flow.due(1), NONE);
}

#[test]
fn a_retry_delay_holds_no_slot() {
    let mut flow = Flow::with("a: S -> S|T", |parts| {
        parts.steps[0].workers = 1;
        parts.steps[0].retry = Retry::fixed(Duration::from_secs(1));
    });
    flow.start();
    check(flow.post("S", "{}", None), &["- preparing a <enqueued> S"]);
    check(flow.fails((0, 0), "x"), &["- not_running a 0 S", "arm 1 wall 1000ms", "- running a 0 S", "start 1.0"]);
    check(flow.due(1), &["- preparing a <enqueued> S"]);
    check(flow.returns((1, 0), &[]), &["- not_running a 0 S -> nothing", "- running a 0 S", "start 0.1"]);
}

#[test]
fn a_failure_that_is_not_worth_it_is_not_retried() {
    for end in [PassEnd::Failed { error: "no".into(), retry: false }, PassEnd::Diverged("no".into())] {
        let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
        flow.start();
        check(flow.done((0, 0), end), &["- not_running a 0 S", "- failed a 1 no", "- ended", "finish failed no"]);
    }
}

#[test]
fn panics_and_time_outs_retry_like_failures_and_say_so() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO).attempts(2));
    flow.start();
    check(flow.done((0, 0), PassEnd::TimedOut), &["- not_running a 0 S", "arm 1 wall 0ms"]);
    flow.due(1);
    let effects = flow.done((0, 1), PassEnd::Panicked("boom".into()));
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a panicked: boom"));

    let mut flow = Flow::with("a: S -> T", |parts| parts.steps[0].timeout = Some(Duration::from_millis(1500)));
    flow.start();
    let effects = flow.done((0, 0), PassEnd::TimedOut);
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a timed out after 1.5 seconds"));
}

#[test]
fn an_attempt_begins_no_later_than_the_total_time_allows() {
    let retry = Retry::fixed(Duration::from_secs(1)).attempts(9).within(Duration::from_secs(3));
    let mut flow = Flow::retrying("a: S -> T", retry);
    flow.start();
    flow.now.alive_us = 2_000_000;
    check(flow.fails((0, 0), "x"), &["- not_running a 0 S", "arm 1 wall 1000ms"]);
    flow.due(1);
    flow.now.alive_us = 2_000_001;
    assert_eq!(flow.fails((0, 1), "x").last().map(String::as_str), Some("finish failed x"));
}

#[test]
fn the_runs_time_out_names_the_steps_with_live_work() {
    let mut flow = Flow::with("a: S -> T ? NeedQ/HumanA\nb: S -> T", |parts| {
        parts.timeout = Some(Duration::from_millis(200));
    });
    check(flow.start(), &["arm 0 alive 200ms", "- running a 0 S", "start 0.0", "- running b 0 S", "start 1.0"]);
    flow.asks((0, 0), 0, &[], Some(1));
    check(
        flow.due(0),
        &[
            "- timed out 200ms a b",
            "- ended",
            "disarm 2",
            "finish failed Operation timed out after 0.2 seconds. Currently active steps: a, b",
        ],
    );
    check(flow.due(0), NONE);

    let mut flow = Flow::with(INTERACTIVE, |parts| parts.timeout = Some(Duration::from_secs(60)));
    flow.start();
    flow.returns((0, 0), &[("NeedQ", "1")]);
    let effects = flow.due(0);
    assert_eq!(
        effects.last().map(String::as_str),
        Some("finish failed Operation timed out after 60 seconds. No steps active")
    );
}

#[test]
fn a_cancelled_run_ends_at_once_and_ignores_what_comes_after() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    check(flow.give(Input::Cancel), &["- cancelled", "- ended", "finish cancelled"]);
    check(flow.give(Input::Cancel), NONE);
    check(flow.returns((0, 0), &[STOP]), NONE);
    check(flow.post("HumanA", "{}", None), NONE);
    check(flow.start(), NONE);
    assert_eq!(flow.check_post("HumanA", None), Err(Refusal::Ended));
    assert_eq!((flow.run.pending(), flow.run.pass_step(pass_id((0, 0)))), (vec![], None));
}

#[test]
fn a_run_with_nothing_left_to_do_fails_unless_somebody_outside_may_answer() {
    let mut flow = Flow::new("a: S -> T");
    flow.start();
    let error = "no step is left to run and none returned T";
    let failed = format!("- failed nobody 0 {error}");
    let finish = format!("finish failed {error}");
    check(flow.returns((0, 0), &[]), &["- not_running a 0 S -> nothing", &failed, "- ended", &finish]);

    let mut flow = Flow::new(APPROVAL);
    flow.start();
    check(flow.returns((0, 0), &[]), &["- not_running review 0 S -> nothing"]);
}

#[test]
fn a_run_that_is_not_admitted_reduces_but_starts_nothing() {
    let mut flow = Flow::with(APPROVAL, |parts| parts.timeout = Some(Duration::from_secs(1)));
    check(flow.start_with(&[], false), &["- running review 0 S"]);
    check(flow.post("HumanA", "{}", None), NONE);
    assert_eq!((flow.run.pending(), flow.run.pass_step(pass_id((0, 0)))), (vec![], None));
    check(flow.returns((0, 0), &[STOP]), NONE);
    flow.now.alive_us = 7;
    check(flow.give(Input::Admitted), &["arm 0 alive 1000ms", "start 0.0"]);
    check(flow.give(Input::Admitted), NONE);
    assert_eq!(flow.run.pending().len(), 2);
}

#[test]
fn an_event_goes_to_every_step_that_takes_it_in_order_of_names() {
    let mut flow = Flow::new("z: S -> T\na: S -> T");
    check(flow.start(), &["- running a 0 S", "start 0.0", "- running z 0 S", "start 1.0"]);
}

#[test]
fn a_returned_question_shows_and_is_routed_too() {
    let mut flow = Flow::new("ask: S -> NeedQ\nwatch: NeedQ -> T\nanswer: HumanA -> T");
    flow.start();
    check(
        flow.returns((0, 0), &[("NeedQ", "1")]),
        &["- not_running ask 0 S -> NeedQ", "- NeedQ 1", "- running watch 0 NeedQ", "start 1.0"],
    );
}

#[test]
fn the_freed_slot_takes_the_oldest_queued_work_before_new_events_are_routed() {
    let mut flow = Flow::with("a: S -> S|T", |parts| parts.steps[0].workers = 1);
    flow.start();
    flow.post("S", "1", None);
    check(
        flow.returns((0, 0), &[("S", "2")]),
        &["- not_running a 0 S -> S", "- running a 0 S", "start 1.0", "- preparing a <enqueued> S"],
    );
}

#[test]
fn a_sleep_keeps_its_slot_and_publishes_nothing() {
    let mut flow = Flow::with("a: S -> S|T", |parts| parts.steps[0].workers = 1);
    flow.start();
    flow.post("S", "1", None);
    check(flow.sleeps((0, 0), 0), &["arm 1 wall 1000ms"]);
    assert_eq!(flow.run.pending().len(), 1);
    check(flow.due(1), &["start 0.1"]);
    assert_eq!(*flow.run.pass_input(pass_id((0, 1))).expect("a live pass").waits, [Wait::Slept]);
}

#[test]
fn an_answer_goes_to_the_oldest_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    flow.asks((1, 0), 0, &[("n", "1")], None);
    flow.asks((0, 0), 0, &[], None);
    check(flow.post("HumanA", r#"{"n":2}"#, Some("b")), &["dropped HumanA"]);
    check(flow.post("HumanA", r#"{"n":1}"#, None), &["- running b 0 S", "start 1.1"]);
    check(flow.post("HumanA", r#"{"n":1}"#, Some("a")), &["- running a 0 S", "start 0.1"]);
    check(flow.post("HumanA", r#"{"n":1}"#, None), &["dropped HumanA"]);
}

#[test]
fn an_early_answer_waits_for_a_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    check(flow.post("HumanA", r#"{"n":1}"#, None), NONE);
    check(flow.post("HumanA", r#"{"n":2}"#, Some("b")), NONE);
    check(flow.asks((0, 0), 0, &[("n", "2")], None), &["- not_running a 0 S", "- NeedQ {}"]);
    let effects = flow.asks((1, 0), 0, &[("n", "2")], None);
    check(effects, &["- not_running b 0 S", "- NeedQ {}", "- running b 0 S", "start 1.1"]);
    check(flow.post("HumanA", r#"{"n":3}"#, None), &["dropped HumanA"]);
}

#[test]
fn early_answers_are_bounded_and_refused_beyond() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    for _ in 0..EARLY_ANSWERS_MAX {
        assert_eq!(flow.check_post("HumanA", Some("review")), Ok(()));
        check(flow.post("HumanA", "{}", None), NONE);
    }
    assert_eq!(flow.check_post("HumanA", None), Err(Refusal::EarlyAnswersFull));
    check(flow.post("HumanA", "{}", None), &["dropped HumanA"]);
}

#[test]
fn a_named_step_must_take_or_await_the_type() {
    let mut flow = Flow::new("a: S -> () + Item\nb: Item -> Out\nj: [Out] -> T\nr: Item -> () ? NeedQ/HumanA");
    flow.start();
    let refused = Err(Refusal::StepDoesNotAccept);
    assert_eq!([flow.check_post("HumanA", Some("a")), flow.check_post("Out", Some("j"))], [refused, refused]);
    assert_eq!([flow.check_post("HumanA", Some("r")), flow.check_post("Item", Some("b"))], [Ok(()), Ok(())]);
    check(flow.post("Item", "1", Some("b")), &["- running b 0 Item", "start 1.0"]);
    check(flow.post("Out", "1", None), &["dropped Out"]);
    check(flow.post("T", "1", None), &["dropped T"]);
}

#[test]
fn a_question_times_out_on_the_alive_clock_and_is_asked_again_in_the_next_attempt_alone() {
    let mut flow = Flow::retrying(APPROVAL, Retry::fixed(Duration::ZERO));
    flow.start();
    check(flow.asks((0, 0), 0, &[], Some(5)), &["- not_running review 0 S", "- NeedQ {}", "arm 2 alive 5000ms"]);
    check(flow.due(2), &["- running review 0 S", "start 0.1"]);
    let question = flow.event("NeedQ");
    let waits = |flow: &Flow, pass| flow.run.pass_input(pass_id(pass)).expect("a live pass").waits.to_vec();
    assert_eq!(waits(&flow, (0, 1)), [Wait::Asked { question, answer: None }]);
    flow.sleeps((0, 1), 1);
    flow.due(3);
    assert_eq!(waits(&flow, (0, 2)), [Wait::Asked { question, answer: None }, Wait::Slept]);
    flow.fails((0, 2), "nobody answered");
    flow.due(4);
    assert_eq!(waits(&flow, (0, 3)), [Wait::Forgotten { question }, Wait::Slept]);
    check(flow.asks((0, 3), 0, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", "1", None), &["- running review 0 S", "start 0.4"]);
    assert_eq!(waits(&flow, (0, 4)), [Wait::Asked { question, answer: Some(json("1")) }, Wait::Slept]);
}

#[test]
fn an_answer_in_time_disarms_the_time_out() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    flow.asks((0, 0), 0, &[], Some(5));
    check(flow.post("HumanA", "1", None), &["disarm 2", "- running review 0 S", "start 0.1"]);
    check(flow.due(2), NONE);
}

#[test]
fn a_wait_that_does_not_fit_fails_the_run() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    let effects = flow.sleeps((0, 0), 1);
    assert!(effects.last().is_some_and(|last| last.contains("wait number 1 that does not fit")), "{effects:?}");
}

fn uses(version: u64, reads: &[&str], writes: &[(&str, Write)]) -> StateUse {
    let reads = reads.iter().map(|key| Arc::from(*key)).collect();
    let writes = writes.iter().map(|(key, write)| (Arc::from(*key), write.clone())).collect();
    StateUse { version, reads, listed: false, writes }
}

const NOTHING: PassEnd = PassEnd::Returned(Vec::new());

#[test]
fn a_conflict_runs_the_body_again_on_a_new_snapshot_and_publishes_nothing() {
    let mut flow = Flow::new("a: S -> T\nb: S -> T");
    flow.start();
    let set = [("k", Write::Set(json("1")))];
    flow.done_with((0, 0), NOTHING, &[], uses(0, &[], &set));
    check(flow.done_with((1, 0), NOTHING, &[], uses(0, &["k"], &set)), &["start 1.1"]);
    check(flow.done_with((1, 0), NOTHING, &[], uses(0, &[], &[])), NONE);
    let state = flow.run.pass_input(pass_id((1, 1))).expect("a live pass").state;
    assert_eq!((state.version, &*state.values), (1, &BTreeMap::from([("k".into(), json("1"))])));
    let effects = flow.done_with((1, 1), PassEnd::Returned(flow.events(&[STOP])), &[], uses(1, &["k"], &[]));
    check(effects, &["- not_running b 0 S -> T", "- T {}", "finish completed {}"]);
    assert_eq!(flow.run.state(), BTreeMap::from([("k".into(), json("1"))]));
}

#[test]
fn a_work_that_conflicts_three_times_runs_alone() {
    let mut flow = Flow::new("a: S -> S|T\nb: S -> T\nc: S -> T");
    flow.start();
    let set = [("k", Write::Set(json("1")))];
    // Works 0 to 2 are of a, b, c; each round of a's loop adds three.
    for (round, next) in [(0, 3), (1, 6), (2, 9)] {
        let again = PassEnd::Returned(flow.events(&[("S", "{}")]));
        let looping = if round == 0 { (0, 0) } else { (next - 3, 0) };
        flow.done_with(looping, again, &[], uses(99, &[], &set));
        let expected: &[&str] = [&["start 1.1"][..], &["start 1.2"], NONE][round];
        check(flow.done_with((1, round as u32), NOTHING, &[], uses(0, &["k"], &[])), expected);
    }
    let held = flow.post("S", "{}", Some("c"));
    check(held, &["- preparing c <enqueued> S"]);
    for work in [2, 4, 5, 7, 8, 10, 11] {
        flow.returns((work, 0), &[]);
    }
    assert_eq!(flow.run.pending().len(), 1, "only a's newest pass still runs: {:?}", flow.run.pending());
    let effects = flow.returns((9, 0), &[]);
    assert_eq!(effects.last().map(String::as_str), Some("start 1.3"), "{effects:?}");
    check(flow.post("S", "{}", Some("a")), &["- running a 0 S"]);
    let effects = flow.done_with((1, 3), NOTHING, &[], uses(9, &["k"], &[]));
    assert!(effects.iter().any(|effect| effect.starts_with("start 12.")), "the held ones go on: {effects:?}");
    assert!(effects.iter().any(|effect| effect.starts_with("start 13.")), "the held ones go on: {effects:?}");
}

#[test]
fn a_write_of_the_wrong_type_fails_the_pass_and_writes_nothing() {
    let mut flow = Flow::new("a: S -> T");
    flow.start_with(&[("k", "\"text\"")], true);
    let writes = [("n", Write::Set(json("1"))), ("k", Write::Add(json("1")))];
    let effects = flow.done_with((0, 0), PassEnd::Returned(flow.events(&[STOP])), &[], uses(0, &[], &writes));
    let error = "state key `k`: `add` needs a number, found a string";
    assert_eq!(effects.last(), Some(&format!("finish failed {error}")));
    assert_eq!(flow.run.state().len(), 1);
}

fn stream(ordinal: u32, hash: u128) -> Note {
    let event = steprill::pass::OtherEvent {
        name: "Tick".into(),
        qualified_name: "m.Tick".into(),
        kind: steprill::graph::EventKind::Plain,
    };
    Note::Stream { ordinal, hash, event: EventRef::Other(Arc::new(event)), value: json(&hash.to_string()) }
}

#[test]
fn stream_writes_are_known_by_ordinal_and_hash_until_the_first_that_differs() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
    flow.start();
    let note = |flow: &mut Flow, pass, notes: Vec<Note>| flow.give(Input::Noted { pass: pass_id(pass), notes });
    check(
        note(&mut flow, (0, 0), vec![stream(0, 1), stream(1, 2), stream(2, 3)]),
        &["- Tick 1", "- Tick 2", "- Tick 3"],
    );
    flow.sleeps((0, 0), 0);
    check(note(&mut flow, (0, 0), vec![stream(3, 4)]), NONE);
    flow.due(1);
    assert_eq!(*flow.run.pass_input(pass_id((0, 1))).expect("a live pass").published, [1, 2, 3]);
    check(note(&mut flow, (0, 1), vec![stream(0, 1), stream(1, 9), stream(2, 3)]), &["- Tick 9", "- Tick 3"]);
    flow.fails((0, 1), "x");
    flow.due(2);
    assert!(flow.run.pass_input(pass_id((0, 2))).expect("a live pass").published.is_empty());
    check(note(&mut flow, (0, 2), vec![stream(0, 1)]), &["- Tick 1"]);
}

#[test]
fn once_values_last_over_passes_and_attempts() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
    flow.start();
    let once = |value: &str| OnceValue { value: json(value), stream_ordinal: 0 };
    let note = |ordinal, value| Note::Once { ordinal, value: once(value) };
    flow.give(Input::Noted { pass: pass_id((0, 0)), notes: vec![note(0, "1"), note(0, "2"), note(1, "3")] });
    flow.fails((0, 0), "x");
    flow.due(1);
    assert_eq!(*flow.run.pass_input(pass_id((0, 1))).expect("a live pass").once, [once("1"), once("3")]);
    let effects = flow.give(Input::Noted { pass: pass_id((0, 1)), notes: vec![note(5, "1")] });
    assert_eq!(effects.last().map(String::as_str), Some("finish failed Step a: its `once` number 5 comes after 2"));
}

#[test]
fn stream_writes_after_a_skipped_once_keep_their_ordinals_in_a_new_attempt() {
    let mut flow = Flow::retrying("a: S -> T", Retry::fixed(Duration::ZERO));
    flow.start();
    let note = |flow: &mut Flow, pass, notes: Vec<Note>| flow.give(Input::Noted { pass: pass_id(pass), notes });
    let once = Note::Once { ordinal: 0, value: OnceValue { value: json("1"), stream_ordinal: 2 } };
    check(
        note(&mut flow, (0, 0), vec![stream(0, 1), stream(1, 2), once, stream(2, 3)]),
        &["- Tick 1", "- Tick 2", "- Tick 3"],
    );
    flow.fails((0, 0), "x");
    flow.due(1);
    check(note(&mut flow, (0, 1), vec![stream(2, 3)]), &["- Tick 3"]);
    flow.sleeps((0, 1), 0);
    flow.due(2);
    assert_eq!(flow.run.pass_input(pass_id((0, 2))).expect("a live pass").published[2], 3);
    let effects = note(&mut flow, (0, 2), vec![stream(4, 5)]);
    assert_eq!(
        effects.last().map(String::as_str),
        Some("finish failed Step a: its stream write number 4 comes after 3")
    );
}

#[test]
fn inner_scopes_close_first_and_their_output_is_ordered_by_the_outer_one() {
    let mut flow = Flow::new(
        "a: S -> [Group]
        b: Group -> [Item]
        c: Item -> Out
        d: [Out] -> Sum
        e: [Sum] -> T",
    );
    flow.start();
    flow.returns((0, 0), &[("Group", "1"), ("Group", "2")]);
    flow.returns((2, 0), &[("Item", "21"), ("Item", "22")]);
    flow.returns((1, 0), &[("Item", "11")]);
    for (work, value) in [(4, "22"), (3, "21")] {
        flow.returns((work, 0), &[("Out", value)]);
    }
    assert_eq!(flow.values((6, 0)), ["21", "22"]);
    flow.returns((6, 0), &[("Sum", "2")]);
    flow.returns((5, 0), &[("Out", "11")]);
    assert_eq!(flow.values((7, 0)), ["11"]);
    flow.returns((7, 0), &[("Sum", "1")]);
    assert_eq!(flow.values((8, 0)), ["1", "2"]);
}

#[test]
fn a_single_event_of_an_opener_stays_outside_and_comes_before_its_fan_in() {
    let mut flow = Flow::new(
        "a: S -> [Group]
        b: Group -> Sum + Item
        c: Item -> Out
        d: [Out] -> Sum
        e: [Sum] -> T",
    );
    flow.start();
    flow.returns((0, 0), &[("Group", "1")]);
    let end = PassEnd::Returned(flow.events(&[("Sum", "\"single\"")]));
    let sent = [("Item", "1"), ("Item", "2"), ("Item", "3")];
    flow.done_with((1, 0), end, &sent, StateUse::default());
    for work in [2, 3, 4] {
        flow.returns((work, 0), &[("Out", "1")]);
    }
    flow.returns((5, 0), &[("Sum", "\"fan-in\"")]);
    assert_eq!(flow.values((6, 0)), ["\"single\"", "\"fan-in\""]);
}

#[test]
fn a_question_or_a_delay_keeps_a_scope_open() {
    let mut flow = Flow::with(
        "a: S -> [Item]
        b: Item -> Out ? NeedQ/HumanA
        j: [Out] -> T",
        |parts| parts.steps[1].retry = Retry::fixed(Duration::ZERO),
    );
    flow.start();
    flow.returns((0, 0), &[("Item", "1"), ("Item", "2")]);
    check(flow.asks((1, 0), 0, &[], None), &["- not_running b 0 Item", "- NeedQ {}"]);
    check(flow.fails((2, 0), "x"), &["- not_running b 1 Item", "arm 3 wall 0ms"]);
    flow.due(3);
    check(flow.returns((2, 1), &[("Out", "2")]), &["- not_running b 0 Item -> Out"]);
    flow.post("HumanA", "{}", None);
    let effects = flow.returns((1, 1), &[("Out", "1")]);
    assert_eq!(effects.last().map(String::as_str), Some("start 3.0"));
    assert_eq!(flow.values((3, 0)), ["1", "2"]);
}

#[test]
fn more_works_than_a_run_may_have_fail_it() {
    let mut flow = Flow::new(FAN_OUT);
    flow.start();
    let items = vec![("Item", "1"); RUN_WORKS_MAX + 1];
    let effects = flow.sends((0, 0), &items);
    assert!(effects.last().is_some_and(|last| last.contains("100001 works")), "{:?}", effects.last());

    let mut flow = Flow::new(FAN_OUT);
    flow.start();
    flow.sends((0, 0), &items[1..]);
    assert_eq!(flow.check_post("Item", None), Err(Refusal::WorksFull));
    check(flow.post("Item", "1", None), &["dropped Item"]);
    assert!(flow.run.outcome().is_none());
}

#[test]
fn a_pass_whose_events_do_not_fit_the_feed_fails_the_run() {
    let mut flow = Flow::new("ask: S -> NeedQ\nanswer: HumanA|NeedQ -> NeedQ|T");
    flow.start();
    let big = format!("\"{}\"", "x".repeat(FEED_BYTES_MAX / 2));
    flow.returns((0, 0), &[("NeedQ", &big)]);
    let before = flow.run.feed_bytes();
    let effects = flow.returns((1, 0), &[("NeedQ", &big)]);
    assert!(effects.last().is_some_and(|last| last.contains("67108864 bytes")), "{:?}", effects.last());
    assert!(flow.run.feed_bytes() - before < 1_000);
}

#[test]
fn error_texts_are_cut_between_characters() {
    let mut flow = Flow::new("a: S -> T");
    flow.start();
    flow.fails((0, 0), &"ä€".repeat(ERROR_BYTES_MAX));
    let Some(Outcome::Failed(error)) = flow.run.outcome() else { panic!("it failed") };
    assert!((ERROR_BYTES_MAX - 3..=ERROR_BYTES_MAX).contains(&error.len()));
}

#[test]
fn types_that_the_graph_does_not_have_fail_the_run_or_are_dropped() {
    let unknown = steprill::graph::EventId(999);
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    let mut effects = Vec::new();
    let external = Input::External { event: unknown, value: json("1"), step: None };
    flow.run.handle(external, flow.now, &mut effects);
    assert_eq!(effects, [Effect::Dropped(unknown)]);
    let effects = flow.done((0, 0), PassEnd::Returned(vec![(unknown, json("1"))]));
    assert!(effects.last().is_some_and(|last| last.contains("does not have")));
}
