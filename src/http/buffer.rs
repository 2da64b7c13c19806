//! A contiguous byte queue: appends at the end, consumes at the front, holds no memory when empty.

use std::{mem, ops::Range};

use crate::limits::BUFFER_KEPT_BYTES;

/// A byte queue. Consuming advances `start`; the remaining bytes are moved down when that is cheap.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.tail().extend_from_slice(bytes);
    }

    /// Returns the vector to append to; the caller must not modify its present contents.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        // A byte is moved at most once for each byte consumed before it.
        if self.start > 0 && self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Removes the first `count` bytes, and shrinks the allocation if it is much larger than what remains.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.bytes.len(), "consumed {count} bytes, more than there were");
        if self.is_empty() {
            self.clear();
        } else if self.bytes.capacity() > BUFFER_KEPT_BYTES && self.len() < self.bytes.capacity() / 4 {
            self.bytes = self.as_slice().to_vec();
            self.start = 0;
        }
    }

    /// Removes the bytes from `from` to `to`, counted from the first unconsumed one.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.bytes.drain(self.start + from..self.start + to);
    }

    /// Removes and returns `range`, counted from the first unconsumed byte. Reuses the allocation, as it is most of it.
    pub(super) fn take(&mut self, range: Range<usize>) -> Vec<u8> {
        let mut taken = mem::take(&mut self.bytes);
        let range = range.start + self.start..range.end + self.start;
        let mut rest = taken[self.start..range.start].to_vec();
        rest.extend_from_slice(&taken[range.end..]);
        taken.truncate(range.end);
        taken.drain(..range.start);
        *self = Self { bytes: rest, start: 0 };
        taken
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn memory_follows_what_is_held() {
        let mut buffer = Buffer::default();
        buffer.append(&vec![7; 1 << 20]);
        buffer.append(b"rest");
        buffer.consume(1 << 20);
        assert_eq!(buffer.as_slice(), b"rest");
        assert!(buffer.bytes.capacity() < 1 << 10);
        buffer.consume(4);
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn consuming_a_part_leaves_the_rest() {
        let mut buffer = Buffer::default();
        buffer.append(b"-head, body, next");
        buffer.consume(1);
        assert_eq!(buffer.take(6..10), b"body");
        assert_eq!(buffer.as_slice(), b"head, , next");
        assert_eq!(buffer.take(0..12), b"head, , next");
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn appending_after_consuming_keeps_the_order() {
        let mut buffer = Buffer::default();
        for round in 0..100_u8 {
            buffer.append(&[round, round]);
            buffer.consume(1);
            assert_eq!(buffer.len(), usize::from(round) + 1);
            assert_eq!(buffer.as_slice()[buffer.len() - 1], round);
            assert_eq!(buffer.as_slice()[0], round.div_ceil(2));
        }
    }
}
