//! A workflow in a test: the pure run, scripted answers, and a clock that advances only when nothing else can be done.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use crate::{
    engine::{
        input::{Effect, External, Input, Outcome, PassId, Refusal, TimerId},
        published::Published,
        run::Run,
    },
    graph::{EventKind, Graph},
    json::Json,
    limits::{FEED_BYTES_MAX, FEED_BYTES_RESERVED, TEST_INPUTS_MAX},
    now::{Deadline, Now},
    pass::{Done, EventRef, PassEnd},
    workflow::{Event, Runs, Workflow, link::PassLink},
};

/// A workflow to be tested, and what the outside world does while it runs. Created by
/// [`Runtime::test`](crate::Runtime::test).
///
/// The run is the same as in a server, with the same passes, retries, waits and time-outs, but there are no sockets, no
/// threads and no waiting. The bodies of the steps run one after the other on the calling thread, with a clock of their
/// own. It stands still while a body runs, except for `ctx.pause`, which takes no real time. When nothing is left to
/// run, the scripted answers are posted, in order of their questions; if there are none, the clock jumps to the next
/// timer: a sleep, the delay before a retry, a time-out.
///
/// ```
/// use std::time::Duration;
/// use steprill::{Answer, Asks, Ctx, Result, Runtime, StartEvent, StopEvent, Step, Workflow, event};
///
/// event! {
///     struct NameWanted: Asks<NameGiven> { greeting: String }
///     struct NameGiven { name: String }
/// }
///
/// const DAY: Duration = Duration::from_secs(86_400);
///
/// fn greet(ctx: &Ctx<Asks<NameWanted>>, _: StartEvent) -> Result<StopEvent> {
///     match ctx.ask(NameWanted { greeting: "hello".into() }).timeout(DAY).wait()? {
///         Answer::Given(NameGiven { name }) => Ok(StopEvent::new(format!("hello {name}"))),
///         Answer::TimedOut => Ok(StopEvent::new("hello whoever you are")),
///     }
/// }
///
/// let greeter = Workflow::new::<StartEvent, StopEvent>("greeter").add(Step::new("greet", greet)).build().unwrap();
///
/// let answered = Runtime::test(&greeter)
///     .answer(|question: NameWanted| NameGiven { name: format!("{} Ada", question.greeting) })
///     .run(StartEvent::new());
/// assert_eq!(answered.stop::<StopEvent>().result::<String>().unwrap(), "hello hello Ada");
/// assert_eq!(answered.names(), ["NameWanted", "StopEvent"]);
///
/// let late = Runtime::test(&greeter).run(StartEvent::new());
/// assert_eq!(late.stop::<StopEvent>().result::<String>().unwrap(), "hello whoever you are");
/// assert_eq!(late.elapsed, DAY);
/// ```
#[must_use = "nothing runs before `.run(start)`"]
pub struct WorkflowTest<'a> {
    workflow: &'a Workflow,
    scripts: Vec<Script<'a>>,
    posts: Vec<(Duration, Post)>,
}

/// The result of a run in a test.
#[derive(Clone, PartialEq, Debug)]
pub struct TestRun {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took by its own clock.
    pub elapsed: Duration,
    /// The events that clients would see, without internal ones, by name.
    events: Vec<(String, Json)>,
}

/// Reacts to a visible event.
struct Script<'a> {
    shown: String,
    reply: Box<dyn FnMut(&Json) -> Post + 'a>,
}

/// An event from outside.
#[derive(Clone)]
struct Post {
    name: String,
    value: Json,
}

impl<'a> WorkflowTest<'a> {
    pub(super) fn new(workflow: &'a Workflow) -> Self {
        Self { workflow, scripts: Vec::new(), posts: Vec::new() }
    }

    /// Answers every visible `Q` with the result of the closure: a question of `ctx.ask`, an input-required event that
    /// a step returns, or any event that a step streams. A question without a script is not answered.
    ///
    /// # Panics
    /// In [`WorkflowTest::run`], if an event with the name of `Q` is not a `Q`.
    pub fn answer<Q: Event, A: Event>(mut self, mut answer: impl FnMut(Q) -> A + 'a) -> Self {
        let reply = move |shown: &Json| {
            let shown = shown.decode::<Q>();
            Post::of(&answer(shown.unwrap_or_else(|error| panic!("a {} that was shown: {error}", Q::name()))))
        };
        self.scripts.push(Script { shown: Q::name().into_owned(), reply: Box::new(reply) });
        self
    }

    /// Posts an event after this much time on the clock of the run.
    pub fn post_after<E: Event>(mut self, after: Duration, event: &E) -> Self {
        self.posts.push((after, Post::of(event)));
        self
    }

    /// Runs the workflow from `start` to its end.
    ///
    /// # Panics
    /// If the run cannot end: it waits for somebody whose answer is not scripted, it refuses what is posted, or it
    /// continues forever. The message says which.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a run uses its start event up")]
    pub fn run<S: Event>(self, start: S) -> TestRun {
        let mut trial = Trial::new(self);
        match trial.play(&Post::of(&start)) {
            Ok(outcome) => TestRun { outcome, elapsed: trial.age(), events: trial.events },
            Err(fault) => panic!("workflow {}: {fault}", trial.graph.name),
        }
    }
}

