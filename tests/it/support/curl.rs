//! Sends the command lines in the documentation and the demo as `curl` would.

use super::{Connection, Program, Response};

/// A request described by a command line.
#[derive(Debug)]
pub(crate) struct Curl {
    method: String,
    path: String,
    body: Option<String>,
}

impl Curl {
    /// Parses `curl [-N] [-s] [-X METHOD] URL [-d BODY]`, where the URL begins with `origin`. URL and body may be in
    /// single quotes.
    #[track_caller]
    pub(crate) fn parse(line: &str, origin: &str) -> Self {
        let line = line.trim().strip_prefix("curl ").unwrap_or_else(|| panic!("expected a curl line, got {line}"));
        let (rest, body) = line.split_once(" -d ").map_or((line, None), |(rest, body)| (rest, Some(unquoted(body))));
        let mut words = rest.split_whitespace();
        let mut method = if body.is_some() { "POST" } else { "GET" };
        let mut url = "";
        while let Some(word) = words.next() {
            match word {
                "-N" | "-s" => {}
                "-X" => method = words.next().expect("a method behind -X"),
                _ => url = unquoted(word),
            }
        }
        let path = url.strip_prefix(origin).unwrap_or_else(|| panic!("expected a URL at {origin}, got {url}"));
        Self { method: method.to_owned(), path: path.to_owned(), body: body.map(str::to_owned) }
    }

    /// Sends it on a new connection, whose reply is still to be read.
    #[track_caller]
    pub(crate) fn send(&self, program: &Program) -> Connection {
        let mut connection = program.connect();
        connection.send(&self.method, &self.path, &[], self.body.as_deref().map(str::as_bytes));
        connection
    }

    /// Sends it and reads the complete reply.
    #[track_caller]
    pub(crate) fn reply(&self, program: &Program) -> Response {
        let body = self.body.as_deref().map(str::as_bytes);
        program.connect().request(&self.method, &self.path, &[], body)
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('\'')
}
