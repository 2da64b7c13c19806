//! The stored forms: what is encoded can be decoded, and decoding anything else does no harm.

mod feeds;
mod graphs;
mod passes;
mod records;

use std::sync::Arc;

use proptest::{prelude::*, sample::Index};
use steprill::{
    graph::{Graph, sketch::parts},
    json::Json,
};

/// Returns a graph that uses every feature.
fn graph() -> Arc<Graph> {
    let lines = "m: S -> [E] ~ P
        n: E -> F ? NeedQ/HumanA
        o: [F] -> T
        p: HumanA -> ()";
    Arc::new(Graph::build(parts(lines)).unwrap_or_else(|faults| panic!("{faults}")))
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// Some values, with lengths of every encoded size.
fn any_json() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json("null")),
        Just(json("{}")),
        any::<f64>().prop_map(|number| Json::from_value(&number).expect("a number")),
        ".*".prop_map(|text| Json::from_value(&text).expect("a string")),
        (100_usize..20_000).prop_map(|length| Json::from_value(&"ü".repeat(length)).expect("a string")),
    ]
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Cut(Index),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 1..=255_u8).prop_map(|(place, bits)| Damage::Flip(place, bits)),
        any::<Index>().prop_map(Damage::Remove),
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(place, bits) => {
                let place = place.index(bytes.len());
                bytes[place] ^= bits;
            }
            Self::Remove(place) => {
                bytes.remove(place.index(bytes.len()));
            }
            Self::Insert(place, byte) => bytes.insert(place.index(bytes.len() + 1), *byte),
            Self::Cut(place) => bytes.truncate(place.index(bytes.len())),
        }
    }
}
