//! What passes have been granted of the room in a feed.

/// What a pass was granted and has not reported as used.
#[derive(Debug, Default)]
pub(super) struct Grant {
    /// Zero also for an unlimited grant.
    pub(super) bytes: usize,
    /// How much more it waits for; zero if it does not wait.
    pub(super) wants_bytes: usize,
    pub(super) given_back: GivenBack,
}

/// Whether a pass has returned what it did not use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum GivenBack {
    #[default]
    No,
    Asked,
    Yes,
}

/// More than any pass streams.
pub(super) const UNLIMITED: usize = usize::MAX;
