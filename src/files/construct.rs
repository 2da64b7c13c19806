//! Events that a step makes from the fields of others: which field comes from where.

use std::collections::BTreeSet;

use super::{
    events::{EventDef, Events},
    fault::{Faults, quoted},
    tree::{self, Kind, Member, Value},
    types::Field,
};
use crate::{
    command::{
        Construct, Source,
        template::{Template, TemplateError},
    },
    json::Json,
};

/// What a step has to make an event from.
#[derive(Clone)]
pub(super) struct Given<'e> {
    /// The events of which it accepts one.
    pub(super) events: Vec<&'e EventDef>,
    /// Whether it accepts a list of them, which has no fields.
    pub(super) is_list: bool,
    /// The fields that all of them have; `None` if they may have any.
    common: Option<BTreeSet<&'e str>>,
    /// The answer to its question, whose fields count more.
    pub(super) answer: Option<&'e EventDef>,
    /// What the failure of the step adds.
    pub(super) further: &'static [&'static str],
}

impl<'e> Given<'e> {
    /// A step that accepts these events, or a list of them.
    pub(super) fn new(events: Vec<&'e EventDef>, is_list: bool) -> Self {
        let mut typed = events.iter().filter(|event| !event.is_open());
        let common = match typed.next() {
            _ if is_list || events.is_empty() => Some(BTreeSet::new()),
            None => None,
            Some(first) => {
                let mut common: BTreeSet<&str> = first.fields().iter().map(|field| &*field.name).collect();
                typed.for_each(|event| common.retain(|name| event.has(name)));
                Some(common)
            }
        };
        Self { events, is_list, common, answer: None, further: &[] }
    }

    /// Returns whether there may be a field of this name.
    fn has(&self, field: &str) -> bool {
        let is_in_input = self.common.as_ref().is_none_or(|common| common.contains(field));
        is_in_input || self.answer.is_some_and(|answer| answer.has(field)) || self.further.contains(&field)
    }

    /// Reports a field that cannot be there.
    pub(super) fn check(&self, field: &str, at: usize, faults: &mut Faults<'_>) {
        if self.has(field) || self.events.is_empty() || faults.is_full() {
            return;
        }
        let answer = self.answer.iter().flat_map(|answer| answer.fields()).map(|field| &*field.name);
        let further = self.further.iter().copied().chain(answer);
        if self.is_list {
            let instead = faults.instead(field, further, "there are");
            faults.add(at, format!("the step accepts a list, which has no field {}{instead}", quoted(field)));
            return;
        }
        let Some(lacking) = self.events.iter().find(|event| !event.has(field)) else { return };
        let known = lacking.fields().iter().map(|field| &*field.name).chain(further);
        let instead = faults.instead(field, known, "it has");
        faults.add(at, format!("{} has no field {}{instead}", quoted(&lacking.name), quoted(field)));
    }

    /// Reports a field whose values cannot be those of `target`, a field of the event that is made.
    fn check_type(&self, field: &str, (event, target): (&EventDef, &Field), at: usize, faults: &mut Faults<'_>) {
        let answered = self.answer.filter(|answer| answer.has(field));
        let sources: &[&EventDef] = match &answered {
            Some(answer) => std::slice::from_ref(answer),
            None if self.is_list || self.further.contains(&field) => &[],
            None => &self.events,
        };
        let differs = |field: &&Field| !target.may_be(field);
        let given =
            |source: &&EventDef| Some((quoted(&source.name), source.field(field).filter(differs)?.written.clone()));
        let Some((source, written)) = sources.iter().find_map(given) else { return };
        let (name, of, field) = (quoted(&target.name), quoted(&event.name), quoted(field));
        let text = format!("{name} of {of} is `{}`, and {field} of {source} is `{written}`", target.written);
        faults.add(at, text + ": write another value");
    }

