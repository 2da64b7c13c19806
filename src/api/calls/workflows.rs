//! Describes workflows.

use crate::{
    api::{Catalog, ErrorFormat, Reply, route::Call, wire},
    engine::{keys::WorkflowId, scheduler::Scheduler},
    http::Response,
};

/// `GET /workflows/{name}/schema`, `/events` and `/representation`.
pub(super) fn read(
    call: Call,
    name: &str,
    scheduler: &Scheduler,
    catalog: &Catalog,
    errors: ErrorFormat,
) -> Result<Reply, Response> {
    let texts = catalog.workflow(find(scheduler, name, errors)?);
    let body = match call {
        Call::WorkflowSchema => &texts.schema,
        Call::WorkflowEvents => &texts.events,
        _ => &texts.representation,
    };
    Ok(Reply::Now(wire::json(200, body.clone())))
}

/// Returns the workflow with that name.
///
/// # Errors
/// The reply, 404, if there is none.
pub(super) fn find(scheduler: &Scheduler, name: &str, errors: ErrorFormat) -> Result<WorkflowId, Response> {
    scheduler.workflow(name).ok_or_else(|| errors.error(404, "Workflow not found"))
}
