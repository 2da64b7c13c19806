//! Unknown members of a body. They are ignored, but a misspelt name is logged once.

use super::object::each_member;
use crate::{
    api::told::Told,
    limits::{FURTHER_NAME_BYTES_MAX, FURTHER_NAMES_MAX},
    text::{OneLine, nearest},
};

/// Returns the names of members of the object in `text` that are not among `known`, the first few.
pub(super) fn names(text: &str, known: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let _ = each_member(text, |name, _| {
        if !known.contains(&&*name) && names.len() < FURTHER_NAMES_MAX {
            names.push(OneLine::new(&name, FURTHER_NAME_BYTES_MAX).to_string());
        }
        Ok(())
    });
    names
}

/// Logs the names that resemble a known one, each once.
pub(super) fn log_misspelt(names: &[String], known: &[&str]) {
    static MEMBERS: Told = Told::new();
    for name in names {
        MEMBERS.misspelt("member", name, known);
    }
}

/// Returns a hint for a body that has its fields beside `start_event`, to be appended to the error.
pub(super) fn hint(names: &[String], known: &[&str]) -> String {
    let Some(first) = names.first() else { return String::new() };
    match names.iter().find_map(|name| Some((name, nearest(name, known.iter().copied())?))) {
        Some((name, meant)) => format!("; the body has `{name}`: did you mean `{meant}`?"),
        None => format!("; the body has `{first}`, but no member start_event, in which the fields stand"),
    }
}
