//! The table from which the call, 404, 405 and `Allow` follow.

use std::borrow::Cow;

use crate::{api::percent, http::Method};

/// One operation of the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// `GET /health`.
    Health,
    /// `GET /workflows`.
    Workflows,
    /// `GET /workflows/{name}/schema`.
    WorkflowSchema,
    /// `GET /workflows/{name}/events`.
    WorkflowEvents,
    /// `GET /workflows/{name}/representation`.
    WorkflowRepresentation,
    /// `POST /workflows/{name}/run`.
    Run,
    /// `POST /workflows/{name}/run-nowait`.
    RunNowait,
    /// `GET /handlers`.
    Handlers,
    /// `GET /handlers/{handler_id}`.
    Handler,
    /// `POST /handlers/{handler_id}/cancel`.
    Cancel,
    /// `GET /results/{handler_id}`.
    Result,
    /// `GET /events/{handler_id}`.
    StreamEvents,
    /// `POST /events/{handler_id}`.
    PostEvent,
}

/// What a call needs of the handler that its path names, before it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needs {
    /// Its path names none, or what it names may be absent.
    Nothing,
    /// The handler, in memory or read from the store; its run may be parked.
    Handler,
    /// The handler's run in memory, and free to change: no failed commit is being waited out.
    Change,
}

impl Call {
    /// Returns what the call needs of the handler that its path names.
    pub(super) fn needs(self) -> Needs {
        match self {
            Self::Handler | Self::Result | Self::StreamEvents => Needs::Handler,
            Self::Cancel | Self::PostEvent => Needs::Change,
            Self::Health
            | Self::Workflows
            | Self::WorkflowSchema
            | Self::WorkflowEvents
            | Self::WorkflowRepresentation
            // Starts name their handler in the body, and lists a cursor in the query: these ask for it themselves.
            | Self::Run
            | Self::RunNowait
            | Self::Handlers => Needs::Nothing,
        }
    }

    /// Returns the query parameters of the call.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::StreamEvents => {
                &["sse", "include_internal", "include_qualified_name", "after_sequence", "acquire_timeout"]
            }
            Self::Handlers => &["status", "workflow_name", "limit", "after", "before"],
            Self::Cancel => &["purge"],
            _ => &[],
        }
    }
}

/// The result of routing a method and a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Routed<'a> {
    /// A call with the decoded path parameter (empty if it has none). HEAD routes to the call of GET.
    Call(Call, Cow<'a, str>),
    /// OPTIONS of an existing path: all its methods.
    Options(&'static str),
    /// An existing path without this method: all its methods.
    MethodNotAllowed(&'static str),
    /// No such path.
    NotFound,
}

/// Finds the call for a method and a path as sent.
pub(super) fn route(method: Method, path: &str) -> Routed<'_> {
    if path == "*" && method == Method::Options {
        return Routed::Options(ALLOW_GET_POST);
    }
    let Some((entry, parameter)) = TABLE.iter().find_map(|entry| Some((entry, entry.parameter(path)?))) else {
        return Routed::NotFound;
    };
    let call = match method {
        Method::Get | Method::Head => entry.get,
        Method::Post => entry.post,
        Method::Options => return Routed::Options(entry.allow()),
        Method::Other => None,
    };
    call.map_or(Routed::MethodNotAllowed(entry.allow()), |call| Routed::Call(call, parameter))
}

struct Entry {
    /// The path's segments; `*` matches any that is not empty.
    segments: &'static [&'static str],
    get: Option<Call>,
    post: Option<Call>,
}

const PARAMETER: &str = "*";
const ALLOW_GET: &str = "GET, HEAD, OPTIONS";
const ALLOW_POST: &str = "POST, OPTIONS";
/// All methods of the API.
pub(super) const ALLOW_GET_POST: &str = "GET, HEAD, POST, OPTIONS";

const TABLE: [Entry; 12] = [
    post(&["workflows", PARAMETER, "run"], Call::Run),
    post(&["workflows", PARAMETER, "run-nowait"], Call::RunNowait),
    Entry { segments: &["events", PARAMETER], get: Some(Call::StreamEvents), post: Some(Call::PostEvent) },
    get(&["results", PARAMETER], Call::Result),
    get(&["handlers", PARAMETER], Call::Handler),
    post(&["handlers", PARAMETER, "cancel"], Call::Cancel),
    get(&["handlers"], Call::Handlers),
    get(&["health"], Call::Health),
    get(&["workflows"], Call::Workflows),
    get(&["workflows", PARAMETER, "schema"], Call::WorkflowSchema),
    get(&["workflows", PARAMETER, "events"], Call::WorkflowEvents),
    get(&["workflows", PARAMETER, "representation"], Call::WorkflowRepresentation),
];

const fn get(segments: &'static [&'static str], call: Call) -> Entry {
    Entry { segments, get: Some(call), post: None }
}

const fn post(segments: &'static [&'static str], call: Call) -> Entry {
    Entry { segments, get: None, post: Some(call) }
}

