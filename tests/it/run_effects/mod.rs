//! What one run does, effect by effect: the sequences that clients see, and corner cases of the rules.

mod bounds;
pub(crate) mod costs;
mod lost;
mod parts;
mod scopes;
mod sequences;
mod state;
mod waits;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use steprill::{
    engine::{
        input::{Effect, External, Input, Outcome, PassId, Refusal, TimerId},
        published::{Published, StepOutput, StepState},
        run::Run,
    },
    graph::{Graph, Retry, sketch::parts},
    json::Json,
    limits::{EARLY_ANSWERS_MAX, ERROR_BYTES_MAX, FEED_BYTES_MAX, RUN_EVENT_BYTES_MAX, RUN_WORKS_MAX},
    now::{Clock, Now},
    pass::{Done, EventRef, NewWait, Note, OnceValue, PassEnd, StateUse, Wait, WorkEvent, Write},
};

/// A run under test: inputs in, effects out as lines of text.
struct Flow {
    graph: Arc<Graph>,
    run: Run,
    now: Now,
}

/// Opens a type of the graph to the outside.
fn open(parts: &mut steprill::graph::Parts, name: &str) {
    parts.events.iter_mut().find(|event| *event.name == *name).expect("an event type").external = true;
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

impl Flow {
    fn new(lines: &str) -> Self {
        Self::with(lines, |_| {})
    }

    /// Builds a graph from lines, modified by `change`.
    fn with(lines: &str, change: impl FnOnce(&mut steprill::graph::Parts)) -> Self {
        let mut parts = parts(lines);
        change(&mut parts);
        let graph = Arc::new(Graph::build(parts).unwrap_or_else(|faults| panic!("refused:\n{faults}")));
        let run = Run::new(Arc::clone(&graph), uuid::Uuid::nil(), "h".into());
        Self { graph, run, now: Now { wall_us: 1_000_000, alive_us: 0 } }
    }

    /// Builds a graph from lines whose first step has this retry policy.
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

    /// Posts an event from outside that is accepted.
    #[track_caller]
    fn post(&mut self, event: &str, value: &str, step: Option<&str>) -> Vec<String> {
        let external = self.external(event, value, step, None);
        assert_eq!(self.run.check_external(&external), Ok(()), "{event} {value} {step:?}");
        self.give(Input::External(external))
    }

    /// Like [`Flow::post`], in reply to the question with that number.
    #[track_caller]
    fn reply(&mut self, event: &str, value: &str, sequence: u64) -> Vec<String> {
        let external = self.external(event, value, None, Some(sequence));
        assert_eq!(self.run.check_external(&external), Ok(()), "{event} {value} to {sequence}");
        self.give(Input::External(external))
    }

    /// Returns why an event from outside is refused, and checks that it changes nothing.
    #[track_caller]
    fn refusal(&mut self, event: &str, value: &str, step: Option<&str>) -> Refusal {
        let external = self.external(event, value, step, None);
        self.refusal_of(external)
    }

    #[track_caller]
    fn refusal_of(&mut self, external: External) -> Refusal {
        let refusal = self.run.check_external(&external).expect_err("it is refused");
        let before = self.run.snapshot();
        check(self.give(Input::External(external)), NONE);
        assert_eq!(self.run.snapshot(), before, "what is refused changes nothing");
        refusal
    }

    fn external(&self, event: &str, value: &str, step: Option<&str>, in_reply_to: Option<u64>) -> External {
        let step = step.map(|step| self.graph.step_id(step).expect("a step"));
        External { step, in_reply_to, ..External::new(self.event(event), json(value)) }
    }

    fn event(&self, name: &str) -> steprill::graph::EventId {
        self.graph.event_id(name).expect("an event type")
    }

    fn events(&self, events: &[(&str, &str)]) -> Vec<(steprill::graph::EventId, Json)> {
        events.iter().map(|(name, value)| (self.event(name), json(value))).collect()
    }

    /// Returns the values that a pass of a fan-in gets.
    fn values(&self, pass: (u64, u32)) -> Vec<String> {
        match self.run.pass_input(pass_id(pass)).expect("a live pass").event {
            WorkEvent::All(events) => events.iter().map(|(_, value)| value.as_str().to_owned()).collect(),
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
            Effect::GoOn => "go on".to_owned(),
            Effect::Disarm(timer) => format!("disarm {}", timer.0),
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
            Published::Retried { step, error, attempt, next_us } => {
                let at_us = next_us - self.now.wall_us.cast_unsigned();
                format!("- retried {} {attempt} in {}ms: {error}", self.graph.step(*step).name, at_us / 1_000)
            }
            Published::StepFailed { step, error, attempts } => {
                format!("- step failed {} {attempts} {error}", self.graph.step(*step).name)
            }
            Published::TimedOut { timeout, active } => {
                let names: Vec<_> = active.iter().map(|step| &*self.graph.step(*step).name).collect();
                format!("- timed out {timeout:?} {}", names.join(" "))
            }
            Published::Cancelled => "- cancelled".to_owned(),
            Published::Ended { step, error } => {
                let step = step.map_or("nobody", |step| &self.graph.step(step).name);
                error.as_ref().map_or("- ended".to_owned(), |error| format!("- ended {step} {error}"))
            }
        }
    }
}

fn pass_id((work, pass): (u64, u32)) -> PassId {
    PassId { work, pass }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "what a call gives goes in as it is")]
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

fn uses(version: u64, reads: &[&str], writes: &[(&str, Write)]) -> StateUse {
    let reads = reads.iter().map(|key| Arc::from(*key)).collect();
    let writes = writes.iter().map(|(key, write)| (Arc::from(*key), write.clone())).collect();
    StateUse { version, reads, listed: false, writes }
}

const NOTHING: PassEnd = PassEnd::Returned(Vec::new());
