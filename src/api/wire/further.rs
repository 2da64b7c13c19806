//! Members of a body that the API does not know. They are ignored, but a misspelt one is told once.

use super::object::each_member;
use crate::{
    api::told::Told,
    text::{OneLine, nearest},
};

/// The names of members of the object in `text` that are not among `known`, the first few.
pub(super) fn names(text: &str, known: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let _ = each_member(text, |name, _| {
        if !known.contains(&&*name) && names.len() < NAMES_MAX {
            names.push(OneLine::new(&name, NAME_BYTES_MAX).to_string());
        }
        Ok(())
    });
    names
}

/// Logs those of the names that are near a known one, each once while the program runs.
pub(super) fn log_misspelt(names: &[String], known: &[&str]) {
    static MEMBERS: Told = Told::new();
    for name in names {
        MEMBERS.misspelt("member", name, known);
    }
}

/// What to do about a body whose fields are beside its `start_event`: appended to why the start event is refused.
pub(super) fn hint(names: &[String], known: &[&str]) -> String {
    let Some(first) = names.first() else { return String::new() };
    match names.iter().find_map(|name| Some((name, nearest(name, known.iter().copied())?))) {
        Some((name, meant)) => format!("; the body has `{name}`: did you mean `{meant}`?"),
        None => format!("; the body has `{first}`, but no member start_event, in which the fields stand"),
    }
}

/// Names that are looked at in one body, and the bytes of one that are kept.
const NAMES_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 64;
