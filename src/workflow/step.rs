//! A step: a function, its name and its settings.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{
    Body, Ctx, Emitter, Event, EventEntry, EventList, Grants, QuestionList, Result, StepError, StepInput, StepOutput,
    running::{Ended, Pass, RetryIf, StepNames, panicked_at_last},
};
use crate::{
    graph::{Retry, StepParts},
    limits::STEP_WORKERS_DEFAULT,
    pass::WorkEvent,
};

/// A step of a workflow: a function that takes an event and returns events, under a name.
///
/// ```
/// use std::time::Duration;
/// use steprill::{Asks, Ctx, Result, Retry, Step, event};
///
/// event! {
///     struct Draft { text: String }
///     struct Approve: Asks<Verdict> { text: String }
///     struct Verdict { good: bool }
///     struct Article { text: String }
/// }
///
/// fn review(ctx: &Ctx<Asks<(Approve,)>>, draft: Draft) -> Result<Article> {
///     let verdict = ctx.ask(Approve { text: draft.text.clone() }).timeout(Duration::from_secs(86_400)).wait()?;
///     if !verdict.good {
///         Err("not good enough")?;
///     }
///     Ok(Article { text: draft.text })
/// }
///
/// let step = Step::new("review", review)
///     .workers(2)
///     .retry(Retry::fixed(Duration::from_secs(1)))
///     .retry_if(|error| !error.is_timeout());
/// ```
pub struct Step {
    pub(super) name: String,
    pub(super) takes: Vec<EventEntry>,
    fan_in: bool,
    pub(super) returns: Vec<EventEntry>,
    fan_out: bool,
    pub(super) sends: Vec<EventEntry>,
    pub(super) asks: Vec<(EventEntry, EventEntry)>,
    pub(super) streams: Vec<EventEntry>,
    workers: u16,
    retry: Retry,
    retry_if: Option<Arc<RetryIf>>,
    timeout: Option<Duration>,
    run: Run,
}

/// Runs a body on a pass and gives the pass back.
type Run = Box<dyn Fn(Pass, &WorkEvent) -> (Pass, Ended) + Send + Sync>;

impl Step {
    /// A step that runs `function`. Its types say what it takes, returns, sends and asks.
    pub fn new<G, I, O, F>(name: impl Into<String>, function: F) -> Self
    where
        G: Grants,
        I: StepInput,
        O: StepOutput,
        F: Fn(&Ctx<G>, I) -> Result<O> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            takes: I::entries(),
            fan_in: I::FAN_IN,
            returns: O::entries(),
            fan_out: O::FAN_OUT,
            sends: G::Sends::entries(),
            asks: G::Asks::entries(),
            streams: Vec::new(),
            workers: STEP_WORKERS_DEFAULT,
            retry: Retry::default(),
            retry_if: None,
            timeout: None,
            run: Box::new(move |pass, event| run(&function, pass, event)),
        }
    }

    /// How many passes of it run at a time in one run; [`STEP_WORKERS_DEFAULT`] unless said otherwise.
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Self {
        self.workers = workers;
        self
    }

    /// What happens after a failure; by default the run fails with it.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Retries only after errors of which the closure says so. A panic is not shown to it.
    #[must_use]
    pub fn retry_if(mut self, judge: impl Fn(&StepError) -> bool + Send + Sync + 'static) -> Self {
        self.retry_if = Some(Arc::new(judge));
        self
    }

    /// How long one pass may run, waits not counted; then the attempt fails. By default there is no bound.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Declares that it streams `E`, so that clients find its schema among the workflow's events.
    #[must_use]
    pub fn streams<E: Event>(mut self) -> Self {
        self.streams.push(EventEntry::of::<E>());
        self
    }

    /// All types that it mentions.
    pub(super) fn entries(&self) -> impl Iterator<Item = &EventEntry> {
        let asks = self.asks.iter().flat_map(|(question, answer)| [question, answer]);
        self.takes.iter().chain(&self.returns).chain(&self.sends).chain(asks).chain(&self.streams)
    }

    pub(super) fn parts(&self) -> StepParts {
        let names = |entries: &[EventEntry]| entries.iter().map(|entry| entry.name.to_string()).collect();
        let asks = self.asks.iter().map(|(question, answer)| (question.name.to_string(), answer.name.to_string()));
        StepParts {
            name: self.name.clone(),
            takes: names(&self.takes),
            fan_in: self.fan_in,
            returns: names(&self.returns),
            fan_out: self.fan_out,
            sends: names(&self.sends),
            asks: asks.collect(),
            streams: names(&self.streams),
            workers: self.workers,
            retry: self.retry.clone(),
            timeout: self.timeout,
        }
    }

    pub(super) fn into_body(self, names: StepNames) -> Body {
        let (names, run, retry_if) = (Arc::new(names), self.run, self.retry_if);
        Arc::new(move |mut input, line| {
            // What the step threw or returned is dropped in here, and its `Drop` is the program's code too.
            let done = catch_unwind(AssertUnwindSafe(|| {
                let event = std::mem::replace(&mut input.event, WorkEvent::All(Arc::default()));
                let (pass, ended) = run(Pass::new(Arc::clone(&names), input, Arc::clone(line)), &event);
                pass.finish(ended, retry_if.as_deref())
            }));
            done.unwrap_or_else(panicked_at_last)
        })
    }
}

fn run<G, I, O, F>(function: &F, pass: Pass, event: &WorkEvent) -> (Pass, Ended)
where
    G: Grants,
    I: StepInput,
    O: StepOutput,
    F: Fn(&Ctx<G>, I) -> Result<O>,
{
    let ctx = Ctx::new(pass);
    // The pass is read after a panic: every change of it is whole before user code runs again.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let input = match event {
            WorkEvent::One(id, value) => {
                let place = ctx.pass.names.takes.iter().position(|taken| taken == id);
                I::decode(place.unwrap_or(usize::MAX), std::slice::from_ref(value))?
            }
            WorkEvent::All(values) => I::decode(0, values)?,
        };
        let mut emitter = Emitter { pass: &ctx.pass, events: Vec::new() };
        function(&ctx, input)?.emit(&mut emitter)?;
        Ok(emitter.events)
    }));
    (ctx.pass, ended)
}
