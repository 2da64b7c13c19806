//! The rules: each returns the lines of a file that break it, and what is wrong there.

use super::source::Source;

pub(super) type Rule = fn(&Source) -> Vec<(usize, String)>;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARACTERS_MAX: usize = 120;

/// Every module of the crate and what it may use of it. `main → server → { core, net, api, executors, store } → { http,
/// engine, workflow }`, and under them the data in which they meet. Nothing points left.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("account", &["limits"]),
    ("now", &["limits"]),
    ("hash", &[]),
    ("client_id", &[]),
    ("text", &["limits"]),
    ("cost", &[]),
    ("wake", &[]),
    ("json", &["limits", "cost"]),
    ("values", &["limits", "cost", "json"]),
    ("graph", &["limits", "hash", "json"]),
    ("pass", &["limits", "values", "hash", "json", "graph"]),
    ("http", &["limits", "now", "json"]),
    ("engine", &["limits", "account", "cost", "values", "text", "now", "hash", "json", "graph", "pass"]),
    ("command", &["limits", "values", "text", "hash", "json", "graph", "pass"]),
    ("executable", &["command"]),
    ("workflow", &["limits", "cost", "values", "text", "hash", "json", "graph", "pass", "command"]),
    ("awaited", &["http", "engine"]),
    ("core", UNDER_SERVER),
    ("net", UNDER_SERVER),
    ("api", UNDER_SERVER),
    ("executors", UNDER_SERVER),
    ("files", UNDER_SERVER),
    ("store", UNDER_SERVER),
];

/// What each of the modules directly below the server may use.
const UNDER_SERVER: &[&str] = &[
    "limits",
    "client_id",
    "account",
    "cost",
    "values",
    "text",
    "now",
    "hash",
    "json",
    "graph",
    "pass",
    "command",
    "executable",
    "http",
    "engine",
    "awaited",
    "workflow",
    "wake",
];

/// Modules that may use everything.
const TOP: &[&str] = &["server", "client", "demo", "lib", "main"];

/// Modules that get and return only bytes, values and `now`.
const PURE: &[&str] = &[
    "limits",
    "client_id",
    "account",
    "now",
    "hash",
    "text",
    "cost",
    "json",
    "values",
    "graph",
    "pass",
    "command",
    "http",
    "engine",
    "awaited",
    "core",
];

/// What no pure module names: sockets, threads and what they share, files, processes, clocks, random numbers, output.
const IMPURE: &[&str] = &[
    "std::net",
    "std::thread",
    "std::fs",
    "std::process",
    "std::env",
    "std::os",
    "thread::",
    "Instant",
    "SystemTime",
    "now_utc",
    "now_v7",
    "new_v4",
    "getrandom",
    "RandomState",
    "mio::",
    "crossbeam_channel",
    "atomic::",
    "Mutex",
    "RwLock",
    "Condvar",
    "print!",
    "println!",
];

/// Members that occur only in the API's JSON.
const WIRE_NAMES: &[&str] =
    &["handler_id", "workflow_name", "run_id", "started_at", "updated_at", "completed_at", "start_event", "detail"];

pub(super) fn short_file(source: &Source) -> Vec<(usize, String)> {
    let beyond = source.lines().nth(FILE_LINES_MAX);
    beyond.map(|(line, _)| (line, format!("more than {FILE_LINES_MAX} lines"))).into_iter().collect()
}

/// rustfmt puts the end of every function on its own line, indented like the line that began it.
pub(super) fn short_functions(source: &Source) -> Vec<(usize, String)> {
    let mut breaches = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in source.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let before = text.split(['(', '<']).next().unwrap_or_default();
        let begins = before.split_whitespace().rev().nth(1) == Some("fn") && !text.starts_with("//");
        if begins && !text.ends_with([';', '}']) {
            open.push((indent, number));
        } else if text.starts_with('}') || text.ends_with(';') {
            // The end of a body, or of a declaration without one.
            let ended = open.pop_if(|(known, _)| *known == indent);
            let lines = ended.map_or(0, |(_, start)| number + 1 - start);
            if lines > FUNCTION_LINES_MAX {
                breaches.push((number + 1 - lines, format!("a function of {lines} lines")));
            }
        }
    }
    breaches
}

