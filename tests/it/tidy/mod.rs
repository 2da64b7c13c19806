//! Rules about the source text, which keep it small, layered, and free of clocks where none may be.

mod modules;
mod rules;
pub(crate) mod source;

use rules::Rule;
use source::Source;

/// Checks a rule against every file under these directories.
#[track_caller]
fn hold(rule: Rule, directories: &[&str]) {
    let mut breaches = Vec::new();
    for source in directories.iter().flat_map(|directory| Source::below(directory)) {
        for (line, what) in rule(&source) {
            breaches.push(format!("{}:{line}: {what}", source.path()));
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

/// Checks that a rule finds a breach, as one that finds nothing would always hold.
#[track_caller]
fn finds(rule: Rule, path: &str, text: &str, lines: &[usize]) {
    let found: Vec<usize> = rule(&Source::new(path, text)).into_iter().map(|(line, _)| line).collect();
    assert_eq!(found, lines, "in {path}:\n{text}");
}

#[test]
fn files_are_short() {
    hold(rules::short_file, &["src", "examples"]);
    finds(rules::short_file, "src/json.rs", &"\n".repeat(501), &[501]);
    finds(rules::short_file, "src/json.rs", &"\n".repeat(500), &[]);
}

#[test]
fn functions_are_short() {
    hold(rules::short_functions, &["src", "examples", "tests"]);
    let function =
        |lines: usize| format!("impl X {{\n    fn a(\n    ) {{\n{}    }}\n}}\n", "        b();\n".repeat(lines - 3));
    finds(rules::short_functions, "src/json.rs", &function(70), &[]);
    finds(rules::short_functions, "src/json.rs", &function(71), &[2]);
}

#[test]
fn lines_are_short() {
    hold(rules::short_lines, &["src", "examples", "tests"]);
    finds(rules::short_lines, "src/json.rs", &format!("{}\n{}", "ü".repeat(120), "x".repeat(121)), &[2]);
}

#[test]
fn layers_use_only_what_is_right_of_them() {
    hold(rules::layers, &["src"]);
    let engine = "src/engine/run.rs";
    finds(rules::layers, engine, "use crate::{graph::Graph, api::Reply};", &[1]);
    finds(rules::layers, engine, "use crate::{\n    json::Json,\n    workflow::{\n        Body,\n    },\n};", &[3]);
    finds(rules::layers, engine, "fn a() {\n    crate::server::run();\n}", &[2]);
    finds(rules::layers, engine, "/// See [`crate::server`].\nuse crate::engine::input;", &[]);
    finds(rules::layers, "src/workflow/step.rs", "use crate::engine::run::Run;", &[1]);
    finds(rules::layers, "src/novel/mod.rs", "", &[1]);
}

#[test]
fn no_two_modules_need_each_other() {
    assert_eq!(modules::circles(&Source::below("src")), [""; 0]);

    let circle = [
        Source::new("src/a/mod.rs", "mod b;\nmod c;\npub use b::B;"),
        Source::new("src/a/b.rs", "use crate::{\n    a::c::{C, D},\n    e::E,\n};\npub struct B;"),
        Source::new("src/a/c.rs", "pub struct C(super::B);\n\n#[cfg(test)]\nmod tests {\n    use crate::e::E;\n}"),
        Source::new("src/e.rs", "// crate::a::B\npub struct E;"),
    ];
    assert_eq!(modules::circles(&circle), ["a::b, a::c"]);
    assert_eq!(modules::circles(&circle[..2]), [""; 0]);

    let parent = |call: &str| {
        let parent = format!("mod b;\npub use b::B;\nuse std::fs;\npub struct A;\nfn a() {{\n    {call};\n}}");
        modules::circles(&[Source::new("src/a.rs", &parent), Source::new("src/a/b.rs", "pub struct B(super::A);")])
    };
    assert_eq!(parent("b::begin()"), ["a, a::b"]);
    assert_eq!(parent("fs::b::<u8>()"), [""; 0]);
    assert_eq!(parent("list.b::<u8>()"), [""; 0]);

    let seen = Source::new("src/a/b.rs", "pub(in crate::a) fn begin() {}");
    assert_eq!(modules::circles(&[Source::new("src/a.rs", "mod b;\nfn a() {\n    b::begin();\n}"), seen]), [""; 0]);
}

#[test]
fn pure_modules_touch_nothing_outside() {
    hold(rules::pure, &["src"]);
    for impure in [
        "use std::{fmt, net::TcpStream};",
        "use std::thread;",
        "use std::sync::{Arc, atomic::AtomicUsize};",
        "room: Arc<Mutex<usize>>,",
        "let now = Instant::now();",
        "let id = Uuid::new_v4();",
        "let set = HashMap::with_hasher(RandomState::new());",
    ] {
        finds(rules::pure, "src/engine/run.rs", impure, &[1]);
        finds(rules::pure, "src/net/reactor.rs", impure, &[]);
    }
    finds(
        rules::pure,
        "src/http/mod.rs",
        "// Instant::now\nlet text = \"Instant::now\";\nuse std::time::Duration;",
        &[],
    );
}

#[test]
fn only_the_loop_reads_the_clocks() {
    hold(rules::clocks, &["src"]);
    finds(rules::clocks, "src/net/reactor.rs", "let now = Instant::now();", &[1]);
    finds(rules::clocks, "src/server/turn.rs", "let now = Instant::now();", &[1]);
    finds(rules::clocks, "src/server/clock.rs", "let now = Instant::now();", &[]);
}

#[test]
fn a_store_is_named_only_where_it_is_chosen() {
    hold(rules::backends, &["src"]);
    let text = "// SQLite\nuse crate::store::sqlite::backup;\n#[cfg(feature = \"sqlite\")]\nlet text = \"SQLite\";";
    finds(rules::backends, "src/server/tools/look.rs", text, &[2, 3, 4]);
    finds(rules::backends, "src/store/threads.rs", text, &[2, 3, 4]);
    finds(rules::backends, "src/store/open.rs", text, &[]);
}

#[test]
fn nothing_is_left_to_do() {
    hold(rules::finished, &["src", "examples", "tests"]);
    finds(rules::finished, "src/json.rs", &format!("fn a() {{\n    to{}!()\n}}", "do"), &[2]);
    finds(rules::finished, "src/json.rs", &format!("// TO{}: more", "DO"), &[1]);
}

#[test]
fn only_the_api_knows_its_json_names() {
    hold(rules::wire_names, &["src"]);
    let text = "let a = map[\"handler_id\"];\nlet b = \"{\\\"run_id\\\":1}\";\nlet run_id = 1;";
    finds(rules::wire_names, "src/engine/run.rs", text, &[1, 2]);
    finds(rules::wire_names, "src/api/wire.rs", text, &[]);
}

#[test]
fn every_module_says_what_it_is_for() {
    hold(rules::documented, &["src", "examples", "tests/it"]);
    finds(rules::documented, "src/json.rs", "use std::fmt;", &[1]);
}

#[test]
fn every_bound_has_its_reason() {
    hold(rules::reasons, &["src/limits.rs", "src/limits"]);
    finds(rules::reasons, "src/limits/runs.rs", "/// Why.\npub const A: u8 = 1;\npub const B: u8 = 2;", &[3]);
}

#[test]
fn every_bound_is_in_limits() {
    hold(rules::bounds, &["src"]);
    let text = "const A_MAX: usize = 7;\npub const WAIT: Duration = X;\nconst DIGITS_MAX: u8 = 16;\n\
                const B_BYTES: u64 = 8;\nconst C_MIN: u64 = OTHER_MIN / 2;";
    finds(rules::bounds, "src/json.rs", text, &[1, 2]);
    finds(rules::bounds, "src/limits/runs.rs", text, &[]);
}
