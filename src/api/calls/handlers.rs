//! Reads, lists and cancels handlers.

use super::Context;
use crate::{
    api::{
        ErrorFormat, List, ListWritten, Reply,
        percent::{ParameterError, Query},
        wire::{self, ResultForm},
    },
    awaited::Awaited,
    engine::{
        input::Outcome,
        keys::HandlerKey,
        scheduler::{HandlerView, Scheduler},
        storage::Recall,
        stored::StoredHandler,
    },
    http::{Method, Request, Response},
    limits::LIST_SCAN_HANDLERS_MAX,
    now::Now,
};

/// `GET /handlers/{handler_id}`: only here is the result an envelope.
pub(super) fn get(id: &str, scheduler: &Scheduler, errors: ErrorFormat) -> Result<Reply, Response> {
    let (_, view) = find(scheduler, id, errors)?;
    let status = match view.outcome {
        Some(Outcome::Completed(_)) => 200,
        None => 202,
        Some(Outcome::Failed(_) | Outcome::Cancelled) => 500,
    };
    Ok(Reply::Now(wire::handler_reply(status, &view, ResultForm::Envelope)))
}

/// `GET /results/{handler_id}`.
pub(super) fn result(id: &str, scheduler: &Scheduler, errors: ErrorFormat) -> Result<Reply, Response> {
    let (_, view) = find(scheduler, id, errors)?;
    match view.outcome {
        Some(Outcome::Completed(_)) => Ok(Reply::Now(response(200, &view))),
        None => Ok(Reply::Now(response(202, &view))),
        Some(Outcome::Failed(error)) => Err(errors.error(500, &format!("Error getting workflow result: {error}"))),
        Some(Outcome::Cancelled) => Err(errors.handler_not_found()),
    }
}

/// Returns a reply with a handler.
pub(super) fn response(status: u16, view: &HandlerView<'_>) -> Response {
    wire::handler_reply(status, view, ResultForm::Value)
}

/// `POST /handlers/{handler_id}/cancel`.
pub(super) fn cancel(
    id: &str,
    query: Query<'_>,
    scheduler: &mut Scheduler,
    now: Now,
    errors: ErrorFormat,
) -> Result<Reply, Response> {
    let key = scheduler.find(id).ok_or_else(|| errors.handler_not_found())?;
    if query.boolean("purge", false) {
        return Ok(match scheduler.purge(key, now) {
            Ok(()) => Awaited::Commit(key, wire::json(200, wire::status("deleted"))).into(),
            Err(not_resident) => not_resident.into(),
        });
    }
    match scheduler.cancel(key, now) {
        Ok(true) => return Ok(Awaited::Commit(key, wire::json(200, wire::status("cancelled"))).into()),
        Ok(false) => {}
        Err(not_resident) => return Ok(not_resident.into()),
    }
    let outcome = scheduler.view(key).and_then(|view| view.outcome);
    Err(outcome.map_or_else(|| errors.handler_not_found(), |outcome| errors.handler_not_found_as(ended(outcome))))
}

/// Says that a run has ended, and how.
pub(super) fn ended(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed(_) => "it has already completed",
        Outcome::Failed(_) => "it has already failed",
        Outcome::Cancelled => "it has already been cancelled",
    }
}

/// `GET /handlers`.
pub(super) fn list(
    request: &Request<'_>,
    query: Query<'_>,
    context: &Context<'_>,
    errors: ErrorFormat,
) -> Result<Reply, Reply> {
    if let Some(reply) = query.value("after").and_then(|after| context.read_first(&after, false)) {
        return Err(reply);
    }
    let find = |id: &str| context.scheduler.place_of(id);
    let list = parse_list(query, find).map_err(|error| errors.error(400, &error.to_string()))?;
    Ok(Reply::List(Box::new(List { head_only: request.method == Method::Head, ..list })))
}

/// Returns the handler with that id, and its view.
///
/// # Errors
/// The reply, 404, if there is none.
pub(super) fn find<'a>(
    scheduler: &'a Scheduler,
    id: &str,
    errors: ErrorFormat,
) -> Result<(HandlerKey, HandlerView<'a>), Response> {
    let key = scheduler.find(id);
    key.and_then(|key| Some((key, scheduler.view(key)?))).ok_or_else(|| errors.handler_not_found())
}

/// What to do next about a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListProgress {
    /// There is more to write: call again, in a later turn if nothing was appended.
    More,
    /// There is more in the store: call again once its next page is in the list.
    Read,
    /// It is complete.
    Complete,
}

