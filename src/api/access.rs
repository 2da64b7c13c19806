//! Access control: `Host` against DNS rebinding, `Origin` against pages of other sites, CORS for the allowed ones
//! (WHATWG Fetch section 3.3).

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    api::{ErrorFormat, field, told::Told},
    http::{Field, Method, Request, Response, exchange::DEFAULT_LINES},
    limits::PREFLIGHT_AGE_S,
};

/// What is allowed besides the server's own pages and those of the loopback.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    origins: Vec<String>,
    any_origin: bool,
    hosts: Vec<String>,
}

/// The kind of connection on which a request arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP, on a loopback address of this machine.
    Loopback,
    /// TCP, on another address.
    Network,
    /// A unix socket.
    Unix,
}

/// The header lines with which a reply tells browsers that the request was allowed. The default is for replies to
/// requests that were refused or not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted(Cow<'static, [u8]>);

/// What cannot be allowed because it is malformed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessError {
    /// This is no origin.
    Origin(String),
    /// This is no name of a host.
    Host(String),
}

impl fmt::Display for AccessError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(text) => {
                write!(out, "origin {text:?}: expected SCHEME://HOST[:PORT] without a path, null or *")
            }
            Self::Host(text) => write!(out, "host {text:?}: expected a name or an address, without a port"),
        }
    }
}

impl std::error::Error for AccessError {}

impl Granted {
    /// Returns the complete lines, each ending in CRLF.
    pub fn lines(self) -> Cow<'static, [u8]> {
        self.0
    }

    fn echoing(origin: &str) -> Self {
        let parts: [&[u8]; 4] = [
            DEFAULT_LINES,
            b"Access-Control-Allow-Origin: ",
            origin.as_bytes(),
            // All headers of replies that scripts could not read otherwise (WHATWG Fetch section 2.2.2).
            b"\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: Allow, Location, \
              Retry-After, X-First-Sequence, X-Steprill-Damaged\r\n",
        ];
        Self(Cow::Owned(parts.concat()))
    }
}

impl Default for Granted {
    fn default() -> Self {
        Self(Cow::Borrowed(DEFAULT_LINES))
    }
}

