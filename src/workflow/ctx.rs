//! The context of a step: what it can do besides returning.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{Event, Grants, In, Question, Result, StepError, ask::Ask, explain, running::Pass, state::State};
use crate::{
    json::Json,
    pass::{NewWait, Wait},
};

/// The context of one pass of a step's body, from its top to its end.
///
/// `G` grants what the graph must know in advance: `Ctx<Sends<..>>` may send, `Ctx<Asks<..>>` may ask.
///
/// A body runs again from its top after a wait ([`Ctx::ask`], [`Ctx::sleep`]), after a crash, and when state that it
/// has read was changed by another step. Use `?` on what these calls return, and wrap in [`Ctx::once`] what is
/// expensive or must not repeat. After an interrupt, and once the run has ended, every call fails and does nothing.
pub struct Ctx<G: Grants = ()> {
    pub(super) pass: Pass,
    grants: PhantomData<fn() -> G>,
}

impl<G: Grants> Ctx<G> {
    pub(super) fn new(pass: Pass) -> Self {
        Self { pass, grants: PhantomData }
    }

    /// Writes an event to the stream, where clients see it at once. No step receives it. What was written is never
    /// taken back, and a body that runs again after a wait does not write the same event a second time. Events are the
    /// same if their JSON texts are: in the events of a step that waits, use `BTreeMap` rather than `HashMap`.
    ///
    /// # Errors
    /// If the run has ended, or its feed is full ([`FEED_BYTES_MAX`](crate::limits::FEED_BYTES_MAX)).
    #[allow(clippy::needless_pass_by_value)] // An event written down is handed over.
    pub fn stream<E: Event>(&self, event: E) -> Result<()> {
        self.pass.stream(&event)
    }

    /// Sends an event to the steps that take it once this step succeeds. The context names the type:
    /// `ctx: &Ctx<Sends<(Section, Draft)>>`.
    ///
    /// # Errors
    /// If the run has ended, or the events of the pass exceed
    /// [`PASS_OUTPUT_BYTES_MAX`](crate::limits::PASS_OUTPUT_BYTES_MAX).
    #[allow(clippy::needless_pass_by_value)] // As above.
    pub fn send<E, P>(&self, event: E) -> Result<()>
    where
        E: Event + In<G::Sends, P>,
    {
        self.pass.send(&event)
    }

    /// Asks somebody outside. [`Ask::wait`] waits for the answer without holding a thread, forever unless
    /// [`Ask::timeout`] sets a deadline. The context names the question: `ctx: &Ctx<Asks<Approve>>`.
    pub fn ask<Q, P>(&self, question: Q) -> Ask<'_, Q>
    where
        Q: Question + In<G::Asks, P>,
    {
        Ask::new(&self.pass, question)
    }

    /// Sleeps without holding a thread, even over restarts of the server. The duration must be the same when the body
    /// runs again: compute it from the event, the state or [`Ctx::once`], not from a clock. A sleep of zero does
    /// nothing.
    ///
    /// The body runs again from its top after each sleep, so a loop of n sleeps runs n²/2 iterations. One work may wait
    /// [`WORK_WAITS_MAX`](crate::limits::WORK_WAITS_MAX) times. For more rounds, or endless ones, return the event that
    /// the step takes: then each round is a work of its own, and the run does not grow.
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
    /// The interrupt that ends the pass for the wait; if the work has waited too often; if the run has ended.
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

    /// Blocks the worker's thread, until the run ends at the latest. For pacing under a second; otherwise use
    /// [`Ctx::sleep`].
    ///
    /// # Errors
    /// If the run has ended.
    pub fn pause(&self, duration: Duration) -> Result<()> {
        self.pass.ready()?;
        self.pass.link.pause(duration).map_err(|stop| self.pass.stopped(stop))
    }

    /// Runs the closure once in this work and remembers its value over waits, attempts and crashes: for calls that are
    /// expensive or must not repeat, and for values that change, such as the time. A crash while it runs repeats it.
    ///
    /// The closure may stream, pause and read the state, but not send, wait or write the state. If it returns an error
    /// and that is passed on, the attempt fails, and the next attempt runs the closure again.
    ///
    /// # Errors
    /// Those of the closure; if the value does not serialize; if the run has ended.
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

    /// Returns the state of the run, which its steps share.
    pub fn state(&self) -> State<'_> {
        State::new(&self.pass)
    }

    /// Fails if the run has ended. For use between other calls in long work.
    ///
    /// # Errors
    /// If the run has ended or the step has exceeded its time-out.
    pub fn check(&self) -> Result<()> {
        self.pass.ready()
    }

    /// Returns the number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.pass.input.attempt
    }

    /// Returns an id of this work among all works of all runs, the same over passes, attempts and crashes: an
    /// idempotency key for calls to other systems.
    pub fn work_id(&self) -> String {
        self.pass.input.work_id()
    }

    /// Returns the id of the run.
    pub fn run_id(&self) -> String {
        self.pass.input.run_id.to_string()
    }

    /// Returns the id of the handler, which stays the same when another run continues it.
    pub fn handler_id(&self) -> &str {
        &self.pass.input.handler_id
    }
}
