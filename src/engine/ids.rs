//! Ids of handlers, made from their keys, so that no table is needed to get from one to the other.

use std::{convert::Infallible, fmt};

use crate::{
    engine::keys::HandlerKey,
    hash::{hash128, keyed_mix},
};

/// Spells handlers' keys as ten letters and digits, and reads them back.
///
/// Ids must not show how many handlers there are, nor let one be guessed from another. So a key is put through a
/// permutation of all ids that depends on a secret: a Feistel network over 60 bits, repeated until it returns one of
/// the 62^10 numbers that ten characters can spell. Within these it is one to one: no two keys have one id.
///
/// With a random secret, ids look random. They are names, not passwords: with a few multiplications per round the
/// permutation is built to be quick, not to withstand an analyst who has many ids with their keys. An id that is made
/// up at random stands for one of `n` handlers with a probability of `n` in 8 × 10^17.
///
/// ```
/// use steprill::engine::{ids::HandlerIds, keys::HandlerKey};
///
/// let ids = HandlerIds::new(17);
/// let id = ids.spell(HandlerKey(5));
/// assert_eq!(ids.key(str::from_utf8(&id).unwrap()), Some(HandlerKey(5)));
/// assert_eq!(ids.key("no id"), None);
/// ```
#[derive(Clone)]
pub struct HandlerIds {
    /// One for each round, made from the secret.
    keys: [u128; ROUNDS],
}

impl HandlerIds {
    /// Creates the ids of a secret, which must be random and stored for as long as the ids are in use.
    pub fn new(secret: u128) -> Self {
        let key = |round: usize| hash128(&[&secret.to_le_bytes(), &[round as u8]]);
        Self { keys: std::array::from_fn(key) }
    }

    /// Returns the id of a key. Keys are below 62^10.
    pub fn spell(&self, key: HandlerKey) -> [u8; ID_BYTES] {
        let mut number = self.forward(key.0 % COUNT);
        while number >= COUNT {
            number = self.forward(number);
        }
        let mut id = [0; ID_BYTES];
        for character in id.iter_mut().rev() {
            *character = CHARACTERS[(number % BASE) as usize];
            number /= BASE;
        }
        id
    }

    /// Returns the key that an id stands for; `None` if the text does not have the form of an id. Every text of the
    /// form stands for some key, whether or not there is a handler with it.
    pub fn key(&self, id: &str) -> Option<HandlerKey> {
        let id: &[u8; ID_BYTES] = id.as_bytes().try_into().ok()?;
        let mut number = 0;
        for character in id {
            let digit = match character {
                b'0'..=b'9' => character - b'0',
                b'A'..=b'Z' => character - b'A' + 10,
                b'a'..=b'z' => character - b'a' + 36,
                _ => return None,
            };
            number = number * BASE + u64::from(digit);
        }
        number = self.backward(number);
        while number >= COUNT {
            number = self.backward(number);
        }
        Some(HandlerKey(number))
    }

    /// Returns the shard of an id, chosen or made: every server can tell it from the id alone. A handler whose id a
    /// client chose gets a key of that shard.
    pub fn shard(&self, id: &str) -> u8 {
        self.key(id).map_or_else(|| hash128(&[id.as_bytes()]) as u8, HandlerKey::shard)
    }

    /// Returns the handler with an id: the one for which a client chose it; else the one whose key the id stands for,
    /// unless a client chose that one's id. Nothing else decides this. `chosen` looks up a chosen id; `is_made` tells
    /// whether there is a handler with a key whose id no client chose.
    ///
    /// At most one handler can be meant, because none is made under an id that a client has chosen before. The
    /// scheduler passes over the keys of chosen ids in memory, and a store refuses the others
    /// (rule 21 of [`storage`](super::storage)).
    pub fn resolve(
        &self,
        id: &str,
        chosen: impl FnOnce(&str) -> Option<HandlerKey>,
        is_made: impl FnOnce(HandlerKey) -> bool,
    ) -> Option<HandlerKey> {
        let Ok(found) = self.try_resolve(id, |id| Ok::<_, Infallible>(chosen(id)), |key| Ok(is_made(key)));
        found
    }