impl TestRun {
    /// Returns the stop event.
    ///
    /// # Panics
    /// If the run did not complete, or its stop event is not a `T`.
    #[track_caller]
    pub fn stop<T: Event>(&self) -> T {
        match &self.outcome {
            Outcome::Completed(value) => {
                value.decode().unwrap_or_else(|error| panic!("the run did not end with a {}: {error}", T::name()))
            }
            other => panic!("the run did not complete: {other:?}"),
        }
    }

    /// Returns the text of the error, if the run failed.
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Completed(_) | Outcome::Cancelled => None,
        }
    }

    /// Returns the events of this type that clients would see, in order.
    pub fn events<E: Event>(&self) -> Vec<E> {
        let shown = self.events.iter().filter(|(name, _)| *name == E::name());
        shown.filter_map(|(_, value)| value.decode().ok()).collect()
    }

    /// Returns the names of all events that clients would see, without internal ones, in order.
    pub fn names(&self) -> Vec<&str> {
        self.events.iter().map(|(name, _)| &**name).collect()
    }
}

impl Post {
    #[track_caller]
    fn of<E: Event>(event: &E) -> Self {
        let value = Json::from_value(event).unwrap_or_else(|error| panic!("event {}: {error}", E::name()));
        Self { name: E::name().into_owned(), value }
    }
}

/// The run, and the world around it.
struct Trial<'a> {
    workflow: &'a Workflow,
    graph: Arc<Graph>,
    run: Run,
    now: Now,
    scripts: Vec<Script<'a>>,
    /// Events that are posted at a set time, in order.
    later: VecDeque<(Duration, Post)>,
    /// Events that are posted once nothing is left to run.
    posts: VecDeque<Post>,
    ready: VecDeque<PassId>,
    /// Whether the run has deferred something.
    goes_on: bool,
    timers: BTreeMap<TimerId, Deadline>,
    events: Vec<(String, Json)>,
    /// Questions without a script.
    unanswered: Vec<String>,
    outcome: Option<Outcome>,
    inputs: usize,
}

/// Why a run in a test cannot end.
#[derive(Debug)]
enum TrialError {
    /// The workflow starts with another event.
    WrongStart { expected: Box<str>, got: String },
    /// This step is not a function of Rust.
    NotRust { step: String },
    /// It goes on after more inputs than a test has.
    Endless,
    /// It has ended without an outcome.
    NoOutcome,
    /// The workflow has no event with the name of one that is posted.
    UnknownEvent(String),
    /// The run refuses an event that is posted.
    Refused { name: String, refusal: Refusal },
    /// The run waits for an answer to this question, or for an event, that nobody posts.
    Waits { question: Option<String> },
}

impl fmt::Display for TrialError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongStart { expected, got } => write!(out, "it starts with {expected}, not {got}"),
            Self::NotRust { step } => {
                write!(out, "its step {step} is not a function of Rust, which is what this can test")
            }
            Self::Endless => {
                write!(out, "it goes on for ever: {TEST_INPUTS_MAX} passes, answers and timers were not enough")
            }
            Self::NoOutcome => out.write_str("it has no outcome"),
            Self::UnknownEvent(name) => write!(out, "it has no event {name}, which is posted"),
            Self::Refused { name, refusal } => write!(out, "it does not take the {name} that is posted: {refusal:?}"),
            Self::Waits { question: Some(question) } => write!(
                out,
                "it waits for ever: nobody answers `{question}`; script it with `.answer(|question: {question}| ..)`"
            ),
            Self::Waits { question: None } => {
                out.write_str("it waits for ever for an event from outside: post it with `.post_after(..)`")
            }
        }
    }
}

impl<'a> Trial<'a> {
    fn new(test: WorkflowTest<'a>) -> Self {
        let WorkflowTest { workflow, scripts, mut posts } = test;
        posts.sort_by_key(|(after, _)| *after);
        let graph = Arc::clone(workflow.graph());
        Self {
            workflow,
            run: Run::new(Arc::clone(&graph), uuid::Uuid::nil(), "test".into()),
            graph,
            now: START,
            scripts,
            later: posts.into(),
            posts: VecDeque::new(),
            ready: VecDeque::new(),
            goes_on: false,
            timers: BTreeMap::new(),
            events: Vec::new(),
            unanswered: Vec::new(),
            outcome: None,
            inputs: 0,
        }
    }

    fn age(&self) -> Duration {
        Duration::from_micros(self.now.alive_us - START.alive_us)
    }

