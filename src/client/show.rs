//! What people see: text without control characters, events as lines, tables that fit, JSON.

use std::{
    borrow::Cow,
    env,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use serde_json::Value;
use steprill::limits::{CLIENT_COLUMNS_DEFAULT, CLIENT_LINE_BYTES_MAX};

use super::failure::{Exit, Failure, Result};

/// Prints a text on stdout as it is.
///
/// # Errors
/// If nobody reads it, which ends the program without a word, or it cannot be written.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure { exit: Exit::Failed, text: String::new() },
        _ => Failure::new(format!("cannot write to stdout: {error}")),
    })
}

/// Prints a line on stdout.
pub(super) fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

/// Prints a line on stderr. If nobody reads it, it is lost.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints JSON on one line; on a terminal without control characters.
pub(super) fn json(value: &Value) -> Result<()> {
    let text = value.to_string();
    line(if io::stdout().is_terminal() { escaped(&text) } else { Cow::Borrowed(&*text) }.as_ref())
}

/// Prints a result: a string as its text, everything else as JSON, on a terminal over several lines.
pub(super) fn result(value: &Value) -> Result<()> {
    let is_terminal = io::stdout().is_terminal();
    match value {
        Value::String(text) if is_terminal => {
            line(&text.split('\n').map(|part| escaped(part).into_owned()).collect::<Vec<_>>().join("\n"))
        }
        Value::String(text) => line(text),
        _ if is_terminal => {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            line(&text.split('\n').map(|part| escaped(part).into_owned()).collect::<Vec<_>>().join("\n"))
        }
        _ => line(&value.to_string()),
    }
}

/// Returns text on one line, without what moves a terminal's cursor, forges a line or reverses the direction of text.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns an event as a line for people: its type, and its fields as `name=value`.
pub(super) fn event(kind: &str, value: &Value) -> String {
    let mut text = escaped(kind).into_owned();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let _ = write!(text, " {}={}", escaped(name), field(value));
            }
        }
        Value::Null => {}
        other => drop(write!(text, " {}", field(other))),
    }
    text
}

/// Returns a value as shown in a line: a plain word as it is, everything else as JSON.
pub(super) fn field(value: &Value) -> String {
    let is_word = |text: &str| {
        let is_plain = |c: char| !c.is_whitespace() && !is_escaped(c) && !"\"'=\\".contains(c);
        !text.is_empty() && text.chars().all(is_plain) && serde_json::from_str::<Value>(text).is_err()
    };
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        other => escaped(&other.to_string()).into_owned(),
    }
}

/// Returns the member's text, or an empty one.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Prints a line on stdout; on a terminal cut at its width.
pub(super) fn fitting(text: &str) -> Result<()> {
    match columns() {
        Some(columns) => line(&cut(text, columns)),
        None => line(text),
    }
}

/// Prints rows below their heads. On a terminal the last column that is too wide is cut.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> Result<()> {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| escaped(&cell).into_owned())).collect();
    let mut widths = heads.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let columns = columns();
    let mut text = String::new();
    for (number, row) in std::iter::once(&heads.map(str::to_owned)).chain(&rows).enumerate() {
        let mut shown = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(shown, "{cell:width$}  ");
        }
        let shown = shown.trim_end();
        let shown = columns.map_or(Cow::Borrowed(shown), |columns| cut(shown, columns));
        match number {
            0 if has_colour() => drop(writeln!(text, "\x1b[1m{shown}\x1b[0m")),
            _ => drop(writeln!(text, "{shown}")),
        }
    }
    print(&text)
}

/// Returns the text, cut after a number of characters.
fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    match text.char_indices().nth(columns) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()),
    }
}

/// Returns the width of the terminal that stdout is.
fn columns() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
    let variable = || env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    Some(told.or_else(variable).unwrap_or(CLIENT_COLUMNS_DEFAULT).min(CLIENT_LINE_BYTES_MAX))
}

/// Returns whether stdout shows colours, and the user has not asked for none.
fn has_colour() -> bool {
    let asked_for_none = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !asked_for_none && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let value =
            json!({"word": "a", "text": "two words", "n": 3, "number": "3", "bad": "\u{1b}[2J\u{9b}\n\u{202e}"});
        assert_eq!(
            event("Ty\u{7}pe", &value),
            r#"Ty\u{7}pe word=a text="two words" n=3 number="3" bad="\u001b[2J\u{9b}\n\u{202e}""#
        );
        assert_eq!(event("Empty", &json!({"a": "", "b": null})), r#"Empty a="" b=null"#);
    }

    #[test]
    fn what_is_too_wide_is_cut() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
