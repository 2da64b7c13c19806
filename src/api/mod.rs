//! The Workflows API: routes, bodies, checks, replies.

use std::time::Duration;

use crate::{
    engine::scheduler::{HandlerKey, NewRun},
    http::Response,
};

/// What a call comes to. The server carries it out.
#[derive(Debug)]
pub enum Reply {
    /// The reply, now.
    Now(Response),
    /// The reply, as soon as what the call changed is kept.
    WhenCommitted(Response),
    /// POST run: the reply when the run has ended; see `calls::run_ended`.
    WhenRunEnds(HandlerKey),
    /// GET /events.
    Follow(Follow),
    /// GET /handlers, written page by page as the socket takes it.
    List(List),
}

/// A stream of a handler's feed. All checks up to the lock have passed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The handler; its newest run at the time of the call.
    pub handler: HandlerKey,
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

/// A page of handlers.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// After this one.
    pub after: Option<HandlerKey>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Only with one of these statuses; empty: all.
    pub statuses: Vec<String>,
    /// Only of one of these workflows; empty: all.
    pub workflows: Vec<String>,
}

/// Where a call's new run gets its random ids from.
pub trait Ids {
    /// Ten characters of `[A-Za-z0-9]`, and a UUID 4.
    fn draw(&mut self) -> ([u8; 10], uuid::Uuid);
}

const _: Option<NewRun> = None;