    /// Like [`Self::resolve`], for lookups that may fail.
    ///
    /// # Errors
    /// The error of the lookup.
    pub fn try_resolve<E>(
        &self,
        id: &str,
        chosen: impl FnOnce(&str) -> Result<Option<HandlerKey>, E>,
        is_made: impl FnOnce(HandlerKey) -> Result<bool, E>,
    ) -> Result<Option<HandlerKey>, E> {
        if let Some(key) = chosen(id)? {
            return Ok(Some(key));
        }
        match self.key(id) {
            Some(key) if is_made(key)? => Ok(Some(key)),
            _ => Ok(None),
        }
    }

    /// A permutation of the numbers of 60 bits.
    fn forward(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number >> HALF_BITS, number & HALF_MASK);
        for key in self.keys {
            (left, right) = (right, left ^ round(key, right));
        }
        left << HALF_BITS | right
    }

    /// The inverse of [`Self::forward`].
    fn backward(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number >> HALF_BITS, number & HALF_MASK);
        for key in self.keys.into_iter().rev() {
            (left, right) = (right ^ round(key, left), left);
        }
        left << HALF_BITS | right
    }
}

fn round(key: u128, half: u64) -> u64 {
    keyed_mix(key, half) & HALF_MASK
}

/// The secret is not shown.
impl fmt::Debug for HandlerIds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HandlerIds").finish_non_exhaustive()
    }
}

/// The number of characters of an id.
const ID_BYTES: usize = 10;

const CHARACTERS: &[u8; BASE as usize] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const BASE: u64 = 62;

/// How many ids there are: a little over 2^59.5. Every key is less.
pub const COUNT: u64 = BASE.pow(ID_BYTES as u32);

/// Four are enough if the round function is perfect; it is not.
const ROUNDS: usize = 8;

const HALF_BITS: u32 = 30;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn text(id: &[u8]) -> &str {
        str::from_utf8(id).expect("letters and digits")
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_id(secret: u128, key in prop_oneof![0..COUNT, 0..1_000_000_u64]) {
            let ids = HandlerIds::new(secret);
            prop_assert_eq!(ids.key(text(&ids.spell(HandlerKey(key)))), Some(HandlerKey(key)));
        }

        #[test]
        fn a_text_that_stands_for_a_key_is_its_id(secret: u128, id in "[0-9A-Za-z]{10}") {
            let ids = HandlerIds::new(secret);
            let key = ids.key(&id).expect("it has the form");
            prop_assert!(key.0 < COUNT);
            let spelt = ids.spell(key);
            prop_assert_eq!(text(&spelt), &id);
        }

        #[test]
        fn a_text_of_another_form_is_no_id(text in "\\PC{0,12}") {
            let has_form = text.len() == ID_BYTES && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            prop_assert_eq!(HandlerIds::new(1).key(&text).is_some(), has_form);
        }
    }

    #[test]
    fn neighbours_have_nothing_in_common_and_secrets_change_all() {
        let of = |secret: u128| {
            let ids = HandlerIds::new(secret);
            (0..10_000).map(move |key| ids.spell(HandlerKey(key))).collect::<Vec<_>>()
        };
        let (ids, others) = (of(1), of(2));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no two are equal");
        let common =
            |one: &[u8; 10], other: &[u8; 10]| one.iter().zip(other).filter(|(one, other)| one == other).count();
        let neighbours: usize = ids.windows(2).map(|pair| common(&pair[0], &pair[1])).sum();
        let secrets: usize = ids.iter().zip(&others).map(|(one, other)| common(one, other)).sum();
        // On average one in 62 of 100,000 characters.
        assert!((1_400..1_850).contains(&neighbours) && (1_400..1_850).contains(&secrets), "{neighbours} {secrets}");
        for place in 0..ID_BYTES {
            let seen: BTreeSet<u8> = ids.iter().map(|id| id[place]).collect();
            assert_eq!(seen.len(), 62, "every character comes in every place");
        }
    }
}
