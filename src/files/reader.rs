//! A step of a workflow file while it is read: what its action needs to know of the other members.

use super::{
    construct::Given,
    events::{EventDef, Events},
    tree::{self, Member},
};

/// A step while it is read.
pub(super) struct Reader<'m, 'e> {
    /// The step, by name.
    pub(super) step: &'m Member,
    pub(super) members: &'m [Member],
    pub(super) events: &'e Events,
    pub(super) emits: Emits<'e>,
    pub(super) streams: Vec<&'e EventDef>,
    /// What its action can use.
    pub(super) given: Given<'e>,
}

/// What a step emits.
pub(super) struct Emits<'e> {
    pub(super) events: Vec<&'e EventDef>,
    pub(super) form: Form,
    /// Where that is; the step's name if it emits nothing.
    pub(super) at: usize,
}

/// How events are named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `X`
    One,
    /// `X?`
    Optional,
    /// `X[]`
    List,
}

impl<'m> Reader<'m, '_> {
    /// Returns its member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&'m Member> {
        tree::get(self.members, name)
    }
}
