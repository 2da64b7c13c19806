//! Command lines that the documentation and the demo tell people to try, sent as `curl` would send them.

use super::{Connection, Program, Response};

/// A request, as a command line describes it.
#[derive(Debug)]
pub(crate) struct Curl {
    method: String,
    path: String,
    body: Option<String>,
}

impl Curl {
    /// Parses `curl [-N] [-s] [-X METHOD] URL [-d BODY]`, where the URL begins with `origin` and URL and body may stand
    /// in single quotes.
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

    /// Sends it on a connection of its own, whose reply is still to be read.
    #[track_caller]
    pub(crate) fn send(&self, program: &Program) -> Connection {
        let mut connection = program.connect();
        connection.send(&self.method, &self.path, &[], self.body.as_deref().map(str::as_bytes));
        connection
    }

    /// Sends it and reads the whole reply.
    #[track_caller]
    pub(crate) fn reply(&self, program: &Program) -> Response {
        let body = self.body.as_deref().map(str::as_bytes);
        program.connect().request(&self.method, &self.path, &[], body)
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('\'')
}
