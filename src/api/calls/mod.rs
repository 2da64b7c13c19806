//! Turns a routed request into a [`Reply`]. Makes its checks in the order that clients rely on, and changes nothing
//! before all have passed.

mod context;
mod events;
mod handlers;
mod runs;
mod workflows;

use std::borrow::Cow;

use crate::{
    account::Room,
    api::{
        ErrorFormat, Reply, access,
        percent::Query,
        route::{ALLOW_GET_POST, Call, Routed, route},
        wire,
    },
    engine::scheduler::Scheduler,
    http::{Request, Response},
};

pub use context::{Context, Ids};
pub use handlers::{ListProgress, list_some};
pub use runs::run_ended;

/// Carries out a request that [`super::Access::check`] has allowed.
///
/// HEAD is treated as GET; the server leaves out the body.
pub fn call(request: &Request<'_>, context: &mut Context<'_>) -> Reply {
    let errors = ErrorFormat::of(request);
    let query = Query(request.query);
    let (call, name) = match resolve(request, errors) {
        Ok(resolved) => resolved,
        Err(response) => return Reply::Now(response),
    };
    query.log_misspelt(call.parameters());
    if let Some(reply) = context.check_residence(call, &name, errors) {
        return reply;
    }
    let Context { scheduler, catalog, now, .. } = context;
    let now = *now;
    let result = match call {
        Call::Health => Ok(Reply::Now(wire::json(200, wire::health(&scheduler.degradations())))),
        Call::Workflows => Ok(Reply::Now(wire::json(200, catalog.names.clone()))),
        Call::WorkflowSchema | Call::WorkflowEvents | Call::WorkflowRepresentation => {
            workflows::read(call, &name, scheduler, catalog, errors)
        }
        Call::Run => return runs::run(&name, request.body, context, errors).unwrap_or_else(|reply| reply),
        Call::RunNowait => {
            return runs::run_nowait(&name, request.body, context, errors).unwrap_or_else(|reply| reply);
        }
        Call::Handlers => return handlers::list(request, query, context, errors).unwrap_or_else(|reply| reply),
        Call::Handler => handlers::get(&name, scheduler, errors),
        Call::Cancel => handlers::cancel(&name, query, scheduler, now, errors),
        Call::Result => handlers::result(&name, scheduler, errors),
        Call::StreamEvents => events::stream(&name, request, query, scheduler, errors),
        Call::PostEvent => return events::post(&name, request.body, context, errors).unwrap_or_else(|reply| reply),
    };
    result.unwrap_or_else(Reply::Now)
}

/// Returns the reply to a request that can be refused by its head, whatever its body: one that matches no operation, or
/// for which there is no memory.
pub fn call_head(request: &Request<'_>, scheduler: &Scheduler, room: Room) -> Option<Response> {
    let errors = ErrorFormat::of(request);
    match resolve(request, errors) {
        Ok((Call::Run | Call::RunNowait, name)) => match workflows::find(scheduler, &name, errors) {
            Ok(_) => (room < Room::Runs).then(|| errors.no_memory()),
            Err(response) => Some(response),
        },
        Ok(_) => None,
        Err(response) => Some(response),
    }
}

/// Returns the call that a request makes, and the parameter in its path.
///
/// # Errors
/// The reply, if it makes none.
fn resolve<'a>(request: &Request<'a>, errors: ErrorFormat) -> Result<(Call, Cow<'a, str>), Response> {
    match route(request.method, request.path) {
        Routed::Call(call, name) => Ok((call, name)),
        Routed::Options(allow) => Err(options(request, allow)),
        Routed::MethodNotAllowed(allow) => Err(method_not_allowed(errors, allow)),
        Routed::NotFound => Err(not_found(request, errors)),
    }
}

/// Answers OPTIONS: a CORS preflight, or a question for the methods of the path.
fn options(request: &Request<'_>, allow: &'static str) -> Response {
    let plain = || Response { status: 204, headers: vec![("Allow", allow.to_owned())], ..Response::default() };
    access::preflight(request, allow).unwrap_or_else(plain)
}

/// Returns 404, except to a preflight, so that the page may read the 404 itself.
fn not_found(request: &Request<'_>, errors: ErrorFormat) -> Response {
    access::preflight(request, ALLOW_GET_POST).unwrap_or_else(|| errors.error(404, "Not Found"))
}

fn method_not_allowed(errors: ErrorFormat, allow: &'static str) -> Response {
    let mut response = errors.error(405, "Method Not Allowed");
    response.headers.push(("Allow", allow.to_owned()));
    response
}

#[cfg(test)]
mod tests;
