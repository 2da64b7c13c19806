//! The header fields that affect how a request is handled, and their checks (RFC 9110 section 5, RFC 9112 section 6).

use super::{faults::excerpt, span::Span};
use crate::http::{Field, Refusal, body::Framing};

/// What the fields contain, collected one by one.
#[expect(clippy::struct_excessive_bools, reason = "each is a field that is there or not")]
pub(super) struct Seen<'a> {
    bytes: &'a [u8],
    pub(super) fields: [Option<Span>; 7],
    pub(super) joined: Vec<(Field, Vec<u8>)>,
    pub(super) has_host: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) cross_site: bool,
    content_length: Option<u64>,
    /// The number of transfer codings, and whether all are `chunked`.
    codings: Option<(usize, bool)>,
    expects: Option<&'a [u8]>,
    /// A content coding other than identity.
    pub(super) content_coding: Option<Span>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            fields: [None; 7],
            joined: Vec::new(),
            has_host: false,
            close: false,
            keep_alive: false,
            cross_site: false,
            content_length: None,
            codings: None,
            expects: None,
            content_coding: None,
        }
    }

    pub(super) fn field(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // By length first: most fields of a request are none of these.
        match name.len() {
            4 if is("Host") => {
                self.has_host = true;
                check_host(value)?;
                self.single(Field::Host, name, value)
            }
            6 if is("Origin") => self.single(Field::Origin, name, value),
            6 if is("Accept") => {
                self.list(Field::Accept, value);
                Ok(())
            }
            6 if is("Expect") => {
                self.expects = Some(value);
                Ok(())
            }
            10 if is("Connection") => {
                for option in value.split(|&byte| byte == b',').map(trim) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
                Ok(())
            }
            13 if is("Authorization") => self.single(Field::Authorization, name, value),
            13 if is("Last-Event-ID") => self.single(Field::LastEventId, name, value),
            14 if is("Sec-Fetch-Site") => {
                self.cross_site |= value.eq_ignore_ascii_case(b"cross-site");
                Ok(())
            }
            14 if is("Content-Length") => self.content_length(value),
            16 if is("Content-Encoding") => {
                // An empty element is ignored, and `identity` means no coding (RFC 9110 section 8.4.1).
                let is_coded = |coding: &&[u8]| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
                if let Some(coding) = value.split(|&byte| byte == b',').map(trim).find(is_coded) {
                    self.content_coding = Some(Span::locate(self.bytes, coding));
                }
                Ok(())
            }
            17 if is("Transfer-Encoding") => {
                let (count, chunked) = self.codings.get_or_insert((0, true));
                for coding in value.split(|&byte| byte == b',').map(trim) {
                    *count += 1;
                    *chunked &= coding.eq_ignore_ascii_case(b"chunked");
                }
                Ok(())
            }
            29 if is("Access-Control-Request-Method") => self.single(Field::AccessControlRequestMethod, name, value),
            30 if is("Access-Control-Request-Headers") => {
                self.list(Field::AccessControlRequestHeaders, value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds a field that may occur only once: given two, recipients that use the first and the last would disagree.
    fn single(&mut self, field: Field, name: &str, value: &[u8]) -> Result<(), Refusal> {
        match self.fields[field as usize].replace(Span::locate(self.bytes, value)) {
            None => Ok(()),
            Some(_) => Err(Refusal::new(400, format!("The request has more than one {name} field"))),
        }
    }

    /// Adds a field whose lines form one list (RFC 9110 section 5.3); empty lines add nothing.
    fn list(&mut self, field: Field, value: &[u8]) {
        let first = self.fields[field as usize].filter(|first| !first.of(self.bytes).is_empty());
        let Some(first) = first else {
            self.fields[field as usize] = Some(Span::locate(self.bytes, value));
            return;
        };
        if value.is_empty() {
            return;
        }
        let place = self.joined.iter().position(|(joined, _)| *joined == field).unwrap_or_else(|| {
            self.joined.push((field, first.of(self.bytes).to_vec()));
            self.joined.len() - 1
        });
        let joined = &mut self.joined[place].1;
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
    }

    /// RFC 9110 section 8.6: digits, once. A list of equal values is refused too, although it may be accepted: it shows
    /// that something between the client and this server has merged two messages.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.content_length.is_some() {
            return Err(Refusal::new(400, "The request has more than one Content-Length field"));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            let text = format!("Content-Length must be one decimal number, got '{}'", excerpt(value));
            return Err(Refusal::new(400, text));
        }
        let length = value.iter().try_fold(0_u64, |length, digit| {
            length.checked_mul(10).and_then(|length| length.checked_add(u64::from(digit - b'0')))
        });
        let Some(length) = length else {
            return Err(Refusal::new(400, format!("Content-Length {} does not fit into 64 bits", excerpt(value))));
        };
        self.content_length = Some(length);
        Ok(())
    }

    /// RFC 9112 section 6: refuses what could be read in two ways, as that may hide a second request.
    pub(super) fn framing(&self, http10: bool) -> Result<Framing, Refusal> {
        let Some((count, chunked)) = self.codings else {
            return Ok(Framing::Length(self.content_length.unwrap_or(0)));
        };
        if self.content_length.is_some() {
            return Err(Refusal::new(400, "The request has both Content-Length and Transfer-Encoding"));
        }
        match (http10, chunked, count) {
            (true, _, _) => Err(Refusal::new(400, "HTTP/1.0 knows no Transfer-Encoding; use HTTP/1.1")),
            (false, false, _) => Err(Refusal::new(501, "The only transfer coding that is understood is chunked")),
            (false, true, 1) => Ok(Framing::Chunked),
            (false, true, _) => Err(Refusal::new(400, "The transfer coding chunked is named more than once")),
        }
    }

    pub(super) fn expectation(&self, http10: bool) -> Result<bool, Refusal> {
        match self.expects {
            None => Ok(false),
            Some(_) if http10 => Ok(false),
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(value) => {
                let text = format!("The only expectation that can be met is 100-continue, got '{}'", excerpt(value));
                Err(Refusal::new(417, text))
            }
        }
    }
}

/// Checks `uri-host [":" port]` of RFC 9110 section 7.2. It may be empty if the target has no authority.
pub(super) fn check_host(host: &[u8]) -> Result<(), Refusal> {
    let (name, port) = if host.starts_with(b"[") {
        let end = host.iter().position(|&byte| byte == b']').map_or(0, |place| place + 1);
        host.split_at(end)
    } else {
        host.split_at(host.iter().position(|&byte| byte == b':').unwrap_or(host.len()))
    };
    let name_is_good = match name {
        [b'[', address @ .., b']'] => {
            !address.is_empty() && address.iter().all(|&byte| byte == b':' || is_host_byte(byte))
        }
        _ => name.iter().all(|&byte| is_host_byte(byte)) && (host.is_empty() || !name.is_empty()),
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if name_is_good && port_is_good {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        format!("The host must be a name or an address, with or without port, got '{}'", excerpt(host)),
    ))
}

/// Returns whether the byte may stand in a `reg-name`: unreserved, sub-delims and `%` (RFC 3986 section 3.2.2).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

/// Removes leading and trailing blanks (OWS, RFC 9110 section 5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
