//! A cursor over the text of a JSON value. It reaches the end of any text, well-formed or not.

use std::borrow::Cow;

use super::{
    node::Kind,
    walk::{Refusal, Walk},
};
use crate::json;

impl<'a> Walk<'a, '_> {
    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.byte().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Returns the kind of the value at the cursor; all numbers have the same kind.
    pub(super) fn kind(&self) -> u8 {
        match self.byte() {
            Some(b'{') => Kind::OBJECT,
            Some(b'[') => Kind::ARRAY,
            Some(b'"') => Kind::STRING,
            Some(b't' | b'f') => Kind::BOOLEAN,
            Some(b'n') => Kind::NULL,
            _ => Kind::NUMBER,
        }
    }

    /// Reads a member's name and the colon after it.
    pub(super) fn key(&mut self) -> Cow<'a, str> {
        let start = self.at;
        self.skip_string();
        let raw = &self.text[start..self.at];
        self.skip_spaces();
        self.at = (self.at + 1).min(self.text.len());
        if raw.contains('\\') {
            return Cow::Owned(serde_json::from_str(raw).unwrap_or_default());
        }
        Cow::Borrowed(raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw))
    }

    pub(super) fn skip_string(&mut self) {
        self.at = json::string_end(self.text.as_bytes(), self.at + 1);
    }

    pub(super) fn skip_number(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        // At least one byte, so that the walk reaches the end whatever the text is.
        self.at += rest.iter().take_while(|byte| is_part(byte)).count().max(1).min(rest.len());
    }

    /// Skips the value at the cursor. In an untyped one, refuses numbers that do not fit 64 bits.
    pub(super) fn skip(&mut self, untyped: bool) -> Result<(), Refusal> {
        let mut depth = 0_usize;
        loop {
            self.skip_spaces();
            match self.byte() {
                None => return Ok(()),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':') => {
                    self.at += 1;
                    continue;
                }
                Some(b'"') => self.skip_string(),
                Some(first) => {
                    let start = self.at;
                    self.skip_number();
                    let text = &self.text[start..self.at];
                    if untyped && (first == b'-' || first.is_ascii_digit()) {
                        self.untyped_number(text)?;
                    }
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}
