use proptest::prelude::*;

use super::*;

/// Passes a request with these fields: host, origin, and the method and headers that a preflight asks for.
fn with_request<T>(
    method: Method,
    [host, origin, request_method, request_headers]: [Option<&str>; 4],
    act: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let mut fields = [None; 7];
    fields[Field::Host as usize] = host.map(str::as_bytes);
    fields[Field::Origin as usize] = origin.map(str::as_bytes);
    fields[Field::AccessControlRequestMethod as usize] = request_method.map(str::as_bytes);
    fields[Field::AccessControlRequestHeaders as usize] = request_headers.map(str::as_bytes);
    let (http10, path, query, cross_site) = (false, "/health", None, false);
    act(&Request { method, http10, path, query, cross_site, fields: &fields, body: b"" })
}

fn access(origins: &[&str], hosts: &[&str]) -> Access {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Access::new(&owned(origins), &owned(hosts)).unwrap()
}

#[track_caller]
fn check(access: &Access, transport: Transport, host: Option<&str>, origin: Option<&str>, allowed: bool) {
    let checked = with_request(Method::Get, [host, origin, None, None], |request| access.check(request, transport));
    match checked {
        Ok(granted) => {
            assert!(allowed, "{host:?} {origin:?} was let in");
            assert_eq!(granted, origin.map_or_else(Granted::default, Granted::echoing));
        }
        Err(response) => {
            assert!(!allowed, "{host:?} {origin:?}: {response:?}");
            assert_eq!(response.status, 403);
        }
    }
}

#[test]
fn on_loopback_the_host_names_a_loopback_address_or_an_allowed_host() {
    let access = access(&[], &["Box.lan", "10.0.0.1", "FD00::1", "[fd00::2]"]);
    for (host, allowed) in [
        ("localhost", true),
        ("LocalHost:8080", true),
        ("localhost:", true),
        ("localhost.", true),
        ("LOCALHOST.:8080", true),
        ("app.localhost", true),
        ("a.b.LocalHost.:9", true),
        (".localhost", false),
        ("localhost..", false),
        ("xlocalhost", false),
        ("[::ffff:127.0.0.1]", true),
        ("[::ffff:10.0.0.2]", false),
        ("box.lan.", true),
        ("127.0.0.1:8080", true),
        ("127.255.0.9", true),
        ("[::1]:8080", true),
        ("[::1]", true),
        ("box.LAN:9", true),
        ("10.0.0.1", true),
        ("[fd00::1]:9", true),
        ("[fd00::2]", true),
        ("[fd00::3]", false),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("127.0.0.1x", false),
        ("128.0.0.1", false),
        ("0.0.0.0", false),
        ("[::2]", false),
        ("[::1", false),
        ("::1", false),
        ("[::1]x", false),
        ("localhost:80x", false),
        ("localhost:99999", false),
        ("user@localhost", false),
        ("localhost/x", false),
        ("", true),
        ("local\u{e4}", false),
    ] {
        check(&access, Transport::Loopback, Some(host), None, allowed);
        check(&access, Transport::Unix, Some(host), None, true);
    }
    check(&access, Transport::Loopback, None, None, true);
}

#[test]
fn on_a_network_address_the_host_is_an_address_too() {
    let access = access(&[], &["Box.lan"]);
    for (host, allowed) in [
        ("10.0.0.1:8080", true),
        ("[fd00::3]", true),
        ("localhost:8080", true),
        ("box.lan:8080", true),
        ("", true),
        ("evil.example:8080", false),
        ("10.0.0.1.evil.example", false),
        ("[fd00::3", false),
        ("300.0.0.1", false),
    ] {
        check(&access, Transport::Network, Some(host), None, allowed);
        // Otherwise a page whose name was made to resolve to this address would count as the server's own.
        check(&access, Transport::Network, Some(host), Some(&format!("http://{host}")), allowed && !host.is_empty());
    }
    check(&access, Transport::Network, None, None, true);
}

#[test]
fn what_another_sites_page_has_sent_needs_an_origin_that_is_allowed() {
    for (origin, allowed) in [(None, false), (Some("http://app.example"), true), (Some("http://evil.example"), false)] {
        let mut fields = [None; 7];
        fields[Field::Origin as usize] = origin.map(str::as_bytes);
        fields[Field::Host as usize] = Some(b"localhost");
        let (method, http10, path, query) = (Method::Get, false, "/health", None);
        let request = Request { method, http10, path, query, cross_site: true, fields: &fields, body: b"" };
        let checked = access(&["http://app.example"], &[]).check(&request, Transport::Loopback);
        assert_eq!(checked.map_err(|response| response.status).err(), (!allowed).then_some(403), "{origin:?}");
    }
}

