//! HTTP/1.1 by hand, as pure machines: bytes and `now` in, requests and bytes out (RFC 9110, RFC 9112).

/// A request method, as far as this server tells them apart.
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

/// The header fields that this server looks at; all others are checked for form and skipped.
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
    /// `Access-Control-Request-Headers`.
    AccessControlRequestHeaders,
}

/// A complete request, borrowed from its exchange.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Whether it is HTTP/1.0.
    pub http10: bool,
    /// The path, as sent (percent-encoded), without query.
    pub path: &'a str,
    /// What stands behind the first `?`.
    pub query: Option<&'a str>,
    /// Values of [`Field`]s, by place in that enum; `None` if absent.
    pub fields: &'a [Option<&'a [u8]>; 7],
    /// The body, decoded.
    pub body: &'a [u8],
}

/// A reply of finite length.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Response {
    /// The status: 200.
    pub status: u16,
    /// `Content-Type`, if there is a body.
    pub content_type: Option<&'static str>,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; not sent to HEAD, but counted in `Content-Length`.
    pub body: Vec<u8>,
}
