//! `steprill inspect` and `steprill backup`, beside a running server and without one.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use super::{DataDir, ended, kill};
use crate::support::{Program, STEPRILL};

fn steprill(arguments: &[&str]) -> Output {
    Command::new(STEPRILL).args(arguments).output().expect("the program starts")
}

/// Returns what it prints, and checks that it succeeds.
#[track_caller]
pub(super) fn printed(arguments: &[&str]) -> String {
    let output = steprill(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Checks that it exits with this code and prints one line, or the usage, too.
#[track_caller]
fn fails(arguments: &[&str], code: i32, says: &str) {
    let output = steprill(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(says), "{arguments:?}: {errors}");
    assert!(code == 2 || errors.lines().count() == 1, "{errors}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn inspect_tells_of_handlers_and_their_journals_beside_a_server_and_after_it() {
    let data = DataDir::new();
    let directory = text(data.directory.path());
    let program = data.start();
    let waiting = program.begin("interactive", json!({}));
    let finished = program.finish("cumulative", json!({ "increment": 3 }));
    let failed = program.begin("error", json!({}));
    ended(&program, &failed);
    let retried = program.finish("flaky", json!({ "failures": 2 }));
    let look = || {
        let list = printed(&["inspect", directory]);
        for (id, status, workflow) in
            [(&waiting, "running", "interactive"), (&finished, "completed", "cumulative"), (&failed, "failed", "error")]
        {
            let line = list.lines().find(|line| line.starts_with(&**id)).unwrap_or_else(|| panic!("{id}: {list}"));
            assert!(line.contains(status) && line.ends_with(workflow), "{line}");
        }
        assert_eq!(list.lines().count(), 5, "{list}");
        let journal = printed(&["inspect", directory, &waiting]);
        for says in ["status   running", "started with {}", "(ask) pass 0 returned RequestedExternalEvent", "waits"] {
            assert!(journal.contains(says), "{says}: {journal}");
        }
        let end = printed(&["inspect", directory, &finished]);
        assert!(end.contains("status   completed") && end.contains("state    count = 3"), "{end}");
        let tries = printed(&["inspect", directory, &retried]);
        for says in ["attempt attempt 1 failed: \"attempt 1 failed\"; the next one at 20", "attempt attempt 2 failed"] {
            assert!(tries.contains("status   completed") && tries.contains(says), "{says}: {tries}");
        }
        let why = printed(&["inspect", directory, &failed]);
        assert!(why.contains("error    ") && why.contains("failed: Test error"), "{why}");
    };
    look();
    kill(program);
    look();
    fails(&["inspect", directory, "nobody"], 1, "nobody");
    fails(&["inspect", "/proc/nowhere"], 1, "/proc/nowhere");
    fails(&["inspect"], 2, "expected DIR");
    fails(&["inspect", directory, "a", "b"], 2, "expected DIR");
}

#[test]
fn a_backup_of_a_running_server_continues_as_that_server_was() {
    let (data, other) = (DataDir::new(), DataDir::new());
    let program = data.start();
    let waiting = program.begin("interactive", json!({}));
    let finished = program.finish("echo", json!({ "message": "kept" }));
    let copy = other.directory.path().join("steprill.db");
    assert_eq!(printed(&["backup", text(data.directory.path()), text(&copy)]), "");
    let later = program.finish("echo", json!({}));
    fails(&["backup", text(data.directory.path()), text(&copy)], 1, "exists");
    fails(&["backup", "/proc/nowhere", "/tmp/nowhere/file"], 1, "/proc/nowhere");
    fails(&["backup", text(&copy)], 2, "expected DIR and FILE");

    let restored: Program = other.start();
    assert_eq!(restored.get(&format!("/results/{finished}")).json()["result"], "processed: kept");
    assert_eq!(restored.get(&format!("/results/{later}")).status, 404, "it came after the copy");
    let answer = json!({ "event": { "type": "ExternalEvent", "value": { "response": "hi" } } });
    assert_eq!(restored.post(&format!("/events/{waiting}"), &answer).status, 200);
    assert_eq!(ended(&restored, &waiting)["status"], "completed");
    assert_eq!(program.get(&format!("/results/{waiting}")).status, 202, "the original still waits");
}

#[test]
fn paths_are_no_uris_and_every_program_has_the_tools() {
    let data = DataDir::new();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(Program::path());
        let output = command.args(arguments).current_dir(data.directory.path()).output().expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), errors)
    };
    // Relative, as from a shell.
    let there = format!(
        "cd {}; exec {} --listen 127.0.0.1:0 --data file:data",
        text(data.directory.path()),
        text(Program::path())
    );
    let program = Program::of(Path::new("/bin/sh"), &["-c", &there]);
    let id = program.finish("echo", json!({}));
    let (code, list, errors) = run(&["inspect", "file:data"]);
    assert!(code == Some(0) && list.contains(&id), "{list}{errors}");
    assert_eq!(run(&["backup", "file:data", "file:copy"]), (Some(0), String::new(), String::new()));
    kill(program);
    let (code, list, errors) = run(&["inspect", "file:data", &id]);
    assert!(code == Some(0) && list.contains("status   completed"), "{list}{errors}");
    std::fs::rename(data.directory.path().join("file:data"), data.directory.path().join("--data")).expect("renamed");
    for arguments in [&["inspect", "--", "--data", &id][..], &["inspect", "--data", &id]] {
        let (code, list, errors) = run(arguments);
        assert!(code == Some(0) && list.contains("status   completed"), "{arguments:?}: {list}{errors}");
    }
    let mut names: Vec<_> = std::fs::read_dir(data.directory.path()).expect("files").flatten().collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(names.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), ["--data", "file:copy"]);
    let (code, _, errors) = run(&["inspect"]);
    assert!(code == Some(2) && errors.contains("conformance: inspect: expected DIR"), "{errors}");
    let (_, help, _) = run(&["--help"]);
    assert!(
        help.contains("conformance inspect DIR [HANDLER]") && help.contains("conformance backup DIR FILE"),
        "{help}"
    );
}

