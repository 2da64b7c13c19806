//! The head of a request: where it ends, its contents, and the framing of its body (RFC 9112 sections 2 to 6).
//!
//! [`find_end`] scans new bytes once and refuses what no head may contain: bare CR, bare LF, control bytes, too many
//! bytes. `httparse` then parses the complete head, and the checks that it lacks follow. The result depends only on the
//! bytes of the head, never on the pieces in which they arrived.

mod faults;
mod fields;
mod span;

use std::{mem::MaybeUninit, ops::Range};

use self::{
    faults::{control_byte, diagnose, excerpt, head_too_large, request_line},
    fields::{Seen, check_host, trim},
    span::Span,
};
use super::{Field, FieldValues, Limits, Method, Refusal, Request, body::Framing};
use crate::limits::HEAD_FIELDS_MAX;

/// A parsed head, as positions in its bytes.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that a client says or does not")]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Whether it is HTTP/1.0.
    pub http10: bool,
    /// Whether the connection may serve another request after this one (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether an HTTP/1.1 client sent `Expect: 100-continue`.
    pub expects_continue: bool,
    /// See [`Request::cross_site`].
    pub cross_site: bool,
    /// How the length of the body is determined.
    pub framing: Framing,
    /// Length of the head in bytes, including its empty line.
    pub bytes: usize,
    path: Span,
    query: Option<Span>,
    fields: [Option<Span>; 7],
    content_coding: Option<Span>,
    /// Values that arrived on several lines, joined.
    joined: Vec<(Field, Vec<u8>)>,
}

impl Head {
    /// Returns the request with this head, at the start of `bytes`, and the body at `body`. Stores its
    /// field values in `fields`.
    ///
    /// # Panics
    /// If another head is at the start of `bytes`.
    pub fn request<'a>(&'a self, bytes: &'a [u8], body: Range<usize>, fields: &'a mut FieldValues<'a>) -> Request<'a> {
        for (value, span) in fields.iter_mut().zip(&self.fields) {
            *value = span.map(|span| span.of(bytes));
        }
        for (field, value) in &self.joined {
            fields[*field as usize] = Some(value);
        }
        let text = |span: Span| std::str::from_utf8(span.of(bytes)).expect("a target is ASCII, as parse_head saw");
        let path = match text(self.path) {
            // RFC 9112 section 3.2.4: OPTIONS for a URL without path and query asks about the server as a whole.
            "" if self.method == Method::Options && self.query.is_none() => "*",
            "" => "/",
            path => path,
        };
        Request {
            method: self.method,
            http10: self.http10,
            path,
            query: self.query.map(text),
            cross_site: self.cross_site,
            fields,
            body: &bytes[body],
        }
    }

    /// Refuses the body after this head, at the start of `bytes`, with 415 if it has a content coding
    /// other than identity (RFC 9110 section 15.5.16).
    pub(super) fn check_coding(&self, bytes: &[u8]) -> Result<(), Refusal> {
        match self.content_coding {
            None => Ok(()),
            Some(coding) => Err(Refusal::new(
                415,
                format!(
                    "Content-Encoding '{}' is not understood; send the body without one",
                    excerpt(coding.of(bytes))
                ),
            )),
        }
    }
}

/// The progress of the search for the end of a head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    at: usize,
    line: usize,
}

/// What [`find_end`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// More bytes are needed.
    Nothing,
    /// An empty line in front of the request line: two bytes to skip (RFC 9112 section 2.2).
    EmptyLine,
    /// The head has this many bytes, including its empty line.
    End(usize),
}

/// Searches for the end of the head that begins at `bytes[0]`, continuing from `scan`.
///
/// # Errors
/// The first fault by position: 400 for a bare CR or LF or a control byte, 414 or 431 for what exceeds a limit.
pub fn find_end(bytes: &[u8], scan: &mut Scan, limits: &Limits) -> Result<Found, Refusal> {
    loop {
        let bound = if scan.line == 0 { limits.request_line_bytes_max } else { usize::MAX };
        let stop = bytes.len().min(bound).min(limits.head_bytes_max).max(scan.at);
        scan.at += clean_run(&bytes[scan.at..stop]);
        let Some(&byte) = bytes.get(scan.at) else { return Ok(Found::Nothing) };
        if byte == b'\r' {
            match bytes.get(scan.at + 1) {
                None => return Ok(Found::Nothing),
                Some(b'\n') => {}
                Some(_) => {
                    return Err(Refusal::new(400, "The request's head has a CR without LF: lines end with CRLF"));
                }
            }
            let is_empty = scan.line == scan.at;
            scan.at += 2;
            if scan.at > limits.head_bytes_max {
                return Err(head_too_large(limits));
            }
            match (is_empty, scan.line) {
                (true, 0) => return Ok(Found::EmptyLine),
                (true, _) => return Ok(Found::End(scan.at)),
                (false, _) => scan.line = scan.at,
            }
            continue;
        }
        if (byte < b' ' && byte != b'\t') || byte == 0x7f {
            return Err(control_byte(byte, scan.at));
        }
        if scan.line == 0 && scan.at >= limits.request_line_bytes_max {
            let text = format!("The request line is longer than {} bytes", limits.request_line_bytes_max);
            return Err(Refusal::new(414, text));
        }
        if scan.at >= limits.head_bytes_max {
            return Err(head_too_large(limits));
        }
        scan.at += 1;
    }
}

