//! Texts that describe what is wrong with a head.

use crate::{
    http::{Limits, Refusal, body::is_token},
    limits::EXCERPT_BYTES_MAX,
};

/// Describes what is wrong with a head that `httparse` refused.
pub(super) fn diagnose(error: httparse::Error, bytes: &[u8], fields_max: usize) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal::new(431, format!("The request has more than {fields_max} header fields"))
        }
        httparse::Error::Token | httparse::Error::Version => request_line(bytes),
        _ => field_line(bytes),
    }
}

pub(super) fn request_line(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    if let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version
        && major.is_ascii_digit()
        && minor.is_ascii_digit()
        && !matches!((major, minor), (b'1', b'0' | b'1'))
    {
        return Refusal::new(
            505,
            format!("The versions spoken here are HTTP/1.1 and HTTP/1.0, got {}", excerpt(version)),
        );
    }
    let text = format!("The request line must be 'METHOD /target HTTP/1.1', got '{}'", excerpt(line));
    Refusal::new(400, text)
}

fn field_line(bytes: &[u8]) -> Refusal {
    for line in bytes.split(|&byte| byte == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        let name = &line[..line.iter().position(|&byte| byte == b':').unwrap_or(line.len())];
        let fault = match name {
            [b' ' | b'\t', ..] => {
                "a header field must stand on one line, not go on with a blank at the next one's start"
            }
            [] if !line.is_empty() => "a header field needs a name in front of its colon",
            [.., b' ' | b'\t'] if name.len() < line.len() => {
                "there must be no blank in front of a header field's colon"
            }
            _ if name.len() == line.len() && !line.is_empty() => "a header field must be 'Name: value'",
            _ if !name.iter().all(|&byte| is_token(byte)) => {
                "a header field's name has a character that no name may have"
            }
            _ => continue,
        };
        return Refusal::new(400, format!("The request's head is malformed: {fault}, got '{}'", excerpt(line)));
    }
    request_line(bytes)
}

pub(super) fn control_byte(byte: u8, place: usize) -> Refusal {
    let text = match byte {
        b'\n' => "The request's head has a LF without CR: lines end with CRLF".into(),
        0x16 if place == 0 => "This looks like TLS; this port speaks plain HTTP, so use http://".into(),
        _ => format!("The request's head has the control byte 0x{byte:02x}, at {place}"),
    };
    Refusal::new(400, text)
}

pub(super) fn head_too_large(limits: &Limits) -> Refusal {
    Refusal::new(431, format!("The request's head is larger than {} bytes", limits.head_bytes_max))
}

/// Returns the start of `bytes` in printable characters, long enough to find it in the request.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let end = bytes.len().min(EXCERPT_BYTES_MAX);
    let dots = if end < bytes.len() { "…" } else { "" };
    format!("{}{dots}", bytes[..end].escape_ascii())
}
