//! Programs that fail, or print what they should not: the error says what to do.

use std::{fs, time::Duration};

use serde_json::json;
use steprill::{
    Retry,
    command::{Output, Program},
};

use super::{Flow, Step, one, program, sh};

fn lines(script: &str) -> Program {
    Program { output: Output::Events, ..sh(script) }
}

/// Returns the error of a workflow of one step.
#[track_caller]
fn error(program: Program) -> String {
    one(program).run(&json!({})).expect_err("it fails")
}

/// Checks the error of a step that emits `Item` and streams `Progress`.
#[track_caller]
fn check(program: Program, expected: &str) {
    let step = Step::run("first", "StartEvent", "Item", program);
    let flow = Flow::new("one")
        .event("Item", &json!({ "n": { "type": "integer" } }))
        .event("Progress", &json!({}))
        .step(step.with(|parts| parts.streams.push("Progress".into())))
        .step(Step::sh("second", "Item", "StopEvent", "echo '{}'"));
    let error = flow.run(&json!({})).expect_err("it fails");
    assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
}

#[test]
fn the_end_of_stderr_is_the_error_of_a_program_that_fails() {
    assert_eq!(error(sh("echo one >&2; printf 'two\\n' >&2; exit 3")), "exit code 3: one\ntwo");
    assert_eq!(error(sh("exit 4")), "exit code 4");
    assert_eq!(error(sh("kill -9 $$")), "killed by signal 9 (SIGKILL)");
    let long = error(sh("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"));
    assert!(long.len() < 2_200 && long.ends_with("line 498\nline 499"), "{long}");
}

#[test]
fn a_program_that_cannot_be_started_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("plain"), "#!/bin/sh\n").expect("it is written");
    let of = |name: &str| Program { directory: directory.path().into(), ..program(&[name]) };
    let missing = error(of("./missing"));
    assert!(missing.contains("/./missing cannot be started: No such file"), "{missing}");
    let nowhere = error(of("no-such-program"));
    assert!(nowhere.contains("no program no-such-program in PATH (/"), "{nowhere}");
    let beside = error(of("plain"));
    assert!(beside.contains("for the one beside its workflow file write ./plain"), "{beside}");
    let plain = error(of("./plain"));
    assert!(plain.contains("plain is not executable: chmod +x it"), "{plain}");
    let executable = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = directory.path().join(name);
        fs::write(&path, text).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("they are set");
        error(of(&format!("./{name}")))
    };
    let bare = executable("bare", "echo '{}'\n");
    assert!(bare.contains("is no program: begin a script with a line such as #!/bin/sh"), "{bare}");
    let lost = executable("lost", "#!/no/such/interpreter\n");
    assert!(lost.contains("the interpreter that its first line names is not there"), "{lost}");
    let gone = error(Program { directory: directory.path().join("gone"), ..program(&["true"]) });
    assert!(gone.contains("gone is gone"), "{gone}");
}

