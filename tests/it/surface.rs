//! What users may rely on: the public items of the crate, by name.
//!
//! `.ci/run` checks the rest from outside: the examples build without the feature `internals`, and no module can be
//! named.

const LIB: &str = include_str!("../../src/lib.rs");

/// All that `lib.rs` makes public without the feature `internals`: modules, and the names that it re-exports.
#[rustfmt::skip]
const PUBLIC: &[&str] = &[
    // To write workflows.
    "Answer", "Ask", "Asks", "Ctx", "Event", "EventKind", "Failure", "Faults", "Json", "JsonError", "Question",
    "Result", "Retry", "Sends", "StartEvent", "State", "Step", "StepError", "StopEvent", "TimedAsk", "Workflow",
    "WorkflowBuilder", "schemars", "serde",
    // To run and to test them.
    "Bound", "Outcome", "Runtime", "ServeError", "Server", "Stopper", "TestCtx", "TestRun", "Tested", "WorkflowTest",
    // To configure a server.
    "Address", "AccessError", "AddressError", "Config", "Durability", "FeedKeep", "InvalidValue", "LogFormat",
    "OpenError", "StoreError", "UsageError", "ValueError",
    // Workflow files.
    "FileFault", "FileFaults", "WORKFLOW_FILE_SCHEMA",
    // Modules: the bounds that users meet, and what the macros write.
    "__macros", "limits",
];

/// The names that a text makes public unless the feature `internals` is on.
fn public(text: &str) -> Vec<String> {
    let (mut names, mut statement, mut is_internal) = (Vec::new(), String::new(), false);
    for line in text.lines() {
        if statement.is_empty() {
            let is_skipped = is_internal || !line.starts_with("pub ");
            is_internal = line == "#[cfg(feature = \"internals\")]";
            if is_skipped {
                continue;
            }
        }
        statement.push_str(line.trim());
        if statement.ends_with(';') || (statement.starts_with("pub mod") && statement.ends_with('{')) {
            names.extend(declared(&statement));
            statement.clear();
        }
    }
    names
}

/// The names that a declaration brings: the last of each path of a `use`, or the name of a module.
fn declared(statement: &str) -> Vec<String> {
    let words = statement.split(|character: char| !character.is_alphanumeric() && !"_:".contains(character));
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && !word.ends_with("::")).collect();
    assert!(["use", "mod"].contains(&words[1]), "{statement}: modules and re-exports only");
    let renamed = |at: usize| words.get(at + 1) == Some(&"as") || words[at] == "as";
    let names = (2..words.len()).filter(|at| !renamed(*at)).map(|at| words[at]);
    names.map(|word| word.rsplit("::").next().expect("a name").to_owned()).collect()
}

#[test]
fn the_public_items_are_those_of_the_list() {
    let mut names = public(LIB);
    names.sort_unstable();
    let mut expected = PUBLIC.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);

    let text = "mod a;\n#[cfg(feature = \"internals\")]\npub mod b;\npub mod c;\npub use d::{\n    e::F, G,\n};\n\
                #[doc(hidden)]\npub mod h {\n    pub use i::J;\n}\npub use {k, l};";
    assert_eq!(public(text), ["c", "F", "G", "h", "k", "l"]);
}

#[test]
fn examples_name_public_items_only() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("examples")).expect("the examples");
    let files = files.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    let mut count = 0;
    for file in files.chain([root.join("src/demo.rs")]) {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        let (_, uses) = text.split_once("use steprill::{").expect("it uses the crate");
        let (names, rest) = uses.split_once("};").expect("the names end");
        assert!(!rest.contains("steprill::"), "{}: one `use` for the crate", file.display());
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            assert!(PUBLIC.contains(&name) || ["event", "one_of"].contains(&name), "{}: {name}", file.display());
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
