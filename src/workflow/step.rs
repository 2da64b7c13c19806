//! Steps: a function, its name and its settings.

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
    graph::{EventId, Fault, Retry, StepFault, StepParts},
    limits::STEP_WORKERS_DEFAULT,
    pass::WorkEvent,
};

/// A step of a workflow: a function that takes an event and returns events, under a name.
///
/// ```
/// use std::time::Duration;
/// use steprill::{Answer, Asks, Ctx, Result, Retry, Step, event};
///
/// event! {
///     struct Draft { text: String }
///     struct Approve: Asks<Verdict> { text: String }
///     struct Verdict { good: bool }
///     struct Article { text: String }
/// }
///
/// fn review(ctx: &Ctx<Asks<Approve>>, draft: Draft) -> Result<Article> {
///     match ctx.ask(Approve { text: draft.text.clone() }).timeout(Duration::from_secs(86_400)).wait()? {
///         Answer::Given(Verdict { good: true }) => Ok(Article { text: draft.text }),
///         Answer::Given(_) => Err("not good enough")?,
///         Answer::TimedOut => Err("nobody looked at it for a day")?,
///     }
/// }
///
/// let step = Step::new("review", review)
///     .workers(2)
///     .retry(Retry::fixed(Duration::from_secs(1)))
///     .retry_if(|error| error.to_string() != "not good enough");
/// ```
///
/// A closure works as well, with what it captures; it must name the type of its `ctx`:
///
/// ```
/// use std::sync::Arc;
/// use steprill::{Ctx, Sends, StartEvent, Step, event};
///
/// event! { struct Letter { to: String } }
///
/// let names = Arc::new(vec!["Ada".to_owned(), "Grace".to_owned()]);
/// let step = Step::new("write", move |ctx: &Ctx<Sends<Letter>>, _: StartEvent| {
///     names.iter().try_for_each(|name| ctx.send(Letter { to: name.clone() }))
/// });
/// ```
pub struct Step {
    pub(super) name: String,
    pub(super) takes: Vec<EventEntry>,
    fan_in: bool,
    pub(super) returns: Vec<EventEntry>,
    fan_out: bool,
    pub(super) sends: Vec<EventEntry>,
    pub(super) asks: Vec<(EventEntry, EventEntry)>,
    inboxes: Vec<(EventEntry, usize)>,
    pub(super) streams: Vec<EventEntry>,
    workers: u16,
    retry: Retry,
    retry_if: Option<Arc<RetryIf>>,
    timeout: Option<Duration>,
    on_failure: Option<OnFailure>,
    run: Run,
}

/// How the last attempt of a step failed. [`Step::on_failure`] turns it into an event.
#[derive(Clone, Debug)]
pub struct Failure<I> {
    /// The event or events that the step took.
    pub input: I,
    /// The text of the error: what the step returned, how it panicked, or that it timed out.
    pub error: String,
    /// How many attempts there were.
    pub attempts: u32,
}

/// What a step emits when its last attempt has failed.
struct OnFailure {
    gives: EventEntry,
    /// The types that it expects the step to take.
    takes: Vec<EventEntry>,
    fan_in: bool,
    run: Run,
}

/// Runs a body on a pass and returns the pass.
type Run = Box<dyn Fn(Pass, &WorkEvent) -> (Pass, Ended) + Send + Sync>;