#[test]
fn a_bad_line_fails_the_step_and_is_quoted() {
    for (line, expected) in [
        ("hello", "line 1 of its output is no event: expected value at line 1 column 1"),
        ("hello", "got `hello`"),
        ("1", "line 1 of its output is no event"),
        (r#"{"type":"Item"}"#, "it has no `value`"),
        (r#"{"value":{}}"#, "it has no `type`"),
        (r#"{"type":"Item","value":{"n":1},"more":1}"#, "unknown field `more`"),
        (r#"{"type":"Item","value":{"n":1},"state":{}}"#, "both an event and a change of the state"),
        (
            r#"{"type":"Item","value":{"n":"x"}}"#,
            "line 1 of its output: event Item: field n: expected integer, got string",
        ),
        (r#"{"type":"Item","value":{}}"#, "event Item: field n"),
        (r#"{"type":"Itm","value":{}}"#, "emits or streams Item, Progress, and not Itm; did you mean Item?"),
        (r#"{"type":"StopEvent","value":{}}"#, "emits or streams Item, Progress, and not StopEvent"),
        (r#"{"state":{"add":{"n":"x"}}}"#, "line 1 of its output: state key `n`: `add` needs a number, found a string"),
        (r#"{"state":{"delete":{}}}"#, "unknown field `delete`"),
    ] {
        check(lines(&format!("echo '{line}'")), expected);
    }
    check(
        lines(r#"echo '{"type":"Item","value":{"n":1}}'; echo '{"type":"Item","value":{"n":2}}'"#),
        "line 2 of its output: the step has emitted already",
    );
    check(
        lines(r#"echo '{"type":"Progress","value":{}}'; printf '{"type":"It'"#),
        "line 2 of its output is no event: EOF",
    );
    check(lines("true"), "its program ended without an event; the step emits Item");
    check(lines(r"printf '\377\n'"), "line 1 of its output is no event");
    check(lines("head -c 1100000 /dev/zero | tr '\\0' 'x'; sleep 100"), "line 1 of its output exceeds 1048576 bytes");
}

#[test]
fn a_bad_value_fails_the_step_and_is_quoted() {
    for (output, expected) in [
        ("hello", "not one value of JSON: expected value at line 1 column 1; got `hello`"),
        (r#"{"n":1} {"n":2}"#, "not one value of JSON: trailing characters"),
        (r#"{"n":1"#, "not one value of JSON: EOF while parsing"),
        (r#"{"n":1.5}"#, "its output: event Item: field n: expected integer, got"),
        ("[]", "its output: event Item: expected an object, got an array"),
        ("null", "its output: event Item: expected an object, got null"),
        ("", "its program ended without an event; the step emits Item"),
    ] {
        check(sh(&format!("printf '%s' '{output}'")), expected);
    }
}

#[test]
fn a_program_with_too_much_output_is_ended() {
    let error = error(sh("yes"));
    assert_eq!(error, "the output of its program exceeds 67108864 bytes: split the work");
}

#[test]
fn half_a_line_of_a_program_that_fails_is_never_an_event() {
    check(lines(r#"printf '{"type":"Item","value":{"n":1}}'; echo bad >&2; exit 1"#), "exit code 1: bad");
}

/// Counts attempts in a file: each adds a byte, and then `script` runs.
#[track_caller]
fn attempts(script: &str, has_retry: bool) -> (u64, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("attempts");
    let program = Program { has_retry, ..sh(&format!("printf x >> '{}'; {script}", file.display())) };
    let step = Step::run("only", "StartEvent", "StopEvent", program);
    let flow = Flow::new("one").step(step.with(|parts| parts.retry = Retry::fixed(Duration::ZERO).attempts(3)));
    let error = flow.run(&json!({})).expect_err("it fails");
    (fs::metadata(file).expect("it ran").len(), error)
}

#[test]
fn exit_codes_decide_what_is_retried() {
    assert_eq!(attempts("exit 1", true).0, 3);
    assert_eq!(attempts("echo no", true).0, 3);
    assert_eq!(attempts("exit 65", true).0, 1);
    assert_eq!(attempts("exit 1", false), (1, "exit code 1".into()));
    assert_eq!(attempts("exit 65", false).0, 1);
    assert_eq!(attempts("exit 75", false), (3, "exit code 75".into()));
    assert_eq!(attempts("exit 75", true).0, 3);
}

#[test]
fn a_program_that_does_not_read_its_input_is_fine() {
    let large = "x".repeat(1 << 20);
    let stop = one(sh("exec 0<&-; sleep 0.01; echo '{\"result\":1}'")).run(&json!({ "large": large }));
    assert_eq!(stop, Ok(json!({ "result": 1 })));
    let read = one(sh("echo \"{\\\"result\\\":$(wc -c)}\"")).run(&json!({ "large": large }));
    assert_eq!(read, Ok(json!({ "result": large.len() + r#"{"large":""}"#.len() + 1 })));
}

#[test]
fn a_flood_on_stderr_blocks_nothing() {
    let stop = one(sh("yes | head -c 20000000 >&2; echo '{\"result\":1}'")).run(&json!({}));
    assert_eq!(stop, Ok(json!({ "result": 1 })));
}

#[test]
fn too_long_arguments_say_where_else_the_event_is() {
    let error = one(program(&["true", "{large}"])).run(&json!({ "large": "x".repeat(200_000) }));
    let error = error.expect_err("it fails");
    assert!(error.contains("read the event from stdin instead"), "{error}");
    let nul = one(program(&["true", "{text}"])).run(&json!({ "text": "a\0b" })).expect_err("it fails");
    assert!(nul.contains("U+0000"), "{nul}");
}
