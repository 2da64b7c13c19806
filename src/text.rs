//! Texts from and for people: durations and sizes, printing on one line, and guessing what a misspelt word was meant
//! to be.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    str::FromStr,
    time::Duration,
};

use crate::limits::SPELLING_BYTES_MAX;

/// Displays text on one line: escapes control characters, and cuts it after a number of bytes.
///
/// ```
/// use steprill::text::OneLine;
///
/// assert_eq!(OneLine::new("two\nlines", 64).to_string(), r"two\nlines");
/// assert_eq!(OneLine::new("a long text", 6).to_string(), "a long…");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a> {
    text: &'a str,
    is_cut: bool,
}

impl<'a> OneLine<'a> {
    /// Wraps `text`, to be cut after `bytes_max` of its bytes.
    pub fn new(text: &'a str, bytes_max: usize) -> Self {
        let end = text.floor_char_boundary(bytes_max);
        Self { text: &text[..end], is_cut: end < text.len() }
    }
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some(at) = rest.find(is_escaped) {
            let (plain, from) = rest.split_at(at);
            formatter.write_str(plain)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(formatter, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        formatter.write_str(rest)?;
        if self.is_cut { formatter.write_char('…') } else { Ok(()) }
    }
}

/// Returns whether to escape a character: control characters, which move a terminal's cursor or forge a line; the line
/// separators of Unicode; and marks that reverse the direction of text and so make a line read differently.
fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the one of `known` that `word` was probably meant to be: the nearest by missing, wrong, surplus or swapped
/// letters, if those are at most a third. Ignores case. Returns `None` if `word` itself is among them.
///
/// ```
/// use steprill::text::nearest;
///
/// assert_eq!(nearest("start_evnt", ["context", "start_event"]), Some("start_event"));
/// assert_eq!(nearest("colour", ["context", "start_event"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SPELLING_BYTES_MAX {
        return None;
    }
    let letters = |word: &str| word.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let given = letters(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        if candidate == word {
            return None;
        }
        let distance = distance(&given, &letters(candidate));
        let is_near = distance * 3 <= given.len().max(candidate.len()) && distance < given.len();
        if is_near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns how many letters to insert, remove, replace or swap with a neighbour to turn one word into the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, &letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &other) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && letter == to[column - 1] && from[row - 1] == other {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

/// Returns the duration that a number and its unit mean, such as `90s`, `1.5h` or `30d`; a number alone is in seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(f64::from_str(digits).ok()? * unit_s).ok()
}

/// Returns the bytes that a whole number means, alone or with a binary unit such as `64M`, `64MiB` or `1g`.
pub fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    usize::from_str(digits).ok()?.checked_mul(1 << shift)
}

/// A text that is none of the values that were expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidValue {
    expected: Cow<'static, str>,
    got: String,
}

impl InvalidValue {
    /// `expected` completes "expected …, got …".
    pub(crate) fn new(expected: impl Into<Cow<'static, str>>, got: &str) -> Self {
        Self { expected: expected.into(), got: got.to_owned() }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected {}, got {:?}", self.expected, self.got)
    }
}

impl std::error::Error for InvalidValue {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant_and_another_word_does_not() {
        let known = ["start_event", "context", "handler_id", "kwargs"];
        for (word, meant) in [
            ("start_evnt", Some("start_event")),
            ("startEvent", Some("start_event")),
            ("Start_Event", Some("start_event")),
            ("contxet", Some("context")),
            ("handlerid", Some("handler_id")),
            ("kwarg", Some("kwargs")),
            ("kwargs", None),
            ("message", None),
            ("c", None),
            ("", None),
            (&"x".repeat(SPELLING_BYTES_MAX + 1), None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn the_nearest_of_several_is_chosen_and_the_first_of_equals() {
        assert_eq!(nearest("WORKRES", ["WORKER", "WORKERS", "WORKED"]), Some("WORKERS"));
        assert_eq!(nearest("abcx", ["abcy", "abcz"]), Some("abcy"));
    }

    #[test]
    fn control_characters_are_escaped_and_all_else_is_left() {
        for (text, shown) in [
            ("plain \u{e4} \"quoted\" back\\slash", "plain \u{e4} \"quoted\" back\\slash"),
            ("\u{1b}[31mred\r\n\t\0", r"\u{1b}[31mred\r\n\t\u{0}"),
            ("a\u{85}b\u{2028}c\u{202e}d", r"a\u{85}b\u{2028}c\u{202e}d"),
            ("", ""),
        ] {
            assert_eq!(OneLine::new(text, 1_000).to_string(), shown);
        }
        assert_eq!(OneLine::new("\u{e4}\u{e4}", 3).to_string(), "\u{e4}…");
        assert_eq!(OneLine::new("\u{e4}\u{e4}", 4).to_string(), "\u{e4}\u{e4}");
    }
}
