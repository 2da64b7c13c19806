//! What is needed to answer requests, besides the core.

use super::ids::Entropy;
use crate::{
    api::{Access, Catalog},
    workflow::Workflow,
};

/// The served workflows, which clients may call, and how many at a time.
pub(super) struct Site {
    /// In the order of their ids.
    pub(super) workflows: Vec<Workflow>,
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    /// The source of ids for new runs.
    pub(super) ids: Entropy,
    /// The most POST run calls that may wait for their runs.
    pub(super) callers_max: usize,
}
