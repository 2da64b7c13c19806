//! What a step can do besides returning.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{Event, Grants, In, Question, Result, StepError, ask::Ask, explain, running::Pass, state::State};
use crate::{
    json::Json,
    pass::{NewWait, Wait},
};

/// A step's hand on its run: one pass of its body, from top to end.
///
/// `G` grants what the graph must know beforehand: `Ctx<Sends<..>>` may send, `Ctx<Asks<..>>` may ask.
///
/// A body runs again from its top after a wait ([`Ctx::ask`], [`Ctx::sleep`]), after a crash, and when the state that
/// it read has changed meanwhile. Pass on with `?` what these calls return, and keep in [`Ctx::once`] what costs or
/// must not repeat. After an interrupt, and once the run has ended, every call fails and does nothing.
pub struct Ctx<G: Grants = ()> {
    pub(super) pass: Pass,
    grants: PhantomData<fn() -> G>,
}

impl<G: Grants> Ctx<G> {
    pub(super) fn new(pass: Pass) -> Self {
        Self { pass, grants: PhantomData }
    }

    /// Writes an event to the stream, for clients to see at once; it goes to no step. Nothing written is taken back,
    /// and a body that runs again after a wait does not write the same a second time.
    /// It is the same if its JSON text is: in an event of a step that waits, use a `BTreeMap` rather than a `HashMap`.
    ///
    /// # Errors
    /// When the run has ended, or its feed is full ([`FEED_BYTES_MAX`](crate::limits::FEED_BYTES_MAX)).
    #[allow(clippy::needless_pass_by_value)] // An event written down is handed over.
    pub fn stream<E: Event>(&self, event: E) -> Result<()> {
        self.pass.stream(&event)
    }

    /// Sends an event to the steps that take it, when this step succeeds. The context names the type:
    /// `ctx: &Ctx<Sends<(Section, Draft)>>`.
    ///
    /// # Errors
    /// When the run has ended, or the pass gives out more than
    /// [`PASS_OUTPUT_BYTES_MAX`](crate::limits::PASS_OUTPUT_BYTES_MAX).
    #[allow(clippy::needless_pass_by_value)] // As above.
    pub fn send<E, P>(&self, event: E) -> Result<()>
    where
        E: Event + In<G::Sends, P>,
    {
        self.pass.send(&event)
    }

    /// Asks somebody outside; [`Ask::wait`] waits for the answer without holding a thread, for ever unless
    /// [`Ask::timeout`] gives the person a deadline. The context names the question: `ctx: &Ctx<Asks<Approve>>`.
    pub fn ask<Q, P>(&self, question: Q) -> Ask<'_, Q>
    where
        Q: Question + In<G::Asks, P>,
    {
        Ask::new(&self.pass, question)
    }

    /// Sleeps without holding a thread, over restarts of the server too. How long must come out the same when the body
    /// runs again: from the event, the state or [`Ctx::once`], not from a clock. A sleep of zero is none.
    ///
    /// The body runs again from its top after each sleep, so a loop of n sleeps runs n²/2 rounds of it. One work may
    /// wait [`WORK_WAITS_MAX`](crate::limits::WORK_WAITS_MAX) times. For more rounds, or without end, the step returns
    /// what it takes: each round is a work of its own, and the run stays as small as it was.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steprill::{Ctx, Result, StopEvent, event, one_of};
    ///
    /// event! { struct Tick { n: u64 } }
    /// one_of! { enum Next { Tick, StopEvent } }
    ///
    /// fn poll(ctx: &Ctx, tick: Tick) -> Result<Next> {
    ///     ctx.sleep(Duration::from_secs(60))?;
    ///     // Whatever is to be done once a minute.
    ///     Ok(if tick.n < 1_000_000 { Tick { n: tick.n + 1 }.into() } else { StopEvent::new(tick.n).into() })
    /// }
    /// ```
    ///
    /// # Errors
    /// The interrupt by which the pass ends and waits; that the work has waited too often; or when the run has ended.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        if duration.is_zero() {
            return self.pass.ready_outside_once("sleep");
        }
        match self.pass.next_wait("sleep")? {
            (_, Some(Wait::Slept)) => Ok(()),
            (ordinal, None) => Err(self.pass.wait(ordinal, NewWait::Sleep(duration))),
            (ordinal, Some(other)) => Err(self.pass.diverged(ordinal, &self.pass.describe(other), "`ctx.sleep`")),
        }
    }

    /// Blocks the worker's thread, and ends at once when the run does. For pacing under a second; [`Ctx::sleep`] is for
    /// all else.
    ///
    /// # Errors
    /// When the run has ended.
    pub fn pause(&self, duration: Duration) -> Result<()> {
        self.pass.ready()?;
        self.pass.line.pause(duration).map_err(|stop| self.pass.stopped(stop))
    }

    /// Runs the closure once in this work and remembers its value over waits, attempts and crashes: for calls that cost
    /// money or must not repeat, and for what changes by itself, such as the time. A crash while it runs repeats it.
    ///
    /// Inside of it one may stream, pause and read the state; sending, waiting and writing the state fail. An error of
    /// the closure ends the attempt if it is passed on, and the next attempt runs the closure again.
    ///
    /// # Errors
    /// That of the closure; when the value does not serialise; when the run has ended.
    pub fn once<T: Serialize + DeserializeOwned>(&self, closure: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some(noted) = self.pass.begin_once()? {
            let noted: std::result::Result<T, String> = explain::decode(noted.value.as_str()).map_err(|fault| {
                self.pass.fault(format!("a value of `ctx.once` is of another type than before: {fault}"))
            })?;
            return noted.map_err(StepError::from);
        }
        let result = closure();
        let (value, result) = match result {
            Ok(value) => {
                let text = Json::from_value(&Ok::<_, ()>(&value));
                (text.map_err(|error| self.pass.fault(format!("a value of `ctx.once`: {error}"))), Ok(value))
            }
            Err(error) => {
                let text = Json::from_value(&Err::<(), _>(error.to_string()));
                (text.map_err(StepError::from), Err(error))
            }
        };
        let value = if result.is_ok() { Ok(value?) } else { Err(value?) };
        self.pass.end_once(value)?;
        result
    }

    /// The state of the run, which its steps share.
    pub fn state(&self) -> State<'_> {
        State::new(&self.pass)
    }

    /// Fails when the run has ended: for long work in between other calls.
    ///
    /// # Errors
    /// When the run has ended or the step is past its time-out.
    pub fn check(&self) -> Result<()> {
        self.pass.ready()
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.pass.input.attempt
    }

    /// Names this piece of work among all works of all runs, the same over passes, attempts and crashes: an idempotency
    /// key for calls to other systems.
    pub fn work_id(&self) -> String {
        format!("{}-{}", self.pass.input.run_id, self.pass.input.work)
    }

    /// The id of the run.
    pub fn run_id(&self) -> String {
        self.pass.input.run_id.to_string()
    }

    /// The id of the handler, which stays the same when a run continues another.
    pub fn handler_id(&self) -> &str {
        &self.pass.input.handler_id
    }
}