#[test]
fn an_error_about_a_data_directory_says_what_was_expected() {
    let directory = tempfile::tempdir().expect("a directory");
    let (there, file) = (text(directory.path()), directory.path().join("file"));
    std::fs::write(&file, "mine").expect("a file");
    let missing = directory.path().join("missing");
    let copy = directory.path().join("copy");
    let expected = "give the one that a server has as --data, with steprill.db in it";
    for (path, found) in
        [(there, "there is no steprill.db in it"), (text(&file), "it is a file"), (text(&missing), "it does not exist")]
    {
        let line = format!("'{path}' is no data directory ({found}): {expected}");
        fails(&["inspect", path], 1, &line);
        fails(&["inspect", "--", path, "AAAAAAAAAA"], 1, &line);
        fails(&["backup", path, text(&copy)], 1, &line);
    }
    fails(&["inspect", ""], 2, "inspect: expected DIR, got an empty name");
    fails(&["backup", there, ""], 2, "backup: expected DIR and the name of a file");
    assert!(!copy.exists());
}

#[test]
fn a_backup_into_a_directory_that_is_not_there_says_so() {
    let data = DataDir::new();
    kill(data.start());
    let copy = data.directory.path().join("missing").join("copy");
    let advice = "make the directory that it is to be in";
    fails(&["backup", text(data.directory.path()), text(&copy)], 1, advice);
}

#[test]
fn what_inspect_shows_moves_no_cursor_and_forges_no_line() {
    let data = DataDir::new();
    let program = data.start();
    let hostile = "\u{1b}[2J\u{7}\r\nforged\u{9b}31m\u{202e}";
    let waiting = program.begin("interactive", json!({ "x": hostile }));
    let finished = program.finish("echo", json!({ "message": hostile }));
    let directory = text(data.directory.path());
    for arguments in
        [&["inspect", directory][..], &["inspect", directory, &waiting], &["inspect", directory, &finished]]
    {
        let shown = printed(arguments);
        let is_plain = |character: char| character == '\n' || !(character.is_control() || character == '\u{202e}');
        assert!(shown.chars().all(is_plain), "{shown:?}");
    }
    assert!(printed(&["inspect", directory, &waiting]).contains("forged"));
    fails(&["inspect", directory, "\u{1b}[2J\n"], 1, "there is no handler");
}
