//! Runs one step without an engine, to test it.

use std::{
    any::TypeId,
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Ctx, Event, EventList, Grants, Question, QuestionList, Result, StepInput, StepOutput,
    link::{Call, OnCall, PassLink},
    running::{Pass, StepNames, TypeTable},
};
use crate::{
    graph::EventId,
    json::Json,
    limits::FEED_BYTES_MAX,
    pass::{Done, EventRef, FeedOrder, NewWait, Note, PassEnd, PassInput, SharedList, Snapshot, Wait, WorkEvent},
    values::Values,
};

/// Runs one pass of a step without a workflow, an engine or a server. Set its inputs before, and examine the [`Tested`]
/// after.
///
/// ```
/// use steprill::{Asks, Ctx, Result, TestCtx, event};
///
/// event! {
///     struct Draft { text: String }
///     struct Approve: Asks<Verdict> { text: String }
///     struct Verdict { good: bool }
///     struct Article { text: String }
/// }
///
/// fn review(ctx: &Ctx<Asks<Approve>>, draft: Draft) -> Result<Option<Article>> {
///     ctx.state().add("reviews", 1)?;
///     let verdict = ctx.ask(Approve { text: draft.text.clone() }).wait()?;
///     Ok(verdict.good.then_some(Article { text: draft.text }))
/// }
///
/// let asked = TestCtx::new().run(review, Draft { text: "hello".into() });
/// assert_eq!(asked.question::<Approve>().unwrap().text, "hello");
///
/// let answered = TestCtx::new()
///     .state("reviews", 2)
///     .answer::<Approve>(Verdict { good: true })
///     .run(review, Draft { text: "hello".into() });
/// assert_eq!(answered.state::<u32>("reviews"), Some(3));
/// assert_eq!(answered.returned().unwrap().text, "hello");
/// ```
#[derive(Debug)]
pub struct TestCtx {
    state: Values,
    waits: Vec<Over>,
    attempt: u32,
}

/// The end of a wait that is over before the pass begins.
#[derive(Debug)]
enum Over {
    Slept,
    Answered { question: TypeId, answer: Option<Json> },
}

/// What a step did in a [`TestCtx`]. What it returned, sent and wrote counts only if it succeeded.
#[derive(Debug)]
pub struct Tested<O> {
    returned: Option<O>,
    done: Done,
    table: Table,
    streamed: Vec<(String, Json)>,
    state: Values,
}

/// Ids of the types that the step refers to.
#[derive(Debug)]
struct Table(BTreeMap<TypeId, EventId>);

impl TestCtx {
    /// Creates the context of a first pass on an empty state.
    pub fn new() -> Self {
        Self { state: Values::default(), waits: Vec::new(), attempt: 1 }
    }

    /// Sets a key of the state.
    ///
    /// # Panics
    /// If the value does not serialize.
    #[must_use]
    #[track_caller]
    pub fn state(mut self, key: &str, value: impl Serialize) -> Self {
        self.state.insert(key.into(), json(&value));
        self
    }

    /// Expects that the step's next wait is `ctx.ask(Q)`, and answers it.
    ///
    /// # Panics
    /// If the answer does not serialize.
    #[must_use]
    #[track_caller]
    #[allow(clippy::needless_pass_by_value)] // An event written down is handed over.
    pub fn answer<Q: Question>(mut self, answer: Q::Answer) -> Self {
        self.waits.push(Over::Answered { question: TypeId::of::<Q>(), answer: Some(json(&answer)) });
        self
    }

    /// Expects that the step's next wait is `ctx.ask(Q)`, and lets it time out.
    #[must_use]
    pub fn timed_out<Q: Question>(mut self) -> Self {
        self.waits.push(Over::Answered { question: TypeId::of::<Q>(), answer: None });
        self
    }

    /// Expects that the step's next wait is `ctx.sleep`, and ends it.
    #[must_use]
    pub fn slept(mut self) -> Self {
        self.waits.push(Over::Slept);
        self
    }

