//! The error of a step.

use std::{error::Error, fmt};

/// The result of a step and of the calls of its [`Ctx`](crate::Ctx).
pub type Result<T, E = StepError> = std::result::Result<T, E>;

/// Why a step did not succeed. Any error converts with `?`, and so does a text: `Err("no reply")?`.
///
/// It also carries the interrupts of waits and cancellation out of the body, so it is best passed on with `?`. A body
/// that swallows an interrupt waits all the same.
pub struct StepError(Repr);

enum Repr {
    Live(Box<dyn Error + Send + Sync>),
    Interrupted,
}

/// An error that a retry cannot mend.
#[derive(Debug)]
pub(super) struct Hopeless(pub(super) String);

impl StepError {
    /// Returns the error that was converted, if it is a `T`.
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        match &self.0 {
            Repr::Live(error) => error.downcast_ref(),
            Repr::Interrupted => None,
        }
    }

    pub(super) fn interrupted() -> Self {
        Self(Repr::Interrupted)
    }

    pub(super) fn hopeless(text: impl Into<String>) -> Self {
        Hopeless(text.into()).into()
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.downcast_ref::<Hopeless>().is_some()
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for StepError {
    fn from(error: E) -> Self {
        Self(Repr::Live(error.into()))
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Live(error) => error.fmt(formatter),
            Repr::Interrupted => {
                formatter.write_str("interrupted: the step waits or is to stop; pass this on with `?`")
            }
        }
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Live(error) => error.fmt(formatter),
            Repr::Interrupted => formatter.write_str("Interrupted"),
        }
    }
}

impl fmt::Display for Hopeless {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Hopeless {}
