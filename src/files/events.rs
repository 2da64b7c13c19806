//! The events of a workflow file.

use std::{cell::Cell, collections::BTreeMap};

use super::{
    fault::{Faults, quoted},
    read,
    tree::{self, Kind, Member},
    types::{self, Field},
};
use crate::{
    graph::{EventId, EventKind, EventType, Shape},
    limits::FILE_NAMES_MAX,
    workflow::{EventEntry, StartEvent, StopEvent, schema},
};

/// All events of a file, in order of name: the place of each is its id in the graph.
pub(super) struct Events {
    list: Vec<EventDef>,
    /// The names of the start and the stop event.
    pub(super) start: String,
    pub(super) stop: String,
}

/// One event.
pub(super) struct EventDef {
    pub(super) name: String,
    /// Where it is declared; the built-in ones are declared nowhere.
    pub(super) at: usize,
    kind: EventKind,
    /// What answers it, if it is a question.
    pub(super) answer: Option<String>,
    external: bool,
    description: Option<String>,
    /// `None` for the built-in start event, which takes any fields.
    fields: Option<Vec<Field>>,
    /// Its fields by name.
    names: BTreeMap<String, usize>,
    is_builtin: bool,
    pub(super) is_used: Cell<bool>,
}

impl EventDef {
    /// Returns whether it may have a field of this name.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.is_none() || self.names.contains_key(field)
    }

    /// Returns its field of this name; `None` if it has none, or takes any.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.names.get(name).map(|place| &self.fields()[*place])
    }

    /// Returns its fields; none if it takes any.
    pub(super) fn fields(&self) -> &[Field] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// Returns whether it takes any fields.
    pub(super) fn is_open(&self) -> bool {
        self.fields.is_none()
    }

    fn builtin(name: &str, kind: EventKind, fields: Option<Vec<Field>>) -> Self {
        Self {
            name: name.to_owned(),
            at: 0,
            kind,
            answer: None,
            external: false,
            description: None,
            names: names_of(fields.as_deref().unwrap_or_default()),
            fields,
            is_builtin: true,
            is_used: Cell::new(true),
        }
    }

    fn describe(&self, module: &str) -> EventType {
        let name = &*self.name;
        if self.is_builtin {
            let entry = if self.is_open() { EventEntry::of::<StartEvent>() } else { EventEntry::of::<StopEvent>() };
            return entry.describe(module);
        }
        let schema = schema::of_event(name, types::object(self.fields(), self.description.as_deref()));
        EventType {
            name: name.into(),
            qualified_name: format!("{module}.{name}").into(),
            kind: self.kind,
            builtin: false,
            external: self.external,
            shape: Shape::of_schema(&schema),
            schema,
        }
    }
}

impl Events {
    /// Reads the three sections.
    pub(super) fn read(
        start: Option<&Member>,
        stop: Option<&Member>,
        events: Option<&Member>,
        faults: &mut Faults<'_>,
    ) -> Self {
        let mut list = Vec::new();
        let starting = one(start, EventKind::Start, faults)
            .unwrap_or_else(|| EventDef::builtin("StartEvent", EventKind::Start, None));
        let stopping = one(stop, EventKind::Stop, faults).unwrap_or_else(|| {
            let result = Field {
                name: "result".into(),
                schema: serde_json::json!({}),
                shape: Shape::default(),
                required: false,
                written: "any".into(),
                is_plain: true,
            };
            EventDef::builtin("StopEvent", EventKind::Stop, Some(vec![result]))
        });
        let (start, stop) = (starting.name.clone(), stopping.name.clone());
        list.extend([starting, stopping]);
        let expected = "a table with a table of fields for each event";
        let declared = events.and_then(|member| read::table(member, expected, faults)).unwrap_or_default();
        for member in declared {
            if list.len() == FILE_NAMES_MAX {
                faults.add(member.at, format!("a workflow has at most {FILE_NAMES_MAX} events"));
                break;
            }
            if list.iter().any(|known| known.name == member.name) {
                faults.add(member.at, format!("there is another event {}: rename one of them", quoted(&member.name)));
                continue;
            }
            list.extend(event(member, EventKind::Plain, faults));
        }
        list.sort_by(|one, other| one.name.cmp(&other.name));
        let mut events = Self { list, start, stop };
        events.link_answers(declared, faults);
        events
    }

    /// Checks that each question names an event, which then comes from outside.
    fn link_answers(&mut self, declared: &[Member], faults: &mut Faults<'_>) {
        let answers: Vec<String> = self.list.iter().filter_map(|event| event.answer.clone()).collect();
        for member in declared {
            let Some(setting) = setting(member, "answer") else { continue };
            let Some(name) = setting.value.text().filter(|text| !types::is_type(text)) else { continue };
            if self.list.iter().all(|known| known.name != name) {
                let names = self.list.iter().map(|event| &*event.name).filter(|known| *known != member.name);
                let instead = faults.instead(name, names, "there are");
                let text = format!(
                    "{} is neither an event, which would answer the question {}, nor the type of a field{instead}",
                    quoted(name),
                    quoted(&member.name)
                );
                faults.add(setting.value.at, text);
                faults.is_incomplete = true;
            }
        }
        for event in self.list.iter_mut().filter(|event| answers.contains(&event.name)) {
            if event.kind == EventKind::Plain {
                event.kind = EventKind::HumanResponse;
            }
        }
    }

