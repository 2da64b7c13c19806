use proptest::{collection, prelude::*};
use serde_json::Value;

use super::*;

#[test]
fn members_are_found_by_name_the_last_one_counts_and_null_is_absent() {
    let text = "{\"a\":1,\"b\":null,\"x\":[{}],\"\\u0061\":{\"a\":2},\"c\":\"s\",\"c\":null}";
    let Members { values, count } = members(text, &["a", "b", "c"]).unwrap();
    let values = values.map(|value| value.map(RawValue::get));
    assert_eq!(values, [Some("{\"a\":2}"), None, None]);
    assert_eq!(count, 2);
}

#[test]
fn what_is_no_object_is_named() {
    for (text, error) in [
        ("[]", "expected an object, got an array"),
        ("\"a\"", "expected an object, got a string"),
        (" 5", "expected an object, got a number"),
        ("true", "expected an object, got a boolean"),
        ("null", "expected an object, got null"),
    ] {
        assert_eq!(members(text, &["a"]).unwrap_err(), error);
        assert_eq!(all_members(text).unwrap_err(), error);
    }
}

#[test]
fn data_is_unfolded_and_members_outside_of_it_win() {
    for (text, unfolded) in [
        ("{\"a\":1}", "{\"a\":1}"),
        ("{}", "{}"),
        ("{\"_data\":{\"a\":1}}", "{\"a\":1}"),
        ("{\"_data\":{}}", "{}"),
        ("{\"_data\":null,\"a\":1}", "{\"_data\":null,\"a\":1}"),
        ("{\"b\":2,\"_data\":{\"a\":1},\"\\u00e4\":3}", "{\"a\":1,\"b\":2,\"\u{e4}\":3}"),
        ("{\"a\":2,\"_data\":{\"a\":1}}", "{\"a\":2}"),
        ("{\"_data\":{\"_data\":{\"a\":1}}}", "{\"_data\":{\"a\":1}}"),
    ] {
        assert_eq!(unfold_data(text).unwrap(), unfolded, "{text}");
    }
    assert_eq!(unfold_data("{\"_data\":5}").unwrap_err(), "member _data: expected an object, got a number");
}

#[test]
fn white_space_outside_of_strings_goes() {
    for (text, compacted) in [
        ("{\"a\":1}", "{\"a\":1}"),
        (" { \"a b\\\" \" :\t[ 1 ,\r\n2 ] } ", "{\"a b\\\" \":[1,2]}"),
        ("{\"\u{e4} \u{1f600}\": \"\\\\\" }", "{\"\u{e4} \u{1f600}\":\"\\\\\"}"),
    ] {
        assert_eq!(compact(text), compacted);
        assert_eq!(matches!(compact(text), Cow::Borrowed(_)), text == compacted);
    }
}

proptest! {
    #[test]
    fn compact_text_is_what_serde_writes(value in any_json()) {
        let spread = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(compact(&spread), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn unfolding_keeps_every_member_once(outer in any_object(), inner in any_object()) {
        let mut folded = outer.clone();
        folded.insert("_data".to_owned(), Value::Object(inner.clone()));
        let unfolded = unfold_data(&serde_json::to_string(&folded).unwrap()).unwrap().into_owned();
        let mut expected = inner;
        expected.extend(outer);
        let names = all_members(&unfolded).unwrap().len();
        prop_assert_eq!(names, expected.len());
        prop_assert_eq!(serde_json::from_str::<Value>(&unfolded).unwrap(), Value::Object(expected));
    }

    #[test]
    fn any_text_is_an_object_or_a_fault(text in "\\PC*|[{}\\[\\]\",:a_dt0\\\\ ]*") {
        let is_object = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
        let found = members(&text, &["a"]).is_ok();
        prop_assert!(found || !is_object);
        let _ = (unfold_data(&text), compact(&text));
    }
}

fn any_object() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    collection::btree_map("[a-c\"\\\\ ]{1,2}", any_json(), 0..5).prop_map(|members| members.into_iter().collect())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(\\PC|[ \\t\\r\\n\"\\\\])*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            collection::btree_map(".{0,3}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
