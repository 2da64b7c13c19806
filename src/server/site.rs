//! What requests are answered from beside the core.

use super::ids::Entropy;
use crate::{
    api::{Access, Catalog},
    workflow::Workflow,
};

/// The workflows that are served, who may call, and how much.
pub(super) struct Site {
    /// In the order of their ids.
    pub(super) workflows: Vec<Workflow>,
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    /// Where the ids of new runs come from.
    pub(super) ids: Entropy,
    /// How many POST run calls may wait for their runs.
    pub(super) callers_max: usize,
}
