//! Identifiers of handlers, runs and workflows.

/// Identifies a handler, in order of creation. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HandlerKey(pub u64);

/// Identifies one run of a handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunKey {
    /// The handler.
    pub handler: HandlerKey,
    /// The number of earlier runs of that handler.
    pub run: u32,
}

/// A registered workflow, in order of registration. Higher ids denote earlier versions of them, and workflows of
/// earlier programs, that a store knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkflowId(pub u16);

/// Identifies who waits for the end of a run, by a number that the server assigns and never reuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerId(pub u64);
