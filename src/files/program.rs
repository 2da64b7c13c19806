//! The program of a step, and how it is run.

use std::path::{Path, PathBuf};

use super::{
    fault::{Faults, quoted},
    read,
    reader::{Form, Reader},
    tree::{Kind, Member},
};
use crate::command::{Output, Program, template::Template};

/// The members of a step that only programs have.
pub(super) const KEYS: &[&str] = &["output", "env", "secrets", "pass_env", "rlimits", "streams"];

/// What the names of variables begin with that the server sets.
const RESERVED: &str = "STEPRILL_";

pub(super) fn read_program(
    reader: &Reader<'_, '_>,
    run: &Member,
    directory: &Path,
    faults: &mut Faults<'_>,
) -> Option<Program> {
    let argv = argv(reader, run, faults);
    let mut names: Vec<&str> = Vec::new();
    let env = pairs(reader, "env", "a table of variables and their values", &mut names, faults);
    let secrets = pairs(reader, "secrets", "a table of variables and the files with their values", &mut names, faults);
    let mut pass_env: Vec<Box<str>> = Vec::new();
    if let Some(member) = reader.get("pass_env") {
        for (name, at) in read::strings(member, "a list of the names of variables", faults) {
            if is_variable(name, at, &mut names, faults) {
                pass_env.push(name.into());
            }
        }
    }
    let (memory_bytes_max, cpu_max) = reader.get("rlimits").map_or((None, None), |member| rlimits(member, faults));
    let output = output(reader, faults);
    Some(Program {
        argv: argv?,
        directory: directory.to_owned(),
        env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        secrets: secrets.into_iter().map(|(name, path)| (name.into(), absolute(directory, path))).collect(),
        pass_env: pass_env.into(),
        output: output?,
        memory_bytes_max,
        cpu_max,
        has_retry: reader.get("retry").is_some(),
    })
}

fn absolute(directory: &Path, path: &str) -> PathBuf {
    // An absolute path replaces the directory.
    directory.join(path)
}

fn argv(reader: &Reader<'_, '_>, run: &Member, faults: &mut Faults<'_>) -> Option<Box<[Template]>> {
    if let Some(text) = run.value.text() {
        let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        let text = format!(
            "`run` is a list of the program and its arguments, as there is no shell: write [{}]",
            words.join(", ")
        );
        faults.add(run.value.at, text);
        return None;
    }
    let words = read::strings(run, "a list of the program and its arguments, all strings", faults);
    let count = run.value.list()?.len();
    if words.is_empty() && count == 0 {
        faults.add(run.value.at, "`run` names no program");
    }
    let templates: Vec<Template> =
        words.iter().filter_map(|(word, at)| reader.given.template(word, *at, faults)).collect();
    if let Some((_, at)) = words.first().filter(|(word, _)| word.is_empty()) {
        faults.add(*at, "the name of the program is empty");
    }
    (count > 0 && templates.len() == count).then(|| templates.into())
}

/// Reads a table of strings by the names of variables.
fn pairs<'m>(
    reader: &Reader<'m, '_>,
    key: &str,
    expected: &str,
    names: &mut Vec<&'m str>,
    faults: &mut Faults<'_>,
) -> Vec<(&'m str, &'m str)> {
    let Some(members) = reader.get(key).and_then(|member| read::table(member, expected, faults)) else {
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for member in members {
        let value = match &member.value.kind {
            Kind::Whole(number) => {
                faults.add(member.value.at, format!("{} must be a string: write \"{number}\"", quoted(&member.name)));
                None
            }
            _ => read::string(member, "a string", faults),
        };
        let is_named = is_variable(&member.name, member.at, names, faults);
        if let Some(value) = value.filter(|_| is_named) {
            pairs.push((member.name.as_str(), value));
        }
    }
    pairs
}

/// Returns whether a variable may have this name, and no other of the step has it.
fn is_variable<'m>(name: &'m str, at: usize, names: &mut Vec<&'m str>, faults: &mut Faults<'_>) -> bool {
    let fault = if name.is_empty() || name.contains(['=', '\0']) {
        format!("{} is no name for a variable", quoted(name))
    } else if name.starts_with(RESERVED) {
        format!("{} is set by the server: choose a name without `{RESERVED}`", quoted(name))
    } else if names.contains(&name) {
        format!("the variable {} is set twice", quoted(name))
    } else {
        names.push(name);
        return true;
    };
    faults.add(at, fault);
    false
}

fn rlimits(member: &Member, faults: &mut Faults<'_>) -> (Option<u64>, Option<std::time::Duration>) {
    let expected = "a table such as `{ memory = \"64M\", cpu = \"10s\" }`";
    let (mut memory, mut cpu) = (None, None);
    for limit in read::table(member, expected, faults).unwrap_or_default() {
        match &*limit.name {
            "memory" => memory = read::size(limit, faults),
            "cpu" => cpu = read::duration(limit, faults),
            _ => faults.add_unknown(limit, "`rlimits`", &["memory", "cpu"]),
        }
    }
    (memory, cpu)
}

fn output(reader: &Reader<'_, '_>, faults: &mut Faults<'_>) -> Option<Output> {
    let emits = &reader.emits;
    let is_one = emits.events.len() == 1;
    let Some(member) = reader.get("output") else {
        let is_value = is_one && reader.streams.is_empty();
        return Some(if is_value { Output::Value } else { Output::Events });
    };
    let form = read::string(member, "\"value\", \"events\" or \"text\"", faults)?;
    let mut only_for_one = |reason: &str| {
        faults.add(member.value.at, format!("`output = \"{form}\"` is for a step that {reason}: use \"events\""));
        None
    };
    match form {
        "events" => Some(Output::Events),
        "value" | "text" if !is_one => only_for_one("emits one type of event"),
        "value" | "text" if !reader.streams.is_empty() => only_for_one("streams nothing"),
        "value" => Some(Output::Value),
        "text" if emits.form == Form::List => only_for_one("emits one event"),
        "text" => {
            let event = emits.events[0];
            let texts: Vec<&str> =
                event.fields().iter().filter(|field| field.is_text()).map(|field| &*field.name).collect();
            let [field] = texts[..] else {
                let text = format!(
                    "`output = \"text\"` fills the one string field of the event, and {} has {}",
                    quoted(&event.name),
                    texts.len()
                );
                faults.add(member.value.at, text);
                return None;
            };
            Some(Output::Text(field.into()))
        }
        other => {
            let instead = faults.instead(other, ["value", "events", "text"], "there are");
            faults.add(member.value.at, format!("{} is no form of output{instead}", quoted(other)));
            None
        }
    }
}
