//! The authoring API: events, steps, their contexts, and the builder. Knows neither engine nor server.

pub mod link;

mod ask;
mod builder;
mod builtin;
mod ctx;
mod emitter;
mod error;
mod event;
mod explain;
mod names;
mod running;
pub(crate) mod schema;
mod state;
mod step;
mod test_ctx;
mod types;
mod view;
mod whole;

use std::{fmt, sync::Arc};

use crate::{
    command::Command,
    graph::{Graph, StepId},
    pass::{Done, PassInput},
};
use link::PassLink;

pub use ask::{Answer, Ask, TimedAsk};
pub use builder::WorkflowBuilder;
pub use builtin::{StartEvent, StopEvent};
pub use ctx::Ctx;
pub use emitter::Emitter;
pub use error::{Result, StepError};
pub use event::{Event, EventEntry, Question};
pub use state::State;
pub use step::{Failure, Step};
pub use test_ctx::{TestCtx, Tested};
pub use types::{
    Asks, At, EventList, Grants, In, OneEvent, OneInput, QuestionList, Sends, StepInput, StepOutput, Whole,
};

/// The type-erased body of a step: takes a pass and returns what it did. It catches panics of the step.
pub type Body = Arc<dyn Fn(PassInput, &Arc<PassLink>) -> Done + Send + Sync>;

/// A validated workflow: a graph and a body for each of its steps. Cheap to clone.
#[derive(Clone)]
pub struct Workflow {
    graph: Arc<Graph>,
    steps: Arc<[Runs]>,
}

/// What runs the passes of a step.
#[doc(hidden)]
#[derive(Clone)]
pub enum Runs {
    /// A function of the program, on a thread.
    Body(Body),
    /// A step that is written down as data.
    Command(Arc<Command>),
}

impl Workflow {
    /// Starts to build a workflow whose runs begin with an `S` and end with a `T`.
    ///
    /// ```
    /// use steprill::{StartEvent, StopEvent, Workflow};
    ///
    /// let hello = Workflow::new::<StartEvent, StopEvent>("hello")
    ///     .step("greet", |_, start: StartEvent| {
    ///         let name = start.get_or("name", "world".to_owned())?;
    ///         Ok(StopEvent::new(format!("Hello, {name}!")))
    ///     })
    ///     .build()?;
    /// # let _ = hello;
    /// # Ok::<(), steprill::Faults>(())
    /// ```
    #[allow(clippy::new_ret_no_self)] // A workflow is only ever had from its builder.
    pub fn new<S: Event, T: Event>(name: impl Into<String>) -> WorkflowBuilder {
        WorkflowBuilder::new::<S, T>(name.into())
    }

    /// Returns its graph.
    #[doc(hidden)]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Returns the body of a step of its graph.
    #[doc(hidden)]
    pub fn body(&self, step: StepId) -> &Body {
        match self.runs(step) {
            Runs::Body(body) => body,
            Runs::Command(command) => panic!("step {} has no body", command.step),
        }
    }

    /// Returns what runs the passes of a step.
    #[doc(hidden)]
    pub fn runs(&self, step: StepId) -> &Runs {
        &self.steps[usize::from(step.0)]
    }

    /// Iterates over what runs the passes of each step, in the order of the graph.
    #[doc(hidden)]
    pub fn all_runs(&self) -> impl Iterator<Item = &Runs> {
        self.steps.iter()
    }

    /// Creates a workflow from a graph and what runs its steps, in the order of the graph.
    #[doc(hidden)]
    pub fn from_parts(graph: Graph, steps: Vec<Runs>) -> Self {
        Self { graph: Arc::new(graph), steps: steps.into() }
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Workflow").field("graph", &self.graph).finish_non_exhaustive()
    }
}
