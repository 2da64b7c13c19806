//! HTTP/1.1 as pure state machines: bytes and `now` in, requests and bytes out (RFC 9110, RFC 9112).
//!
//! [`exchange::Exchange`] is the state of one connection; [`request`], [`body`], [`response`] and [`stream`] are the
//! codecs that it uses. Nothing here knows a socket or a clock.

pub mod body;
mod buffer;
pub mod exchange;
pub mod request;
pub mod response;
pub mod stream;

use std::{borrow::Cow, ops::Range};

use crate::{json::Json, limits};

/// A request method, as far as this server distinguishes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// OPTIONS.
    Options,
    /// Any other valid token.
    Other,
}

/// The header fields that this server uses. Others are checked for their form and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// `Host`.
    Host,
    /// `Origin`.
    Origin,
    /// `Accept`; several lines are joined by `, `.
    Accept,
    /// `Authorization`.
    Authorization,
    /// `Last-Event-ID`.
    LastEventId,
    /// `Access-Control-Request-Method`.
    AccessControlRequestMethod,
    /// `Access-Control-Request-Headers`; several lines are joined by `, `.
    AccessControlRequestHeaders,
}

/// Values indexed by [`Field`]; `None` if absent.
pub type FieldValues<'a> = [Option<&'a [u8]>; 7];

/// A complete request, borrowed from its exchange.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Whether it is HTTP/1.0.
    pub http10: bool,
    /// The path, as sent (percent-encoded), without query; `*` for `OPTIONS *`.
    pub path: &'a str,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
    /// `Sec-Fetch-Site: cross-site`: the browser reports that a page of another site caused the request (W3C Fetch
    /// Metadata section 2.4).
    pub cross_site: bool,
    /// Values indexed by [`Field`]; `None` if absent.
    pub fields: &'a FieldValues<'a>,
    /// The body, decoded.
    pub body: &'a [u8],
}

/// A reply of finite length.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// `Content-Type`, if there is a body.
    pub content_type: Option<&'static str>,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; not sent to HEAD, but counted in `Content-Length`.
    pub body: Vec<u8>,
    /// A part of the body whose text is shared with others.
    pub shared: Option<Shared>,
}

/// A large part of a body that is not copied but output in pieces, as the client takes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    /// Where in `body` it is inserted.
    pub at: usize,
    /// The text that it is a part of.
    pub text: Json,
    /// Which part.
    pub range: Range<usize>,
}

impl Response {
    /// Returns the length of the whole body in bytes.
    pub fn body_bytes(&self) -> usize {
        self.body.len() + self.shared.as_ref().map_or(0, |shared| shared.range.len())
    }
}

/// Why a request is refused: the status of the reply, and a text that says what was expected and what came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// 4xx or 5xx.
    pub status: u16,
    /// The text for people.
    pub text: Cow<'static, str>,
}

impl Refusal {
    fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }
}

/// The limits of an exchange. The defaults are those of [`crate::limits`], which states the reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a request line; more get 414. Default 8 KiB.
    pub request_line_bytes_max: usize,
    /// Bytes of a head; more get 431. Default 64 KiB.
    pub head_bytes_max: usize,
    /// Number of header fields; more get 431. Default and maximum 128.
    pub fields_max: usize,
    /// Bytes of a body; more get 413. Default 4 MiB.
    pub body_bytes_max: usize,
    /// Bytes of requests that all connections of a reactor hold; beyond, the slowest get 503. Default 256 MiB.
    pub requests_bytes_max: usize,
    /// Microseconds from a head's first byte to its last; later gets 408. Default 30 s.
    pub head_timeout_us: u64,
    /// Microseconds without a byte of a body; longer gets 408. Default 30 s.
    pub body_timeout_us: u64,
    /// Bytes per second that a body must bring in each `body_timeout_us`; fewer get 408. Default 100.
    pub body_rate_min_bytes_per_s: u64,
    /// Microseconds that a connection may be idle between requests before it is closed. Default 75 s.
    pub idle_timeout_us: u64,
    /// Microseconds that pending output may make no progress before the connection is closed. Default 5 min.
    pub output_timeout_us: u64,
    /// Microseconds for which input is read and dropped after an error reply. Default 30 s, or 5 s without input.
    pub linger_timeout_us: u64,
    /// Bytes that are read and dropped after an error reply. Default 32 MiB.
    pub linger_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: limits::REQUEST_LINE_BYTES_MAX,
            head_bytes_max: limits::HEAD_BYTES_MAX,
            fields_max: limits::HEAD_FIELDS_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX_DEFAULT,
            requests_bytes_max: limits::REQUESTS_BYTES_MAX,
            head_timeout_us: limits::HEAD_TIMEOUT_US,
            body_timeout_us: limits::BODY_TIMEOUT_US,
            body_rate_min_bytes_per_s: limits::BODY_RATE_MIN_BYTES_PER_S,
            idle_timeout_us: limits::IDLE_TIMEOUT_US,
            output_timeout_us: limits::OUTPUT_TIMEOUT_US,
            linger_timeout_us: limits::LINGER_TIMEOUT_US,
            linger_bytes_max: limits::LINGER_BYTES_MAX,
        }
    }
}
