//! Checks of events from outside without their types: nothing is refused that the type would accept, and a missing
//! member or one of a wrong kind is found before a run begins.

use std::collections::{BTreeMap, HashMap};

use proptest::{collection, option, prelude::*};
use serde_json::{Map, Value, json};
use steprill::{
    Event, StopEvent, Workflow, event,
    graph::Shape,
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde")]
#[schemars(crate = "steprill::schemars")]
struct Part {
    #[serde(rename = "partId", alias = "part_id")]
    id: i8,
    next: Option<Box<Part>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde", rename_all = "lowercase")]
#[schemars(crate = "steprill::schemars")]
enum Side {
    Left,
    #[serde(alias = "r")]
    Right,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde")]
#[schemars(crate = "steprill::schemars")]
enum External {
    Unit,
    New(u8),
    Pair(u8, String),
    #[serde(alias = "Struct2")]
    Struct {
        a: i64,
        #[serde(default)]
        b: f32,
    },
    Part(Part),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde", tag = "kind")]
#[schemars(crate = "steprill::schemars")]
enum Internal {
    Unit,
    Part(Part),
    #[serde(alias = "Other")]
    Struct {
        n: u16,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde", untagged)]
#[schemars(crate = "steprill::schemars")]
enum Untagged {
    Number(i32),
    Text(String),
    Both { x: i64, y: Vec<Untagged> },
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde", tag = "t", content = "c")]
#[schemars(crate = "steprill::schemars")]
enum Adjacent {
    Unit,
    Part(Part),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "steprill::serde")]
#[schemars(crate = "steprill::schemars")]
struct Newtype(u64);

event! {
    struct Everything {
        #[serde(alias = "subject")]
        text: String,
        small: u8,
        wide: i128,
        ratio: f64,
        letter: char,
        flag: bool,
        maybe: Option<i64>,
        #[serde(default)]
        defaulted: u32,
        list: Vec<Part>,
        pair: (i16, String),
        three: [u8; 3],
        by_name: BTreeMap<String, Option<i32>>,
        by_number: HashMap<u32, i8>,
        side: Side,
        external: External,
        internal: Internal,
        untagged: Untagged,
        adjacent: Adjacent,
        newtype: Newtype,
        any: Value,
        unit: (),
    }
    #[serde(deny_unknown_fields)]
    struct Closed { #[serde(alias = "old")] new: i64, other: Option<i64> }
    struct Flat { own: u8, #[serde(flatten)] part: Part, #[serde(flatten)] further: BTreeMap<String, Value> }
}

fn shape<E: Event>() -> Shape {
    let workflow = Workflow::new::<E, StopEvent>("w").step("only", |_, _: E| Ok(StopEvent::default())).build();
    let workflow = workflow.unwrap_or_else(|faults| panic!("{faults}"));
    workflow.graph().event(workflow.graph().start).shape.clone()
}

#[track_caller]
fn refused<E: Event>(text: &str, expected: &str) {
    let told = shape::<E>().check(text).map(drop).map_err(|mismatch| mismatch.to_string());
    assert_eq!(told, Err(expected.to_owned()), "{text}");
}

#[track_caller]
fn taken<E: Event + Serialize>(text: &str) {
    assert!(serde_json::from_str::<E>(text).is_ok(), "the type takes {text}");
    assert_eq!(shape::<E>().check(text).map(std::borrow::Cow::into_owned), Ok(text.to_owned()));
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = any::<i8>().prop_map(|id| Part { id, next: None });
    leaf.prop_recursive(4, 8, 1, |inner| {
        (any::<i8>(), inner).prop_map(|(id, next)| Part { id, next: Some(Box::new(next)) })
    })
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![any::<i32>().prop_map(Untagged::Number), ".{0,4}".prop_map(Untagged::Text)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (any::<i64>(), collection::vec(inner, 0..3)).prop_map(|(x, y)| Untagged::Both { x, y })
    })
}

fn everything() -> impl Strategy<Value = Everything> {
    let external = prop_oneof![
        Just(External::Unit),
        any::<u8>().prop_map(External::New),
        (any::<u8>(), ".{0,3}").prop_map(|(a, b)| External::Pair(a, b)),
        any::<i64>().prop_map(|a| External::Struct { a, b: 1.5 }),
        part().prop_map(External::Part),
    ];
    let internal = prop_oneof![
        Just(Internal::Unit),
        part().prop_map(Internal::Part),
        any::<u16>().prop_map(|n| Internal::Struct { n })
    ];
    let adjacent = prop_oneof![Just(Adjacent::Unit), part().prop_map(Adjacent::Part)];
    let numbers = (any::<u8>(), any::<i128>(), -1e300..1e300_f64, any::<char>(), option::of(any::<i64>()));
    let lists = (
        collection::vec(part(), 0..3),
        collection::btree_map(".{0,3}", option::of(any::<i32>()), 0..3),
        collection::hash_map(any::<u32>(), any::<i8>(), 0..3),
    );
    let side = prop_oneof![Just(Side::Left), Just(Side::Right)];
    (".{0,5}", numbers, lists, side, external, internal, untagged(), adjacent, any::<u64>()).prop_map(
        |(
            text,
            (small, wide, ratio, letter, maybe),
            (list, by_name, by_number),
            side,
            external,
            internal,
            untagged,
            adjacent,
            number,
        )| {
            Everything {
                text,
                small,
                wide,
                ratio,
                letter,
                flag: small > 9,
                maybe,
                defaulted: 7,
                list,
                pair: (i16::from(small), "p".into()),
                three: [small; 3],
                by_name,
                by_number,
                side,
                external,
                internal,
                untagged,
                adjacent,
                newtype: Newtype(number),
                any: json!([null, {"a": 1.5}]),
                unit: (),
            }
        },
    )
}

/// Makes one change to a value: removes, renames or replaces a member, anywhere.
fn changed(value: &mut Value, mut at: usize, by: &Value) -> bool {
    fn walk(value: &mut Value, at: &mut usize, by: &Value) -> bool {
        match value {
            Value::Object(members) => {
                let names: Vec<String> = members.keys().cloned().collect();
                for name in names {
                    match *at {
                        0 => drop(members.remove(&name)),
                        1 => drop(members.insert(name, by.clone())),
                        2 => {
                            let moved = members.remove(&name).unwrap_or_default();
                            members.insert(format!("{name}2"), moved);
                        }
                        _ => {
                            *at -= 3;
                            if members.get_mut(&name).is_some_and(|inner| walk(inner, at, by)) {
                                return true;
                            }
                            continue;
                        }
                    }
                    return true;
                }
                false
            }
            Value::Array(elements) => elements.iter_mut().any(|element| walk(element, at, by)),
            _ => false,
        }
    }
    walk(value, &mut at, by)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_the_type_takes_is_not_refused(
        of in everything(),
        at in 0_usize..120,
        by in prop_oneof![
            Just(json!(null)), Just(json!(3)), Just(json!(-3.5)), Just(json!("r")), Just(json!({})), Just(json!(true)),
            Just(json!({"kind": "Other", "n": 1})), Just(json!({"Struct2": {"a": 1}})), Just(json!({"part_id": 1})),
        ],
    ) {
        let shape = shape::<Everything>();
        let text = serde_json::to_string(&of).unwrap();
        prop_assert_eq!(shape.check(&text).map(std::borrow::Cow::into_owned), Ok(text.clone()));
        let mut value: Value = serde_json::from_str(&text).unwrap();
        if changed(&mut value, at, &by) {
            let text = value.to_string();
            if serde_json::from_str::<Everything>(&text).is_ok() {
                prop_assert!(shape.check(&text).is_ok(), "{:?}: {}", shape.check(&text), text);
            }
        }
    }

    /// The bytes of a body are checked before, but the walk ends for any bytes.
    #[test]
    fn no_text_harms_the_check(text in "[\\[\\]{}:,\"\\\\a-e0-9.\\- ]{0,60}") {
        let _ = shape::<Everything>().check(&text);
    }
}

#[test]
fn a_missing_or_wrong_member_is_refused_by_name() {
    let whole = json!({
        "text": "t", "small": 1, "wide": 1, "ratio": 1, "letter": "x", "flag": true, "list": [{"partId": 1}],
        "pair": [1, "b"], "three": [1, 2, 3], "by_name": {"k": 1}, "by_number": {"5": 1}, "side": "left",
        "external": {"New": 1}, "internal": {"kind": "Struct", "n": 1}, "untagged": {"x": 1, "y": []},
        "adjacent": {"t": "Part", "c": {"partId": 1}}, "newtype": 1, "any": null, "unit": null
    });
    taken::<Everything>(&whole.to_string());
    for name in whole.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>()).unwrap_or_default() {
        let mut without: Map<String, Value> = whole.as_object().cloned().unwrap_or_default();
        without.remove(&name);
        // A member that is neither a field nor an alias does not replace the missing one.
        without.insert(format!("{name}s"), json!(1));
        refused::<Everything>(&Value::Object(without).to_string(), &format!("field {name}: missing"));
    }
    for (name, value, fault) in [
        ("text", json!(5), "field text: expected string, got number"),
        ("small", json!(256), "field small: expected integer from 0 to 255, got 256"),
        ("small", json!("1"), "field small: expected integer, got string"),
        ("small", json!(2.5), "field small: expected integer, got number 2.5"),
        ("ratio", json!([]), "field ratio: expected number, got array"),
        ("letter", json!("xy"), "field letter: expected 1 character, got 2"),
        ("maybe", json!("x"), "field maybe: expected integer, got string"),
        ("list", json!([{"partId": 1}, {}]), "field list[1].partId: missing"),
        ("list", json!([{"id": 1}]), "field list[0].partId: missing"),
        (
            "list",
            json!([{"partId": 1, "next": {"partId": 300}}]),
            "field list[0].next.partId: expected integer from -128 to 127, got 300",
        ),
        ("pair", json!([1]), "field pair: expected 2 elements, got 1"),
        ("pair", json!([1, 2]), "field pair[1]: expected string, got number"),
        ("by_name", json!({"k": []}), "field by_name.k: expected integer, got array"),
        ("by_number", json!({"5": 200}), "field by_number.5: expected integer from -128 to 127, got 200"),
        ("side", json!("up"), "field side: unknown variant `up`, expected `left` or `right`"),
        ("side", json!(1), "field side: expected string, got number"),
        ("external", json!({"New": "x"}), "field external.New: expected integer, got string"),
        ("external", json!({"Struct": {}}), "field external.Struct.a: missing"),
        ("internal", json!({"kind": "Struct", "n": "x"}), "field internal.n: expected integer, got string"),
        ("untagged", json!({"x": "x", "y": []}), "field untagged.x: expected integer, got string"),
        ("newtype", json!(-1), "field newtype: expected integer from 0 to 18446744073709551615, got -1"),
        ("unit", json!(0), "field unit: expected null, got number"),
        ("any", json!({"deep": [1]}), ""),
    ] {
        let mut with: Map<String, Value> = whole.as_object().cloned().unwrap_or_default();
        with.insert(name.into(), value);
        let text = Value::Object(with).to_string();
        if fault.is_empty() { taken::<Everything>(&text) } else { refused::<Everything>(&text, fault) }
    }
    refused::<Everything>("[]", "expected object, got array");
    let (long, cut) = ("n".repeat(300), "n".repeat(256));
    let fault = format!("unknown field `{cut}…`, expected one of `new`, `old`, `other`");
    refused::<Closed>(&format!(r#"{{"{long}":1}}"#), &fault);
    refused::<Closed>(r#"{"new":1,"oter":2}"#, "unknown field `oter`, expected one of `new`, `old`, `other`");
    refused::<Closed>(r#"{"new":1,"new":2}"#, "duplicate field `new`");
}

#[test]
fn a_field_may_come_by_its_alias() {
    taken::<Closed>(r#"{"old":1}"#);
    taken::<Flat>(r#"{"own":1,"part_id":2,"x":[1]}"#);
    refused::<Flat>(r#"{"own":1}"#, "field partId: missing");
    refused::<Closed>("{}", "field new: missing");
}

#[test]
fn whole_numbers_become_integers_where_the_schema_has_them() {
    let check = |text: &str| shape::<Closed>().check(text).map(std::borrow::Cow::into_owned);
    assert_eq!(check(r#"{"new":2.0,"other":-0}"#), Ok(r#"{"new":2,"other":0}"#.into()));
    assert_eq!(check(r#"{ "other" : 2e0, "new":1E1 }"#), Ok(r#"{ "other" : 2, "new":10 }"#.into()));
    assert_eq!(check(r#"{"new":9007199254740993.0}"#), Ok(r#"{"new":9007199254740993}"#.into()));
    refused::<Closed>(r#"{"new":2.5}"#, "field new: expected integer, got number 2.5");
    refused::<Closed>(
        r#"{"new":18446744073709551616}"#,
        "field new: expected integer from -9223372036854775808 to 9223372036854775807, got 18446744073709551616",
    );
}

#[test]
fn a_number_beyond_64_bits_is_refused_where_no_type_says_how_to_read_it() {
    let shape = shape::<steprill::StartEvent>();
    let check = |text: &str| shape.check(text).map(drop).map_err(|mismatch| mismatch.to_string());
    for number in ["18446744073709551616", "0.1234567890123456789012", "-9223372036854775809"] {
        let fault =
            format!("field n: number {number} does not fit into 64 bits and would be rounded: send it as a string");
        assert_eq!(check(&format!(r#"{{"n":{{"deep":[1,{number}]}}}}"#)), Err(fault));
    }
    assert_eq!(check(r#"{"n":[18446744073709551615,0.1,1e300,2.50]}"#), Ok(()));
}

#[test]
fn alternatives_in_alternatives_take_a_bounded_time() {
    let mut text = "1.5".to_owned();
    for _ in 0..45 {
        text = format!(r#"{{"x":1,"y":[{text},{{"x":"","y":[]}}]}}"#);
    }
    let schema = json!({"$ref": "#/$defs/U", "$defs": {"U": {"anyOf": [
        {"type": "object", "properties": {"y": {"type": "array", "items": {"$ref": "#/$defs/U"}}}, "required": ["z"]},
        {"type": "object", "properties": {"y": {"type": "array", "items": {"$ref": "#/$defs/U"}}}, "required": ["w"]},
        {"type": "object", "properties": {"y": {"type": "array", "items": {"$ref": "#/$defs/U"}}}, "required": ["v"]},
    ]}}});
    // Without its limit this would take 3 to the power of 45 steps.
    let _ = Shape::compile(&schema, &|_| None).check(&text);
}