impl Step {
    /// Creates a step that runs `function`. What it takes, returns, sends and asks follows from the types.
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
            inboxes: Vec::new(),
            streams: Vec::new(),
            workers: STEP_WORKERS_DEFAULT,
            retry: Retry::default(),
            retry_if: None,
            timeout: None,
            on_failure: None,
            run: Box::new(move |pass, event| run(&function, pass, event)),
        }
    }

    /// Sets how many of its passes may run at a time in one run. Defaults to [`STEP_WORKERS_DEFAULT`].
    #[must_use]
    pub fn workers(mut self, workers: u16) -> Self {
        self.workers = workers;
        self
    }

    /// Sets when to retry after a failure. By default the run fails with the first one.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Retries only after errors for which the closure returns true. Panics are not passed to it.
    #[must_use]
    pub fn retry_if(mut self, judge: impl Fn(&StepError) -> bool + Send + Sync + 'static) -> Self {
        self.retry_if = Some(Arc::new(judge));
        self
    }

    /// Sets how long one pass may run, not counting waits, before the attempt fails. Unlimited by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the event that the step emits when its last attempt has failed. Without this the run fails instead. So one
    /// bad input of many need not cost the others.
    ///
    /// The event counts as one that the step returns. The closure gets the error, the number of attempts and the input.
    /// It runs on a worker in a pass of its own, and again if the server is killed in the meantime. If it panics, the
    /// run fails. Time-outs and panics of the step count as failures. The closure does not run if the run is cancelled
    /// or exceeds its time-out, or if the body does not repeat its earlier waits.
    ///
    /// ```
    /// use steprill::{Ctx, Failure, Result, Step, StopEvent, event, one_of};
    ///
    /// event! {
    ///     struct Article { name: String }
    ///     struct Priced { name: String, cents: u64 }
    ///     struct Unpriced { name: String, error: String }
    /// }
    /// one_of! { enum Outcome { Priced, Unpriced } }
    ///
    /// fn price(_: &Ctx, article: Article) -> Result<Priced> {
    ///     let cents = article.name.parse()?;
    ///     Ok(Priced { name: article.name, cents })
    /// }
    ///
    /// fn total(_: &Ctx, all: Vec<Outcome>) -> Result<StopEvent> {
    ///     let priced = all.iter().filter_map(|one| match one {
    ///         Outcome::Priced(priced) => Some(priced.cents),
    ///         Outcome::Unpriced(_) => None,
    ///     });
    ///     Ok(StopEvent::new(priced.sum::<u64>()))
    /// }
    ///
    /// let price = Step::new("price", price).on_failure(|failure: Failure<Article>| Unpriced {
    ///     name: failure.input.name,
    ///     error: failure.error,
    /// });
    /// let total = Step::new("total", total);
    /// ```
    #[must_use]
    pub fn on_failure<I, E, F>(mut self, function: F) -> Self
    where
        I: StepInput,
        E: Event,
        F: Fn(Failure<I>) -> E + Send + Sync + 'static,
    {
        self.on_failure = Some(OnFailure {
            gives: EventEntry::of::<E>(),
            takes: I::entries(),
            fan_in: I::FAN_IN,
            run: Box::new(move |pass, event| make_of_failure(&function, pass, event)),
        });
        self
    }

    /// Stores up to `answers` events of type `A` that arrive while no question waits for them, in order, for the next
    /// questions of this step that `A` answers: suits a chat. Without an inbox such an answer is refused, so that a
    /// second click does not answer a question that nobody has seen. When the run ends, the rest is dropped.
    ///
    /// At least 1 and at most [`INBOX_ANSWERS_MAX`](crate::limits::INBOX_ANSWERS_MAX).
    ///
    /// ```
    /// use steprill::{Asks, Ctx, Result, StartEvent, Step, StopEvent, event};
    ///
    /// event! {
    ///     struct Listening: Asks<Message> {}
    ///     struct Message { text: String }
    /// }
    ///
    /// fn chat(ctx: &Ctx<Asks<Listening>>, _: StartEvent) -> Result<StopEvent> {
    ///     let mut heard = Vec::new();
    ///     loop {
    ///         match ctx.ask(Listening {}).wait()?.text {
    ///             text if text == "bye" => return Ok(StopEvent::new(heard)),
    ///             text => heard.push(text),
    ///         }
    ///     }
    /// }
    ///
    /// let step = Step::new("chat", chat).inbox::<Message>(100);
    /// ```
    #[must_use]
    pub fn inbox<A: Event>(mut self, answers: usize) -> Self {
        self.inboxes.push((EventEntry::of::<A>(), answers));
        self
    }

    /// Declares that the step streams `E`, so that clients find its schema among the workflow's events.
    #[must_use]
    pub fn streams<E: Event>(mut self) -> Self {
        self.streams.push(EventEntry::of::<E>());
        self
    }

    /// Returns all types that it refers to.
    pub(super) fn entries(&self) -> impl Iterator<Item = &EventEntry> {
        let asks = self.asks.iter().flat_map(|(question, answer)| [question, answer]);
        let failed = self.on_failure.iter().map(|on_failure| &on_failure.gives);
        self.takes.iter().chain(&self.returns).chain(failed).chain(&self.sends).chain(asks).chain(&self.streams)
    }

    /// Returns a fault of the step that its parts do not show.
    pub(super) fn fault(&self) -> Option<Fault> {
        let of = |entries: &[EventEntry], fan_in: bool| {
            let names: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
            if fan_in { format!("Vec<{}>", names.join(" | ")) } else { names.join(" | ") }
        };
        let ids = |entries: &[EventEntry]| entries.iter().map(|entry| entry.type_id).collect::<Vec<_>>();
        let OnFailure { takes, fan_in, .. } = self.on_failure.as_ref()?;
        let differ = ids(takes) != ids(&self.takes) || *fan_in != self.fan_in;
        differ.then(|| {
            let (expects, takes) = (of(takes, *fan_in).into(), of(&self.takes, self.fan_in).into());
            Fault::Step { step: self.name.as_str().into(), fault: StepFault::OnFailure { takes, expects } }
        })
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
            on_failure: self.on_failure.as_ref().map(|on_failure| on_failure.gives.name.to_string()),
            sends: names(&self.sends),
            asks: asks.collect(),
            inboxes: self.inboxes.iter().map(|(answer, count)| (answer.name.to_string(), *count)).collect(),
            streams: names(&self.streams),
            workers: self.workers,
            retry: self.retry.clone(),
            timeout: self.timeout,
        }
    }

    pub(super) fn into_body(self, names: StepNames) -> Body {
        let (names, run, retry_if) = (Arc::new(names), self.run, self.retry_if);
        let on_failure = self.on_failure.map(|on_failure| on_failure.run);
        Arc::new(move |mut input, link| {
            // Values that the step returned or panicked with are dropped in here, as their `Drop` is code of the
            // program, too.
            let done = catch_unwind(AssertUnwindSafe(|| {
                let event = std::mem::replace(&mut input.event, WorkEvent::All(Arc::default()));
                let pass = Pass::new(Arc::clone(&names), input, Arc::clone(link));
                let (pass, ended) = match (&pass.input.failure, &on_failure) {
                    (None, _) => run(pass, &event),
                    (Some(_), Some(on_failure)) => on_failure(pass, &event),
                    (Some(_), None) => (pass, Ok(Err("it is gone from the program".into()))),
                };
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
    // The pass may be read after a panic: every change to it is complete before code of the program runs again.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let input: I = decode(&ctx.pass.names, event)?;
        let mut emitter = Emitter { pass: &ctx.pass, events: Vec::new() };
        function(&ctx, input)?.emit(&mut emitter)?;
        Ok(emitter.events)
    }));
    (ctx.pass, ended)
}

fn make_of_failure<I, E, F>(function: &F, pass: Pass, event: &WorkEvent) -> (Pass, Ended)
where
    I: StepInput,
    E: Event,
    F: Fn(Failure<I>) -> E,
{
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let (error, attempts) = (pass.input.failure.as_deref().unwrap_or_default(), pass.input.attempt);
        let failure = Failure { input: decode(&pass.names, event)?, error: error.to_owned(), attempts };
        let mut emitter = Emitter { pass: &pass, events: Vec::new() };
        emitter.push(&function(failure))?;
        Ok(emitter.events)
    }));
    (pass, ended)
}

/// Decodes what the step takes. A type that it does not take has no index.
fn decode<I: StepInput>(names: &StepNames, event: &WorkEvent) -> Result<I> {
    let place = |id: &EventId| names.takes.iter().position(|taken| taken == id).unwrap_or(usize::MAX);
    match event {
        WorkEvent::One(id, value) => I::decode(&[(place(id), value)]),
        WorkEvent::All(events) => I::decode(&events.iter().map(|(id, value)| (place(id), value)).collect::<Vec<_>>()),
    }
}
