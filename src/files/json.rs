//! JSON as a tree of values.

use super::{
    fault::Faults,
    tree::{Kind, Member, Value},
};
use crate::{
    json::string_end,
    limits::{FILE_DEPTH_MAX, JSON_DEPTH_MAX},
};

/// Reads a whole file. Reports the first syntax error, and every name that occurs twice in one object.
pub(super) fn parse(text: &str, faults: &mut Faults<'_>) -> Vec<Member> {
    // What the standard parser accepts, the cursor below can walk over without further checks.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let message = error.to_string();
        let what = message.rfind(" at line ").map_or(&*message, |end| &message[..end]);
        let line_start = line_start(text, error.line());
        faults.add((line_start + error.column().saturating_sub(1)).min(text.len()), what);
        return Vec::new();
    }
    let mut cursor = Cursor { text, at: 0, depth: 0, faults };
    let value = cursor.value();
    if let Kind::Table(members) = value.kind {
        return members;
    }
    faults.add(value.at, format!("a workflow file is an object, not {}", value.what()));
    Vec::new()
}

/// Returns where a line begins, counted from 1.
fn line_start(text: &str, line: usize) -> usize {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    if line <= 1 { 0 } else { ends.take(line - 1).last().unwrap_or(0) }
}

/// Walks over text that is known to be JSON.
struct Cursor<'a, 'f, 'g> {
    text: &'a str,
    at: usize,
    depth: usize,
    faults: &'f mut Faults<'g>,
}

impl Cursor<'_, '_, '_> {
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Value {
        self.skip_spaces();
        let at = self.at;
        let kind = match self.byte() {
            b'"' => Kind::Text(self.string()),
            b'{' | b'[' => self.nested(),
            _ => self.word(),
        };
        Value { at, kind }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at = string_end(self.text.as_bytes(), start + 1);
        serde_json::from_str(&self.text[start..self.at]).unwrap_or_default()
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while !matches!(self.byte(), b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' | 0) {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            "true" => Kind::Flag(true),
            "false" => Kind::Flag(false),
            "null" => Kind::Null,
            number => {
                if let Ok(whole) = number.parse() {
                    return Kind::Whole(whole);
                }
                if !number.contains(['.', 'e', 'E']) {
                    self.faults.add(start, "this number does not fit into 64 bits");
                }
                Kind::Decimal(number.parse().unwrap_or(f64::NAN))
            }
        }
    }

    fn nested(&mut self) -> Kind {
        let (start, is_table) = (self.at, self.byte() == b'{');
        self.depth += 1;
        // The standard parser has a bound of its own, so this recursion ends.
        debug_assert!(self.depth <= JSON_DEPTH_MAX + FILE_DEPTH_MAX, "the parser bounds the depth");
        if self.depth == FILE_DEPTH_MAX + 1 {
            self.faults.add(start, format!("this nests deeper than {FILE_DEPTH_MAX} objects and lists"));
        }
        let (mut members, mut elements) = (Vec::<Member>::new(), Vec::new());
        self.at += 1;
        self.skip_spaces();
        while !matches!(self.byte(), b'}' | b']' | 0) {
            if is_table {
                members.push(self.member());
            } else {
                elements.push(self.value());
            }
            self.skip_spaces();
            self.at += usize::from(self.byte() == b',');
            self.skip_spaces();
        }
        self.at += 1;
        self.depth -= 1;
        if !is_table {
            return Kind::List(elements);
        }
        self.report_twice(&members);
        Kind::Table(members)
    }

    fn member(&mut self) -> Member {
        self.skip_spaces();
        let at = self.at;
        let name = self.string();
        self.skip_spaces();
        self.at += 1;
        Member { name, at, value: self.value() }
    }

    fn report_twice(&mut self, members: &[Member]) {
        let mut seen = std::collections::BTreeSet::new();
        for member in members.iter().filter(|member| !seen.insert(member.name.as_str())) {
            self.faults.add(member.at, "duplicate key");
        }
    }
}
