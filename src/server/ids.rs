//! Random ids, drawn from the system in blocks: a system call for each would cost more than the rest of a start.

use std::io;

use uuid::Uuid;

use crate::limits::ENTROPY_BLOCK_BYTES;

/// A block of the system's random bytes, consumed from its end.
#[derive(Debug)]
pub(super) struct Entropy {
    block: Vec<u8>,
    left: usize,
}

impl Entropy {
    /// Draws the first block.
    pub(super) fn new() -> io::Result<Self> {
        let mut entropy = Self { block: vec![0; ENTROPY_BLOCK_BYTES], left: 0 };
        entropy.refill()?;
        Ok(entropy)
    }

    /// Returns an id for a run.
    ///
    /// # Errors
    /// If the system returns no random bytes.
    pub(super) fn draw(&mut self) -> io::Result<Uuid> {
        Ok(uuid::Builder::from_random_bytes(self.take()?).into_uuid())
    }

    /// Returns a secret for the ids of handlers.
    ///
    /// # Errors
    /// If the system returns no random bytes.
    pub(super) fn secret(&mut self) -> io::Result<u128> {
        Ok(u128::from_le_bytes(self.take()?))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        if self.left < N {
            self.refill()?;
        }
        self.left -= N;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.block[self.left..self.left + N]);
        Ok(bytes)
    }

    fn refill(&mut self) -> io::Result<()> {
        getrandom::fill(&mut self.block).map_err(|error| io::Error::other(error.to_string()))?;
        self.left = self.block.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let mut entropy = Entropy::new().expect("the system gives random bytes");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let run_id = entropy.draw().expect("the system gives random bytes");
            assert!(seen.insert(run_id));
            assert_eq!(run_id.get_version_num(), 4);
        }
    }
}
