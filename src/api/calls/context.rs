//! What a call works with: reads first what the store knows, and parses bodies here or elsewhere.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    account::Room,
    api::{
        Catalog, ErrorFormat, Form, Parsed, Reply,
        parsed::{Body, Kind, ParsedAs, Posted, Run},
        route::{Call, Needs},
    },
    awaited::Awaited,
    engine::{
        keys::WorkflowId,
        scheduler::{Residence, Scheduler},
    },
    http::Response,
    limits::LOOP_PARSE_BYTES_MAX,
    now::Now,
};

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
    /// Whether the handler was loaded from the store, so that [`Awaited::Handler`] is not returned again.
    pub is_read: bool,
    /// The request's body, if it was already parsed. Left in place if the call has to be made again.
    pub parsed: Option<Parsed>,
    /// The work for which there is memory; other work is refused.
    pub room: Room,
    /// Whether no further POST run call may wait for its run.
    pub callers_full: bool,
}

impl Context<'_> {
    /// Returns a reply if the named handler must first be read from the store, or may not change now.
    pub(super) fn check_residence(&self, call: Call, name: &str, errors: ErrorFormat) -> Option<Reply> {
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
    pub(super) fn parsed_run(&mut self, body: &[u8], workflow: WorkflowId) -> Result<ParsedAs<Run>, Reply> {
        match self.parsed.take() {
            Some(Parsed(Body::Run(run))) => Ok(run),
            _ => self.form(body, workflow, Kind::Run).map(|form| form.parse_run(body)),
        }
    }

    /// Parses the body of a posted event, in the same way.
    pub(super) fn parsed_posted(&mut self, body: &[u8], workflow: WorkflowId) -> Result<ParsedAs<Posted>, Reply> {
        match self.parsed.take() {
            Some(Parsed(Body::Posted(posted))) => Ok(posted),
            _ => self.form(body, workflow, Kind::Posted).map(|form| form.parse_posted(body)),
        }
    }

    fn form(&self, body: &[u8], workflow: WorkflowId, kind: Kind) -> Result<Form, Reply> {
        let form = Form { workflow, graph: Arc::clone(self.scheduler.graph(workflow)), kind };
        if body.len() <= LOOP_PARSE_BYTES_MAX { Ok(form) } else { Err(Reply::Parse(form)) }
    }

    /// Checks that there is memory for a new run.
    pub(super) fn check_room(&self, errors: ErrorFormat) -> Result<(), Response> {
        if self.room == Room::Runs { Ok(()) } else { Err(errors.no_memory()) }
    }

    /// Returns a reply if the store must be asked for the handler of this id first.
    pub(super) fn read_first(&self, id: &str, with_run: bool) -> Option<Reply> {
        self.read_first_or_wait(id, with_run, with_run)
    }

    /// Like [`Self::read_first`], but also waits for a removal, or for a change for the run's end, that is not
    /// committed yet: no request is refused because of something that a fault may still undo.
    pub(super) fn read_first_or_wait(&self, id: &str, with_run: bool, changes: bool) -> Option<Reply> {
        if let Some(batch) = self.scheduler.unsettled(id, changes) {
            return Some(Awaited::Batch(batch).into());
        }
        match self.scheduler.residence(id, with_run) {
            Residence::InStore(address) if !self.is_read => Some(Awaited::Handler(address).into()),
            _ => None,
        }
    }
}
