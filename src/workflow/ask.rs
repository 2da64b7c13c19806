//! Questions, and waiting for their answers.

use std::time::Duration;

use serde::Serialize;

use super::{
    Question, Result, StepError, explain,
    running::{Pass, encode},
};
use crate::{
    json::Json,
    limits::MATCHING_BYTES_MAX,
    pass::{NewWait, Wait},
};

/// A question that [`Ask::wait`] asks.
#[must_use = "nothing is asked before `.wait()`"]
pub struct Ask<'a, Q: Question> {
    pass: &'a Pass,
    question: Q,
    matching: Vec<(String, Result<Json>)>,
}

/// A question that waits for its answer for a limited time. [`TimedAsk::wait`] asks it.
///
/// ```
/// use std::time::Duration;
/// use steprill::{Answer, Asks, Ctx, Result, StartEvent, StopEvent, TestCtx, event};
///
/// event! {
///     struct Approve: Asks<Verdict> { text: String }
///     struct Verdict { good: bool }
/// }
///
/// const DAY: Duration = Duration::from_secs(86_400);
///
/// fn review(ctx: &Ctx<Asks<Approve>>, _: StartEvent) -> Result<StopEvent> {
///     match ctx.ask(Approve { text: "hello".into() }).timeout(DAY).wait()? {
///         Answer::Given(verdict) => Ok(StopEvent::new(verdict.good)),
///         Answer::TimedOut => Ok(StopEvent::new("nobody answered within a day")),
///     }
/// }
///
/// let late = TestCtx::new().timed_out::<Approve>().run(review, StartEvent::new());
/// assert_eq!(late.returned().result::<String>()?, "nobody answered within a day");
/// # Ok::<(), steprill::StepError>(())
/// ```
#[must_use = "nothing is asked before `.wait()`"]
pub struct TimedAsk<'a, Q: Question> {
    ask: Ask<'a, Q>,
    timeout: Duration,
}

/// The result of a question with a time-out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<A> {
    /// Somebody answered.
    Given(A),
    /// Nobody answered in time. This holds for the rest of the attempt; the next attempt asks again.
    TimedOut,
}

impl<Q: Question> TimedAsk<'_, Q> {
    /// See [`Ask::matching`].
    pub fn matching(mut self, member: impl Into<String>, value: impl Serialize) -> Self {
        self.ask = self.ask.matching(member, value);
        self
    }

    /// Asks the question. Returns the answer, or that nobody answered in time.
    ///
    /// # Errors
    /// Those of [`Ask::wait`]. A time-out is not an error.
    pub fn wait(self) -> Result<Answer<Q::Answer>> {
        self.ask.ask(Some(self.timeout))
    }
}

impl<A> Answer<A> {
    /// Returns the answer, if there is one.
    pub fn given(self) -> Option<A> {
        match self {
            Self::Given(answer) => Some(answer),
            Self::TimedOut => None,
        }
    }
}

impl<'a, Q: Question> Ask<'a, Q> {
    pub(super) fn new(pass: &'a Pass, question: Q) -> Self {
        Self { pass, question, matching: Vec::new() }
    }

    /// Accepts only answers whose `member` equals `value`, to tell apart the answers to several open questions. The
    /// names and values of all members may take up to 4,096 bytes of JSON together; a question with more fails the run,
    /// so match an id rather than a long text.
    pub fn matching(mut self, member: impl Into<String>, value: impl Serialize) -> Self {
        let value = Json::from_value(&value).map_err(StepError::from);
        self.matching.push((member.into(), value));
        self
    }

    /// Waits for at most this long, not counting downtime of the server; [`TimedAsk::wait`] then returns
    /// [`Answer::TimedOut`]. Without a time-out, a question waits forever.
    pub fn timeout(self, timeout: Duration) -> TimedAsk<'a, Q> {
        TimedAsk { ask: self, timeout }
    }

    /// Asks the question and returns the answer.
    ///
    /// # Errors
    /// The interrupt that ends the pass for the wait, which `?` must carry out of the body; if the run has ended.
    pub fn wait(self) -> Result<Q::Answer> {
        let (ordinal, pass) = (self.pass.wait_ordinal(), self.pass);
        match self.ask(None)? {
            Answer::Given(answer) => Ok(answer),
            Answer::TimedOut => {
                let name = Q::name();
                let (before, now) =
                    (format!("`ctx.ask({name})` with a time-out"), format!("`ctx.ask({name})` without"));
                Err(pass.diverged(ordinal, &before, &now))
            }
        }
    }

    fn ask(self, timeout: Option<Duration>) -> Result<Answer<Q::Answer>> {
        let (ordinal, wait) = self.pass.next_wait("ask")?;
        let question = self.pass.id_of::<Q>()?;
        match wait {
            Some(Wait::Asked { question: asked, answer: Some(answer) }) if *asked == question => {
                let answer = explain::decode_event(answer.as_str());
                answer.map(Answer::Given).map_err(|fault| StepError::hopeless(format!("the answer: {fault}")))
            }
            Some(Wait::Asked { question: asked, answer: None }) if *asked == question => Ok(Answer::TimedOut),
            Some(Wait::Forgotten { question: asked }) if *asked == question => Err(self.begin(ordinal, timeout)),
            None => Err(self.begin(ordinal, timeout)),
            Some(other) => {
                let now = format!("`ctx.ask({})`", Q::name());
                Err(self.pass.diverged(ordinal, &self.pass.describe(other), &now))
            }
        }
    }

    fn begin(self, ordinal: u32, timeout: Option<Duration>) -> StepError {
        let Self { pass, question, matching } = self;
        let wait = || -> Result<NewWait> {
            let matching = matching.into_iter().map(|(member, value)| Ok((member, value?)));
            let matching = matching.collect::<Result<Vec<_>>>()?;
            let bytes: usize = matching.iter().map(|(member, value)| member.len() + value.as_str().len()).sum();
            if bytes > MATCHING_BYTES_MAX {
                let max = MATCHING_BYTES_MAX;
                let text =
                    format!("what its answer is to match has {bytes} bytes, at most {max} are compared: match an id");
                return Err(StepError::from(text));
            }
            let value = encode(&question, Json::of_encoded)?;
            Ok(NewWait::Ask {
                question: pass.id_of::<Q>()?,
                answer: pass.id_of::<Q::Answer>()?,
                value,
                matching,
                timeout,
            })
        };
        match wait() {
            Ok(wait) => pass.wait(ordinal, wait),
            Err(error) => pass.fault(format!("question {}: {error}", Q::name())),
        }
    }
}
