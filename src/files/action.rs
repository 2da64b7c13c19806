//! What a step does: run a program, wait, or emit an event.

use std::path::Path;

use super::{
    condition,
    construct::construct,
    events::EventDef,
    fault::{Faults, quoted},
    program, read,
    reader::{Form, Reader},
    tree::{self, Kind, Member},
};
use crate::{
    command::{Action, Case, Construct},
    limits::FILE_LIST_LEN_MAX,
};

/// Reads what the step does. It does one thing.
pub(super) fn read_action(reader: &Reader<'_, '_>, directory: &Path, faults: &mut Faults<'_>) -> Option<Action> {
    let actions: Vec<&Member> = ["run", "wait", "emit"].iter().filter_map(|name| reader.get(name)).collect();
    let name = quoted(&reader.step.name);
    match actions[..] {
        [] => {
            if reader.get("http").is_none() {
                faults.add(reader.step.at, format!("step {name} does nothing: write `run`, `wait` or `emit`"));
            }
            None
        }
        [action] => {
            if action.name != "run" {
                report_for_programs(reader, faults);
            }
            match &*action.name {
                "run" => program::read_program(reader, action, directory, faults).map(Action::Run),
                "wait" => wait(reader, action, faults),
                _ => emit(reader, action, faults).map(|cases| Action::Emit(cases.into())),
            }
        }
        [first, second, ..] => {
            let text =
                format!("step {name} has both `{}` and `{}`: give each a step of its own", first.name, second.name);
            faults.add(first.at.max(second.at), text);
            None
        }
    }
}

/// Reports settings that only programs have.
fn report_for_programs(reader: &Reader<'_, '_>, faults: &mut Faults<'_>) {
    for member in program::KEYS.iter().filter_map(|name| reader.get(name)) {
        faults.add(member.at, format!("`{}` is for a step with `run`", member.name));
    }
}

fn wait(reader: &Reader<'_, '_>, member: &Member, faults: &mut Faults<'_>) -> Option<Action> {
    let duration = read::duration(member, faults);
    let emits = &reader.emits;
    let event = match emits.events[..] {
        [] => None,
        [event] if emits.form != Form::List => Some(construct(
            event,
            reader.events,
            &[],
            &reader.given,
            (emits.at, "emit it in a step with `emit`"),
            faults,
        )),
        _ => {
            faults.add(emits.at, "a step that waits emits one event: write `emits = \"X\"`");
            None
        }
    };
    Some(Action::Wait(duration?, event))
}

fn emit(reader: &Reader<'_, '_>, member: &Member, faults: &mut Faults<'_>) -> Option<Vec<Case>> {
    let emits = &reader.emits;
    if emits.events.is_empty() {
        if reader.get("emits").is_none() {
            faults.add(member.at, "a step with `emit` says which event it emits: write `emits`");
        }
        return None;
    }
    if emits.form == Form::List {
        faults.add(emits.at, "a step with `emit` emits one event; several at once come from a program: see `run`");
        return None;
    }
    match &member.value.kind {
        Kind::Table(fields) => {
            let [event] = emits.events[..] else {
                let text = "`emits` names several events: write `[[steps.NAME.emit]]` with `event` for each case";
                faults.add(member.at, text);
                return None;
            };
            let event =
                construct(event, reader.events, fields, &reader.given, (member.at, "write it in `emit`"), faults);
            Some(vec![Case { when: None, event }])
        }
        Kind::List(cases) if !cases.is_empty() && cases.len() <= FILE_LIST_LEN_MAX => {
            let mut read = Vec::new();
            let mut seen = Vec::new();
            let mut ended = false;
            for case in cases {
                let Some(members) = case.table() else {
                    faults.add(case.at, format!("a case of `emit` is a table, not {}", case.what()));
                    continue;
                };
                if ended {
                    faults.add(case.at, "this case never applies: the one before has no `when`, so it always does");
                    break;
                }
                ended = tree::get(members, "when").is_none();
                read.extend(read_case(reader, case.at, members, &mut seen, faults));
            }
            for event in emits.events.iter().filter(|event| !seen.contains(&&*event.name)) {
                let name = quoted(&event.name);
                faults.add(emits.at, format!("no case of `emit` emits {name}: add one, or remove it from `emits`"));
            }
            Some(read)
        }
        Kind::List(cases) => {
            faults.add(member.value.at, format!("`emit` has 1 to {FILE_LIST_LEN_MAX} cases, not {}", cases.len()));
            None
        }
        _ => {
            faults.add_kind(member, "a table of fields, or a list of cases");
            None
        }
    }
}

fn read_case<'e>(
    reader: &Reader<'_, 'e>,
    at: usize,
    members: &[Member],
    seen: &mut Vec<&'e str>,
    faults: &mut Faults<'_>,
) -> Option<Case> {
    const KEYS: &[&str] = &["event", "when", "fields"];
    for other in members.iter().filter(|other| !KEYS.contains(&&*other.name)) {
        faults.add_unknown(other, "a case of `emit`", KEYS);
    }
    let get = |name: &str| tree::get(members, name);
    let event: &EventDef = match (get("event"), &reader.emits.events[..]) {
        (Some(member), emitted) => {
            let name = read::string(member, "the name of an event", faults)?;
            let known = emitted.iter().map(|event| &*event.name);
            let Some(event) = emitted.iter().find(|event| event.name == name) else {
                let instead = faults.instead(name, known, "it has");
                faults.add(member.value.at, format!("{} is not in `emits`{instead}", quoted(name)));
                return None;
            };
            event
        }
        (None, [event]) => event,
        (None, _) => {
            faults.add(at, "this case does not say which event it emits: write `event`");
            return None;
        }
    };
    if !seen.contains(&&*event.name) {
        seen.push(&event.name);
    }
    let when = get("when").and_then(|when| read::table(when, "a table of conditions", faults));
    let when = when.map(|conditions| condition::shape(conditions, &reader.given, faults));
    let written = get("fields").and_then(|fields| read::table(fields, "a table of fields", faults));
    let construct: Construct = construct(
        event,
        reader.events,
        written.unwrap_or_default(),
        &reader.given,
        (at, "write it in `fields`"),
        faults,
    );
    Some(Case { when, event: construct })
}
