//! Error replies, and the few others without content of their own.

use crate::{
    api::{accept, field, wire},
    engine::{scheduler::HandlerView, storage::StoreError},
    http::{Field, Request, Response},
    limits::{MESSAGE_BYTES_MAX, RETRY_AFTER_S},
};

/// The form in which a client gets error messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ErrorFormat {
    /// `text/plain`: the message alone.
    #[default]
    Text,
    /// `application/json`: `{"detail": message}`, for clients whose `Accept` names that type.
    Json,
}

impl ErrorFormat {
    /// Returns the form that the request asks for.
    pub fn of(request: &Request<'_>) -> Self {
        match accept::quality_permille(field(request, Field::Accept), "application/json") {
            0 => Self::Text,
            _ => Self::Json,
        }
    }

    /// Returns an error with this message, cut if a quote from the request makes it too long.
    pub fn error(self, status: u16, message: &str) -> Response {
        let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
        match self {
            Self::Text => Response {
                status,
                content_type: Some("text/plain; charset=utf-8"),
                body: message.into(),
                ..Response::default()
            },
            Self::Json => wire::json(status, wire::detail(message)),
        }
    }

    /// 404 for a handler that does not exist or was removed.
    pub fn handler_not_found(self) -> Response {
        self.error(404, "Handler not found")
    }

    /// 404 with a reason, such as `it has already completed`. Clients compare how the message begins.
    pub fn handler_not_found_as(self, reason: &str) -> Response {
        self.error(404, &format!("Handler not found: {reason}"))
    }

    /// 409 for a queue reader that did not get the lock in time. Clients compare how the message begins.
    pub fn no_lock(self, acquire_timeout_s: f64) -> Response {
        let timeout = decimal(acquire_timeout_s);
        let message = format!(
            "No lock available to acquire after {timeout}s timeout: another client reads these events; read them as a \
             log with ?after_sequence=-1"
        );
        self.error(409, &message)
    }

    /// 503 for a client that may try again in a moment, as a limit on concurrent work is reached.
    pub fn overloaded(self, message: &str) -> Response {
        let mut response = self.error(503, message);
        response.headers.push(("Retry-After", RETRY_AFTER_S.to_string()));
        response
    }

    /// 503 for a client that may try again in a moment, as there is no memory for new work.
    pub fn no_memory(self) -> Response {
        self.overloaded("The server holds as much as it may (--memory-max); try again later")
    }

    /// 507 or 500 for a request that changed nothing because the change could not be committed.
    pub fn not_committed(self, error: &StoreError) -> Response {
        self.unchanged(error, "")
    }

    /// Like [`Self::not_committed`], for a request to change a run that is backing off, because its last inputs could
    /// not be committed.
    pub fn backing_off(self, error: &StoreError) -> Response {
        self.unchanged(error, "the run's last steps could not be stored either: ")
    }

    fn unchanged(self, error: &StoreError, what: &str) -> Response {
        let status = match error {
            StoreError::Full { .. } => 507,
            StoreError::Closed | StoreError::Failed { .. } | StoreError::Damaged { .. } => 500,
        };
        self.error(status, &format!("The server cannot store this now, and nothing has changed: {what}{error}"))
    }

    /// 500 for a request that needs what cannot be read.
    pub fn not_read(self, reason: &str) -> Response {
        self.error(500, &format!("The server cannot read this from its store: {reason}"))
    }

    /// 500 for a request to change a handler whose rows in the store are damaged.
    pub fn damaged(self) -> Response {
        self.error(500, "The handler's stored rows are damaged: it can be read as far as they go, and purged, no more")
    }

    /// 500 for a POST run whose run has failed. Clients compare the text; a header says where the handler is, and the
    /// JSON form names the failed step beside the text.
    pub(super) fn run_failed(self, view: &HandlerView<'_>, error: &str) -> Response {
        let message = format!("Error running workflow: {error}");
        let mut response = match self {
            Self::Text => self.error(500, &message),
            Self::Json => wire::json(500, wire::run_failed(&message, error, view.failed_step, view.id)),
        };
        response.headers.push(("Location", format!("/handlers/{}", view.id)));
        response
    }

    /// 503 for a request that was complete only after the stop began: the client may send it again.
    pub fn not_begun(self) -> Response {
        self.overloaded("The server is stopping and has not begun this request; send it again when the server is back")
    }

    /// 503 for a request that waits when a server without a store stops. The client should not send it again by itself:
    /// the runs will be gone, although some of their steps were done.
    pub fn ending(self) -> Response {
        self.error(503, "The server is stopping, and its runs end with it: everything was kept in memory")
    }

    /// 503 for a POST run that waits when the server stops; says where the result of the run will be.
    pub fn stopping(self, handler_id: &str) -> Response {
        let message = format!("The server is stopping; GET /handlers/{handler_id} tells the result once it is back");
        self.elsewhere(&message, handler_id)
    }

    /// 503 for a POST run that waits while its run's changes cannot be committed; says where its result will be.
    pub fn delayed(self, handler_id: &str) -> Response {
        let message = format!(
            "The run has begun, and the server cannot store now how it goes on; GET /handlers/{handler_id} tells the \
             result once it can"
        );
        self.elsewhere(&message, handler_id)
    }

    fn elsewhere(self, message: &str, handler_id: &str) -> Response {
        let mut response = self.overloaded(message);
        response.headers.push(("Location", format!("/handlers/{handler_id}")));
        response
    }
}

/// 204: the feed has ended and was read.
pub fn no_content() -> Response {
    Response { status: 204, ..Response::default() }
}

/// Formats a number as Python does, which is what clients compare: `1.0`, `0.1`, `1e+16`, `1e-05`.
pub(super) fn decimal(number: f64) -> String {
    let shortest = format!("{number:?}");
    match shortest.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}").replace(".0e", "e")
        }
        None => shortest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_does() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.0, "0.0"),
            (30.0, "30.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(decimal(number), text);
        }
    }

    #[test]
    fn errors_are_text_unless_json_is_asked_for() {
        let text = ErrorFormat::Text.no_lock(1.0);
        assert_eq!((text.status, text.content_type), (409, Some("text/plain; charset=utf-8")));
        assert!(text.body.starts_with(b"No lock available to acquire after 1.0s timeout"));
        let json = ErrorFormat::Json.error(400, "a \"b\" \u{e4}");
        assert_eq!((json.status, json.content_type), (400, Some("application/json")));
        assert_eq!(json.body, "{\"detail\":\"a \\\"b\\\" \u{e4}\"}".as_bytes());
    }

    #[test]
    fn a_message_that_quotes_too_much_is_cut_between_characters() {
        let long = "\u{e4}".repeat(MESSAGE_BYTES_MAX);
        for offset in ["", "x"] {
            let body = ErrorFormat::Text.error(400, &format!("{offset}{long}")).body;
            assert!(
                std::str::from_utf8(&body).is_ok() && (MESSAGE_BYTES_MAX - 1..=MESSAGE_BYTES_MAX).contains(&body.len())
            );
        }
    }

    #[test]
    fn a_refused_client_learns_when_and_where_to_retry() {
        let response = ErrorFormat::Text.stopping("abc");
        assert_eq!(response.status, 503);
        let ending = ErrorFormat::Text.ending();
        assert_eq!((ending.status, ending.headers.len()), (503, 0), "neither where nor when to ask again");
        let headers = [("Retry-After", RETRY_AFTER_S.to_string()), ("Location", "/handlers/abc".to_owned())];
        assert_eq!(response.headers, headers);
        assert_eq!(no_content(), Response { status: 204, ..Response::default() });
    }
}
