//! The contents of a workflow file, in either format, as one tree of values with their places.

use serde_json::Value as Json;

/// A value, and the byte at which it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Value {
    /// Where it begins.
    pub(super) at: usize,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Decimal(f64),
    /// True or false.
    Flag(bool),
    /// A date, a time or both, which TOML has.
    Date(String),
    /// `null`, which JSON has.
    Null,
    /// A list.
    List(Vec<Value>),
    /// A table, in the order of the file.
    Table(Vec<Member>),
}

/// A member of a table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Where the name begins.
    pub(super) at: usize,
    /// Its value.
    pub(super) value: Value,
}

/// Returns the member of this name.
pub(super) fn get<'m>(members: &'m [Member], name: &str) -> Option<&'m Member> {
    members.iter().find(|member| member.name == name)
}

impl Value {
    /// Returns its text, if it is a string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// Returns its members, if it is a table.
    pub(super) fn table(&self) -> Option<&[Member]> {
        if let Kind::Table(members) = &self.kind { Some(members) } else { None }
    }

    /// Returns its elements, if it is a list.
    pub(super) fn list(&self) -> Option<&[Value]> {
        if let Kind::List(elements) = &self.kind { Some(elements) } else { None }
    }

    /// Describes it for people.
    pub(super) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a string",
            Kind::Whole(_) => "an integer",
            Kind::Decimal(_) => "a number",
            Kind::Flag(_) => "a boolean",
            Kind::Date(_) => "a date",
            Kind::Null => "null",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// Returns it as JSON; a date as a string. `None` if there is a number in it that JSON cannot write.
    pub(super) fn to_json(&self) -> Option<Json> {
        Some(match &self.kind {
            Kind::Text(text) | Kind::Date(text) => text.as_str().into(),
            Kind::Whole(number) => (*number).into(),
            Kind::Decimal(number) => serde_json::Number::from_f64(*number)?.into(),
            Kind::Flag(flag) => (*flag).into(),
            Kind::Null => Json::Null,
            Kind::List(elements) => elements.iter().map(Self::to_json).collect::<Option<Vec<_>>>()?.into(),
            Kind::Table(members) => {
                let members = members.iter().map(|member| Some((member.name.clone(), member.value.to_json()?)));
                Json::Object(members.collect::<Option<_>>()?)
            }
        })
    }
}
