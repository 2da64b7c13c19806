//! Reads a handler's events, and posts events to it.

use std::{fmt::Write as _, ops::Range, time::Duration};

use super::{Context, handlers, runs::faulty_body};
use crate::{
    account::Room,
    api::{
        Cursor, ErrorFormat, Follow, Reply, accept,
        errors::no_content,
        field,
        percent::{ParameterError, Query},
        wire,
    },
    awaited::Awaited,
    engine::{
        input::{External, Outcome, Refusal},
        keys::HandlerKey,
        scheduler::{HandlerView, PostRefused, Scheduler},
    },
    graph::{EventId, Graph, StepId},
    http::{Field, Method, Request, Response},
    limits::{
        ACQUIRE_TIMEOUT_S_DEFAULT, EARLY_ANSWERS_MAX, OPEN_QUESTIONS_LISTED_MAX, QUOTED_BYTES_MAX,
        VALUE_BYTES_LISTED_MAX,
    },
    text::OneLine,
};

/// `GET /events/{handler_id}`, up to the lock.
pub(super) fn stream(
    id: &str,
    request: &Request<'_>,
    query: Query<'_>,
    scheduler: &Scheduler,
    errors: ErrorFormat,
) -> Result<Reply, Response> {
    let wanted = Wanted::parse(request, query).map_err(|error| errors.error(400, &error.to_string()))?;
    let (handler, view) = handlers::find(scheduler, id, errors)?;
    let (cursor, is_used_up) = match wanted.position {
        Position::Queue { acquire_timeout_s } => (queue(acquire_timeout_s), scheduler.is_drained(handler)),
        Position::Log(start) => {
            let end = scheduler.feed_range(handler).unwrap_or_default().end;
            // A reader that asks for removed events is told so when its stream begins.
            let range = scheduler.feed_begin(handler).unwrap_or_default()..end;
            let from = start.from(&range);
            (Cursor::Log { from }, view.outcome.is_some() && from >= range.end)
        }
    };
    if is_used_up {
        return Ok(Reply::Now(no_content()));
    }
    let (Some(run), Some(workflow)) = (scheduler.run_of(handler), scheduler.workflow_of(handler)) else {
        return Err(errors.handler_not_found());
    };
    Ok(Reply::Follow(Follow {
        run,
        workflow,
        cursor,
        sse: wanted.sse,
        include_internal: query.boolean("include_internal", false),
        include_qualified_name: query.boolean("include_qualified_name", true),
        numbered: wanted.numbered && !wanted.sse,
        head_only: request.method == Method::Head,
    }))
}

/// `POST /events/{handler_id}`.
pub(super) fn post(id: &str, body: &[u8], context: &mut Context<'_>, errors: ErrorFormat) -> Result<Reply, Reply> {
    let (key, view) = handlers::find(context.scheduler, id, errors)?;
    check_running(&view, errors)?;
    if context.room == Room::Nothing {
        return Err(errors.no_memory().into());
    }
    let workflow = context.scheduler.workflow_of(key).ok_or_else(|| errors.handler_not_found())?;
    let parsed = context.parsed_posted(body, workflow)?;
    if parsed.workflow != workflow {
        // The handler that the request was for is gone, and another one has its id.
        return Err(errors.handler_not_found().into());
    }
    let body = parsed.body.map_err(|error| faulty_body(400, &error, errors))?;
    let faulty = |message: String| errors.error(400, &message);
    let (event, value) = body.event.map_err(faulty)?;
    let step_name = body.step.map_err(faulty)?;
    let Context { scheduler, now, .. } = context;
    let graph = scheduler.graph(workflow);
    let find_step = |name: &str| {
        graph
            .step_id(name)
            .ok_or_else(|| unsendable(&format!("Step {} does not exist", OneLine::new(name, QUOTED_BYTES_MAX)), errors))
    };
    let step = step_name.as_deref().map(find_step).transpose()?;
    let in_reply_to = body.in_reply_to.map_err(faulty)?;
    match scheduler.post(key, External { event, value, step, in_reply_to, members: body.members }, *now) {
        Ok(()) => Ok(Awaited::Commit(key, wire::json(200, wire::status("sent"))).into()),
        Err(PostRefused::NotResident(not_resident)) => Err(not_resident.into()),
        Err(PostRefused::ByRun(refusal)) => {
            let Some(view) = scheduler.view(key) else { return Err(errors.handler_not_found().into()) };
            let refused = Refused { handler: key, graph: view.graph, event, step, in_reply_to };
            let reply = refused.reply(refusal, scheduler, errors);
            // The refusal may depend on an answer that is not committed yet.
            Err(if scheduler.is_changing(key) { Awaited::Commit(key, reply).into() } else { reply.into() })
        }
    }
}

/// An event from outside that the run does not accept.
struct Refused<'a> {
    handler: HandlerKey,
    graph: &'a Graph,
    event: EventId,
    step: Option<StepId>,
    in_reply_to: Option<u64>,
}

