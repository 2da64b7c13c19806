//! `steprill serve`, `check` and `schema-of-files`, as programs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use serde_json::Value;
use steprill::WORKFLOW_FILE_SCHEMA;

use super::ORDER;
use crate::support::{STEPRILL, command};

/// A workflow that needs no program.
const PAUSE: &str = "[start.In]\nn = { type = 'integer', max = 3 }\n[steps.a]\naccepts = 'In'\nemits = 'StopEvent'\n\
                     emit = { result = '{n}' }\n";

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command(Path::new(STEPRILL)).current_dir(directory).args(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// Writes the files into a new directory.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    directory
}

#[test]
fn with_a_fault_in_any_file_nothing_is_served_and_every_fault_is_printed() {
    let files = directory(&[("a.toml", "nmae = 'x'\n[steps]"), ("b.toml", PAUSE), ("c.toml", "name = 'b'\n")]);
    fs::write(files.path().join("d.toml"), format!("name = 'b'\n{PAUSE}")).expect("a file");
    let (code, stdout, stderr) = run(files.path(), &["serve", ".", "missing.toml", "--listen", "127.0.0.1:0"]);
    assert_eq!((code, &*stdout), (Some(2), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "missing.toml: cannot be read: No such file or directory (os error 2)",
            "./a.toml:1:1: a workflow file has no key `nmae`; did you mean `name`?",
            "./a.toml:1:1: the workflow has no step: add one that accepts `StartEvent`, and one that emits `StopEvent`",
            "./c.toml:1:1: the workflow has no step: add one that accepts `StartEvent`, and one that emits `StopEvent`",
            "./d.toml:1:8: the workflow in ./b.toml is named `b`, too: write another `name`",
        ]
    );
}

#[test]
fn check_finds_programs_that_are_missing_and_prints_the_graphs_of_files_without_faults() {
    let files = directory(&[("order.toml", ORDER), ("bad.toml", "x = 1"), ("total.py", ""), ("price", "")]);
    let (code, stdout, stderr) = run(files.path(), &["check", "order.toml", "bad.toml"]);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(
        lines[2..],
        [
            "order.toml:38:7: there is no file `split.py` in .",
            "order.toml:55:7: `./price` may not be executed: run `chmod +x` on it",
        ][..]
    );
    assert_eq!(code, Some(1));
    assert_eq!(
        stdout,
        "order: Order to Receipt\n  split  Order -> Item[]\n  price  Item -> Priced, asks Confirm for Approval, \
         streams Progress, on failure Unpriced\n  total  Priced[] | Unpriced[] -> Receipt\n"
    );

    fs::write(files.path().join("split.py"), "").expect("a file");
    fs::set_permissions(files.path().join("price"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let (code, stdout, stderr) = run(files.path(), &["check", "--dot", "order.toml"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.starts_with("digraph \"order\" {") && stdout.contains("\"Order\" -> \"step split\""), "{stdout}");
    let (_, stdout, _) = run(files.path(), &["check", "order.toml", "--mermaid"]);
    assert!(stdout.starts_with("flowchart LR\n") && stdout.contains("[\"split\"]"), "{stdout}");
}

#[test]
fn a_program_is_looked_for_in_path_or_beside_the_file() {
    let flow = "[steps.a]\naccepts = 'StartEvent'\nemits = 'StopEvent'\nrun = [";
    let files = directory(&[("here", "")]);
    for (program, fault) in [
        ("'sh'", None),
        ("'no-such-program'", Some("there is no program `no-such-program` in PATH")),
        ("'here'", Some("there is no program `here` in PATH; write `./here` for the one beside this file")),
        ("'./nowhere'", Some("there is no program `./nowhere` in .")),
        ("'{which}'", None),
        ("'sh', '-c', 'x'", None),
        ("'/bin/sh', 'missing.sh'", Some("there is no file `missing.sh` in .")),
    ] {
        fs::write(files.path().join("flow.toml"), format!("{flow}{program}]")).expect("a file");
        let (_, _, stderr) = run(files.path(), &["check", "flow.toml"]);
        let expected = fault.map_or(String::new(), |fault| format!("flow.toml:4:7: {fault}\n"));
        assert_eq!(stderr, expected, "{program}");
    }
}

#[test]
fn check_searches_the_path_that_the_step_sets() {
    let flow = "[steps.a]\naccepts = 'StartEvent'\nemits = 'StopEvent'\nrun = ['own']\n";
    let files = directory(&[("none.toml", flow), ("own", "")]);
    fs::write(files.path().join("set.toml"), format!("{flow}env = {{ PATH = '.' }}\n")).expect("a file");
    fs::set_permissions(files.path().join("own"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let (code, _, stderr) = run(files.path(), &["check", "set.toml"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let (code, _, _) = run(files.path(), &["check", "none.toml"]);
    assert_eq!(code, Some(1));
}

#[test]
fn a_command_line_that_is_not_understood_is_an_error_of_usage() {
    let files = directory(&[("flow.toml", PAUSE)]);
    for (arguments, says) in [
        (&["serve"][..], "expected files or directories"),
        (&["check"], "expected files or directories"),
        (&["check", "--svg", "flow.toml"], "--svg"),
        (&["serve", "flow.toml", "--nope"], "--nope"),
        (&["demo", "flow.toml"], "flow.toml"),
    ] {
        let (code, stdout, stderr) = run(files.path(), arguments);
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_schema_is_printed_as_it_stands_in_the_documentation() {
    let (code, stdout, _) = run(Path::new("."), &["schema-of-files"]);
    assert_eq!((code, &*stdout), (Some(0), WORKFLOW_FILE_SCHEMA));
    assert_eq!(stdout, include_str!("../../../docs/workflow-file.schema.json"));
    let schema: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
