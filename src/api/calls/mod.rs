//! From a routed request to a [`Reply`]: checks in the order that clients rely on; nothing changes before all have
//! passed.

mod events;
mod handlers;
mod runs;
mod workflows;

use uuid::Uuid;

use crate::{
    api::{
        Catalog, ErrorFormat, Reply, access,
        percent::Query,
        route::{Call, Routed, route},
        wire,
    },
    engine::scheduler::Scheduler,
    http::{Request, Response},
    now::Now,
};

pub use handlers::{ListProgress, list_some};
pub use runs::run_ended;

/// Draws the random ids of a new run: ten characters of `[A-Za-z0-9]`, and a UUID 4.
pub type Ids<'a> = dyn FnMut() -> ([u8; 10], Uuid) + 'a;

/// Carries out a request that [`super::Access::check`] has let in.
///
/// The reply does not know HEAD: its body is what GET would get. The server leaves it out.
pub fn call(request: &Request<'_>, scheduler: &mut Scheduler, catalog: &Catalog, now: Now, ids: &mut Ids<'_>) -> Reply {
    let errors = ErrorFormat::of(request);
    let query = Query(request.query);
    let (call, name) = match route(request.method, request.path) {
        Routed::Call(call, name) => (call, name),
        Routed::Options(allow) => return Reply::Now(options(request, allow)),
        Routed::MethodNotAllowed(allow) => return Reply::Now(method_not_allowed(errors, allow)),
        Routed::NotFound => return Reply::Now(errors.error(404, "Not Found")),
    };
    let result = match call {
        Call::Health => Ok(Reply::Now(wire::json(200, wire::status("healthy")))),
        Call::Workflows => Ok(Reply::Now(wire::json(200, catalog.names.clone()))),
        Call::WorkflowSchema | Call::WorkflowEvents | Call::WorkflowRepresentation => {
            workflows::read(call, &name, scheduler, catalog, errors)
        }
        Call::Run => runs::run(&name, request.body, scheduler, now, ids, errors),
        Call::RunNowait => runs::run_nowait(&name, request.body, scheduler, now, ids, errors),
        Call::Handlers => handlers::list(request, query, scheduler, errors),
        Call::Handler => handlers::get(&name, scheduler, errors),
        Call::Cancel => handlers::cancel(&name, query, scheduler, now, errors),
        Call::Result => handlers::result(&name, scheduler, errors),
        Call::StreamEvents => events::stream(&name, request, query, scheduler, errors),
        Call::PostEvent => events::post(&name, request.body, scheduler, now, errors),
    };
    result.unwrap_or_else(Reply::Now)
}

/// OPTIONS: a CORS preflight, or just the path's methods.
fn options(request: &Request<'_>, allow: &'static str) -> Response {
    let plain = || Response { status: 204, headers: vec![("Allow", allow.to_owned())], ..Response::default() };
    access::preflight(request, allow).unwrap_or_else(plain)
}

fn method_not_allowed(errors: ErrorFormat, allow: &'static str) -> Response {
    let mut response = errors.error(405, "Method Not Allowed");
    response.headers.push(("Allow", allow.to_owned()));
    response
}

#[cfg(test)]
mod tests;
