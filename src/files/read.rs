//! Reads single values of a workflow file, each of one kind, and reports those of another.

use std::time::Duration;

use super::{
    fault::{Faults, quoted},
    tree::{Kind, Member},
};
use crate::{
    limits::{FILE_DURATION_MAX, FILE_LIST_LEN_MAX, FILE_NAME_BYTES_MAX, FILE_TEXT_BYTES_MAX},
    text,
};

/// Reads a string. `expected` describes it, for an error about anything else.
pub(super) fn string<'m>(member: &'m Member, expected: &str, faults: &mut Faults<'_>) -> Option<&'m str> {
    let Some(text) = member.value.text() else {
        faults.add_kind(member, expected);
        return None;
    };
    is_short(text, member.value.at, &member.name, faults).then_some(text)
}

/// A string or a list of strings, each with its place.
pub(super) fn strings<'m>(member: &'m Member, expected: &str, faults: &mut Faults<'_>) -> Vec<(&'m str, usize)> {
    let one = std::slice::from_ref(&member.value);
    let elements = member.value.list().unwrap_or(one);
    if elements.len() > FILE_LIST_LEN_MAX {
        faults.add(member.value.at, format!("{} may have at most {FILE_LIST_LEN_MAX} elements", quoted(&member.name)));
        return Vec::new();
    }
    let mut texts = Vec::new();
    for element in elements {
        match element.text() {
            Some(text) if is_short(text, element.at, &member.name, faults) => texts.push((text, element.at)),
            Some(_) => {}
            None if member.value.list().is_none() => faults.add_kind(member, expected),
            None => {
                let text = format!("{} must be {expected}; this is {}", quoted(&member.name), element.what());
                faults.add(element.at, text);
            }
        }
    }
    texts
}

fn is_short(text: &str, at: usize, name: &str, faults: &mut Faults<'_>) -> bool {
    if text.len() > FILE_TEXT_BYTES_MAX {
        faults.add(at, format!("{} has {} bytes; at most {FILE_TEXT_BYTES_MAX} fit", quoted(name), text.len()));
    } else if text.contains('\0') {
        faults.add(at, format!("{} has a character NUL in it", quoted(name)));
    }
    text.len() <= FILE_TEXT_BYTES_MAX && !text.contains('\0')
}

/// True or false.
pub(super) fn flag(member: &Member, faults: &mut Faults<'_>) -> Option<bool> {
    let Kind::Flag(flag) = member.value.kind else {
        faults.add_kind(member, "true or false");
        return None;
    };
    Some(flag)
}

/// A whole number from `low` to `high`.
pub(super) fn whole<T: TryFrom<i64>>(member: &Member, low: i64, high: i64, faults: &mut Faults<'_>) -> Option<T> {
    let expected = match high {
        i64::MAX => format!("a whole number from {low}"),
        _ => format!("a whole number from {low} to {high}"),
    };
    match member.value.kind {
        Kind::Whole(number) if (low..=high).contains(&number) => return T::try_from(number).ok(),
        Kind::Whole(number) => {
            faults.add(member.value.at, format!("{} must be {expected}, not {number}", quoted(&member.name)));
        }
        _ => faults.add_kind(member, &expected),
    }
    None
}

/// A table.
pub(super) fn table<'m>(member: &'m Member, expected: &str, faults: &mut Faults<'_>) -> Option<&'m [Member]> {
    let members = member.value.table();
    match members {
        None => faults.add_kind(member, expected),
        Some(members) if members.len() > FILE_LIST_LEN_MAX => {
            let name = quoted(&member.name);
            faults.add(member.at, format!("{name} has {} members; at most {FILE_LIST_LEN_MAX} fit", members.len()));
            return None;
        }
        Some(_) => {}
    }
    members
}

/// A duration: a number and its unit.
pub(super) fn duration(member: &Member, faults: &mut Faults<'_>) -> Option<Duration> {
    const EXPECTED: &str = "a duration such as \"500ms\", \"30s\", \"15m\", \"12h\" or \"7d\"";
    let name = quoted(&member.name);
    if let Kind::Whole(number) = member.value.kind {
        let text = format!("{name} must be {EXPECTED}; write \"{number}s\" if that is in seconds");
        faults.add(member.value.at, text);
        return None;
    }
    let text = string(member, EXPECTED, faults)?;
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    match text::duration(text).filter(|_| has_unit) {
        Some(duration) if duration <= FILE_DURATION_MAX => Some(duration),
        Some(_) => {
            let days = FILE_DURATION_MAX.as_secs() / 86_400;
            faults.add(member.value.at, format!("{name} may be at most {days}d, not {}", quoted(text)));
            None
        }
        None => {
            faults.add(member.value.at, format!("{name} must be {EXPECTED}, not {}", quoted(text)));
            None
        }
    }
}

/// A number of bytes: a string with a unit, or a whole number.
pub(super) fn size(member: &Member, faults: &mut Faults<'_>) -> Option<u64> {
    const EXPECTED: &str = "a number of bytes such as \"64M\" or \"2G\"";
    if let Kind::Whole(1..) = member.value.kind {
        return whole(member, 1, i64::MAX, faults);
    }
    let text = string(member, EXPECTED, faults)?;
    let bytes = text::bytes(text).filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        faults.add(member.value.at, format!("{} must be {EXPECTED}, not {}", quoted(&member.name), quoted(text)));
    }
    bytes.map(|bytes| bytes as u64)
}

/// Returns whether this can be the name of a workflow, an event or a step.
pub(super) fn is_name(name: &str, what: &str, at: usize, faults: &mut Faults<'_>) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    let fault = if name.is_empty() {
        format!("the name of {what} is empty")
    } else if name.len() > FILE_NAME_BYTES_MAX {
        format!("the name of {what} has {} bytes; at most {FILE_NAME_BYTES_MAX} fit", name.len())
    } else if !name.chars().all(is_part) {
        format!("{} is no name for {what}: it may have letters, digits, `_`, `-` and `.`", quoted(name))
    } else {
        return true;
    };
    faults.add(at, fault);
    faults.is_incomplete = true;
    false
}