/// Appends the next part of a list to `out`: about `bytes_wanted` bytes (at most one handler more), or less at the end
/// of the list or after its filters have skipped many handlers, perhaps nothing.
pub fn list_some(scheduler: &Scheduler, list: &mut List, out: &mut Vec<u8>, bytes_wanted: usize) -> ListProgress {
    let wanted_until = out.len().saturating_add(bytes_wanted);
    if list.written == ListWritten::Nothing {
        out.extend_from_slice(wire::LIST_OPENS);
        list.written = ListWritten::Opening;
    }
    for _ in 0..LIST_SCAN_HANDLERS_MAX {
        let next = if list.limit == Some(0) { Next::Nothing } else { Next::of(scheduler, list) };
        let key = match &next {
            Next::Nothing => {
                out.extend_from_slice(wire::LIST_CLOSES);
                return ListProgress::Complete;
            }
            Next::Unread => return ListProgress::Read,
            Next::Here(key) => *key,
            Next::Stored(stored) => stored.key,
        };
        if out.len() >= wanted_until {
            break;
        }
        list.page.pop_front();
        list.after = Some(key);
        // A resident handler is newer than what the store returned.
        let (here, id);
        let view = match &next {
            Next::Stored(stored) => {
                here = scheduler.view(key);
                id = scheduler.id_of(stored);
                here.or_else(|| Some(scheduler.view_stored(stored, &id)))
            }
            _ => scheduler.view(key),
        };
        if let Some(view) = view.filter(|view| passes(list, view)) {
            write_item(list, &view, out);
        }
    }
    ListProgress::More
}

/// What comes next in a list.
enum Next {
    Nothing,
    Unread,
    Here(HandlerKey),
    Stored(Box<StoredHandler>),
}

impl Next {
    fn of(scheduler: &Scheduler, list: &List) -> Self {
        if scheduler.recall() == Recall::Feeds {
            return scheduler.next_handler(list.after).map_or(Self::Nothing, Self::Here);
        }
        match list.page.front() {
            Some(stored) => Self::Stored(Box::new(stored.clone())),
            None if list.is_complete => Self::Nothing,
            None => Self::Unread,
        }
    }
}

fn passes(list: &List, view: &HandlerView<'_>) -> bool {
    let status = wire::status_name(view.outcome);
    (list.statuses.is_empty() || list.statuses.iter().any(|wanted| wanted == status))
        && list.before_us.is_none_or(|before_us| view.started_us < before_us)
        && (list.workflows.is_empty() || list.workflows.iter().any(|wanted| **wanted == *view.graph.name))
}

fn write_item(list: &mut List, view: &HandlerView<'_>, out: &mut Vec<u8>) {
    if list.written == ListWritten::Handler {
        out.push(b',');
    }
    list.written = ListWritten::Handler;
    list.limit = list.limit.map(|limit| limit - 1);
    wire::render_handler(out, view, ResultForm::Value);
}

/// Parses the parameters of a list.
fn parse_list(query: Query<'_>, find: impl Fn(&str) -> Option<HandlerKey>) -> Result<List, ParameterError> {
    let mut list = List::default();
    for status in query.values("status") {
        if !wire::STATUSES.contains(&&*status) {
            let expected = format!("one of {}", wire::STATUSES.join(", "));
            return Err(ParameterError::new("status", &status, expected));
        }
        list.statuses.push(status.into_owned());
    }
    list.workflows.extend(query.values("workflow_name").map(std::borrow::Cow::into_owned));
    if let Some(limit) = query.value("limit") {
        let number = limit.parse().ok().filter(|limit: &usize| *limit > 0);
        list.limit = Some(number.ok_or_else(|| ParameterError::new("limit", &limit, "a whole number from 1 on"))?);
    }
    if let Some(before) = query.value("before") {
        let time = wire::Timestamp::parse(&before)
            .ok_or_else(|| ParameterError::new("before", &before, "a time such as 2026-11-24T15:19:41.245592+00:00"))?;
        list.before_us = Some(time.0);
    }
    if let Some(after) = query.value("after") {
        let key = find(&after);
        list.after = Some(key.ok_or_else(|| ParameterError::new("after", &after, "the id of a handler"))?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &Result<List, &str>) {
        let find = |id: &str| (id == "h1").then_some(HandlerKey(7));
        let list = parse_list(Query(Some(query)), find).map_err(|error| error.to_string());
        assert_eq!(list.as_ref().map_err(String::as_str), expected.as_ref().map_err(|error| *error), "{query}");
    }

    #[test]
    fn a_lists_parameters_are_checked() {
        check("", &Ok(List::default()));
        check("unknown=%zz&other", &Ok(List::default()));
        let both = ["running", "failed"].map(str::to_owned).to_vec();
        check("status=running&status=failed", &Ok(List { statuses: both, ..List::default() }));
        let workflows = ["a b", "c"].map(str::to_owned).to_vec();
        check("workflow_name=a+b&workflow_name=c", &Ok(List { workflows, ..List::default() }));
        check("limit=20&after=h1", &Ok(List { limit: Some(20), after: Some(HandlerKey(7)), ..List::default() }));
        let before_us = Some(1_795_533_581_245_592);
        check("before=2026-11-24T15:19:41.245592+00:00", &Ok(List { before_us, ..List::default() }));
        let error = "Invalid before: 'noon'; expected a time such as 2026-11-24T15:19:41.245592+00:00";
        check("before=noon", &Err(error));
        check("after=h2", &Err("Invalid after: 'h2'; expected the id of a handler"));
        check("status=done", &Err("Invalid status: 'done'; expected one of running, completed, failed, cancelled"));
        for limit in ["", "0", "-1", "x", "1.5", "99999999999999999999999"] {
            let error = format!("Invalid limit: '{limit}'; expected a whole number from 1 on");
            check(&format!("limit={limit}"), &Err(&error));
        }
    }
}