impl Refused<'_> {
    fn reply(&self, refusal: Refusal, scheduler: &Scheduler, errors: ErrorFormat) -> Response {
        let name = &self.graph.event(self.event).name;
        let sequence = self.in_reply_to.unwrap_or_default();
        let message = match refusal {
            Refusal::Ended => return completed(errors),
            Refusal::StepDoesNotAccept | Refusal::NotOpen => {
                let step = self.step.map_or("", |step| &self.graph.step(step).name);
                return unsendable(&format!("Step {step} does not accept {name}"), errors);
            }
            Refusal::AnswersOther => return unsendable(&format!("{name} does not answer question {sequence}"), errors),
            Refusal::NotServed => {
                return errors.overloaded("This program does not serve the handler's workflow; start one that does");
            }
            Refusal::WorksFull => {
                return errors.overloaded("The run has as much to do as it may have; try again later");
            }
            Refusal::AnswersFull => {
                return errors
                    .overloaded("The run holds as many answers as it may; try again when its steps have ended");
            }
            Refusal::EarlyAnswersFull => {
                format!(
                    "The run keeps {EARLY_ANSWERS_MAX} answers that it has not asked for yet, and no more; try again \
                     later"
                )
            }
            Refusal::InboxFull => format!("The inbox for {name} is full; {}", self.list(scheduler)),
            Refusal::NoQuestion => format!("No question waits for {name} now; {}", self.list(scheduler)),
            Refusal::NotThatQuestion => {
                format!("Question {sequence} does not wait for this {name} now; {}", self.list(scheduler))
            }
        };
        errors.error(409, &message)
    }

    /// Lists the open questions: `open: Approve (number 7, n = 2), Choose (number 9)`.
    fn list(&self, scheduler: &Scheduler) -> String {
        let mut list = String::new();
        for question in scheduler.open_questions(self.handler).take(OPEN_QUESTIONS_LISTED_MAX) {
            let name = &self.graph.event(question.question).name;
            list += if list.is_empty() { "open: " } else { ", " };
            let _ = write!(list, "{name} (number {}", question.sequence);
            for (member, value) in question.matching {
                let value = value.as_str();
                let _ = write!(list, ", {member} = {}", &value[..value.floor_char_boundary(VALUE_BYTES_LISTED_MAX)]);
            }
            list.push(')');
        }
        match scheduler.open_question_count(self.handler).saturating_sub(OPEN_QUESTIONS_LISTED_MAX) {
            _ if list.is_empty() => "no question is open".to_owned(),
            0 => list,
            more => format!("{list} and {more} more"),
        }
    }
}

fn check_running(view: &HandlerView<'_>, errors: ErrorFormat) -> Result<(), Response> {
    match view.outcome {
        None => Ok(()),
        Some(Outcome::Completed(_) | Outcome::Failed(_)) => Err(completed(errors)),
        Some(Outcome::Cancelled) => Err(errors.handler_not_found()),
    }
}

fn completed(errors: ErrorFormat) -> Response {
    errors.error(409, "Workflow already completed")
}

fn unsendable(reason: &str, errors: ErrorFormat) -> Response {
    errors.error(400, &format!("Failed to send event: {reason}"))
}

/// Where a reader wants to begin, and in which form it reads.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Wanted {
    position: Position,
    sse: bool,
    numbered: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Position {
    Queue { acquire_timeout_s: f64 },
    Log(LogStart),
}

/// Where a reader wants to begin in the log. What has left the window by then is passed over in `Core::start_of`.
#[derive(Clone, Copy, PartialEq, Debug)]
enum LogStart {
    /// At the newest run's first event.
    First,
    /// At the next event to be published.
    Next,
    /// After the event with this number.
    After(u64),
}

impl LogStart {
    fn from(self, feed: &Range<u64>) -> u64 {
        match self {
            Self::First => feed.start,
            Self::Next => feed.end,
            Self::After(sequence) => sequence.saturating_add(1).max(feed.start),
        }
    }
}

impl Wanted {
    fn parse(request: &Request<'_>, query: Query<'_>) -> Result<Self, ParameterError> {
        let acquire_timeout_s = match query.value("acquire_timeout") {
            Some(text) => parse_timeout(&text).ok_or_else(|| {
                let got = text.into_owned();
                ParameterError { name: "acquire_timeout", got, expected: None }
            })?,
            None => ACQUIRE_TIMEOUT_S_DEFAULT,
        };
        let after_sequence = match query.value("after_sequence") {
            Some(text) => Some(parse_after_sequence(&text).ok_or_else(|| {
                ParameterError::new("after_sequence", &text, "the number of an event, -1 for all, or now")
            })?),
            None => None,
        };
        let log_start = last_event_id(request).or(after_sequence);
        let sse = match query.value("sse") {
            Some(sse) => sse.eq_ignore_ascii_case("true"),
            None => !accept::prefers_ndjson(field(request, Field::Accept)),
        };
        Ok(Self {
            position: log_start.map_or(Position::Queue { acquire_timeout_s }, Position::Log),
            sse,
            numbered: after_sequence.is_some() && !sse,
        })
    }
}

/// Parses a time in seconds, which must be finite and not negative.
fn parse_timeout(text: &str) -> Option<f64> {
    let seconds: f64 = text.trim_ascii().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds.abs())
}

fn parse_after_sequence(text: &str) -> Option<LogStart> {
    match text {
        "now" => Some(LogStart::Next),
        "-1" => Some(LogStart::First),
        _ => parse_sequence(text).map(LogStart::After),
    }
}

/// Reads `Last-Event-ID`, which a reconnecting client sends. A malformed value is ignored.
fn last_event_id(request: &Request<'_>) -> Option<LogStart> {
    let text = std::str::from_utf8(field(request, Field::LastEventId)?).ok()?;
    if text == "-1" { Some(LogStart::First) } else { parse_sequence(text).map(LogStart::After) }
}

/// Parses decimal digits. A number that is too large for any feed is clamped.
fn parse_sequence(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn queue(acquire_timeout_s: f64) -> Cursor {
    let acquire_timeout = Duration::try_from_secs_f64(acquire_timeout_s).unwrap_or(Duration::MAX);
    Cursor::Queue { acquire_timeout, acquire_timeout_s }
}

#[cfg(test)]
mod tests;
