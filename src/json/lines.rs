//! Characters that Unicode counts as line ends and JSON does not.
//!
//! Beyond ASCII these are U+0085, U+2028 and U+2029; JSON itself escapes those within ASCII, and is ASCII outside of
//! strings. Clients that split lines by Unicode's rules, as Python's `str.splitlines` does, would cut an event in two.

use memchr::memchr2_iter;

const LINE_ENDS: [(&[u8], &[u8]); 3] =
    [(b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029")];

/// Returns the position of the first line end in a JSON text.
pub(crate) fn find_line_end(text: &[u8]) -> Option<usize> {
    memchr2_iter(0xc2, 0xe2, text).find(|&place| line_end(&text[place..]).is_some())
}

/// Returns how many bytes escaping its line ends adds to a JSON text.
pub(crate) fn escape_bytes(text: &[u8]) -> usize {
    let ends = memchr2_iter(0xc2, 0xe2, text).filter_map(|place| line_end(&text[place..]));
    ends.map(|(end, escaped)| escaped.len() - end.len()).sum()
}

/// Escapes every line end of the JSON text at the end of `out`. `first` is where its first line end is, if any.
pub(crate) fn escape_line_ends(out: &mut Vec<u8>, first: usize) {
    let text = out.split_off(first);
    let mut rest = &text[..];
    while let Some(place) = find_line_end(rest) {
        out.extend_from_slice(&rest[..place]);
        rest = &rest[place..];
        if let Some((end, escaped)) = line_end(rest) {
            out.extend_from_slice(escaped);
            rest = &rest[end.len()..];
        }
    }
    out.extend_from_slice(rest);
}

/// Returns the line end at the start of a text, and its escape.
fn line_end(text: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    LINE_ENDS.into_iter().find(|(end, _)| text.starts_with(end))
}
