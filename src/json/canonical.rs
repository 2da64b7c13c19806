//! The canonical text of a JSON value.

use std::{borrow::Cow, ops::Range};

use memchr::memchr;

use super::{number, string_end};

/// Returns the canonical text of a value, which is the same for all texts of equal values: members in order of name,
/// the last of several with one name, strings with the fewest escapes, numbers as digits and a power of ten, no white
/// space. Numbers are compared exactly, whatever their number of digits. `text` must have been checked.
///
/// ```
/// use steprill::json::canonical;
///
/// assert_eq!(canonical(r#"{"b": [1.50, 2e2], "a": "\u0041"}"#), r#"{"a":"A","b":[15e-1,2e2]}"#);
/// assert_eq!(["1.0", "10e-1", "-0", "200"].map(canonical), ["1", "1", "0", "2e2"]);
/// ```
pub fn canonical(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Reader { rest: text }.value(&mut out);
    out
}

/// Returns the canonical text of an object and where each of its members begins in it, in order of name. Any other
/// value yields no members and no text.
pub(super) fn canonical_members(text: &str) -> (String, Vec<usize>) {
    let mut out = String::with_capacity(text.len());
    let mut reader = Reader { rest: text };
    let begins = if reader.peek() == Some(b'{') { reader.object(&mut out) } else { Vec::new() };
    (out, begins)
}

/// The unread part of a text. Text that was not checked is read as something or other, but never panics.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, out: &mut String) {
        match self.peek() {
            Some(b'{') => _ = self.object(out),
            Some(b'[') => self.array(out),
            Some(b'"') => out.push_str(&self.string()),
            _ => {
                let literal = self.literal();
                let is_number = literal.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                out.push_str(&if is_number { number::canonical(literal) } else { Cow::Borrowed(literal) });
            }
        }
    }

    /// Writes an object and returns where its members begin.
    fn object(&mut self, out: &mut String) -> Vec<usize> {
        let (mut members, mut values): (Vec<(Cow<'a, str>, Range<usize>)>, _) = (Vec::new(), String::new());
        self.skip(1);
        while self.peek() == Some(b'"') {
            let name = self.string();
            self.take(b':');
            let begin = values.len();
            self.value(&mut values);
            members.push((name, begin..values.len()));
            self.take(b',');
        }
        self.take(b'}');
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        out.push('{');
        let mut begins = Vec::with_capacity(members.len());
        for (index, (name, value)) in members.iter().enumerate() {
            // The sort is stable, so the last of several equal names stays last.
            if members.get(index + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            if !begins.is_empty() {
                out.push(',');
            }
            begins.push(out.len());
            out.push_str(name);
            out.push(':');
            out.push_str(&values[value.clone()]);
        }
        out.push('}');
        begins
    }

    fn array(&mut self, out: &mut String) {
        self.skip(1);
        out.push('[');
        let mut is_first = true;
        while self.peek().is_some_and(|next| next != b']') {
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            let before = self.rest.len();
            self.value(out);
            self.take(b',');
            if self.rest.len() == before {
                return;
            }
        }
        self.take(b']');
        out.push(']');
    }

    /// Reads a string with its quotes.
    fn string(&mut self) -> Cow<'a, str> {
        let text = self.skip(string_end(self.rest.as_bytes(), 1));
        let has_escapes = memchr(b'\\', text.as_bytes()).is_some();
        let decoded = has_escapes.then(|| serde_json::from_str::<String>(text).ok()).flatten();
        decoded.and_then(|decoded| serde_json::to_string(&decoded).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    fn literal(&mut self) -> &'a str {
        let ends = |next: u8| matches!(next, b',' | b']' | b'}' | b':') || next.is_ascii_whitespace();
        let end = self.rest.bytes().position(ends).unwrap_or(self.rest.len());
        self.skip(end)
    }

    /// Skips white space and returns the next byte without consuming it.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn take(&mut self, expected: u8) {
        if self.peek() == Some(expected) {
            self.skip(1);
        }
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_text_and_others_have_others() {
        let classes: &[&[&str]] = &[
            &["1", " 1.0 ", "1e0", "10e-1", "0.1e1", "1E+0"],
            &["0", "-0", "0.0", "0e99999999999999999999"],
            &["9007199254740993", "9007199254740993.0"],
            &["9007199254740992"],
            &["170141183460469231731687303715884105727"],
            &["170141183460469231731687303715884105728", "1.70141183460469231731687303715884105728e38"],
            &["-1"],
            &["100", "1e2"],
            &["\"1\""],
            &["\"a\\nb\"", "\"a\\u000ab\"", "\"a\\u000Ab\""],
            &["\"\u{e9}\"", "\"\\u00e9\""],
            &["\"\\\\\\\"\"", "\"\\u005c\\u0022\""],
            &["true"],
            &["null"],
            &["[]", "[ ]"],
            &["[[]]"],
            &["[1,2]", " [ 1.0 , 2 ] "],
            &["[2,1]"],
            &["{}", " { } "],
            &["{\"a\":1,\"b\":[{}]}", "{ \"b\" : [ { } ] , \"a\" : 1.0 }", "{\"a\":2,\"\\u0061\":1,\"b\":[{}]}"],
            &["{\"a\":1}"],
            &["{\"a\":{}}"],
        ];
        for (index, class) in classes.iter().enumerate() {
            for text in *class {
                assert_eq!(canonical(text), canonical(class[0]), "{text}");
                serde_json::from_str::<serde_json::Value>(&canonical(text)).expect("it is JSON");
                let others = classes.iter().enumerate().filter(|(other, _)| *other != index);
                assert!(others.map(|(_, class)| canonical(class[0])).all(|other| other != canonical(text)), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_no_panic() {
        for text in ["", "{", "[", "\"", "[1", "{\"a\"", "{\"a\":", "[,]", "[}", "{]", "\"\\", "[:]", "-", "e", "1e"] {
            canonical(text);
        }
    }
}