impl Access {
    /// Allows these origins (`https://app.example`, `null`, or `*` for all) and these names in `Host`.
    ///
    /// # Errors
    /// If one of them is malformed; the text names it and what is expected.
    pub fn new(cors_origins: &[String], allow_hosts: &[String]) -> Result<Self, AccessError> {
        let mut access = Self::default();
        for origin in cors_origins {
            match origin.as_str() {
                "*" => access.any_origin = true,
                "null" => access.origins.push(origin.clone()),
                _ if Origin::parse(origin).is_some() => access.origins.push(origin.to_ascii_lowercase()),
                _ => return Err(AccessError::Origin(origin.clone())),
            }
        }
        for host in allow_hosts {
            match split_port(host) {
                _ if host.parse::<Ipv6Addr>().is_ok() => access.hosts.push(format!("[{host}]")),
                Some((name, None)) => {
                    access.hosts.push(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
                }
                _ => return Err(AccessError::Host(host.clone())),
            }
        }
        Ok(access)
    }

    /// Decides whether a request is allowed, before anything else of it is examined.
    ///
    /// # Errors
    /// The reply, 403, if it is not; its header lines are those of the default [`Granted`].
    pub fn check(&self, request: &Request<'_>, transport: Transport) -> Result<Granted, Response> {
        let host = field(request, Field::Host);
        if let Some(host) = host {
            self.check_host(request, host, transport)?;
        }
        let Some(origin) = field(request, Field::Origin) else {
            return if request.cross_site { Err(cross_site(request)) } else { Ok(Granted::default()) };
        };
        match printable(origin).filter(|origin| self.allows_origin(origin, host)) {
            Some(origin) => Ok(Granted::echoing(origin)),
            None => Err(foreign(request, origin)),
        }
    }

    /// Checks `Host` against DNS rebinding: a page may have its own name resolve to this server's address, and would
    /// then be of the same origin. Loopback names, addresses and a missing `Host` cannot be used for that. On a
    /// loopback connection an address must be a loopback one.
    fn check_host(&self, request: &Request<'_>, host: &[u8], transport: Transport) -> Result<(), Response> {
        let name = printable(host).and_then(split_port).map(|(name, _)| name);
        let is_named = |name: &str| {
            let name = name.strip_suffix('.').unwrap_or(name);
            self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
        };
        let is_allowed = |name: &str| {
            is_loopback(name) || is_named(name) || (transport == Transport::Network && parse_address(name).is_some())
        };
        if transport == Transport::Unix || host.is_empty() || name.is_some_and(is_allowed) {
            return Ok(());
        }
        let message = match transport {
            Transport::Loopback => {
                "This Host is not served on a loopback address; call localhost or 127.0.0.1, or start the server with \
                 --allow-host NAME"
            }
            _ => "This Host is not served here; call the server by its IP address, or start it with --allow-host NAME",
        };
        log_refused_host(host, name);
        Err(ErrorFormat::of(request).error(403, message))
    }

    fn allows_origin(&self, origin: &str, host: Option<&[u8]>) -> bool {
        if self.any_origin {
            return true;
        }
        let Some(parsed) = Origin::parse(origin) else { return self.origins.iter().any(|allowed| allowed == origin) };
        let is_own = || host.and_then(printable).is_some_and(|host| parsed.is_of_host(host));
        let is_named = || {
            self.origins.iter().any(|allowed| Origin::parse(allowed).is_some_and(|allowed| allowed.same_as(&parsed)))
        };
        (parsed.is_web() && is_loopback(parsed.host)) || is_own() || is_named()
    }
}

/// Returns the reply to a page whose origin is not allowed.
fn foreign(request: &Request<'_>, origin: &[u8]) -> Response {
    static ORIGINS: Told = Told::new();
    if let Some(shown) = ORIGINS.first(&origin.escape_ascii().to_string()) {
        let is_known = printable(origin).is_some_and(|origin| origin == "null" || Origin::parse(origin).is_some());
        let flag = if is_known { &*shown } else { "ORIGIN" };
        log::warn!("refused: a page of Origin '{shown}' calls; to let its pages call, start with --cors-origin {flag}");
    }
    let message = "Pages of this origin may not call this server; start it with --cors-origin ORIGIN to let them";
    ErrorFormat::of(request).error(403, message)
}

/// Logs a refused `Host`. `name` is the host without its port, if it is well-formed.
fn log_refused_host(host: &[u8], name: Option<&str>) {
    static HOSTS: Told = Told::new();
    let value = name.map_or_else(|| host.escape_ascii().to_string(), str::to_ascii_lowercase);
    if let Some(shown) = HOSTS.first(&value) {
        let flag = if name.is_some() { &*shown } else { "NAME" };
        log::warn!("refused: a request for Host '{shown}'; to serve that name, start with --allow-host {flag}");
    }
}

/// Returns the reply to a request that a page of another site caused without access to the reply, as with a link, an
/// image or a form.
fn cross_site(request: &Request<'_>) -> Response {
    static SITES: Told = Told::new();
    if SITES.first("").is_some() {
        log::warn!(
            "refused: a page of another site has a browser call without an Origin (Sec-Fetch-Site: cross-site); one \
             that --cors-origin allows calls with CORS"
        );
    }
    let message = "Pages of other sites may call this server only with an Origin that it allows; open its address \
                   itself, or start it with --cors-origin ORIGIN and have the page call with CORS";
    ErrorFormat::of(request).error(403, message)
}

/// Returns the reply to a CORS preflight, if the request is one: the path's methods and the requested headers.
pub(super) fn preflight(request: &Request<'_>, allow: &'static str) -> Option<Response> {
    field(request, Field::Origin)?;
    field(request, Field::AccessControlRequestMethod)?;
    if request.method != Method::Options {
        return None;
    }
    let mut headers = vec![
        ("Allow", allow.to_owned()),
        ("Access-Control-Allow-Methods", allow.to_owned()),
        ("Access-Control-Max-Age", PREFLIGHT_AGE_S.to_string()),
    ];
    let is_list = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let requested =
        field(request, Field::AccessControlRequestHeaders).and_then(|names| std::str::from_utf8(names).ok());
    if let Some(names) = requested.filter(is_list) {
        headers.push(("Access-Control-Allow-Headers", names.to_owned()));
    }
    Some(Response { status: 200, headers, ..Response::default() })
}

/// A serialized origin (RFC 6454 section 6.2).
#[derive(Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_port(authority)?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        (!scheme.is_empty() && scheme.bytes().all(is_scheme)).then_some(Self { scheme, host, port })
    }

    fn is_web(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("http") || self.scheme.eq_ignore_ascii_case("https")
    }

    fn port(&self, port: Option<u16>) -> Option<u16> {
        port.or(match &*self.scheme.to_ascii_lowercase() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })
    }

    fn same_as(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port(self.port) == self.port(other.port)
    }

    /// Returns whether this is the origin of a server with this `Host`. Behind a proxy the server does not know its own
    /// scheme, so the scheme of the page decides what a missing port means.
    fn is_of_host(&self, host: &str) -> bool {
        split_port(host).is_some_and(|(name, port)| {
            self.is_web() && name.eq_ignore_ascii_case(self.host) && self.port(port) == self.port(self.port)
        })
    }
}

/// Splits an authority into host, with the brackets of an IPv6 address, and port (RFC 3986 section 3.2).
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let port = match port.strip_prefix(':') {
        Some("") => None,
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    is_host.then_some((host, port))
}

/// Returns whether a host is a loopback address, or a name that resolves to one without a query (RFC 6761 section 6.3).
fn is_loopback(host: &str) -> bool {
    if let Some(address) = parse_address(host) {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let parent = name.rfind('.').map_or(name, |dot| &name[dot + 1..]);
    parent.eq_ignore_ascii_case("localhost") && !name.starts_with('.')
}

/// Parses a host that is an address; IPv6 addresses are in brackets.
fn parse_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Returns a value that may be echoed in a header: visible ASCII without spaces.
fn printable(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests;