    fn play(&mut self, start: &Post) -> Result<Outcome, TrialError> {
        let expected = &self.graph.event(self.graph.start).name;
        if **expected != *start.name {
            return Err(TrialError::WrongStart { expected: expected.clone(), got: start.name.clone() });
        }
        if let Some(Runs::Command(command)) = self.workflow.all_runs().find(|runs| matches!(runs, Runs::Command(_))) {
            return Err(TrialError::NotRust { step: command.step.to_string() });
        }
        let (event, state) = (start.value.clone(), BTreeMap::new().into());
        self.input(Input::Started { event, state, admitted: true, sequence: 0 });
        while self.outcome.is_none() {
            if self.inputs > TEST_INPUTS_MAX {
                return Err(TrialError::Endless);
            }
            if std::mem::take(&mut self.goes_on) {
                self.input(Input::GoOn);
            } else if let Some(pass) = self.ready.pop_front() {
                self.run_pass(pass);
            } else if let Some(post) = self.posts.pop_front() {
                self.post(post)?;
            } else {
                self.jump()?;
            }
        }
        self.outcome.take().ok_or(TrialError::NoOutcome)
    }

    fn run_pass(&mut self, pass: PassId) {
        let (Some(step), Some(input)) = (self.run.pass_step(pass), self.run.pass_input(pass)) else { return };
        let timeout = self.graph.step(step).timeout;
        let room_bytes = (FEED_BYTES_MAX - FEED_BYTES_RESERVED).saturating_sub(self.run.feed_bytes());
        let link = Arc::new(PassLink::instant(room_bytes, timeout));
        let mut done = self.workflow.body(step)(input, &link);
        let notes = link.take_notes();
        if !notes.is_empty() {
            self.input(Input::Noted { pass, notes });
        }
        self.pass_time(link.paused());
        if link.stopped().is_some() {
            done = Done::of(PassEnd::TimedOut);
        }
        self.input(Input::Done { pass, done });
    }

    fn post(&mut self, post: Post) -> Result<(), TrialError> {
        let Post { name, value } = post;
        let Some(event) = self.graph.event_id(&name) else { return Err(TrialError::UnknownEvent(name)) };
        let external = External::new(event, value);
        let refused = self.run.check_external(&external);
        refused.map_err(|refusal| TrialError::Refused { name, refusal })?;
        self.input(Input::External(external));
        Ok(())
    }

    /// Nothing is left to do now: advances the clock to the next timer, or the next event that is posted at a set time.
    fn jump(&mut self) -> Result<(), TrialError> {
        let timer = self.timers.iter().map(|(timer, deadline)| (self.now.until(*deadline), *timer)).min();
        let later = self.later.front().map(|(after, _)| after.saturating_sub(self.age()));
        match (timer, later) {
            (Some((until, _)), later) if later.is_none_or(|later| until < later) => self.pass_time(until),
            (_, Some(later)) => {
                self.pass_time(later);
                self.posts.extend(self.later.pop_front().map(|(_, post)| post));
            }
            (_, None) => return Err(TrialError::Waits { question: self.unanswered.last().cloned() }),
        }
        Ok(())
    }

    /// Advances the clock. Timers that come due are passed to the run, the earliest first.
    fn pass_time(&mut self, passed: Duration) {
        let until_us = self.now.alive_us.saturating_add(passed.as_micros() as u64);
        loop {
            let next = self.timers.iter().map(|(timer, deadline)| (self.now.until(*deadline), *timer)).min();
            let left_us = until_us - self.now.alive_us;
            let Some((until, timer)) = next.filter(|(until, _)| until.as_micros() as u64 <= left_us) else {
                return self.advance(left_us);
            };
            self.advance(until.as_micros() as u64);
            self.timers.remove(&timer);
            self.input(Input::Due { timer });
        }
    }

    fn advance(&mut self, passed_us: u64) {
        self.now.alive_us = self.now.alive_us.saturating_add(passed_us);
        self.now.wall_us = self.now.wall_us.saturating_add_unsigned(passed_us);
    }

    fn input(&mut self, input: Input) {
        self.inputs += 1;
        let mut effects = Vec::new();
        self.run.handle(input, self.now, &mut effects);
        for effect in effects {
            match effect {
                Effect::StartPass(pass) => self.ready.push_back(pass),
                Effect::Publish(Published::Event(event, value)) => self.show(&event, value),
                Effect::Arm(timer, deadline) => drop(self.timers.insert(timer, deadline)),
                Effect::Disarm(timer) => drop(self.timers.remove(&timer)),
                Effect::GoOn => self.goes_on = true,
                Effect::Finish(outcome) => {
                    self.timers.clear();
                    self.outcome = Some(outcome);
                }
                Effect::Publish(_) => {}
            }
        }
    }

    fn show(&mut self, event: &EventRef, value: Json) {
        let (name, kind) = match event {
            EventRef::Known(id) => (&self.graph.event(*id).name, self.graph.event(*id).kind),
            EventRef::Other(other) => (&other.name, other.kind),
        };
        let name = name.to_string();
        let mut answered = false;
        for script in self.scripts.iter_mut().filter(|script| script.shown == name) {
            answered = true;
            self.posts.push_back((script.reply)(&value));
        }
        if !answered && kind == EventKind::InputRequired {
            self.unanswered.push(name.clone());
        }
        self.events.push((name, value));
    }
}

impl fmt::Debug for WorkflowTest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WorkflowTest").field("workflow", &self.workflow.graph().name).finish_non_exhaustive()
    }
}

/// When every run in a test begins: 1 January 2026.
const START: Now = Now { wall_us: 1_767_225_600_000_000, alive_us: 0 };
