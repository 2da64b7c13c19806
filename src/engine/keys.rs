//! What handlers, runs and workflows are known by.

/// A handler, by order of creation. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HandlerKey(pub u64);

/// One run of a handler: the `run`-th, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunKey {
    /// The handler.
    pub handler: HandlerKey,
    /// Runs of that handler before this one.
    pub run: u32,
}

/// A registered workflow, by order of registration; behind those, earlier versions of them and workflows of earlier
/// programs, as a store knows them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkflowId(pub u16);

/// Who waits for the end of a run, by a number that the server gives it. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerId(pub u64);
