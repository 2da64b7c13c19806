//! The source, read as text: what keeps it small, layered and free of clocks where none may be.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARACTERS_MAX: usize = 120;

/// The layers, by the first part of a module's path, and what each may use of the crate. `main → server → { net, api,
/// workers, store } → { http, engine, workflow }`, and under them the data that everything meets in. Nothing points
/// left.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("now", &[]),
    ("json", &["limits"]),
    ("graph", &["limits", "json"]),
    ("pass", &["limits", "json", "graph"]),
    ("http", &["limits", "now", "json"]),
    ("engine", &["limits", "now", "json", "graph", "pass"]),
    ("workflow", &["limits", "json", "graph", "pass"]),
    ("net", &["limits", "now", "json", "graph", "pass", "http", "engine", "workflow"]),
    ("api", &["limits", "now", "json", "graph", "pass", "http", "engine", "workflow"]),
    ("workers", &["limits", "now", "json", "graph", "pass", "http", "engine", "workflow"]),
    ("store", &["limits", "now", "json", "graph", "pass", "http", "engine", "workflow"]),
];

/// Modules that are handed bytes, values and `now`, and give values back.
const PURE: &[&str] = &["limits", "now", "json", "graph", "pass", "http", "engine"];

/// What no pure module names: sockets, threads, files, processes, clocks, random numbers.
const IMPURE: &[&str] = &[
    "std::net",
    "std::thread",
    "std::fs",
    "std::process",
    "std::env",
    "std::os",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "thread::",
    "getrandom",
    "RandomState",
    "new_v4",
    "now_utc",
    "now_v7",
    "mio::",
    "crossbeam_channel",
    "println!",
    "eprintln!",
];

/// Members of the API's JSON. Only `api` writes them, or the two that an event's envelope and state changes are
/// made of.
const WIRE_NAMES: &[&str] =
    &["handler_id", "workflow_name", "run_id", "started_at", "updated_at", "completed_at", "start_event", "detail"];

/// A file of the crate's source.
struct Source {
    path: PathBuf,
    text: String,
}

/// A line that breaks a rule.
struct Breach<'a> {
    source: &'a Source,
    line: usize,
    what: String,
}

impl Source {
    /// Every file under `src/`, in order of path.
    fn all() -> Vec<Self> {
        Self::below("src")
    }

    /// Every Rust file below a directory of the repository, in order of path.
    fn below(directory: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        let mut directories = vec![root.join(directory)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).expect("the directory is there") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    paths.push(path);
                }
            }
        }
        paths.sort_unstable();
        assert!(!paths.is_empty(), "{directory} has source");
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).expect("UTF-8");
            Self { path: path.strip_prefix(root).expect("below the root").to_owned(), text }
        };
        paths.into_iter().map(read).collect()
    }

    /// The first part of the module's path: `engine` of `src/engine/run.rs`.
    fn layer(&self) -> &str {
        let below = self.path.iter().nth(1).and_then(|part| part.to_str()).expect("UTF-8");
        below.strip_suffix(".rs").unwrap_or(below)
    }

    /// A file of tests only: `tests.rs`, or below `tests/`.
    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }

    /// The lines of the program itself, numbered from 1: without the tests at the end, comments and strings.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .enumerate()
            .map(|(index, line)| (index + 1, without_comments(line)))
            .filter(|_| !self.is_test())
    }
}

/// The line without a comment at its end, and with the text in its strings blanked.
fn without_comments(line: &str) -> String {
    let (mut code, mut in_string, mut escaped) = (String::new(), false, false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (in_string, character) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (true, '"') => in_string = false,
            (true, _) => {}
            (false, '"') if !code.ends_with('\'') => in_string = true,
            (false, '/') if characters.peek() == Some(&'/') => break,
            (false, _) => code.push(character),
        }
    }
    code
}

