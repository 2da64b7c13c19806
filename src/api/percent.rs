//! Percent-decoding of path segments and query parameters (RFC 3986 section 2.1, WHATWG URL section 5.1).

use std::{borrow::Cow, fmt};

use crate::api::told::Told;

/// Decodes `text`. What does not decode (a malformed escape, bytes that are not UTF-8) is returned unchanged, so that
/// nothing is found under it.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') {
        decode_escapes(text.as_bytes()).map_or(Cow::Borrowed(text), Cow::Owned)
    } else {
        text.into()
    }
}

/// The parameters of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) Option<&'a str>);

/// A query parameter with a value that is not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ParameterError {
    pub(super) name: &'static str,
    pub(super) got: String,
    /// What was expected, if the text says that.
    pub(super) expected: Option<Cow<'static, str>>,
}

impl ParameterError {
    pub(super) fn new(name: &'static str, got: &str, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { name, got: got.to_owned(), expected: Some(expected.into()) }
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Invalid {}: '{}'", self.name, self.got)?;
        self.expected.iter().try_for_each(|expected| write!(out, "; expected {expected}"))
    }
}

impl<'a> Query<'a> {
    /// Returns all values of a parameter, decoded and in order; one without `=` has the value `""`.
    pub(super) fn values(self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        self.0.unwrap_or_default().split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(key) == name).then(|| decode_form(value))
        })
    }

    /// Returns the value of a parameter; the last one, if it occurs several times.
    pub(super) fn value(self, name: &'a str) -> Option<Cow<'a, str>> {
        self.0?;
        self.values(name).last()
    }

    /// Returns a boolean parameter: `true` in any case is true, all else false; `default` if absent.
    pub(super) fn boolean(self, name: &'a str, default: bool) -> bool {
        self.value(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }
}

impl Query<'_> {
    /// Logs parameters that are ignored but resemble a known one, each once.
    pub(super) fn log_misspelt(self, known: &[&str]) {
        static PARAMETERS: Told = Told::new();
        for pair in self.0.unwrap_or_default().split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !known.contains(&name) {
                PARAMETERS.misspelt("query parameter", &decode_form(name), known);
            }
        }
    }
}

/// Like [`decode`], with `+` for a space.
fn decode_form(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(decode(&spaced).into_owned())
    } else {
        decode(text)
    }
}

fn decode_escapes(text: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let [high, low, after @ ..] = rest else { return None };
            decoded.push((hex_digit(*high)? << 4) | hex_digit(*low)?);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_decode_and_what_is_none_stands_for_itself() {
        for (text, decoded) in [
            ("plain", "plain"),
            ("a%20b", "a b"),
            ("%C3%a4", "ä"),
            ("a%2Fb", "a/b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("%ff", "%ff"),
            ("%00", "\0"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(decode(text), decoded, "{text}");
        }
    }

    #[test]
    fn a_query_has_all_values_of_a_name_and_the_last_one() {
        let query = Query(Some("a=1&b=x+y%2B&a=2&%61=3&c&=5&&d=%zz+"));
        assert_eq!(query.values("a").collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(query.value("a").as_deref(), Some("3"));
        assert_eq!(query.value("b").as_deref(), Some("x y+"));
        assert_eq!(query.value("c").as_deref(), Some(""));
        assert_eq!(query.value("d").as_deref(), Some("%zz "));
        assert_eq!(query.value("e"), None);
        assert_eq!(Query(None).value("a"), None);
    }

    #[test]
    fn true_in_any_case_is_true_and_anything_else_false() {
        for (query, value) in [
            ("x=true", true),
            ("x=TRUE", true),
            ("x=tr%75e", true),
            ("x=1", false),
            ("x=yes", false),
            ("x=", false),
            ("x", false),
            ("x=true&x=false", false),
            ("x=%ff", false),
        ] {
            assert_eq!(Query(Some(query)).boolean("x", !value), value, "{query}");
        }
        assert!(Query(Some("y=false")).boolean("x", true));
    }
}
