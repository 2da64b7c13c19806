//! The README and the page about the API say what the program does.

use std::{collections::BTreeSet, path::Path};

use steprill::{
    limits,
    server::{FLAGS, Flag},
};

use crate::tidy::source::Source;

const README: &str = include_str!("../../README.md");
const BEHAVIOUR: &str = include_str!("../../docs/behaviour.md");
const DESIGN: &str = include_str!("../../docs/design.md");

#[test]
fn the_table_of_flags_is_that_of_help() {
    let rows: Vec<&str> = README.lines().filter(|line| line.starts_with("| `--")).collect();
    let expected: Vec<String> = FLAGS.iter().map(Flag::row).collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

#[test]
fn the_profile_to_copy_is_the_one_that_the_program_is_built_with() {
    let is_setting = |line: &&str| !line.starts_with('#') && !line.is_empty();
    let profile = |text: &str, end: &str| -> Vec<String> {
        let (_, rest) = text.split_once("[profile.release]\n").expect("the profile");
        let lines = rest.lines().map(|line| line.trim_start_matches("//!").trim());
        lines.take_while(|line| !line.starts_with(end)).filter(is_setting).map(str::to_owned).collect()
    };
    let built_with = profile(include_str!("../../Cargo.toml"), "[");
    assert_eq!(built_with.len(), 4, "{built_with:?}");
    assert_eq!(profile(README, "```"), built_with);
    assert_eq!(profile(include_str!("../../src/lib.rs"), "```"), built_with);
}

#[test]
fn the_flags_that_the_page_about_behaviour_names_exist() {
    let known: BTreeSet<&str> = FLAGS.iter().map(|flag| flag.name).collect();
    let named: Vec<&str> = BEHAVIOUR.split('`').filter(|text| text.starts_with("--")).collect();
    assert!(named.len() > 10, "{named:?}");
    for flag in named {
        assert!(known.contains(flag), "{flag}");
    }
}

#[test]
fn the_limits_of_the_page_about_behaviour_are_the_programs() {
    let section = BEHAVIOUR.split_once("### Limits").expect("the section").1;
    let section = section.split("\n### ").next().expect("its text");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let told: Vec<[&str; 2]> = rows
        .iter()
        .map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            [cells.next().expect("what"), cells.next().expect("the limit")]
        })
        .collect();
    let (callers, connections) = limits::CALLERS_OF_CONNECTIONS;
    let rate =
        format!("{} bytes a second, in each {}", limits::BODY_RATE_MIN_BYTES_PER_S, time(limits::BODY_TIMEOUT_US));
    let window =
        format!("{} events, {}", count(limits::FEED_KEEP_EVENTS_DEFAULT), size(limits::FEED_KEEP_BYTES_DEFAULT));
    let expected = [
        ("body (`--body-bytes-max`)", size(limits::BODY_BYTES_MAX_DEFAULT as u64)),
        ("request line", size(limits::REQUEST_LINE_BYTES_MAX as u64)),
        ("head", format!("{}, {} fields", size(limits::HEAD_BYTES_MAX as u64), limits::HEAD_FIELDS_MAX)),
        ("chunk extensions of a body", size(limits::CHUNK_EXTENSION_BYTES_MAX.into())),
        ("trailers of a body", size(limits::TRAILER_BYTES_MAX.into())),
        ("time for a head", time(limits::HEAD_TIMEOUT_US)),
        ("what a body brings", rate),
        ("time between requests", time(limits::IDLE_TIMEOUT_US)),
        ("time in which a client takes nothing", time(limits::OUTPUT_TIMEOUT_US)),
        ("connections (`--connections-max`)", count(limits::CONNECTIONS_MAX_DEFAULT as u64)),
        ("waiting `run` calls", format!("{callers} of {connections} connections")),
        ("runs in memory (`--runs-max`)", count(limits::RUNS_MAX_DEFAULT as u64)),
        (
            "memory (`--memory-max`)",
            format!("half of what there is, at most {}", size(limits::MEMORY_MAX_DEFAULT as u64)),
        ),
        ("state of a run", format!("{}, as it costs in memory", size(limits::STATE_BYTES_MAX as u64))),
        ("feed of a run, in memory", size(limits::FEED_BYTES_MAX as u64)),
        ("feed of a run, with `--data` (`--feed-keep`)", window),
        ("works of a run at a time", count(limits::RUN_WORKS_MAX as u64)),
        ("waits of one work", count(limits::WORK_WAITS_MAX as u64)),
        ("early answers of a run", count(limits::EARLY_ANSWERS_MAX as u64)),
        ("finished handlers, in memory (`--keep-finished`)", count(limits::KEEP_FINISHED_DEFAULT as u64)),
        ("finished handlers, with `--data`", count(limits::KEEP_FINISHED_STORE_DEFAULT as u64)),
    ];
    let expected: Vec<[&str; 2]> = expected.iter().map(|(what, limit)| [*what, &**limit]).collect();
    assert_eq!(told, expected);
    assert_eq!(limits::MEMORY_PART_DEFAULT, 2, "half of what there is");
}