pub(super) fn short_lines(source: &Source) -> Vec<(usize, String)> {
    // Lines to be copied into a shell are not split.
    let lines = source.lines().filter(|(_, line)| !line.starts_with("curl "));
    let characters = lines.map(|(number, line)| (number, line.chars().count()));
    characters
        .filter(|(_, count)| *count > LINE_CHARACTERS_MAX)
        .map(|(number, count)| (number, format!("{count} characters")))
        .collect()
}

pub(super) fn layers(source: &Source) -> Vec<(usize, String)> {
    let layer = source.layer();
    if TOP.contains(&layer) {
        return Vec::new();
    }
    let Some((_, uses)) = LAYERS.iter().find(|(known, _)| *known == layer) else {
        return vec![(1, format!("{layer} has no place among the layers"))];
    };
    let is_module = |name: &str| TOP.contains(&name) || LAYERS.iter().any(|(known, _)| *known == name);
    let mut breaches = Vec::new();
    let mut in_group = false;
    for (number, code) in source.code() {
        let mut names: Vec<&str> = code.split("crate::").skip(1).map(first_name).collect();
        if let Some((_, group)) = code.split_once("crate::{") {
            names.extend(group.split(", ").map(first_name));
        }
        // In a `use crate::{` over several lines, the modules are indented once.
        in_group = (in_group && code != "};") || code.ends_with("use crate::{");
        if in_group && code.starts_with("    ") && !code.starts_with("     ") {
            names.push(first_name(code.trim_start()));
        }
        for name in names.into_iter().filter(|name| is_module(name) && *name != layer && !uses.contains(name)) {
            breaches.push((number, format!("{layer} uses {name}; it may use {}", uses.join(", "))));
        }
    }
    breaches
}

/// Returns the name that a path begins with.
fn first_name(path: &str) -> &str {
    path.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or_default()
}

