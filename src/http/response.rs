//! Encodes the head of a reply, including `Date` (RFC 9112 section 4, RFC 9110 section 6.6.1).

use time::OffsetDateTime;

use super::{Refusal, Response};

/// How the client can tell where the body of a reply ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// There is neither body nor length: 1xx, 204, 304.
    NoBody,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection, for HTTP/1.0.
    Close,
}

/// What a reply announces about the connection (RFC 9112 section 9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// Nothing: HTTP/1.1 connections persist by default.
    Implied,
    /// `Connection: keep-alive`, for an HTTP/1.0 client that asked for it.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

/// A reply that sets this field decides how it may be cached; all others get `no-store`.
pub const CACHE_CONTROL: &str = "Cache-Control";

/// The most bytes of a head without further fields; for reserving room.
pub const HEAD_BYTES: usize = 256;

/// Appends the head of `response`, ignoring its body; the complete lines in `lines` follow its own fields.
pub fn encode_head(
    out: &mut Vec<u8>,
    response: &Response,
    lines: &[u8],
    ending: Ending,
    persistence: Persistence,
    wall_us: i64,
) {
    match response.status {
        // Nearly all replies have this status.
        200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: "),
        status => {
            out.extend_from_slice(b"HTTP/1.1 ");
            push_number(out, u64::from(status));
            out.push(b' ');
            out.extend_from_slice(reason(status).as_bytes());
            out.extend_from_slice(b"\r\nDate: ");
        }
    }
    push_date(out, wall_us.div_euclid(1_000_000));
    out.extend_from_slice(b"\r\n");
    if let Some(content_type) = response.content_type {
        push_field(out, "Content-Type", content_type);
    }
    match ending {
        Ending::NoBody | Ending::Close => {}
        Ending::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, length as u64);
            out.extend_from_slice(b"\r\n");
        }
        Ending::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    match persistence {
        Persistence::Implied => {}
        Persistence::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        Persistence::Close => out.extend_from_slice(b"Connection: close\r\n"),
    }
    let mut may_be_stored = false;
    for (name, value) in &response.headers {
        may_be_stored |= *name == CACHE_CONTROL;
        push_field(out, name, value);
    }
    if !may_be_stored {
        // A reply describes the present moment only.
        out.extend_from_slice(b"Cache-Control: no-store\r\n");
    }
    out.extend_from_slice(lines);
    out.extend_from_slice(b"\r\n");
}

/// Returns the reply to a request that could not be understood: the refusal as plain text.
pub(super) fn refusal(refusal: Refusal) -> Response {
    Response {
        status: refusal.status,
        content_type: Some("text/plain; charset=utf-8"),
        headers: Vec::new(),
        body: refusal.text.into_owned().into_bytes(),
        shared: None,
    }
}

/// Returns whether replies with this status never have a body (RFC 9110 section 6.4.1).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Returns the reason phrase of a status, or an empty text for one that is not used here.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// Appends a decimal number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a field line. Control bytes in the value, which could end the line, are replaced by spaces.
fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    for byte in &mut out[start..] {
        if byte.is_ascii_control() {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a time as IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7). Times outside the
/// years 1970 to 9999 are clamped.
///
/// # Panics
/// Never: these years have valid dates.
pub fn push_date(out: &mut Vec<u8>, unix_s: i64) {
    const LAST_S: i64 = 253_402_300_799;
    const WEEKDAYS: &[u8; 21] = b"MonTueWedThuFriSatSun";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let time = OffsetDateTime::from_unix_timestamp(unix_s.clamp(0, LAST_S)).expect("the years 1970 to 9999 have dates");
    let (year, month, day) = time.to_calendar_date();
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut put_name = |place: usize, names: &[u8], index: u8| {
        let index = usize::from(index);
        text[place..place + 3].copy_from_slice(&names[3 * index..3 * index + 3]);
    };
    put_name(0, WEEKDAYS, time.weekday().number_days_from_monday());
    put_name(8, MONTHS, u8::from(month) - 1);
    let year = year.unsigned_abs();
    let (century, year) = ((year / 100) as u8, (year % 100) as u8);
    let pairs = [(5, day), (12, century), (14, year), (17, time.hour()), (20, time.minute()), (23, time.second())];
    for (place, number) in pairs {
        text[place] = b'0' + number / 10;
        text[place + 1] = b'0' + number % 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_date(unix_s: i64, expected: &str) {
        let mut out = Vec::new();
        push_date(&mut out, unix_s);
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    }

    #[test]
    fn dates_have_the_fixed_form() {
        check_date(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check_date(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check_date(1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT");
        check_date(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check_date(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
        check_date(i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 99, 100, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out), Ok(number.to_string()));
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut out = Vec::new();
        push_field(&mut out, "Location", "/a\r\nSet-Cookie: b");
        assert_eq!(out, b"Location: /a  Set-Cookie: b\r\n");
    }
}
