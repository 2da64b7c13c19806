//! Parsed request bodies: the part of a call whose time grows with the body, and that needs only the workflow's graph.
//! The server may do it before the call: see [`Reply::Parse`](super::Reply::Parse).

use std::sync::Arc;

use super::wire::{BodyError, PostedBody, RunBody};
use crate::{
    engine::keys::WorkflowId,
    graph::{EventId, Graph},
    json::{Json, Members},
    values::Values,
};

/// How to parse a body.
#[derive(Clone, Debug)]
pub struct Form {
    /// The workflow that it is for.
    pub(super) workflow: WorkflowId,
    pub(super) graph: Arc<Graph>,
    pub(super) kind: Kind,
}

/// The kind of call that a body belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `run` and `run-nowait`.
    Run,
    /// `POST /events/{handler_id}`.
    Posted,
}

/// A parsed body, for the call that it belongs to. It contains its faults; the call reports the first that it comes
/// to.
#[derive(Debug)]
pub struct Parsed(pub(super) Body);

#[derive(Debug)]
pub(super) enum Body {
    Run(ParsedAs<Run>),
    Posted(ParsedAs<Posted>),
}

/// A body that was parsed as `T`.
#[derive(Debug)]
pub(super) struct ParsedAs<T> {
    /// The workflow that it was parsed for.
    pub(super) workflow: WorkflowId,
    pub(super) body: Result<T, BodyError>,
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
    /// The event's members; those of a short body are read only when a question examines them.
    pub(super) members: Members,
    pub(super) step: Result<Option<String>, String>,
    pub(super) in_reply_to: Result<Option<u64>, String>,
}

impl Form {
    /// Parses a body, and prepares what the call will examine.
    pub fn parse(&self, body: &[u8]) -> Parsed {
        Parsed(match self.kind {
            Kind::Run => Body::Run(self.parse_run(body)),
            Kind::Posted => {
                let parsed = self.parse_posted(body);
                if let Ok(Posted { event: Ok((event, value)), members, .. }) = &parsed.body
                    && self.graph.is_answer(*event)
                {
                    members.read(value);
                }
                Body::Posted(parsed)
            }
        })
    }

    pub(super) fn parse_run(&self, body: &[u8]) -> ParsedAs<Run> {
        ParsedAs { workflow: self.workflow, body: Run::parse(body, &self.graph) }
    }

    pub(super) fn parse_posted(&self, body: &[u8]) -> ParsedAs<Posted> {
        ParsedAs { workflow: self.workflow, body: Posted::parse(body, &self.graph) }
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

    fn bytes(&self) -> usize {
        let event_bytes = self.start_event.as_ref().map_or(0, |event| event.as_str().len());
        event_bytes + self.state.as_ref().map_or(0, Values::cost_bytes)
    }
}

impl Posted {
    fn parse(body: &[u8], graph: &Graph) -> Result<Self, BodyError> {
        let body = PostedBody::parse(body)?;
        let event = body.event(graph);
        Ok(Self { event, members: Members::default(), step: body.step(), in_reply_to: body.in_reply_to() })
    }

    fn bytes(&self) -> usize {
        self.event.as_ref().map_or(0, |(_, value)| value.as_str().len()) + self.members.cost_bytes()
    }
}

impl Parsed {
    /// Returns about how much memory it uses, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Body::Run(run) => run.body.as_ref().map_or(0, Run::bytes),
            Body::Posted(posted) => posted.body.as_ref().map_or(0, Posted::bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixtures;

    fn members_bytes(event: &str) -> usize {
        let form = Form { workflow: WorkflowId(0), graph: fixtures::graph(true), kind: Kind::Posted };
        let body = format!(r#"{{"event":{{"type":"{event}","value":{{"text":"a","m":1}}}}}}"#);
        let Parsed(Body::Posted(posted)) = form.parse(body.as_bytes()) else { panic!("it is another form") };
        let posted = posted.body.expect("it is an object");
        let (_, value) = posted.event.as_ref().expect("it is sound");
        assert_eq!(posted.bytes(), value.as_str().len() + posted.members.cost_bytes());
        posted.members.cost_bytes()
    }

    #[test]
    fn the_members_of_a_large_answer_are_read_before_the_call_and_counted() {
        assert!(members_bytes("Answer") > 0);
        // No question examines it.
        assert_eq!(members_bytes("Tick"), 0);
    }
}
