//! The size of the store compared with its limit.

/// The size of the store compared with its limit.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The bytes of the store, as last reported.
    used: u64,
    /// Whether that includes the last removals.
    is_measured: bool,
    /// Whether the store exceeds its limit and has nothing that may be removed.
    is_full: bool,
}

impl Room {
    /// The store takes this many bytes, including all that is committed.
    pub(super) fn handle_size(&mut self, bytes: u64, bytes_max: Option<u64>) {
        self.used = bytes;
        self.is_measured = true;
        self.is_full &= self.excess(bytes_max).is_some();
    }

    /// Returns by how many bytes the store exceeds its limit, as far as is known; `None` if it does not.
    pub(super) fn excess(&self, bytes_max: Option<u64>) -> Option<u64> {
        let bytes_max = bytes_max.filter(|max| self.is_measured && self.used > *max)?;
        Some(self.used - bytes_max)
    }

    /// Returns how many of `handlers` together take this many bytes, assuming that all take the same.
    pub(super) fn handlers_of(&self, bytes: u64, handlers: usize) -> usize {
        let of_each = (self.used / handlers.max(1) as u64).max(1);
        usize::try_from(bytes.div_ceil(of_each)).unwrap_or(usize::MAX).max(1)
    }

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
