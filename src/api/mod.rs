//! The Workflows API: routes, bodies, checks, replies.
//!
//! A request passes through [`Access::check`] (is it allowed?) and [`call`] (route, body, scheduler → [`Reply`]). For
//! replies that take longer, the server later calls [`run_ended`], [`render_event`] and [`list_some`].

mod accept;
mod access;
mod calls;
mod catalog;
mod errors;
#[cfg(test)]
mod fixtures;
mod parsed;
mod percent;
mod route;
mod told;
pub(crate) mod wire;

use std::{collections::VecDeque, time::Duration};

use crate::{
    awaited::Awaited,
    engine::{
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::NotResident,
        stored::{HandlerAddress, StoredHandler},
    },
    http::{Field, Request, Response, stream::Framing},
};

pub use access::{Access, AccessError, Granted, Transport};
pub use calls::{Context, Ids, ListProgress, call, call_head, list_some, run_ended};
pub use catalog::{Catalog, WorkflowTexts};
pub use errors::{ErrorFormat, no_content};
pub use parsed::{Form, Parsed};
pub use told::note_time;
pub use wire::{Timestamp, VALUE_AT, render_event};

/// The result of a call, which the server carries out.
#[derive(Debug)]
pub enum Reply {
    /// Reply now.
    Now(Response),
    /// Reply, or repeat the call, once this is there. At the end of a run, reply what [`run_ended`] returns.
    Later(Awaited),
    /// Repeat the call with the request's body as parsed by [`Form::parse`], which may take long.
    Parse(Form),
    /// GET /events.
    Follow(Follow),
    /// GET /handlers, written page by page as the socket takes it; see [`list_some`].
    List(Box<List>),
}

impl Reply {
    /// Returns whether the call is to be repeated. Until then its request has not been accepted.
    pub fn repeats_call(&self) -> bool {
        match self {
            Self::Later(awaited) => awaited.repeats_call(),
            Self::Parse(_) => true,
            Self::Now(_) | Self::Follow(_) | Self::List(_) => false,
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

impl From<Awaited> for Reply {
    fn from(awaited: Awaited) -> Self {
        Self::Later(awaited)
    }
}

impl From<NotResident> for Reply {
    fn from(NotResident(key): NotResident) -> Self {
        Self::Later(Awaited::Handler(HandlerAddress::Key(key)))
    }
}

/// A stream of a handler's feed. All checks up to the lock have passed.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of the request")]
pub struct Follow {
    /// The handler's newest run at the time of the call.
    pub run: RunKey,
    /// Its workflow, whose texts [`render_event`] takes.
    pub workflow: WorkflowId,
    /// Where and how to read.
    pub cursor: Cursor,
    /// SSE or NDJSON.
    pub sse: bool,
    /// Whether to include internal events.
    pub include_internal: bool,
    /// Whether to include qualified names, which otherwise are null.
    pub include_qualified_name: bool,
    /// NDJSON: whether to number each event in a member `sequence`.
    pub numbered: bool,
    /// HEAD: no body, no lock.
    pub head_only: bool,
}

/// How a reader reads a feed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Cursor {
    /// The queue, which has one reader at a time; others wait for it.
    Queue {
        /// How long to wait for the queue; zero tries once.
        acquire_timeout: Duration,
        /// The same as written in the request, for the text of a 409.
        acquire_timeout_s: f64,
    },
    /// The log, from this number on.
    Log {
        /// The first number to read.
        from: u64,
    },
}

/// A list of handlers and how much of it was written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct List {
    /// List only handlers after this one.
    pub after: Option<HandlerKey>,
    /// List at most this many further handlers.
    pub limit: Option<usize>,
    /// List only handlers with one of these statuses; empty for all.
    pub statuses: Vec<String>,
    /// List only handlers of one of these workflows; empty for all.
    pub workflows: Vec<String>,
    /// List only handlers whose newest run began earlier than this, in microseconds since the epoch.
    pub before_us: Option<i64>,
    /// What was written last.
    pub written: ListWritten,
    /// The next handlers, as returned by the store.
    pub page: VecDeque<StoredHandler>,
    /// Whether the store has no further handlers.
    pub is_complete: bool,
    /// Whether the store was asked for the next handlers and has not answered.
    pub is_asked: bool,
    /// HEAD: no body.
    pub head_only: bool,
}

/// What was last written of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListWritten {
    /// Nothing.
    #[default]
    Nothing,
    /// The opening.
    Opening,
    /// A handler.
    Handler,
}

impl List {
    /// Returns the memory that its page takes.
    pub fn page_bytes(&self) -> usize {
        self.page.iter().map(StoredHandler::cost_bytes).sum()
    }

    /// Returns whether the list contains only handlers whose runs have not ended.
    pub fn only_running(&self) -> bool {
        matches!(&self.statuses[..], [status] if status == wire::STATUSES[0])
    }
}

impl Follow {
    /// Returns how its events are framed.
    pub fn framing(&self) -> Framing {
        if self.sse { Framing::Sse } else { Framing::Ndjson }
    }

    /// Returns the `Content-Type` of the stream.
    pub fn content_type(&self) -> &'static str {
        self.framing().content_type()
    }
}

/// Returns the value of a header field, if the request has it.
fn field<'a>(request: &Request<'a>, field: Field) -> Option<&'a [u8]> {
    request.fields[field as usize]
}
