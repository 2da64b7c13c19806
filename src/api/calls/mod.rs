//! Turns a routed request into a [`Reply`]. Makes its checks in the order that clients rely on, and changes nothing
//! before all have passed.

mod events;
mod handlers;
mod runs;
mod workflows;

use std::{borrow::Cow, sync::Arc};

use uuid::Uuid;

use crate::{
    account::Room,
    api::{
        Catalog, ErrorFormat, Form, Parsed, Reply, access,
        parsed::{Body, Kind, ParsedAs, Posted, Run},
        percent::Query,
        route::{ALLOW_GET_POST, Call, Needs, Routed, route},
        wire,
    },
    engine::{
        keys::WorkflowId,
        scheduler::{Residence, Scheduler},
    },
    http::{Request, Response},
    limits::LOOP_PARSE_BYTES_MAX,
    now::Now,
};

pub use handlers::{ListProgress, list_some};
pub use runs::run_ended;

/// Draws the random id of a new run, a version 4 UUID.
pub type Ids<'a> = dyn FnMut() -> Uuid + 'a;

/// What a call works with, besides its request.
pub struct Context<'a> {
    /// Handlers and runs.
    pub scheduler: &'a mut Scheduler,
    /// Texts of workflows.
    pub catalog: &'a Catalog,
    /// The time of this turn.
    pub now: Now,
    /// Draws the ids of runs.
    pub ids: &'a mut Ids<'a>,
    /// Whether the scheduler was given what the store knows, so that [`Reply::WhenRead`] is not returned again.
    pub is_read: bool,
    /// The request's body, if it was already parsed. Left in place if the call has to be made again.
    pub parsed: Option<Parsed>,
    /// The work for which there is memory; other work is refused.
    pub room: Room,
    /// Whether no further POST run call may wait for its run.
    pub callers_full: bool,
}

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

impl Context<'_> {
    /// Returns a reply if the named handler must first be read from the store, or may not change now.
    fn check_residence(&self, call: Call, name: &str, errors: ErrorFormat) -> Option<Reply> {
        let changes = match call.needs() {
            Needs::Nothing => return None,
            Needs::Handler => false,
            Needs::Change => true,
        };
        if let Some(reply) = self.read_first(name, changes) {
            return Some(reply);
        }
        let is_backing_off = changes && self.scheduler.find(name).is_some_and(|key| self.scheduler.is_backing_off(key));
        is_backing_off.then(|| Reply::Now(errors.backing_off(&self.scheduler.last_fault())))
    }

    /// Parses the body of a start. A large one is parsed elsewhere, after which the call is made again.
    fn parsed_run(&mut self, body: &[u8], workflow: WorkflowId) -> Result<ParsedAs<Run>, Reply> {
        match self.parsed.take() {
            Some(Parsed(Body::Run(run))) => Ok(run),
            _ => self.form(body, workflow, Kind::Run).map(|form| form.parse_run(body)),
        }
    }

    /// Parses the body of a posted event, in the same way.
    fn parsed_posted(&mut self, body: &[u8], workflow: WorkflowId) -> Result<ParsedAs<Posted>, Reply> {
        match self.parsed.take() {
            Some(Parsed(Body::Posted(posted))) => Ok(posted),
            _ => self.form(body, workflow, Kind::Posted).map(|form| form.parse_posted(body)),
        }
    }

    fn form(&self, body: &[u8], workflow: WorkflowId, kind: Kind) -> Result<Form, Reply> {
        let form = Form { workflow, graph: Arc::clone(self.scheduler.graph(workflow)), kind };
        if body.len() <= LOOP_PARSE_BYTES_MAX { Ok(form) } else { Err(Reply::WhenParsed(form)) }
    }

    /// Checks that there is memory for a new run.
    fn check_room(&self, errors: ErrorFormat) -> Result<(), Response> {
        if self.room == Room::Runs { Ok(()) } else { Err(errors.no_memory()) }
    }

    /// Returns a reply if the store must be asked for the handler of this id first.
    fn read_first(&self, id: &str, with_run: bool) -> Option<Reply> {
        self.read_first_or_wait(id, with_run, with_run)
    }

    /// Like [`Self::read_first`], but also waits for a removal, or for a change for the run's end, that is not
    /// committed yet: nobody is refused because of something that a fault may still undo.
    fn read_first_or_wait(&self, id: &str, with_run: bool, changes: bool) -> Option<Reply> {
        if let Some(batch) = self.scheduler.unsettled(id, changes) {
            return Some(Reply::WhenSettled(batch));
        }
        match self.scheduler.residence(id, with_run) {
            Residence::InStore(address) if !self.is_read => Some(Reply::WhenRead(address)),
            _ => None,
        }
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