/// Checks the numbers of the page outside of its table of limits.
#[test]
fn other_numbers_of_the_page_about_behaviour_are_the_programs() {
    let words: String = BEHAVIOUR.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        format!("1 to {} of `A-Z a-z 0-9 _ . -`", limits::HANDLER_ID_BYTES_MAX),
        format!("nests at most {} deep", limits::JSON_DEPTH_MAX),
        format!("the body around it {}", limits::BODY_DEPTH_MAX),
        format!("are cut at {} bytes", limits::QUOTED_BYTES_MAX),
        format!("an error's text at {}", size(limits::MESSAGE_BYTES_MAX as u64)),
        format!("nothing for {} | a comment", time(limits::HEARTBEAT_US)),
        format!("`Access-Control-Max-Age: {}`", limits::PREFLIGHT_AGE_S),
        format!("`Retry-After: {}`", limits::RETRY_AFTER_S),
        format!("up to {} such answers in a run", limits::EARLY_ANSWERS_MAX),
        format!("lists up to {} open questions", limits::OPEN_QUESTIONS_LISTED_MAX),
        format!("at most {} at once", limits::TOLD_VALUES_MAX),
    ] {
        assert!(words.contains(&text), "{text}");
    }
}

/// Compares the parts of messages that are constant: without quotes, varying numbers, and what the page omits.
#[test]
fn the_messages_of_the_page_about_behaviour_are_the_programs() {
    let sources = [
        include_str!("../../src/api/errors.rs"),
        include_str!("../../src/api/calls/mod.rs"),
        include_str!("../../src/api/calls/events.rs"),
        // Messages about parameters are made of parts; this compares them as a whole.
        include_str!("../../src/api/calls/events/tests.rs"),
        include_str!("../../src/api/calls/handlers.rs"),
        include_str!("../../src/api/calls/runs.rs"),
        include_str!("../../src/api/calls/workflows.rs"),
        include_str!("../../src/api/wire/body.rs"),
    ];
    // A text that continues on the next line is one text.
    let sources: Vec<String> =
        sources.iter().map(|source| source.split("\\\n").map(str::trim_start).collect::<Vec<_>>().concat()).collect();
    let is_error = |line: &&str| line.starts_with("| 4") || line.starts_with("| 5");
    let messages: Vec<&str> = BEHAVIOUR
        .lines()
        .filter(is_error)
        .filter_map(|line| line.trim_end_matches(" (+) |").trim_end_matches(" |").rsplit_once("| `"))
        .filter_map(|(_, message)| message.split_once('`').map(|(message, _)| message))
        .filter(|message| message.contains(' '))
        .collect();
    assert!(messages.len() > 30, "{messages:?}");
    for message in messages {
        let unquoted: Vec<&str> = message.split(['{', '}', '\'', '…']).step_by(2).collect();
        for part in
            unquoted.iter().flat_map(|text| text.split(|char: char| char.is_ascii_digit() || ":;.".contains(char)))
        {
            let part = part.trim();
            assert!(sources.iter().any(|source| source.contains(part)), "{message}: {part}");
        }
    }
}

fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = |(shift, unit): &(u32, &str)| {
        let number = bytes >> shift;
        (number > 0 && number << shift == bytes).then(|| format!("{number} {unit}"))
    };
    units.iter().find_map(whole).unwrap_or_else(|| format!("{bytes} bytes"))
}

/// Formats a number with a comma per three digits.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

fn time(us: u64) -> String {
    format!("{} s", us / 1_000_000)
}

#[test]
fn the_tests_and_files_that_the_page_about_the_design_names_exist() {
    let tests = Source::below("tests/it");
    let named = || DESIGN.split('`').skip(1).step_by(2);
    let of_suite = named().filter(|name| name.contains("::")).map(|name| name.split("::").collect::<Vec<_>>());
    let of_suite: Vec<_> = of_suite.filter(|path| path[0].chars().all(|letter| !letter.is_uppercase())).collect();
    assert!(of_suite.len() > 40, "{of_suite:?}");
    for path in of_suite {
        let (module, name) = (path[0], path[path.len() - 1]);
        let function = format!("fn {name}(");
        let has = |source: &Source, part: &str| source.path().split(['/', '.']).any(|of_path| of_path == part);
        let mut in_module = tests.iter().filter(|source| has(source, module));
        let is_module = in_module.clone().any(|source| name.is_empty() || has(source, name));
        let is_of_crate = ["core", "http", "engine"].contains(&module);
        assert!(
            is_of_crate
                || is_module
                || in_module.any(|source| source.lines().any(|(_, line)| line.contains(&function))),
            "{path:?}"
        );
    }
    for file in named().filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "rs")) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let is_there = [root.join(file), root.join("src").join(file), root.join("src/engine").join(file)];
        assert!(is_there.iter().any(|path| path.is_file()), "{file}");
    }
}
