//! A 128-bit hash that is the same on every platform and in every version, as it is stored in journals and seeds
//! jitter. Not for untrusted keys of a hash table, nor against forgery.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Returns the hash of `parts`, each with its length: `["ab", "c"]` and `["a", "bc"]` differ.
///
/// Folds in eight bytes at a time with a 64 × 64 → 128 bit multiplication, as wyhash does.
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

/// Odd and with well mixed bits: the golden ratio and the square root of 3.
const FACTOR_LOW: u64 = INCREMENT;
const FACTOR_HIGH: u64 = 0xbb67_ae85_84ca_a73b;

struct Lanes {
    low: u64,
    high: u64,
}

impl Lanes {
    /// Folds a word into both lanes. For a given word this is a bijection of the low lane.
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

/// Mixes a word with a key: every bit of the result depends on all bits of both.
pub(crate) fn keyed_mix(key: u128, word: u64) -> u64 {
    let product = u128::from(word ^ key as u64) * u128::from((key >> 64) as u64 | 1);
    avalanche(product as u64 ^ (product >> 64) as u64)
}

/// The finalizer of splitmix64: every bit of the result depends on all bits of the word.
pub fn avalanche(word: u64) -> u64 {
    let mixed = second_half(first_half(word));
    mixed ^ (mixed >> 31)
}

/// The first of the two rounds of [`avalanche`].
pub(crate) fn first_half(word: u64) -> u64 {
    let mixed = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// The second round, but for its last shift: the high half of the word is final.
pub(crate) fn second_half(word: u64) -> u64 {
    word.wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// What splitmix64 adds for each number: odd and with well mixed bits, from the golden ratio.
pub const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A map whose keys this process counts itself: as nobody outside chooses them, one multiplication spreads them well
/// enough. For lookup only; never iterate over it.
pub type CounterMap<K, V> = HashMap<K, V, BuildHasherDefault<CounterHasher>>;

/// The hasher of a [`CounterMap`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CounterHasher(u64);

impl Hasher for CounterHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(INCREMENT).rotate_left(26);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Hashes are stored in journals, so they must never change.
    #[test]
    fn known_texts_have_known_hashes() {
        let cases: [(&[&[u8]], u128); 6] = [
            (&[], 0xbbab_3e77_d117_05aa_89e1_a2fd_ddf0_ec42),
            (&[b""], 0x3d2c_2450_9a91_6131_8b0f_d5d0_cf0a_9c83),
            (&[b"a"], 0x7aa3_d951_089f_20a5_d079_c1e9_de73_7e8d),
            (&[b"Token", br#"{"text":"hello, world"}"#], 0x22d3_cdc0_a3e1_a9f2_e006_fbb4_782a_3ee3),
            (&[b"12345678"], 0x730b_7a9a_4425_6778_a126_8209_6f1b_549e),
            (&[b"123456789012345678901234567890"], 0x3132_bb2f_4195_9d33_a947_5d39_f746_8c80),
        ];
        for (parts, expected) in cases {
            assert_eq!(hash128(parts), expected, "{parts:?}");
        }
    }

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