impl Entry {
    /// Returns the path parameter, if the path matches this entry.
    fn parameter<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        let mut sent = path.strip_prefix('/')?.split('/');
        let mut parameter = Cow::Borrowed("");
        for &segment in self.segments {
            let decoded = percent::decode(sent.next()?);
            if segment == PARAMETER && !decoded.is_empty() {
                parameter = decoded;
            } else if decoded != segment {
                return None;
            }
        }
        sent.next().is_none().then_some(parameter)
    }

    fn allow(&self) -> &'static str {
        match (self.get, self.post) {
            (Some(_), Some(_)) => ALLOW_GET_POST,
            (None, Some(_)) => ALLOW_POST,
            _ => ALLOW_GET,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, expected: &Routed<'_>) {
        assert_eq!(route(method, path), *expected, "{method:?} {path}");
    }

    const GETS: [(&str, Call, &str); 9] = [
        ("/health", Call::Health, ""),
        ("/workflows", Call::Workflows, ""),
        ("/workflows/echo/schema", Call::WorkflowSchema, "echo"),
        ("/workflows/echo/events", Call::WorkflowEvents, "echo"),
        ("/workflows/echo/representation", Call::WorkflowRepresentation, "echo"),
        ("/handlers", Call::Handlers, ""),
        ("/handlers/h1", Call::Handler, "h1"),
        ("/results/h1", Call::Result, "h1"),
        ("/events/h1", Call::StreamEvents, "h1"),
    ];

    const POSTS: [(&str, Call, &str); 4] = [
        ("/workflows/echo/run", Call::Run, "echo"),
        ("/workflows/echo/run-nowait", Call::RunNowait, "echo"),
        ("/handlers/h1/cancel", Call::Cancel, "h1"),
        ("/events/h1", Call::PostEvent, "h1"),
    ];

    #[test]
    fn every_operation_has_its_path_and_head_goes_with_get() {
        for (path, call, parameter) in GETS {
            check(Method::Get, path, &Routed::Call(call, parameter.into()));
            check(Method::Head, path, &Routed::Call(call, parameter.into()));
        }
        for (path, call, parameter) in POSTS {
            check(Method::Post, path, &Routed::Call(call, parameter.into()));
        }
    }

    #[test]
    fn a_wrong_method_gets_all_methods_of_the_path() {
        for (path, _, _) in GETS {
            let allow = if path.starts_with("/events/") { ALLOW_GET_POST } else { ALLOW_GET };
            check(Method::Options, path, &Routed::Options(allow));
            check(Method::Other, path, &Routed::MethodNotAllowed(allow));
            if allow == ALLOW_GET {
                check(Method::Post, path, &Routed::MethodNotAllowed(allow));
            }
        }
        for (path, _, _) in &POSTS[..3] {
            check(Method::Options, path, &Routed::Options(ALLOW_POST));
            for method in [Method::Get, Method::Head, Method::Other] {
                check(method, path, &Routed::MethodNotAllowed(ALLOW_POST));
            }
        }
        check(Method::Options, "*", &Routed::Options(ALLOW_GET_POST));
    }

    #[test]
    fn the_page_about_behaviour_has_every_operation_with_its_parameters() {
        let page = include_str!("../../docs/behaviour.md");
        let sections: HashMap<&str, &str> =
            page.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
        let told = sections.keys().filter(|title| title.contains(" /")).count();
        assert_eq!(told, GETS.len() + POSTS.len());
        for (method, (path, call, _)) in GETS.map(|get| ("GET", get)).iter().chain(&POSTS.map(|post| ("POST", post))) {
            let title = format!("{method} {}", path.replace("echo", "{name}").replace("h1", "{handler_id}"));
            let section = sections.get(&*title).unwrap_or_else(|| panic!("{title} has no section"));
            let rows: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")).collect();
            for parameter in call.parameters() {
                assert!(rows.iter().any(|row| row.starts_with(&format!("{parameter}`"))), "{title} lacks {parameter}");
            }
        }
    }

    #[test]
    fn other_paths_are_not_found_with_any_method() {
        for path in [
            "",
            "/",
            "*",
            "health",
            "//health",
            "/health/",
            "/Health",
            "/workflows/",
            "/workflows/echo",
            "/workflows//run",
            "/workflows/echo/run/",
            "/workflows/a/b/run",
            "/handlers/",
            "/handlers/h1/",
            "/handlers/h1/cancel/x",
            "/handlers//cancel",
            "/results",
            "/results/",
            "/events",
            "/events/",
            "/events/a/b",
            "/health%2f",
            "/handlers%2Fh1",
        ] {
            for method in [Method::Get, Method::Head, Method::Post, Method::Other] {
                check(method, path, &Routed::NotFound);
            }
        }
    }

    #[test]
    fn segments_are_decoded_after_the_path_is_split() {
        check(Method::Get, "/%68ealth", &Routed::Call(Call::Health, "".into()));
        check(Method::Post, "/workflows/a%20b/run", &Routed::Call(Call::Run, "a b".into()));
        check(Method::Get, "/results/a%2fb", &Routed::Call(Call::Result, "a/b".into()));
        check(Method::Get, "/results/a+b", &Routed::Call(Call::Result, "a+b".into()));
        check(Method::Get, "/results/%ff", &Routed::Call(Call::Result, "%ff".into()));
        check(Method::Get, "/results/%2a", &Routed::Call(Call::Result, "*".into()));
    }
}
