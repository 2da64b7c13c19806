//! Faulty files: each fault with its line, column and remedy.

use std::path::Path;

use steprill::files::parse;

use super::faults;

/// Files, each followed by a line of dashes and the faults in it.
const CASES: &str = include_str!("faults.txt");

#[test]
fn every_fault_has_its_place_and_says_what_to_write() {
    let (mut case, mut expected) = (String::new(), Vec::new());
    let mut is_file = true;
    let check = |case: &str, expected: &[&str]| assert_eq!(faults(case), expected, "{case}");
    let mut count = 0;
    for line in CASES.lines() {
        if line == "--" {
            is_file = false;
        } else if let (false, Some(fault)) = (is_file, line.strip_prefix("! ")) {
            expected.push(fault);
        } else {
            if !is_file {
                check(&case, &expected);
                (case, expected, is_file) = (String::new(), Vec::new(), true);
                count += 1;
            }
            case.push_str(line);
            case.push('\n');
        }
    }
    check(&case, &expected);
    assert!(count > 20, "{count}");
}

#[test]
fn faults_of_json_have_their_places_too() {
    let told = |text: &str| -> Vec<String> {
        let faults = parse(Path::new("flow.json"), text.as_bytes()).expect_err("it has faults");
        faults.0.iter().map(ToString::to_string).collect()
    };
    for (text, expected) in [
        ("", &["flow.json:1:1: EOF while parsing a value"][..]),
        ("[]", &["flow.json:1:1: a workflow file is an object, not a list"]),
        ("{\n  \"n\u{e4}me\": x\n}", &["flow.json:2:11: expected value"]),
        ("{\"name\": \"a\",\n \"name\": \"b\"}", &["flow.json:2:2: duplicate key"]),
        ("{\"max_runs\": 99999999999999999999}", &["flow.json:1:14: this number does not fit into 64 bits"]),
        (
            "{\"steps\": {\"a\\u0062\": {\"accepts\": \"StartEvnt\",\n\
             \"emits\": \"StopEvent\", \"emit\": {}}}}",
            &["flow.json:1:35: there is no event `StartEvnt`; did you mean `StartEvent`?"],
        ),
        (
            "{\"start\": {\"\u{e4}\": {\"a\": null}}, \"x\": 1}",
            &[
                "flow.json:1:12: the workflow has no step: add one that accepts `\u{e4}`, and one that emits \
                 `StopEvent`",
                "flow.json:1:23: `a` must be a type such as \"string\" or \"integer[]?\", or a table, not null",
                "flow.json:1:31: a workflow file has no key `x`; it may have `name`, `description`, `timeout`, \
                 `max_runs`, `start`, `stop`, `events` and `steps`",
            ],
        ),
    ] {
        assert_eq!(told(text)[..expected.len()], *expected, "{text}");
    }
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(told(&deep), ["flow.json:1:38: this nests deeper than 32 objects and lists"]);
    let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(told(&deeper), ["flow.json:1:128: recursion limit exceeded"]);
}

#[test]
fn what_is_no_text_or_too_long_is_a_fault_too() {
    let told = |bytes: &[u8]| parse(Path::new("flow.toml"), bytes).expect_err("it has faults").to_string();
    assert_eq!(told(b"name = 'a'\n\xc3\xa4 = \xff"), "flow.toml:2:5: this is not UTF-8");
    assert_eq!(told(&vec![b' '; (1 << 20) + 1]), "flow.toml: a workflow file has at most 1048576 bytes");
    let many = "x = \n".repeat(1_000);
    let faults = parse(Path::new("flow.toml"), many.as_bytes()).expect_err("it has faults").0;
    assert_eq!(faults.len(), 101);
    assert!(faults[100].text.ends_with("more faults are not shown"), "{}", faults[100]);
    assert_eq!(
        told(b"\"a\\nb\" = 1").lines().next(),
        Some(
            "flow.toml:1:1: a workflow file has no key `a\\nb`; it may have \
        `name`, `description`, `timeout`, `max_runs`, `start`, `stop`, `events` and `steps`"
        )
    );
}
