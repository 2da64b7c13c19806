//! The size of the store beside its limit.

/// The size of the store compared with its limit.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The bytes of the store, as last reported.
    pub(super) used: u64,
    /// Whether that includes the last removals.
    pub(super) is_measured: bool,
    /// Whether the store exceeds its limit and has nothing that may be removed.
    pub(super) is_full: bool,
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Handlers were removed: how much that frees is known when the store reports its size again.
    pub(super) fn note_removed(&mut self) {
        self.is_measured = false;
    }

    /// The removals have failed.
    pub(super) fn handle_failed(&mut self) {
        self.is_measured = self.used > 0;
    }

    /// The store was asked for handlers to remove, of which `removed` are removed.
    pub(super) fn note_asked(&mut self, is_over: bool, removed: usize) {
        self.is_full = is_over && removed == 0;
    }
}
