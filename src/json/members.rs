//! The members of an object by name, each as canonical text.

use std::sync::{Arc, OnceLock};

use super::{Json, canonical::canonical_members};
use crate::cost;

/// The members of one value. They are read on first use; a thread with time to spare may call [`Members::read`]
/// earlier. They follow from the value, so all `Members` compare equal.
#[derive(Clone, Debug, Default)]
pub struct Members(OnceLock<Read>);

#[derive(Clone, Debug)]
struct Read {
    /// The canonical text of the object, unless the text of the value is canonical.
    text: Option<Arc<str>>,
    /// Where the members begin in that text, in order of name.
    begins: Arc<[u32]>,
}

/// A member and the value that it must have.
#[derive(Debug)]
pub struct Wanted {
    /// The canonical text of the name.
    name: String,
    value: String,
}

impl Members {
    /// Reads the members unless that was done before. `value` must be the same on each call.
    pub fn read(&self, value: &Json) {
        self.found(value);
    }

    fn found(&self, value: &Json) -> &Read {
        self.0.get_or_init(|| {
            let (text, begins) = canonical_members(value.as_str());
            // A body has at most 1 GiB, and its canonical text is at most half as long again.
            let begins = begins.into_iter().map(|begin| u32::try_from(begin).unwrap_or(u32::MAX)).collect();
            Read { text: (text != value.as_str()).then(|| text.into()), begins }
        })
    }

    /// Returns the canonical text of a member of `value`.
    pub fn get<'a>(&'a self, value: &'a Json, name: &str) -> Option<&'a str> {
        self.found(value).get(value, &text_of_name(name))
    }

    /// Returns whether `value` has all the wanted members with equal values: `2.0` equals 2, and `{"b":1,"a":2}` equals
    /// `{"a":2,"b":1}`.
    pub fn have(&self, value: &Json, wanted: &[Wanted]) -> bool {
        let fits =
            |wanted: &Wanted| self.found(value).get(value, &wanted.name).is_some_and(|found| found == wanted.value);
        wanted.iter().all(fits)
    }

    /// Returns the memory that the members use beside the value; 0 before they are read.
    pub fn cost_bytes(&self) -> usize {
        let read = self.0.get();
        read.map_or(0, |Read { text, begins }| {
            text.as_ref().map_or(0, |text| cost::text(text.len())) + cost::text(size_of_val(&**begins))
        })
    }
}

impl Read {
    /// Returns the value of a member by the canonical text of its name.
    fn get<'a>(&'a self, value: &'a Json, name: &str) -> Option<&'a str> {
        let text = self.text.as_deref().unwrap_or(value.as_str());
        // A name ends with a quote, which occurs nowhere else in it, so no name is a prefix of another.
        let name_at = |begin: u32| {
            let member = text.as_bytes().get(begin as usize..).unwrap_or_default();
            &member[..member.len().min(name.len())]
        };
        let index = self.begins.binary_search_by(|begin| name_at(*begin).cmp(name.as_bytes())).ok()?;
        // A comma or the closing bracket follows each member.
        let end = self.begins.get(index + 1).map_or(text.len(), |next| *next as usize) - 1;
        text.get(self.begins[index] as usize + name.len() + 1..end)
    }
}

impl PartialEq for Members {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Wanted {
    /// Wants the member `name` to equal `value`.
    pub fn new(name: &str, value: &Json) -> Self {
        Self { name: text_of_name(name), value: super::canonical(value.as_str()) }
    }
}

fn text_of_name(name: &str) -> String {
    serde_json::to_string(name).expect("a string serialises")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::json::canonical;

    /// Names as they are written, some of them equal, with `""` and names that are prefixes of others.
    const NAMES: [&str; 12] = [
        "",
        "a",
        "\\u0061",
        "a b",
        "aa",
        "a\\\"",
        "a\\\"b",
        "\\\\",
        "\u{e9}",
        "\\u00e9",
        "\u{1f600}",
        "\\ud83d\\ude00",
    ];

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "2",
            "2.0",
            "2e0",
            "20e-1",
            "-0",
            "0",
            "10",
            "1e1",
            "null",
            "true",
            "\"2\"",
            "\"a\"",
            "\"\\u0061\"",
            "\",\"",
            "\"}\"",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(2, 8, 3, |inner| {
            let member = (prop::sample::select(&NAMES[..]), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(", "))),
                prop::collection::vec(member, 0..3).prop_map(object),
            ]
        })
    }

    fn object(members: Vec<(&str, String)>) -> String {
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{ {} }}", members.join(" ,"))
    }

    proptest! {
        #[test]
        fn a_member_is_found_as_decoding_all_of_them_finds_it(
            members in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..12),
            wanted in value(),
        ) {
            let value = Json::parse(&object(members)).unwrap();
            let plain: BTreeMap<String, &RawValue> = value.decode().unwrap();
            let (members, wanted) = (Members::default(), Json::parse(&wanted).unwrap());
            for name in NAMES.iter().chain(&["b", "a\\"]) {
                let name = serde_json::from_str(&format!("\"{name}\"")).unwrap_or((*name).to_owned());
                let expected = plain.get(&name).map(|raw| canonical(raw.get()));
                prop_assert_eq!(members.get(&value, &name), expected.as_deref());
                let is_it = expected == Some(canonical(wanted.as_str()));
                prop_assert_eq!(members.have(&value, &[Wanted::new(&name, &wanted)]), is_it);
            }
        }

        #[test]
        fn what_is_no_object_has_no_members(value in value()) {
            let value = Json::parse(&format!("[{value}]")).unwrap();
            let members = Members::default();
            prop_assert_eq!(members.get(&value, "a"), None);
        }
    }

    #[test]
    fn a_canonical_value_is_not_stored_twice() {
        let cost = |text: &str| {
            let members = Members::default();
            members.read(&Json::parse(text).unwrap());
            members.cost_bytes()
        };
        let long = "x".repeat(1_000);
        assert_eq!(cost(&format!("{{\"a\":\"{long}\"}}")), cost::text(4));
        assert_eq!(cost(&format!("{{\"a\": \"{long}\"}}")), cost::text(4) + cost::text(1_008));
        assert_eq!(Members::default().cost_bytes(), 0);
    }
}
