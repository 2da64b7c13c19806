//! The README's workflow without Rust, as printed: its files are written, and its commands print what it says.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Program, STEPRILL, blocks};

const README: &str = include_str!("../../README.md");

/// Stands between what two commands print.
const SEPARATOR: &str = "\u{1}\u{2}";

fn tutorial() -> &'static str {
    let (_, tutorial) = README.split_once("## A workflow without Rust\n").expect("the tutorial");
    tutorial.split_once("\n## ").expect("what follows it").0
}

/// Returns the commands of a block, each with what it prints.
fn commands(block: &'static str) -> Vec<(&'static str, &'static str)> {
    let commands = block.split("$ ").skip(1);
    commands.map(|command| command.split_once('\n').expect("a line")).collect()
}

/// Returns whether the text is as printed, where `…` stands for anything.
fn matches(printed: &str, text: &str) -> bool {
    let (printed, mut rest) = (printed.trim_end(), text.trim_end());
    let mut parts = printed.split('…');
    let Some(first) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = first;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || printed.ends_with('…')
}

#[track_caller]
fn run(line: &str, directory: &Path) -> String {
    let programs = Path::new(STEPRILL).parent().expect("a directory");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(directory).env("PATH", path).stdin(Stdio::null());
    let output = command.output().expect("a shell");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8")
}

#[test]
fn the_workflow_without_rust_works_as_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, kind) in [("trip.toml", "toml"), ("price.py", "python")] {
        let [text] = blocks(tutorial(), kind)[..] else { panic!("one block of {kind}") };
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    let [local, remote] = blocks(tutorial(), "console")[..] else {
        panic!("a terminal for the server and one for its client")
    };
    let [(check, graph), (serve, ready)] = commands(local)[..] else { panic!("two commands") };
    let printed = run(check, directory.path());
    assert!(matches(graph, &printed), "{check}: {printed}");
    assert_eq!((serve, ready.trim_end()), ("steprill serve trip.toml", "steprill listening on http://127.0.0.1:8080"));
    let file = directory.path().join("trip.toml");
    let file = file.to_str().expect("a path of characters");
    let program = Program::of(Path::new(STEPRILL), &["serve", file, "--listen", "127.0.0.1:0"]);
    // One shell runs them all, as in a terminal.
    let commands = commands(remote);
    let lines: Vec<&str> = commands.iter().map(|(line, _)| *line).collect();
    let lines = format!("{}\necho '{SEPARATOR}'\n", lines.join(&format!("\necho '{SEPARATOR}'\n")));
    let printed = run(&lines.replace("localhost:8080", program.host()), directory.path());
    let printed: Vec<&str> = printed.split(SEPARATOR).collect();
    assert_eq!((commands.len(), printed.len()), (5, 6), "{printed:?}");
    for ((line, expected), printed) in commands.into_iter().zip(printed) {
        assert!(matches(expected, printed.trim_start()), "{line}: {printed}");
    }
}

#[test]
fn a_gap_stands_for_anything() {
    for (printed, text, expected) in [
        ("a…b", "axxb", true),
        ("a…b", "axxbc", false),
        ("a…", "a", true),
        ("…b…", "abc", true),
        ("ab", "abc", false),
        ("…b", "ac", false),
    ] {
        assert_eq!(matches(printed, text), expected, "{printed} {text}");
    }
}
