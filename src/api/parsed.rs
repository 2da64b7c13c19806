//! Bodies of requests, parsed: the part of a call that takes longer the longer its body is, and needs nothing but the
//! workflow's graph. The server may do it apart from the call: see [`Reply::WhenParsed`](super::Reply::WhenParsed).

use std::sync::Arc;

use super::wire::{BodyError, PostedBody, RunBody};
use crate::{
    engine::scheduler::WorkflowId,
    graph::{EventId, Graph},
    json::Json,
    values::Values,
};

/// What a body is parsed as.
#[derive(Clone, Debug)]
pub struct Form {
    /// The workflow that it is for.
    pub(super) workflow: WorkflowId,
    pub(super) graph: Arc<Graph>,
    pub(super) kind: Kind,
}

/// Which call a body belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `run` and `run-nowait`.
    Run,
    /// `POST /events/{handler_id}`.
    Posted,
}

/// A body that was parsed. Its faults stand in it: the call names the one that it meets first.
#[derive(Debug)]
pub struct Parsed {
    /// The workflow that it was parsed for.
    pub(super) workflow: WorkflowId,
    pub(super) body: Result<Body, BodyError>,
}

#[derive(Debug)]
pub(super) enum Body {
    Run(Run),
    Posted(Posted),
}

/// The body of `run` and `run-nowait`.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) handler_id: Result<Option<String>, String>,
    pub(super) has_context: bool,
    pub(super) state: Result<Values, String>,
    pub(super) start_event: Result<Json, String>,
}

/// The body of `POST /events/{handler_id}`.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) event: Result<(EventId, Json), String>,
    pub(super) step: Result<Option<String>, String>,
    pub(super) in_reply_to: Result<Option<u64>, String>,
}

impl Form {
    /// Parses a body.
    pub fn parse(&self, body: &[u8]) -> Parsed {
        let body = match self.kind {
            Kind::Run => Run::parse(body, &self.graph).map(Body::Run),
            Kind::Posted => Posted::parse(body, &self.graph).map(Body::Posted),
        };
        Parsed { workflow: self.workflow, body }
    }
}

impl Run {
    fn parse(body: &[u8], graph: &Graph) -> Result<Self, BodyError> {
        let body = RunBody::parse(body)?;
        Ok(Self {
            handler_id: body.handler_id(),
            has_context: body.has_context(),
            state: body.state(),
            start_event: body.start_event(graph.event(graph.start)),
        })
    }
}

impl Posted {
    fn parse(body: &[u8], graph: &Graph) -> Result<Self, BodyError> {
        let body = PostedBody::parse(body)?;
        Ok(Self { event: body.event(graph), step: body.step(), in_reply_to: body.in_reply_to() })
    }
}

impl Parsed {
    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        match &self.body {
            Err(_) => 0,
            Ok(Body::Run(run)) => {
                let event_bytes = run.start_event.as_ref().map_or(0, |event| event.as_str().len());
                event_bytes + run.state.as_ref().map_or(0, Values::cost_bytes)
            }
            Ok(Body::Posted(posted)) => posted.event.as_ref().map_or(0, |(_, value)| value.as_str().len()),
        }
    }
}
