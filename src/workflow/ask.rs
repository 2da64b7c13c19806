//! A question on its way out, and the wait for its answer.

use std::time::Duration;

use serde::Serialize;

use super::{
    Question, Result, StepError,
    ctx::describe,
    error::AskTimedOut,
    explain,
    running::{Pass, encode},
};
use crate::{
    json::Json,
    pass::{NewWait, Wait},
};

/// A question to be asked: [`Ask::wait`] asks it.
#[must_use = "nothing is asked before `.wait()`"]
pub struct Ask<'a, Q: Question> {
    pass: &'a Pass,
    question: Q,
    matching: Vec<(String, Result<Json>)>,
    timeout: Option<Duration>,
}

impl<'a, Q: Question> Ask<'a, Q> {
    pub(super) fn new(pass: &'a Pass, question: Q) -> Self {
        Self { pass, question, matching: Vec::new(), timeout: None }
    }

    /// Takes only an answer whose `member` is exactly `value`: to tell answers to several open questions apart.
    pub fn matching(mut self, member: impl Into<String>, value: impl Serialize) -> Self {
        let value = Json::from_value(&value).map_err(StepError::from);
        self.matching.push((member.into(), value));
        self
    }

    /// Waits at most so long, downtime of the server not counted. Then [`Ask::wait`] fails with
    /// [`AskTimedOut`](crate::AskTimedOut) (see [`StepError::is_timeout`]); without it a question waits for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Asks, and gives the answer.
    ///
    /// # Errors
    /// The interrupt by which the pass ends and waits, which `?` has to carry out of the body; the time-out; when the
    /// run has ended.
    pub fn wait(self) -> Result<Q::Answer> {
        let (ordinal, wait) = self.pass.next_wait("ask")?;
        let question = self.pass.id_of::<Q>()?;
        match wait {
            Some(Wait::Asked { question: asked, answer: Some(answer) }) if *asked == question => {
                explain::decode_event(answer.as_str())
                    .map_err(|fault| StepError::hopeless(format!("the answer: {fault}")))
            }
            Some(Wait::Asked { question: asked, answer: None }) if *asked == question => {
                Err(AskTimedOut { question: Q::name().into_owned() }.into())
            }
            Some(Wait::Forgotten { question: asked }) if *asked == question => Err(self.begin(ordinal)),
            None => Err(self.begin(ordinal)),
            Some(other) => {
                let now = format!("`ctx.ask({})`", Q::name());
                Err(self.pass.diverged(ordinal, &describe(self.pass, other), &now))
            }
        }
    }

    fn begin(self, ordinal: u32) -> StepError {
        let Self { pass, question, matching, timeout } = self;
        let wait = || -> Result<NewWait> {
            let matching = matching.into_iter().map(|(member, value)| Ok((member, value?))).collect::<Result<_>>()?;
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