pub(super) fn pure(source: &Source) -> Vec<(usize, String)> {
    if !PURE.contains(&source.layer()) {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (number, code) in source.code() {
        let group = code.split_once("std::{").map_or("", |(_, group)| group);
        let in_group = ["net", "thread", "fs", "process", "env", "os"];
        let grouped = group.split(", ").map(first_name).find(|name| in_group.contains(name));
        if let Some(impure) = IMPURE.iter().copied().find(|impure| code.contains(impure)).or(grouped) {
            breaches.push((number, format!("{impure} in a pure module")));
        }
    }
    breaches
}

pub(super) fn clocks(source: &Source) -> Vec<(usize, String)> {
    if source.path() == "src/server/clock.rs" {
        return Vec::new();
    }
    let reads =
        |code: &str| ["Instant::now", "SystemTime::now", ".elapsed()", "now_utc"].iter().any(|c| code.contains(c));
    let lines = source.code().filter(|(_, code)| reads(code));
    lines.map(|(number, _)| (number, "a clock is read outside of src/server/clock.rs".to_owned())).collect()
}

pub(super) fn backends(source: &Source) -> Vec<(usize, String)> {
    let path = source.path();
    if ["src/store/mod.rs", "src/store/open.rs", "src/store/absent.rs"].contains(&path)
        || path.starts_with("src/store/sqlite/")
    {
        return Vec::new();
    }
    let names = |line: &str| line.to_lowercase().contains("sqlite") && !line.starts_with("#[cfg(all(test, ");
    let lines = source.program().filter(|(_, line)| names(line));
    lines.map(|(number, _)| (number, "a store is named outside of what chooses it".to_owned())).collect()
}

pub(super) fn finished(source: &Source) -> Vec<(usize, String)> {
    // In two parts each, so that they are not found here.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("to", "do!"), ("unimple", "mented!"), ("db", "g!")];
    let marks = marks.map(|(start, end)| format!("{start}{end}"));
    let marked = |line: &str| marks.iter().find(|mark| line.contains(*mark)).cloned();
    source.lines().filter_map(|(number, line)| Some((number, format!("{} is left", marked(line)?)))).collect()
}

pub(super) fn wire_names(source: &Source) -> Vec<(usize, String)> {
    // The demo prints requests to try, and clients speak the API from the other side.
    if ["api", "client", "demo"].contains(&source.layer()) {
        return Vec::new();
    }
    let named = |line: &str| {
        let quoted = |name: &str| line.contains(&format!("\"{name}\"")) || line.contains(&format!("\"{name}\\\""));
        WIRE_NAMES.iter().find(|name| quoted(name)).copied()
    };
    let lines = source.program().filter_map(|(number, line)| Some((number, named(line)?)));
    lines.map(|(number, name)| (number, format!("{name}, a name of the API's JSON, outside of api"))).collect()
}

pub(super) fn documented(source: &Source) -> Vec<(usize, String)> {
    // A `mod tests` beside a module needs no description.
    let begins = source.lines().next().is_some_and(|(_, line)| line.starts_with("//! ")) || source.is_unit_test();
    if begins { Vec::new() } else { vec![(1, "the module does not say what it is for".to_owned())] }
}

/// For `limits`: every constant has its reason above it.
pub(super) fn reasons(source: &Source) -> Vec<(usize, String)> {
    let mut above = "";
    let mut breaches = Vec::new();
    for (number, line) in source.lines() {
        if line.starts_with("pub const ") && !above.starts_with("///") {
            breaches.push((number, "a bound without a reason".to_owned()));
        }
        above = line;
    }
    breaches
}

/// Constants outside `limits` that bound or tune something. Facts of a format (how many digits a number has) stay with
/// the format, and so does what is calculated from a bound.
pub(super) fn bounds(source: &Source) -> Vec<(usize, String)> {
    if source.layer() == "limits" {
        return Vec::new();
    }
    let is_bound = |code: &str| {
        let (_, constant) = code.split_once("const ")?;
        let (name, rest) = constant.split_once(": ")?;
        let (kind, value) = rest.split_once(" = ")?;
        let has = |words: &[&str]| name.split('_').any(|word| words.contains(&word));
        let is_number = kind == "Duration" || kind == "f64" || NUMBERS.contains(&kind);
        let is_calculated = value.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_constant);
        let bounds = kind == "Duration" || (has(BOUNDING) && !has(OF_FORMATS));
        (is_number && bounds && !is_calculated).then(|| name.to_owned())
    };
    let lines = source.code().filter_map(|(number, code)| Some((number, is_bound(&code)?)));
    lines.map(|(number, name)| (number, format!("{name} bounds or tunes something: it belongs into limits"))).collect()
}

/// The name of a constant of more than one word.
fn is_constant(word: &str) -> bool {
    word.contains('_') && word.chars().all(|character| character.is_ascii_uppercase() || character == '_')
}

/// Types of constants that can be bounds.
const NUMBERS: &[&str] = &["usize", "u8", "u16", "u32", "u64", "u128", "i32", "i64"];

/// Words in the name of a constant that bounds or tunes something.
const BOUNDING: &[&str] =
    &["MAX", "MIN", "PAUSE", "WAIT", "TIMEOUT", "TICK", "PART", "SLICE", "FEW", "KEPT", "DEFAULT", "DELAY"];

/// Words in the name of a constant that a format or the allocator sets.
const OF_FORMATS: &[&str] = &["DIGITS", "LENGTH", "VERSION", "INLINE", "NUMBER", "BLOCK", "TIME"];