    /// Sets the number of the attempt, from 1.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Runs one pass of the step. Does not catch panics.
    ///
    /// # Panics
    /// If an answer was set for a question that the step does not declare.
    #[track_caller]
    pub fn run<G, I, O, F>(self, function: F, input: I) -> Tested<O>
    where
        G: Grants,
        I: StepInput,
        O: StepOutput,
        F: FnOnce(&Ctx<G>, I) -> Result<O>,
    {
        let (mut entries, asks) = (I::entries(), G::Asks::entries());
        entries.extend(O::entries().into_iter().chain(G::Sends::entries()));
        entries.extend(asks.into_iter().flat_map(|(question, answer)| [question, answer]));
        let table = Arc::new(TypeTable::of_entries(&entries, "test"));
        let (link, notes) = recorded_link();
        let snapshot = Snapshot { version: 0, values: self.state.clone() };
        let input_of_pass = PassInput {
            run_id: uuid::Uuid::nil(),
            handler_id: "test".into(),
            work: 0,
            attempt: self.attempt,
            event: WorkEvent::All(Arc::default()),
            state: snapshot,
            waits: self.waits.into_iter().map(|over| over.wait(&table)).collect(),
            once: SharedList::default(),
            published: SharedList::default(),
            failure: None,
        };
        let ids = entries.iter().filter_map(|entry| Some((entry.type_id, table.find(entry.type_id)?))).collect();
        let names = StepNames { name: "test".into(), takes: Box::default(), table: Arc::clone(&table) };
        let ctx = Ctx::new(Pass::new(Arc::new(names), input_of_pass, link));
        let ended = function(&ctx, input);
        let (returned, ended) = match ended {
            Ok(output) => (Some(output), Ok(Vec::new())),
            Err(error) => (None, Err(error)),
        };
        let done = ctx.pass.finish(Ok(ended), None);
        let returned = returned.filter(|_| matches!(done.end, PassEnd::Returned(_)));
        let notes = mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
        let streamed = notes.into_iter().filter_map(|note| match note {
            Note::Stream { event: EventRef::Known(id), value, .. } => Some((table.name(id).to_owned(), value)),
            Note::Stream { event: EventRef::Other(other), value, .. } => Some((other.name.to_string(), value)),
            Note::Once { .. } | Note::Recorded { .. } => None,
        });
        let streamed = streamed.collect();
        let mut state = self.state;
        for (key, write) in &done.state.writes {
            match write.apply(key, state.entry(key).map(|(_, value)| value.clone())) {
                Ok(Some(value)) => state.insert(Arc::clone(key), value),
                Ok(None) | Err(_) => state.remove(key),
            };
        }
        Tested { returned, done, table: Table(ids), streamed, state }
    }
}

impl Default for TestCtx {
    fn default() -> Self {
        Self::new()
    }
}

impl<O> Tested<O> {
    /// Returns what the step returned.
    ///
    /// # Panics
    /// If the step waits or has failed; the message says which.
    #[track_caller]
    pub fn returned(self) -> O {
        match self.returned {
            Some(output) => output,
            None => panic!("the step returned nothing: {:?}", self.done.end),
        }
    }

    /// Returns the text of the error, if the step failed.
    pub fn error(&self) -> Option<&str> {
        match &self.done.end {
            PassEnd::Failed { error, .. } | PassEnd::Diverged(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the question that the step waits for, if it is a `Q`.
    pub fn question<Q: Question>(&self) -> Option<Q> {
        match &self.done.end {
            PassEnd::Waits { wait: NewWait::Ask { question, value, .. }, .. }
                if self.table.0.get(&TypeId::of::<Q>()) == Some(question) =>
            {
                value.decode().ok()
            }
            _ => None,
        }
    }

    /// Returns how long the step sleeps, if it does.
    pub fn sleeps(&self) -> Option<Duration> {
        match &self.done.end {
            PassEnd::Waits { wait: NewWait::Sleep(duration), .. } => Some(*duration),
            _ => None,
        }
    }

    /// Returns the events of this type that the step sent, in order.
    pub fn sent<E: Event>(&self) -> Vec<E> {
        let id = self.table.0.get(&TypeId::of::<E>());
        let sent = self.done.sent.iter().filter(|(sent, _)| Some(sent) == id);
        sent.filter_map(|(_, value)| value.decode().ok()).collect()
    }

    /// Returns the events of this type that the step streamed, in order, even if it failed afterwards.
    pub fn streamed<E: Event>(&self) -> Vec<E> {
        let streamed = self.streamed.iter().filter(|(name, _)| *name == E::name());
        streamed.filter_map(|(_, value)| value.decode().ok()).collect()
    }

    /// Returns the value of `key` after the step, or `None` if it is absent or has another type.
    pub fn state<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.state.get(key)?.decode().ok()
    }
}

impl Over {
    #[track_caller]
    fn wait(self, table: &TypeTable) -> Wait {
        match self {
            Self::Slept => Wait::Slept,
            Self::Answered { question, answer } => {
                let question = table.find(question).expect("an answer to a question that the step declares");
                Wait::Asked { question, answer }
            }
        }
    }
}

#[track_caller]
fn json(value: &impl Serialize) -> Json {
    Json::from_value(value).expect("a value that serialises")
}

/// Returns a link whose notes are recorded at once, so that the pass never waits for somebody to take them.
fn recorded_link() -> (Arc<PassLink>, Arc<Mutex<Vec<Note>>>) {
    let slot = Arc::new(OnceLock::<Weak<PassLink>>::new());
    let notes = Arc::new(Mutex::new(Vec::new()));
    let (known, taken) = (Arc::clone(&slot), Arc::clone(&notes));
    let on_call: OnCall = Arc::new(move |_, call| {
        let Some(link) = known.get().and_then(Weak::upgrade) else { return };
        match call {
            Call::Noted => taken.lock().unwrap_or_else(PoisonError::into_inner).extend(link.take_notes()),
            Call::NeedsFeed(_) => drop(link.order(FeedOrder::Refuse)),
        }
    });
    let link = Arc::new(PassLink::new(0, on_call, FEED_BYTES_MAX));
    let _ = slot.set(Arc::downgrade(&link));
    (link, notes)
}
