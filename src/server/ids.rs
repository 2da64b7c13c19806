//! Random ids, drawn from the system in blocks: a call for each would cost more than the rest of a start.

use std::io;

use uuid::Uuid;

/// A block of the system's random bytes, used up from its end.
#[derive(Debug)]
pub(super) struct Entropy {
    block: Vec<u8>,
    left: usize,
}

impl Entropy {
    /// Draws the first block.
    pub(super) fn new() -> io::Result<Self> {
        let mut entropy = Self { block: vec![0; BLOCK_BYTES], left: 0 };
        entropy.refill()?;
        Ok(entropy)
    }

    /// A handler's id, ten characters of `[A-Za-z0-9]`, and a run's.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn draw(&mut self) -> io::Result<([u8; 10], Uuid)> {
        let handler_id = loop {
            let number = u64::from_le_bytes(self.take()?);
            if number < IDS * (u64::MAX / IDS) {
                break spell(number % IDS);
            }
        };
        Ok((handler_id, uuid::Builder::from_random_bytes(self.take()?).into_uuid()))
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

fn spell(mut number: u64) -> [u8; 10] {
    let mut id = [0; 10];
    for place in &mut id {
        *place = ALPHABET[(number % ALPHABET.len() as u64) as usize];
        number /= ALPHABET.len() as u64;
    }
    id
}

const BLOCK_BYTES: usize = 2_400;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// How many ids there are.
const IDS: u64 = 62_u64.pow(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_of_the_alphabet() {
        let mut entropy = Entropy::new().expect("the system gives random bytes");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let (id, run_id) = entropy.draw().expect("the system gives random bytes");
            assert!(id.iter().all(u8::is_ascii_alphanumeric));
            assert!(seen.insert(id));
            assert_eq!(run_id.get_version_num(), 4);
        }
    }
}