#[track_caller]
fn assert_none(breaches: &[Breach<'_>]) {
    let mut list = String::new();
    for Breach { source, line, what } in breaches {
        let _ = writeln!(list, "{}:{line}: {what}", source.path.display());
    }
    assert!(breaches.is_empty(), "\n{list}");
}

#[test]
fn files_are_short() {
    let sources = Source::all();
    let long = sources.iter().filter(|source| source.text.lines().count() > FILE_LINES_MAX);
    let breach = |source| Breach { source, line: FILE_LINES_MAX, what: format!("more than {FILE_LINES_MAX} lines") };
    assert_none(&long.map(breach).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let sources = Source::all();
    let mut breaches = Vec::new();
    for source in &sources {
        // rustfmt ends every function on a line of its own, indented as the line that began it.
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (index, line) in source.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.split(['(', '<']).next().unwrap_or_default();
            let is_function =
                words.split_whitespace().rev().nth(1) == Some("fn") && !line.trim_start().starts_with("//");
            if is_function && !line.ends_with([';', '}']) {
                open.push((indent, index));
            } else if matches!(line.trim(), "}" | "};" | "})" | "});")
                && let Some((_, start)) = open.pop_if(|(known, _)| *known == indent)
                && index + 1 - start > FUNCTION_LINES_MAX
            {
                let what = format!("a function of {} lines, more than {FUNCTION_LINES_MAX}", index + 1 - start);
                breaches.push(Breach { source, line: start + 1, what });
            } else if line.trim_end().ends_with(';') {
                // A declaration without a body, over several lines.
                open.pop_if(|(known, _)| *known == indent);
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn lines_are_short() {
    let mut sources = Source::all();
    sources.extend(Source::below("tests"));
    sources.extend(Source::below("examples"));
    let mut breaches = Vec::new();
    for source in &sources {
        for (index, line) in source.text.lines().enumerate() {
            let length = line.chars().count();
            if length > LINE_CHARACTERS_MAX {
                breaches.push(Breach { source, line: index + 1, what: format!("{length} characters") });
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn layers_use_only_what_is_right_of_them() {
    let sources = Source::all();
    let mut breaches = Vec::new();
    for source in &sources {
        let Some((layer, uses)) = LAYERS.iter().find(|(layer, _)| *layer == source.layer()) else { continue };
        let known = |name: &str| LAYERS.iter().any(|(layer, _)| *layer == name) || name == "server";
        let mut in_crate_group = false;
        for (line, code) in source.code() {
            let mut named: Vec<&str> = code.split("crate::").skip(1).map(first_name).collect();
            // `use crate::{` over several lines, its modules indented once.
            in_crate_group = in_crate_group && !code.starts_with("};") || code.ends_with("use crate::{");
            if in_crate_group && code.starts_with("    ") && !code.starts_with("     ") {
                named.push(first_name(code.trim_start()));
            }
            if let Some((_, group)) = code.split_once("use crate::{") {
                named.extend(group.split(", ").map(first_name));
            }
            let mut wrong = |name: &str| {
                let what = format!("{layer} uses {name}; it may use {}", uses.join(", "));
                breaches.push(Breach { source, line, what });
            };
            named.retain(|name| known(name) && name != layer && !uses.contains(name));
            named.dedup();
            named.iter().for_each(|name| wrong(name));
        }
    }
    assert_none(&breaches);
}

/// The name that a path begins with.
fn first_name(path: &str) -> &str {
    path.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or_default()
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let sources = Source::all();
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| PURE.contains(&source.layer())) {
        for (line, code) in source.code() {
            for impure in IMPURE.iter().filter(|impure| code.contains(**impure)) {
                breaches.push(Breach { source, line, what: format!("{impure} in a pure module") });
            }
            // `use std::{fmt, net::TcpStream}`
            if code.trim_start().starts_with("use std::{") {
                for part in ["net", "thread", "fs", "process", "env", "os"] {
                    let inside = code.split(['{', ',', ' ']).any(|name| first_name(name) == part);
                    if inside {
                        breaches.push(Breach { source, line, what: format!("std::{part} in a pure module") });
                    }
                }
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn only_the_loop_reads_the_clocks() {
    let sources = Source::all();
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.layer() != "server") {
        for (line, code) in source.code() {
            for clock in ["Instant::now", "SystemTime::now", ".elapsed()", "now_utc"] {
                if code.contains(clock) {
                    breaches.push(Breach { source, line, what: format!("{clock} outside of server") });
                }
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn nothing_is_left_to_do() {
    let mut sources = Source::all();
    sources.extend(Source::below("examples"));
    sources.extend(Source::below("tests").into_iter().filter(|source| !source.path.ends_with("tidy.rs")));
    let mut breaches = Vec::new();
    for source in &sources {
        for (index, line) in source.text.lines().enumerate() {
            for mark in ["TODO", "FIXME", "XXX", "HACK", "todo!", "unimplemented!", "dbg!"] {
                if line.contains(mark) {
                    breaches.push(Breach { source, line: index + 1, what: format!("{mark} is left") });
                }
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn only_the_api_knows_its_json_names() {
    let sources = Source::all();
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.layer() != "api" && !source.is_test()) {
        for (index, line) in source.text.lines().take_while(|line| *line != "#[cfg(test)]").enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for name in WIRE_NAMES {
                if line.contains(&format!("\"{name}\"")) || line.contains(&format!("\\\"{name}\\\"")) {
                    let what = format!("{name:?}, a name of the API's JSON, outside of api");
                    breaches.push(Breach { source, line: index + 1, what });
                }
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut sources = Source::all();
    sources.extend(Source::below("examples"));
    sources.extend(Source::below("tests").into_iter().filter(|source| !source.path.starts_with("tests/ui")));
    let mute = sources.iter().filter(|source| !source.text.starts_with("//! "));
    let breach = |source| Breach { source, line: 1, what: "no module documentation".to_owned() };
    assert_none(&mute.map(breach).collect::<Vec<_>>());
}

#[test]
fn every_bound_has_its_reason() {
    let limits = Source::all().into_iter().find(|source| source.path.ends_with("limits.rs")).expect("limits.rs");
    let lines: Vec<&str> = limits.text.lines().collect();
    let mut breaches = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with("pub const ") && !index.checked_sub(1).is_some_and(|above| lines[above].starts_with("///"))
        {
            breaches.push(Breach { source: &limits, line: index + 1, what: "a bound without a reason".to_owned() });
        }
    }
    assert_none(&breaches);
}
