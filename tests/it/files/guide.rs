//! The guide says what the program does.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use steprill::{WORKFLOW_FILE_SCHEMA, files::Drawing, limits};

use super::{faults, good};
use crate::support::blocks;

const GUIDE: &str = include_str!("../../../docs/workflow-files.md");

#[test]
fn the_first_workflow_is_drawn_and_its_fault_reported_as_printed() {
    let first = blocks(GUIDE, "toml")[0];
    let file = steprill::files::parse(Path::new("hello.toml"), first.as_bytes()).expect("it is good");
    let told = blocks(GUIDE, "text");
    assert_eq!(Drawing::Text.draw(file.workflow.graph()), told[1]);
    let misspelt = first.replace("accepts = \"Greet\"", "accepts = \"Greeet\"");
    assert_eq!(format!("hello.toml:{}\n", faults(&misspelt)[0]), told[0]);
}

#[test]
fn the_parts_of_files_in_the_guide_are_good_in_a_whole_one() {
    let end = |events: &str| format!("\n[steps.end]\naccepts = {events}\nemits = 'StopEvent'\nemit = {{}}\n");
    let item = "[start.Item]\nname = 'string'\n";
    let blocks = blocks(GUIDE, "toml");
    let [_, _, reading, price, approve, table, cases] = blocks[..] else { panic!("seven: {blocks:?}") };
    good(&format!("{reading}[steps.a]\naccepts = 'StartEvent'\nemits = 'Reading'\nrun = ['a']\n{}", end("'Reading'")));
    good(&format!("{item}[stop.Priced]\n{price}"));
    let outcomes = "[events.Approved]\nname = 'string'\n[events.Refused]\nname = 'string'\n";
    good(&format!("{item}{outcomes}{approve}{}", end("['Approved', 'Refused']")));
    good(&format!(
        "{item}city = 'string'\ncountry = 'string'\n[stop.Out]\nname = 'any'\ntext = 'string'\ncount = 'integer'\n\
         [steps.a]\naccepts = 'Item'\nemits = 'Out'\n{table}"
    ));
    good(&format!(
        "[start.In]\ntotal = 'number'\n[events.Big]\n[events.Small]\nnote = 'string'\n[steps.sort]\naccepts = 'In'\n\
         emits = ['Big', 'Small']\n{cases}{}",
        end("['Big', 'Small']")
    ));
}

#[test]
fn the_guide_has_every_key_of_the_schema() {
    let schema: Value = serde_json::from_str(WORKFLOW_FILE_SCHEMA).expect("JSON");
    let defs = &schema["$defs"];
    let mut keys = BTreeSet::new();
    for of in [&schema, &defs["step"], &defs["retry"], &defs["case"], &defs["settings"], &defs["declared"]] {
        keys.extend(of["properties"].as_object().expect("properties").keys().cloned());
    }
    for key in keys.iter().filter(|key| !["start", "stop", "events", "steps", "event"].contains(&&***key)) {
        assert!(GUIDE.contains(&format!("`{key}`")) || GUIDE.contains(&format!("`{key} =")), "{key}");
    }
    for section in ["start", "stop", "events", "steps"] {
        assert!(GUIDE.contains(&format!("`[{section}.NAME]`")), "{section}");
    }
}

#[test]
fn the_limits_of_the_guide_are_the_programs() {
    for text in [
        format!("| a file | {} MiB, {} levels of nesting |", limits::FILE_BYTES_MAX >> 20, limits::FILE_DEPTH_MAX),
        format!("| events, steps, fields of an event | {} each |", limits::FILE_NAMES_MAX),
        format!("| names | {} bytes |", limits::FILE_NAME_BYTES_MAX),
        format!("1,000 each, of {} KiB |", limits::FILE_TEXT_BYTES_MAX >> 10),
        "| durations | 36,500 days |".to_owned(),
    ] {
        assert!(GUIDE.contains(&text), "{text}");
    }
    assert_eq!((limits::FILE_LIST_LEN_MAX, limits::FILES_MAX), (1_000, 1_000));
    assert_eq!(limits::FILE_DURATION_MAX.as_secs(), 36_500 * 86_400);
}

#[test]
fn a_file_may_name_its_schema_for_editors() {
    let line = blocks(GUIDE, "toml")[1];
    assert!(line.starts_with("#:schema ") && fs::exists("docs/workflow-file.schema.json").expect("the docs"));
}