/// Returns how many bytes at the start of `bytes` are visible, blank or obs-text; up to seven too few near the end.
///
/// Examines eight bytes at a time: subtracting from a whole word reveals its small bytes. A borrow may mark bytes above
/// the lowest marked one but never below it, and only the lowest is needed.
fn clean_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    let mut run = 0;
    for word in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        let as_del = word ^ (ONES * 0x7f);
        let is_del = as_del.wrapping_sub(ONES) & !as_del;
        let marked = (below_blank | is_del) & TOPS;
        if marked != 0 {
            return run + (marked.trailing_zeros() / 8) as usize;
        }
        run += 8;
    }
    run
}

/// Parses a complete head, from the request line to the empty line, as delimited by [`find_end`].
///
/// # Errors
/// 400 for malformed text, 417 for an unknown expectation, 431 for too many fields, 501 for a transfer coding other
/// than `chunked`, 505 for a version other than 1.0 and 1.1.
pub fn parse_head(bytes: &[u8], limits: &Limits) -> Result<Head, Refusal> {
    let mut table = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
    let fields_max = limits.fields_max.min(HEAD_FIELDS_MAX);
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut table[..fields_max]) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Ok(_) => return Err(Refusal::new(400, "The request's head is malformed")),
        Err(error) => return Err(diagnose(error, bytes, fields_max)),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(request_line(bytes));
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "OPTIONS" => Method::Options,
        "CONNECT" => return Err(Refusal::new(400, "CONNECT is not supported: this server is no proxy")),
        _ => Method::Other,
    };
    let mut seen = Seen::new(bytes);
    for field in parsed.headers.iter() {
        seen.field(field.name, trim(field.value))?;
    }
    let http10 = version == 0;
    let (authority, path, query) = split_target(bytes, method, target)?;
    if let Some(authority) = authority {
        // RFC 9112 section 3.2.2: the host of the target takes precedence over Host.
        let sent = seen.fields[Field::Host as usize].replace(authority);
        seen.has_host |= http10 && sent.is_none();
    }
    if !seen.has_host && !http10 {
        return Err(Refusal::new(400, "The request has no Host field, which HTTP/1.1 requires"));
    }
    Ok(Head {
        method,
        http10,
        keep_alive: if http10 { seen.keep_alive && !seen.close } else { !seen.close },
        expects_continue: seen.expectation(http10)?,
        cross_site: seen.cross_site,
        framing: seen.framing(http10)?,
        bytes: bytes.len(),
        path,
        query,
        fields: seen.fields,
        content_coding: seen.content_coding,
        joined: seen.joined,
    })
}

/// Splits the target into authority, path and query (RFC 9112 section 3.2).
fn split_target(bytes: &[u8], method: Method, target: &str) -> Result<(Option<Span>, Span, Option<Span>), Refusal> {
    let bad = |expected: &str| {
        Refusal::new(400, format!("The request's target must be {expected}, got '{}'", excerpt(target.as_bytes())))
    };
    if let Some(byte) = target.bytes().find(|&byte| !byte.is_ascii_graphic() || byte == b'#') {
        return Err(bad(&format!("percent-encoded where it has '{}'", byte.escape_ascii())));
    }
    let whole = Span::locate(bytes, target.as_bytes());
    let (authority, start) = if target.starts_with('/') {
        (None, 0)
    } else if target == "*" {
        let (true, none) = (method == Method::Options, None) else {
            return Err(bad("a path; * is for OPTIONS only"));
        };
        (none, 0)
    } else {
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let Some(scheme) = scheme else {
            return Err(bad("a path that begins with /, or an http URL"));
        };
        let rest = &target[scheme.len()..];
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        if authority.is_empty() {
            return Err(bad("an http URL with a host"));
        }
        check_host(authority.as_bytes())?;
        (Some(Span::locate(bytes, authority.as_bytes())), scheme.len() + authority.len())
    };
    let path_end = target[start..].find('?').map_or(target.len(), |place| start + place);
    let base = whole.start as usize;
    let query = (path_end < target.len()).then(|| Span::new(base + path_end + 1, whole.end.get() as usize));
    Ok((authority, Span::new(base + start, base + path_end), query))
}

#[cfg(test)]
mod tests {
    use super::clean_run;

    #[test]
    fn a_clean_run_ends_at_the_first_byte_that_no_head_may_hold() {
        for byte in 0..=u8::MAX {
            let is_clean = byte >= b' ' && byte != 0x7f;
            for place in 0..16 {
                // Neither the bytes behind it nor a borrow from them may change the result.
                for behind in [b' ', b'a', 0x7f, 0x80, 0x00, 0xff] {
                    let mut bytes = [b'\x80'; 16];
                    bytes[place] = byte;
                    bytes[place + 1..].fill(behind);
                    let first_bad = bytes.iter().position(|&byte| byte < b' ' || byte == 0x7f);
                    assert_eq!(clean_run(&bytes), first_bad.unwrap_or(16), "{bytes:?}");
                    assert!(is_clean || first_bad.is_some_and(|first| first <= place));
                }
            }
        }
        assert_eq!(clean_run(b"seven b"), 0);
    }
}