    /// Parses a template and checks its fields.
    pub(super) fn template(&self, text: &str, at: usize, faults: &mut Faults<'_>) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => {
                template.fields().for_each(|field| self.check(field, at, faults));
                Some(template)
            }
            Err(TemplateError { offset, fault }) => {
                let column = text[..offset].chars().count() + 1;
                faults.add(at, format!("{fault} (character {column} of this string)"));
                None
            }
        }
    }
}

/// Makes an event of the fields that are written and, for the others, those of the same name. If one is missing,
/// `remedy` says how to write it.
pub(super) fn construct(
    event: &EventDef,
    events: &Events,
    written: &[Member],
    given: &Given<'_>,
    (at, remedy): (usize, &str),
    faults: &mut Faults<'_>,
) -> Construct {
    let mut fields: Vec<(Box<str>, Source)> = Vec::new();
    for member in written {
        if !event.has(&member.name) {
            let known = event.fields().iter().map(|field| &*field.name);
            let instead = faults.instead(&member.name, known, "it has");
            faults.add(member.at, format!("{} has no field {}{instead}", quoted(&event.name), quoted(&member.name)));
            continue;
        }
        if let Some(source) = source(event, member, given, faults) {
            fields.push((member.name.as_str().into(), source));
        }
    }
    for field in event.fields() {
        if tree::get(written, &field.name).is_some() {
            continue;
        }
        if given.has(&field.name) {
            given.check_type(&field.name, (event, field), at, faults);
            fields.push((field.name.as_str().into(), Source::Field(field.name.as_str().into())));
        } else if field.required && !given.events.is_empty() {
            let (name, field) = (quoted(&event.name), quoted(&field.name));
            let lacking = given.events.iter().find(|event| !event.has(field.trim_matches('`')));
            let from = match lacking {
                Some(lacking) if !given.is_list => quoted(&lacking.name),
                _ => "the list that the step accepts".to_owned(),
            };
            faults.add(at, format!("{name} needs the field {field}, which {from} does not have: {remedy}"));
        }
    }
    Construct { event: events.id(event), fields: fields.into() }
}

/// Returns where the value of a field comes from.
fn source(event: &EventDef, member: &Member, given: &Given<'_>, faults: &mut Faults<'_>) -> Option<Source> {
    if let Kind::Text(text) = &member.value.kind {
        let template = given.template(text, member.value.at, faults)?;
        if let Some(field) = template.sole_field() {
            if let Some(target) = event.field(&member.name) {
                given.check_type(field, (event, target), member.value.at, faults);
            }
            return Some(Source::Field(field.into()));
        }
        if template.fields().next().is_some() {
            if let Some(target) = event.field(&member.name).filter(|target| !TEXTS.contains(&&*target.written)) {
                let (name, of) = (quoted(&target.name), quoted(&event.name));
                let text = format!("{name} of {of} is `{}`, and this is text", target.written);
                faults.add(member.value.at, text + ": write only `{FIELD}` for the value of a field");
            }
            return Some(Source::Text(template));
        }
        let literal = Value { at: member.value.at, kind: Kind::Text(template.fill(|_| "".into())) };
        return literal_of(event, &member.name, &literal, faults);
    }
    literal_of(event, &member.name, &member.value, faults)
}

/// The types of which a text may be.
const TEXTS: &[&str] = &["string", "date-time", "any"];

fn literal_of(event: &EventDef, name: &str, value: &Value, faults: &mut Faults<'_>) -> Option<Source> {
    let Some(json) = value.to_json() else {
        faults.add(value.at, "JSON has no such number");
        return None;
    };
    let field = event.field(name);
    if let Some(fault) = field.and_then(|field| field.shape.check(&json.to_string()).err()) {
        faults.add(value.at, format!("{} of {}: {fault}", quoted(name), quoted(&event.name)));
        return None;
    }
    Json::from_value(&json).map(Source::Value).map_err(|error| faults.add(value.at, error.to_string())).ok()
}
