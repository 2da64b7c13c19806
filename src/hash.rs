//! A 128-bit hash that is the same on every platform and in every version: it stands in journals and seeds jitter. Not
//! for untrusted keys of a hash table, nor against forgery.

/// The hash of `parts`, each with its length: `["ab", "c"]` and `["a", "bc"]` differ.
///
/// Eight bytes at a time are folded in with a 64 × 64 → 128 bit multiplication, as wyhash does.
///
/// ```
/// assert_eq!(steprill::hash::hash128(&[b"a"]), steprill::hash::hash128(&[b"a"]));
/// assert_ne!(steprill::hash::hash128(&[b"ab", b"c"]), steprill::hash::hash128(&[b"a", b"bc"]));
/// ```
pub fn hash128(parts: &[&[u8]]) -> u128 {
    let mut lanes = Lanes { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 };
    for part in parts {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            lanes.fold(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        lanes.fold(u64::from_le_bytes(last));
        lanes.fold(part.len() as u64);
    }
    lanes.finish()
}

/// Odd, with its bits well mixed: the golden ratio, and the square root of 3.
const FACTOR_LOW: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR_HIGH: u64 = 0xbb67_ae85_84ca_a73b;

struct Lanes {
    low: u64,
    high: u64,
}

impl Lanes {
    /// Each word goes into both lanes, and for a given word the step is a bijection of the low lane.
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.low ^ word) * u128::from(FACTOR_LOW);
        self.low = product as u64 ^ self.high;
        self.high = ((product >> 64) as u64 ^ self.high.rotate_left(29)).wrapping_add(word.wrapping_mul(FACTOR_HIGH));
    }

    fn finish(mut self) -> u128 {
        for _ in 0..3 {
            self.fold(FACTOR_HIGH);
        }
        u128::from(avalanche(self.high)) << 64 | u128::from(avalanche(self.low ^ self.high.rotate_left(17)))
    }
}

/// The finaliser of splitmix64.
fn avalanche(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn one_bit_changes_about_half_of_the_hash() {
        let text = *br#"{"text":"the quick brown fox jumps over the lazy dog"}"#;
        let whole = hash128(&[b"Token", &text]);
        for bit in 0..text.len() * 8 {
            let mut other = text;
            other[bit / 8] ^= 1 << (bit % 8);
            let changed = (hash128(&[b"Token", &other]) ^ whole).count_ones();
            assert!((32..=96).contains(&changed), "bit {bit} changes {changed} bits");
        }
    }

    #[test]
    fn short_and_zero_texts_do_not_collide() {
        let mut seen = HashSet::new();
        for length in 0..64 {
            assert!(seen.insert(hash128(&[&vec![0; length]])), "{length} zero bytes");
            assert!(seen.insert(hash128(&[&vec![0; length], b""])), "{length} zero bytes and nothing");
        }
        for number in 0..100_000_u32 {
            let text = number.to_string();
            assert!(seen.insert(hash128(&[text.as_bytes()])), "{text}");
        }
        let halves: HashSet<_> = seen.iter().map(|hash| *hash as u64).collect();
        assert_eq!(halves.len(), seen.len(), "each half spreads by itself");
    }
}
