//! The Workflows API: routes, bodies, checks, replies.
//!
//! A request's way: [`Access::check`] (may it call at all?), [`call`] (route, body, scheduler → [`Reply`]), and, for
//! what is not there at once, [`run_ended`], [`render_event`] and [`list_some`] when the server comes to it.

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
    engine::{
        kept::{Address, KeptHandler},
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::NotResident,
    },
    http::{Field, Request, Response, stream::Framing},
};

pub use access::{Access, Granted, Transport};
pub use calls::{Context, Ids, ListProgress, call, call_head, list_some, run_ended};
pub use catalog::{Catalog, WorkflowTexts};
pub use errors::{ErrorFormat, no_content};
pub use parsed::{Form, Parsed};
pub use told::note_time;
pub use wire::{Timestamp, VALUE_AT, render_event};

/// What a call comes to. The server carries it out.
#[derive(Debug)]
pub enum Reply {
    /// The reply, now.
    Now(Response),
    /// The reply, as soon as what the call changed is kept.
    WhenCommitted(HandlerKey, Response),
    /// The call is to be made again when the scheduler has what the store knows under this address.
    WhenRead(Address),
    /// The call is to be made again with the request's body as [`Form::parse`] gives it, which may take long.
    WhenParsed(Form),
    /// The call is to be made again when this batch is kept or has failed.
    WhenSettled(u64),
    /// POST run: the reply when the run has ended; see [`run_ended`].
    WhenRunEnds(HandlerKey),
    /// GET /events.
    Follow(Follow),
    /// GET /handlers, written page by page as the socket takes it; see [`list_some`].
    List(Box<List>),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

impl From<NotResident> for Reply {
    fn from(NotResident(key): NotResident) -> Self {
        Self::WhenRead(Address::Key(key))
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
    /// How it reads.
    pub cursor: Cursor,
    /// SSE, or NDJSON.
    pub sse: bool,
    /// Internal events too.
    pub include_internal: bool,
    /// The qualified name, or null.
    pub include_qualified_name: bool,
    /// NDJSON: number each event in a member `sequence`.
    pub numbered: bool,
    /// HEAD: no body, no lock.
    pub head_only: bool,
}

/// How a reader reads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Cursor {
    /// The queue: one reader at a time; waits for its turn.
    Queue {
        /// How long it waits; zero: tries once.
        acquire_timeout: Duration,
        /// As it stood in the request, for the 409's text.
        acquire_timeout_s: f64,
    },
    /// The log, from this number on.
    Log {
        /// The first number wanted.
        from: u64,
    },
}

/// A list of handlers, and how far it is written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct List {
    /// After this one.
    pub after: Option<HandlerKey>,
    /// At most so many (further ones).
    pub limit: Option<usize>,
    /// Only with one of these statuses; empty: all.
    pub statuses: Vec<String>,
    /// Only of one of these workflows; empty: all.
    pub workflows: Vec<String>,
    /// Only those whose newest run began before: microseconds since the epoch.
    pub before_us: Option<i64>,
    /// What was written last.
    pub written: ListWritten,
    /// What comes next, as the store gave it.
    pub page: VecDeque<KeptHandler>,
    /// Whether the store has no more.
    pub is_complete: bool,
    /// Whether the store was asked for what comes next and has not answered.
    pub is_asked: bool,
    /// HEAD: no body.
    pub head_only: bool,
}

/// How far a list is written.
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
    /// Whether only handlers whose runs go on are in it.
    pub fn only_running(&self) -> bool {
        matches!(&self.statuses[..], [status] if status == wire::STATUSES[0])
    }
}

impl Follow {
    /// How its events are told apart.
    pub fn framing(&self) -> Framing {
        if self.sse { Framing::Sse } else { Framing::Ndjson }
    }

    /// `Content-Type` of the stream.
    pub fn content_type(&self) -> &'static str {
        self.framing().content_type()
    }
}

/// The value of a header field, if the request has it.
fn field<'a>(request: &Request<'a>, field: Field) -> Option<&'a [u8]> {
    request.fields[field as usize]
}
