//! Which files the paths on a command line mean.

use std::{fs, os::unix::net::UnixListener, path::PathBuf};

use steprill::files::{WorkflowFile, load};

const FLOW: &str = "[steps.a]\naccepts = 'StartEvent'\nemits = 'StopEvent'\nemit = {}\n";

/// Loads these paths below a new directory. Returns the names of the workflows, or the faults without the directory.
fn loaded(files: &[(&str, &str)], paths: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its directory");
        fs::write(path, text).expect("a file");
    }
    let _socket = UnixListener::bind(directory.path().join("socket")).expect("a socket");
    let paths: Vec<PathBuf> = paths.iter().map(|path| directory.path().join(path)).collect();
    let name = |file: &WorkflowFile| file.workflow.graph().name.to_string();
    let names = |files: Vec<WorkflowFile>| files.iter().map(name).collect();
    let root = format!("{}/", directory.path().display());
    load(&paths)
        .map(names)
        .map_err(|faults| faults.0.iter().map(|fault| fault.to_string().replace(&root, "")).collect())
}

#[test]
fn a_directory_means_the_workflow_files_in_it_in_order_of_name() {
    let json = r#"{"steps": {"s": {"accepts": "StartEvent", "emits": "StopEvent", "emit": {}}}}"#;
    let files = [
        ("flows/b.toml", FLOW),
        ("flows/a.json", json),
        ("flows/b.test.toml", "x"),
        ("flows/b.test.json", "x"),
        ("flows/.hidden.toml", "x"),
        ("flows/notes.txt", "x"),
        ("flows/below/c.toml", "x"),
        ("flows/directory.toml/d.toml", "x"),
        ("other.flow", FLOW),
    ];
    assert_eq!(loaded(&files, &["flows"]), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(
        loaded(&files, &["other.flow", "flows/b.toml", "flows"]),
        Ok(vec!["other".into(), "b".into(), "a".into()])
    );
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    assert_eq!(
        loaded(&[("empty/x.txt", "")], &["nowhere", "empty", "socket"]),
        Err(vec![
            "nowhere: cannot be read: No such file or directory (os error 2)".into(),
            "empty: has no workflow file in it: *.toml or *.json".into(),
            "socket: is neither a file nor a directory".into(),
        ])
    );
}

#[test]
fn two_workflows_of_one_name_are_a_fault_that_names_both() {
    let named = format!("name = 'a'\n{FLOW}");
    let faults = loaded(&[("a.toml", FLOW), ("b.toml", &named)], &["a.toml", "b.toml"]).expect_err("a fault");
    assert_eq!(faults, ["b.toml:1:8: the workflow in a.toml is named `a`, too: write another `name`"]);
}

#[test]
fn a_name_of_a_file_that_names_no_workflow_is_a_fault() {
    let faults = loaded(&[("my flow.toml", FLOW)], &["my flow.toml"]).expect_err("a fault");
    assert_eq!(
        faults,
        ["my flow.toml:1:1: the file's name `my flow` cannot be the name of the workflow: write `name = \"…\"`"]
    );
}
