//! Framing of streamed events: Server-Sent Events (HTML Standard, section 9.2) and NDJSON.
//!
//! An event is written directly into the output, between [`begin_event`] and [`end_event`]. Any number of events may
//! follow each other in the one chunk that [`Exchange::stream`](super::exchange::Exchange::stream) writes around them.
//!
//! ```
//! use steprill::http::stream::{self, Framing};
//!
//! let mut out = Vec::new();
//! stream::begin_event(&mut out, Framing::Sse, 7);
//! let json = out.len();
//! out.extend_from_slice(br#"{"type":"StopEvent"}"#);
//! stream::end_event(&mut out, Framing::Sse, json);
//! assert_eq!(out, b"id: 7\ndata: {\"type\":\"StopEvent\"}\n\n");
//! ```

use super::response::push_number;
use crate::json::{escape_line_ends, find_line_end};

/// How events are separated on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// `id: N\ndata: {json}\n\n`.
    Sse,
    /// `{json}\n`.
    Ndjson,
}

impl Framing {
    /// Returns the `Content-Type` of the stream.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Appends what precedes an event's JSON. The JSON must be one line.
pub fn begin_event(out: &mut Vec<u8>, framing: Framing, sequence: u64) {
    if framing == Framing::Sse {
        out.extend_from_slice(b"id: ");
        push_number(out, sequence);
        out.extend_from_slice(b"\ndata: ");
    }
}

/// Appends what follows an event's JSON, which begins at `json`.
///
/// Escapes the characters that Unicode counts as line ends: clients that split lines by its rules, as Python's
/// `str.splitlines` does, would otherwise cut an event in two.
pub fn end_event(out: &mut Vec<u8>, framing: Framing, json: usize) {
    if !out[json..].is_ascii()
        && let Some(place) = find_line_end(&out[json..])
    {
        escape_line_ends(out, json + place);
    }
    match framing {
        Framing::Sse => out.extend_from_slice(b"\n\n"),
        Framing::Ndjson => out.push(b'\n'),
    }
}

/// Appends a comment line that keeps an idle stream alive; nothing to NDJSON, which has no comments.
pub fn encode_heartbeat(out: &mut Vec<u8>, framing: Framing) {
    if framing == Framing::Sse {
        out.extend_from_slice(b":\n\n");
    }
}

/// Appends a comment line that says that the events before `first`, with which the reader would have begun, were
/// removed; nothing to NDJSON, which has no comments.
pub fn encode_skipped(out: &mut Vec<u8>, framing: Framing, first: u64) {
    if framing == Framing::Sse {
        out.extend_from_slice(b": events before ");
        push_number(out, first);
        out.extend_from_slice(b" are no longer kept\n\n");
    }
}

/// Bytes of a chunk's size line: of fixed width, so that it can be filled in after the data is written.
pub(super) const CHUNK_SIZE_BYTES: usize = 10;

/// Appends what `write` appends as one chunk (RFC 9112 section 7.1). Appends nothing if `write` appends nothing, as an
/// empty chunk would end the body.
///
/// # Panics
/// If `write` appends 4 GiB or more.
pub fn encode_chunk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_chunk_around(out, 0, write);
}

/// Like [`encode_chunk`], for a chunk into which `further_bytes` are inserted later.
pub(super) fn encode_chunk_around(out: &mut Vec<u8>, further_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"00000000\r\n");
    write(out);
    let length = out.len() - start - CHUNK_SIZE_BYTES + further_bytes;
    if length == 0 {
        out.truncate(start);
        return;
    }
    let mut rest =
        u32::try_from(length).expect("a chunk is far smaller than 4 GiB: streams stop at their high-water mark");
    for digit in out[start..start + 8].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    out.extend_from_slice(CHUNK_END);
}

/// The end of each chunk.
pub(super) const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body: the last chunk without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(events: &[&str], expected: &str) {
        let mut out = Vec::new();
        encode_chunk(&mut out, |out| events.iter().for_each(|event| out.extend_from_slice(event.as_bytes())));
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn any_number_of_events_make_one_chunk() {
        check(&[], "");
        check(&["{}\n"], "00000003\r\n{}\n\r\n");
        check(&["{}\n"; 100], &format!("0000012c\r\n{}\r\n", "{}\n".repeat(100)));
    }

    #[test]
    fn only_line_feeds_end_a_line() {
        for (framing, json, expected) in [
            (Framing::Ndjson, "[\"a\u{85}b\u{2028}\u{2029}\"]", "[\"a\\u0085b\\u2028\\u2029\"]\n"),
            (Framing::Ndjson, "[\"\u{84}\u{2027}\u{202a}\u{1f600}\"]", "[\"\u{84}\u{2027}\u{202a}\u{1f600}\"]\n"),
            (Framing::Sse, "[\"a\u{85}\u{2028}b\u{2029}\"]", "[\"a\\u0085\\u2028b\\u2029\"]\n\n"),
            (Framing::Sse, "[\"\u{82}\u{2027}\u{e9}\"]", "[\"\u{82}\u{2027}\u{e9}\"]\n\n"),
        ] {
            let mut out = "before \u{2028}".as_bytes().to_vec();
            let start = out.len();
            out.extend_from_slice(json.as_bytes());
            end_event(&mut out, framing, start);
            assert_eq!(std::str::from_utf8(&out[start..]), Ok(expected));
            assert_eq!(&out[..start], "before \u{2028}".as_bytes());
        }
    }

    #[test]
    fn only_sse_has_ids_and_heartbeats() {
        let mut out = Vec::new();
        begin_event(&mut out, Framing::Ndjson, 1);
        encode_heartbeat(&mut out, Framing::Ndjson);
        assert!(out.is_empty());
        encode_heartbeat(&mut out, Framing::Sse);
        assert_eq!(out, b":\n\n");
    }
}