    /// Returns the event that is named here, and notes that it is used.
    pub(super) fn find(&self, name: &str, at: usize, faults: &mut Faults<'_>) -> Option<&EventDef> {
        let found = self.get(name);
        if let Some(event) = found {
            event.is_used.set(true);
        } else {
            let known = self.list.iter().map(|event| &*event.name);
            let instead = faults.instead(name, known, "there are");
            faults.add(at, format!("there is no event {}{instead}", quoted(name)));
            faults.is_incomplete = true;
        }
        found
    }

    /// Returns the event of this name.
    pub(super) fn get(&self, name: &str) -> Option<&EventDef> {
        self.place(name).map(|place| &self.list[place])
    }

    /// Returns the id of an event in the graph.
    pub(super) fn id(&self, event: &EventDef) -> EventId {
        EventId(self.place(&event.name).unwrap_or_default() as u16)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.list.binary_search_by(|event| (*event.name).cmp(name)).ok()
    }

    /// Reports the events that no step names.
    pub(super) fn report_unused(&self, faults: &mut Faults<'_>) {
        for event in self.list.iter().filter(|event| !event.is_used.get()) {
            let name = quoted(&event.name);
            faults.add(event.at, format!("no step accepts, emits, asks or streams {name}: use it or remove it"));
        }
    }

    /// Returns the event types for the graph.
    pub(super) fn describe(&self, module: &str) -> Vec<EventType> {
        self.list.iter().map(|event| event.describe(module)).collect()
    }
}

fn names_of(fields: &[Field]) -> BTreeMap<String, usize> {
    fields.iter().enumerate().map(|(place, field)| (field.name.clone(), place)).collect()
}

/// Reads the section of the start or the stop event, which has one.
fn one(section: Option<&Member>, kind: EventKind, faults: &mut Faults<'_>) -> Option<EventDef> {
    let section = section?;
    let name = &section.name;
    let members = read::table(section, &format!("a table: write `[{name}.NAME]` and its fields"), faults)?;
    let Some((first, others)) = members.split_first() else {
        faults.add(section.at, format!("this has no event: write `[{name}.NAME]` and its fields"));
        return None;
    };
    for other in others {
        let text = format!("a workflow has one {name} event, which is {}: remove this one", quoted(&first.name));
        faults.add(other.at, text);
    }
    let event = event(first, kind, faults)?;
    event.is_used.set(true);
    Some(event)
}

fn event(member: &Member, kind: EventKind, faults: &mut Faults<'_>) -> Option<EventDef> {
    let members = read::table(member, "a table of fields and their types", faults)?;
    if !read::is_name(&member.name, "an event", member.at, faults) {
        return None;
    }
    if types::is_type(&member.name) {
        faults.add(member.at, format!("{} is the name of a type: rename the event", quoted(&member.name)));
    }
    let answer = setting(member, "answer").and_then(|setting| setting.value.text());
    let external = setting(member, "external").is_some_and(|setting| setting.value.kind == Kind::Flag(true));
    let description = setting(member, "description").and_then(|setting| setting.value.text());
    let is_setting = |field: &&Member| setting(member, &field.name).is_some();
    let fields = types::fields(members.iter().filter(|field| !is_setting(field)), &quoted(&member.name), faults);
    let is_question = answer.is_some() && kind == EventKind::Plain;
    if answer.is_some() && !is_question {
        faults.add(member.at, "the start and the stop event are no questions: remove `answer`");
    }
    Some(EventDef {
        name: member.name.clone(),
        at: member.at,
        kind: if is_question { EventKind::InputRequired } else { kind },
        answer: answer.map(str::to_owned),
        external,
        description: description.map(str::to_owned),
        names: names_of(&fields),
        fields: Some(fields),
        is_builtin: false,
        is_used: Cell::new(false),
    })
}

/// Returns a setting of an event, which is among its fields: a member of this name whose value no field can have.
fn setting<'m>(event: &'m Member, name: &str) -> Option<&'m Member> {
    if !["answer", "external", "description"].contains(&name) {
        return None;
    }
    let member = tree::get(event.value.table()?, name)?;
    let is_setting = match (name, &member.value.kind) {
        ("answer" | "description", Kind::Text(text)) => !types::is_type(text),
        ("external", Kind::Flag(_)) => true,
        _ => false,
    };
    is_setting.then_some(member)
}