#[test]
fn an_origin_is_the_servers_own_a_loopback_page_or_named() {
    let access = access(&["http://App.example", "https://other.example:8443", "app://local"], &["box.lan"]);
    let host = Some("box.lan:8080");
    for (origin, allowed) in [
        ("http://box.lan:8080", true),
        ("https://BOX.lan:8080", true),
        ("http://box.lan", false),
        ("http://box.lan:8081", false),
        ("ftp://box.lan:8080", false),
        ("http://localhost", true),
        ("https://localhost:3000", true),
        ("http://127.0.0.1:1", true),
        ("http://[::1]:1", true),
        ("http://localhost.evil.example", false),
        ("http://app.example", true),
        ("http://app.example:80", true),
        ("https://app.example", false),
        ("http://app.example:81", false),
        ("http://sub.app.example", false),
        ("https://other.example:8443", true),
        ("https://other.example", false),
        ("app://local", true),
        ("app://other", false),
        ("null", false),
        ("", false),
        ("http://", false),
        ("http://app.example/", false),
        ("http://app.example http://evil.example", false),
    ] {
        check(&access, Transport::Network, host, Some(origin), allowed);
        check(&access, Transport::Unix, host, Some(origin), allowed);
    }
}

#[test]
fn a_missing_port_is_the_default_of_the_pages_scheme() {
    let access = access(&[], &["box.lan"]);
    for (host, origin, allowed) in [
        ("box.lan", "http://box.lan", true),
        ("box.lan", "https://box.lan", true),
        ("box.lan", "http://box.lan:80", true),
        ("box.lan:443", "https://box.lan", true),
        ("box.lan:443", "http://box.lan", false),
        ("box.lan:80", "https://box.lan", false),
        ("[fd00::1]:9", "http://[fd00::1]:9", true),
    ] {
        check(&access, Transport::Network, Some(host), Some(origin), allowed);
    }
    check(&access, Transport::Network, None, Some("http://box.lan"), false);
}

#[test]
fn a_star_names_every_origin_that_can_be_echoed() {
    let any = access(&["*"], &[]);
    for (origin, allowed) in
        [("http://evil.example", true), ("null", true), ("a b", false), ("\u{e4}", false), ("a\r\nb: c", false)]
    {
        check(&any, Transport::Network, None, Some(origin), allowed);
    }
    check(&access(&["null"], &[]), Transport::Network, None, Some("null"), true);
    check(&any, Transport::Loopback, Some("evil.example"), Some("http://evil.example"), false);
}

#[test]
fn every_reply_varies_by_origin_and_an_allowed_one_is_echoed() {
    assert_eq!(*Granted::default().lines(), *b"Vary: Origin\r\nX-Content-Type-Options: nosniff\r\n");
    assert_eq!(
        String::from_utf8_lossy(&Granted::echoing("http://a.example").lines()),
        "Vary: Origin\r\nX-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: http://a.example\r\n\
         Access-Control-Allow-Credentials: true\r\n\
         Access-Control-Expose-Headers: Allow, Location, Retry-After, X-First-Sequence, X-Steprill-Damaged\r\n"
    );
}

#[test]
fn a_malformed_setting_is_refused_by_name() {
    for origin in ["", "app.example", "http://app.example/", "http://", "http://a b", "http://*.example"] {
        let error = Access::new(&[origin.to_owned()], &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("origin {origin:?}: expected")), "{error}");
    }
    for host in ["", "a:80", "http://a", "a/b", "[::1", ":1"] {
        let error = Access::new(&[], &[host.to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("host {host:?}: expected")), "{error}");
    }
}

fn ask(method: Method, fields: [Option<&str>; 4]) -> Option<Response> {
    with_request(method, fields, |request| preflight(request, ALLOW))
}

const ALLOW: &str = "POST, OPTIONS";

#[test]
fn a_preflight_gets_the_methods_of_the_path_and_the_headers_it_requested() {
    let origin = Some("http://a.example");
    let headers = |names: Option<&str>| {
        let response = ask(Method::Options, [None, origin, Some("POST"), names]).unwrap();
        assert_eq!((response.status, response.content_type, response.body.len()), (200, None, 0));
        response.headers
    };
    let base = [("Allow", ALLOW), ("Access-Control-Allow-Methods", ALLOW), ("Access-Control-Max-Age", "600")];
    let base = base.map(|(name, value)| (name, value.to_owned())).to_vec();
    assert_eq!(headers(None), base);
    assert_eq!(headers(Some("x\u{e4}")), base);
    let mut asked = base;
    asked.push(("Access-Control-Allow-Headers", "content-type, x-a".to_owned()));
    assert_eq!(headers(Some("content-type, x-a")), asked);

    assert_eq!(ask(Method::Options, [None, origin, None, None]), None);
    assert_eq!(ask(Method::Options, [None, None, Some("POST"), None]), None);
    assert_eq!(ask(Method::Get, [None, origin, Some("POST"), None]), None);
}

proptest! {
    #[test]
    fn no_host_or_origin_panics_and_what_is_echoed_is_one_line(
        host in any_authority(), origin in any_authority(), star: bool
    ) {
        let access = access(if star { &["*"] } else { &[] }, &[]);
        let fields = [Some(&*host), Some(&*origin), None, None];
        if let Ok(granted) = with_request(Method::Get, fields, |request| access.check(request, Transport::Loopback)) {
            let lines = granted.lines();
            prop_assert_eq!(lines.iter().filter(|byte| byte.is_ascii_control()).count(), 10);
        }
    }
}

/// Any text, often one that looks like a host or an origin.
fn any_authority() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC*",
        "[a-z]{0,5}(://)?\\[?[a-z0-9:.]{0,12}\\]?(:[0-9]{0,6})?",
        "(http://)?localhost[\\r\\n:/@a-z0-9]{0,9}"
    ]
}
