//! A snapshot that is being made outside the loop.

use crate::engine::record;

/// A snapshot that is being made outside the loop.
#[derive(Debug)]
pub(super) struct Compaction {
    /// The batch in which it was begun. An answer that does not know all of it is too old.
    pub(super) batch: u64,
    /// Bytes of the records between the previous snapshot and the beginning of this one.
    from_bytes: usize,
    /// The records since then.
    pub(super) records: Vec<Vec<u8>>,
    /// The snapshot, and the bytes of the records that it contains.
    pub(super) snapshot: Option<(usize, Vec<u8>)>,
}

impl Compaction {
    pub(super) fn new(batch: u64, from_bytes: usize) -> Self {
        Self { batch, from_bytes, records: Vec::new(), snapshot: None }
    }

    /// Adds a record.
    pub(super) fn note(&mut self, record: &[u8]) {
        self.records.push(record.to_vec());
    }

    /// Returns the snapshot with the records that it does not contain, once it is made.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let (upto_bytes, snapshot) = self.snapshot.take()?;
        let mut bytes = self.from_bytes;
        let is_in_it = |record: &&Vec<u8>| {
            bytes += record.len();
            bytes <= upto_bytes
        };
        let inside = self.records.iter().take_while(is_in_it).count();
        Some(record::join(snapshot, &self.records[inside..]))
    }
}
