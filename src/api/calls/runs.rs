//! Starts runs.

use super::{Context, handlers, workflows};
use crate::{
    api::{
        ErrorFormat, Parsed, Reply,
        parsed::{Body, ParsedAs, Run},
        wire::BodyError,
    },
    awaited::Awaited,
    engine::{
        input::Outcome,
        keys::{HandlerKey, WorkflowId},
        scheduler::{HandlerView, NewRun, Scheduler, StartRefused},
    },
    http::Response,
};

/// `POST /workflows/{name}/run`.
pub(super) fn run(name: &str, body: &[u8], context: &mut Context<'_>, errors: ErrorFormat) -> Result<Reply, Reply> {
    let workflow = workflows::find(context.scheduler, name, errors)?;
    context.check_room(errors)?;
    // 500, as the reference server answers a body that does not parse.
    let run = context.parsed_run(body, workflow)?.body.map_err(|error| faulty_body(500, &error, errors))?;
    if context.callers_full {
        let message = "As many POST run calls wait as this server takes at a time; use run-nowait, or try again later";
        return Err(errors.overloaded(message).into());
    }
    let key = start(workflow, run, context, errors)?;
    Ok(Awaited::End(key).into())
}

/// `POST /workflows/{name}/run-nowait`.
pub(super) fn run_nowait(
    name: &str,
    body: &[u8],
    context: &mut Context<'_>,
    errors: ErrorFormat,
) -> Result<Reply, Reply> {
    let workflow = workflows::find(context.scheduler, name, errors)?;
    context.check_room(errors)?;
    let run = context.parsed_run(body, workflow)?.body.map_err(|error| faulty_body(400, &error, errors))?;
    let key = start(workflow, run, context, errors)?;
    let view = context.scheduler.view(key).expect("a handler is there when its run has just been started");
    Ok(Awaited::Commit(key, handlers::response(200, &view)).into())
}

/// Returns the reply to `POST run` after its run has ended. `None`: the handler was purged, which cancels the run.
pub fn run_ended(view: Option<HandlerView<'_>>, errors: ErrorFormat) -> Response {
    let Some(view) = view else { return errors.error(500, &format!("Error running workflow: {CANCELLED}")) };
    match view.outcome {
        Some(Outcome::Completed(_)) => handlers::response(200, &view),
        Some(Outcome::Failed(error)) => errors.run_failed(&view, error),
        Some(Outcome::Cancelled) => errors.run_failed(&view, CANCELLED),
        None => handlers::response(202, &view),
    }
}

const CANCELLED: &str = "Workflow was cancelled";

/// Returns the reply to a body that does not parse.
pub(super) fn faulty_body(status: u16, BodyError(error): &BodyError, errors: ErrorFormat) -> Response {
    errors.error(status, &format!("Error processing request body: {error}"))
}

/// Starts a run for a body that was parsed, after all checks.
fn start(workflow: WorkflowId, run: Run, context: &mut Context<'_>, errors: ErrorFormat) -> Result<HandlerKey, Reply> {
    let faulty = |message: String| errors.error(400, &message);
    let handler_id = run.handler_id.clone().map_err(faulty)?;
    if let Some(reply) = handler_id.as_deref().and_then(|id| context.read_first_or_wait(id, false, true)) {
        context.parsed = Some(Parsed(Body::Run(ParsedAs { workflow, body: Ok(run) })));
        return Err(reply);
    }
    let Context { scheduler, now, ids, .. } = context;
    let id = handler_id.as_deref();
    let start_as = scheduler
        .check_start(workflow, id, run.has_context)
        .map_err(|refused| start_refused(refused, workflow, id, scheduler, errors))?;
    let state = run.state.map_err(faulty)?;
    let event = run.start_event.map_err(faulty)?;
    let run_id = ids();
    Ok(scheduler.start(NewRun { workflow, start_as, run_id, event, state }, *now))
}

fn start_refused(
    refused: StartRefused,
    workflow: WorkflowId,
    id: Option<&str>,
    scheduler: &Scheduler,
    errors: ErrorFormat,
) -> Response {
    match refused {
        StartRefused::NotFound => {
            let Some(view) = id.and_then(|id| scheduler.view(scheduler.find(id)?)) else {
                return errors.handler_not_found();
            };
            let name = &view.graph.name;
            if *name != scheduler.graph(workflow).name {
                return errors.handler_not_found_as(&format!("it belongs to workflow {name}"));
            }
            view.outcome.map_or_else(
                || errors.handler_not_found(),
                |outcome| errors.handler_not_found_as(handlers::ended(outcome)),
            )
        }
        StartRefused::StillRunning => errors.error(409, "Handler is still running"),
        StartRefused::OtherWorkflow => errors.error(409, "Handler belongs to another workflow"),
        StartRefused::StoreFull => errors.error(
            507,
            "The data directory has as many bytes as it may have (--data-bytes-max), and no finished run is left to \
             remove; purge handlers or let runs end, or raise the bound",
        ),
        StartRefused::Damaged => errors.damaged(),
        StartRefused::Full => {
            errors.overloaded("As many runs as this server takes at a time are running; try again later")
        }
    }
}
