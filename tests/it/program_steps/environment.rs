//! What a program sees: its variables, its secrets, its limits.

use std::{collections::BTreeMap, env, fs};

use serde_json::{Value, json};
use steprill::command::{Output, Program};

use super::{Flow, Step, one, program, sh};

/// Prints its environment.
fn show() -> Program {
    Program { output: Output::Text("result".into()), ..program(&["cat", "/proc/self/environ"]) }
}

/// Returns the environment of a program.
fn environment(program: Program) -> BTreeMap<String, String> {
    let stop = one(program).run(&json!({})).unwrap_or_else(|error| panic!("{error}"));
    let variables = stop["result"].as_str().expect("text").split_terminator('\0');
    variables
        .map(|variable| variable.split_once('=').expect("a variable"))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[test]
fn a_program_gets_exactly_the_promised_variables() {
    let mut seen = environment(show());
    for name in ["PATH", "HOME", "LANG", "TZ"] {
        let of_server = env::var(name).ok().or_else(|| (name == "PATH").then(|| "/usr/local/bin:/usr/bin:/bin".into()));
        assert_eq!(seen.remove(name), of_server, "{name}");
    }
    let mut taken = |name: &str| seen.remove(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(taken("STEPRILL_EVENT"), "StartEvent");
    assert_eq!(taken("STEPRILL_STEP"), "only");
    assert_eq!(taken("STEPRILL_WORKFLOW"), "one");
    assert_eq!(taken("STEPRILL_ATTEMPT"), "1");
    let run = taken("STEPRILL_RUN_ID");
    assert_eq!(taken("STEPRILL_WORK_ID"), format!("{run}-0"));
    assert!(!taken("STEPRILL_HANDLER_ID").is_empty());
    let state = taken("STEPRILL_STATE");
    assert!(!fs::exists(&state).expect("it can be asked"), "{state} is removed");
    assert_eq!(seen, BTreeMap::new());
}

#[test]
fn env_and_pass_env_come_on_top() {
    let own = [("REGION".into(), "eu {x}".into()), ("TZ".into(), "UTC".into())];
    let name: Box<str> = "CARGO_MANIFEST_DIR".into();
    let seen = environment(Program { env: own.into(), pass_env: [name.clone(), "NOT_SET".into()].into(), ..show() });
    assert_eq!((&*seen["REGION"], &*seen["TZ"]), ("eu {x}", "UTC"));
    assert_eq!(seen.get(&*name), env::var(&*name).ok().as_ref());
    assert!(!seen.contains_key("NOT_SET"));
}

#[test]
fn a_secret_is_read_when_the_program_starts_and_shown_nowhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("key");
    let with_secret = |script: &str| Program { secrets: [("KEY".into(), file.clone())].into(), ..sh(script) };
    let missing = one(with_secret("true")).run(&json!({})).expect_err("it fails");
    assert!(missing.contains("secret KEY: ") && missing.contains("No such file"), "{missing}");
    fs::write(&file, "s3cret-value\n").expect("it is written");
    let length = one(with_secret("echo \"{\\\"result\\\":${#KEY}}\"")).run(&json!({}));
    assert_eq!(length, Ok(json!({ "result": 12 })), "without the line end");
    let told = one(with_secret("echo \"key=$KEY.\" >&2; exit 1")).run(&json!({}));
    assert_eq!(told, Err("exit code 1: key=***.".into()));
    let printed = one(with_secret("echo \"$KEY\"")).run(&json!({})).expect_err("it is no JSON");
    assert!(printed.contains("got `***`"), "{printed}");
}

#[test]
fn limits_hold_before_the_program_begins() {
    let limits = Program {
        memory_bytes_max: Some(64 << 20),
        cpu_max: Some(std::time::Duration::from_millis(1_500)),
        ..sh("echo \"{\\\"result\\\":[$(ulimit -v), $(ulimit -t)]}\"")
    };
    assert_eq!(one(limits).run(&json!({})), Ok(json!({ "result": [65_536, 2] })));
    let greedy = Program { cpu_max: Some(std::time::Duration::from_secs(1)), ..sh("while :; do :; done") };
    let error = one(greedy).run(&json!({})).expect_err("it is killed");
    assert!(error.contains("SIGXCPU") || error.contains("SIGKILL"), "{error}");
}

#[test]
fn the_work_id_is_the_same_in_every_attempt() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ids");
    let script = format!("echo $STEPRILL_WORK_ID $STEPRILL_ATTEMPT >> '{}'; exit 75", file.display());
    let step = Step::run("only", "StartEvent", "StopEvent", sh(&script));
    Flow::new("one").step(step).run(&json!({})).expect_err("it fails");
    let text = fs::read_to_string(file).expect("it ran");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.iter().map(|line| line[1]).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(lines.iter().all(|line| line[0] == lines[0][0]), "{text}");
}

#[test]
fn a_program_runs_in_the_directory_of_its_workflow_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let real = directory.path().canonicalize().expect("it is there");
    let show = Program { directory: directory.path().into(), ..sh("echo \"{\\\"result\\\":\\\"$(pwd -P)\\\"}\"") };
    assert_eq!(one(show).run(&json!({})), Ok(json!({ "result": Value::from(real.to_str()) })));
}
