//! How runs begin: which handler they belong to, and when they are admitted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::{HandlerKey, Opened, RunKey, Scheduler, WorkflowId};
use crate::{
    engine::{
        channel::Channel,
        handler::{Handler, Phase},
        input::{Input, Outcome},
        run::Run,
    },
    json::Json,
    now::Now,
};

/// Which handler a new run belongs to; the outcome of [`Scheduler::check_start`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A new handler; its id is made by the server, or given by the client.
    New(Option<Box<str>>),
    /// This handler, which has ended, carrying over its state.
    Continue(HandlerKey),
    /// This handler, which has ended, with a new state.
    Restart(HandlerKey),
}

/// Why a run may not start; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartRefused {
    /// No such handler to continue, or it did not complete, or it is of another workflow: 404.
    NotFound,
    /// 409 `Handler is still running`.
    StillRunning,
    /// With a context: the id is taken by a handler of another workflow: 409.
    OtherWorkflow,
    /// More runs than are kept at a time, or too many hanging passes: 503 with `Retry-After`.
    Full,
}

/// What a new run is made of. The server draws the random ids.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Which handler it belongs to.
    pub place: Place,
    /// The id of a new handler that has none given.
    pub fresh_id: [u8; 10],
    /// The run's id.
    pub run_id: Uuid,
    /// The start event's value.
    pub event: Json,
    /// The state from a `context`.
    pub state: BTreeMap<Arc<str>, Json>,
}

/// The runs of one workflow under its `max_runs`.
#[derive(Debug, Default)]
pub(super) struct Admission {
    admitted: usize,
    waiting: VecDeque<RunKey>,
}

impl Scheduler {
    /// Decides which handler a run would belong to: `handler_id` without a context continues, with one takes the id as
    /// given.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check_start(
        &self,
        workflow: WorkflowId,
        handler_id: Option<&str>,
        with_context: bool,
    ) -> Result<Place, StartRefused> {
        let known = handler_id.and_then(|id| self.find(id)).and_then(|key| Some((key, self.handlers.get(&key)?)));
        let place = match (handler_id, known, with_context) {
            (None, ..) => Place::New(None),
            (Some(id), None, true) => Place::New(Some(id.into())),
            (Some(_), None, false) => return Err(StartRefused::NotFound),
            (_, Some((key, handler)), true) => match () {
                () if !handler.is_over() => return Err(StartRefused::StillRunning),
                () if handler.workflow != workflow => return Err(StartRefused::OtherWorkflow),
                () => Place::Restart(key),
            },
            (_, Some((key, handler)), false) => match &handler.phase {
                _ if handler.workflow != workflow => return Err(StartRefused::NotFound),
                _ if !handler.is_over() => return Err(StartRefused::StillRunning),
                Phase::Ended { outcome: Outcome::Completed(_), .. } => Place::Continue(key),
                _ => return Err(StartRefused::NotFound),
            },
        };
        if self.running >= self.limits.runs_max || self.passes.hanging() >= self.limits.workers {
            return Err(StartRefused::Full);
        }
        Ok(place)
    }

    /// Starts a run. All checks have passed.
    pub fn start(&mut self, new: NewRun, now: Now) -> HandlerKey {
        let NewRun { workflow, place, fresh_id, run_id, event, mut state } = new;
        let key = match place {
            Place::New(id) => {
                let fresh = || self.free_id(fresh_id);
                let id: Arc<str> = id.map_or_else(fresh, Into::into);
                self.open(id, workflow, run_id, now)
            }
            Place::Continue(key) => {
                if let Some(Phase::Ended { state: kept, .. }) = self.handlers.get_mut(&key).map(|h| &mut h.phase) {
                    state = std::mem::take(kept);
                }
                self.reopen(key, run_id, now);
                key
            }
            Place::Restart(key) => {
                self.reopen(key, run_id, now);
                key
            }
        };
        let Some((run, sequence)) = self.handlers.get(&key).map(|handler| (handler.run, handler.next_sequence)) else {
            return key;
        };
        self.running += 1;
        self.batch.opened.push(Opened { run: RunKey { handler: key, run }, first: sequence, head: None });
        let admitted = self.admit(workflow, RunKey { handler: key, run });
        if let Some(handler) = self.handlers.get_mut(&key) {
            handler.admitted = admitted;
        }
        self.reduce(key, Input::Started { event, state, admitted, sequence }, now);
        key
    }

    fn open(&mut self, id: Arc<str>, workflow: WorkflowId, run_id: Uuid, now: Now) -> HandlerKey {
        let key = HandlerKey(self.next_handler);
        self.next_handler += 1;
        let run = Run::new(Arc::clone(self.graph(workflow)), run_id, Arc::clone(&id));
        self.ids.insert(Arc::clone(&id), key);
        let handler = Handler {
            id,
            workflow,
            run: 0,
            run_id,
            phase: Phase::Running(Box::new(run)),
            admitted: false,
            started_us: now.wall_us,
            updated_us: now.wall_us,
            next_sequence: 0,
            channel: Channel::new(0),
            armed: BTreeMap::new(),
            passes: Vec::new(),
            feed_room_bytes: None,
            caller: None,
        };
        self.handlers.insert(key, Box::new(handler));
        key
    }

    /// A new run under a handler that has ended: it keeps its place in the list and goes on counting.
    fn reopen(&mut self, key: HandlerKey, run_id: Uuid, now: Now) {
        let Some(handler) = self.handlers.get_mut(&key) else { return };
        if let Some(bytes) = handler.finished_bytes() {
            self.finished_handlers -= 1;
            self.finished_bytes -= bytes;
        }
        let earlier = RunKey { handler: key, run: handler.run };
        let graph = Arc::clone(&self.graphs[usize::from(handler.workflow.0)]);
        let channel = std::mem::replace(&mut handler.channel, Channel::new(handler.next_sequence));
        handler.run += 1;
        handler.run_id = run_id;
        handler.phase = Phase::Running(Box::new(Run::new(graph, run_id, Arc::clone(&handler.id))));
        handler.started_us = now.wall_us;
        handler.updated_us = now.wall_us;
        handler.passes.clear();
        if channel.is_busy() {
            self.earlier.insert(earlier, channel);
        } else {
            self.batch.removed.push((earlier, channel.range()));
        }
    }

    /// The drawn id, or the next one after it that no handler has: two equal draws are possible, only not likely.
    fn free_id(&self, mut id: [u8; 10]) -> Arc<str> {
        loop {
            let text = String::from_utf8_lossy(&id);
            if !self.ids.contains_key(&*text) {
                return text.into();
            }
            for byte in &mut id {
                *byte = if *byte == b'z' { b'a' } else { (*byte + 1).clamp(b'a', b'z') };
                if *byte != b'a' {
                    break;
                }
            }
        }
    }

    /// Whether the run may start passes at once; else it waits in line.
    fn admit(&mut self, workflow: WorkflowId, run: RunKey) -> bool {
        let max = self.graph(workflow).max_runs.unwrap_or(usize::MAX);
        let admission = &mut self.admissions[usize::from(workflow.0)];
        if admission.admitted < max {
            admission.admitted += 1;
            return true;
        }
        admission.waiting.push_back(run);
        false
    }

    /// A run has ended: if it had a place, the first in line gets it; else it leaves the line.
    pub(super) fn admit_next(&mut self, workflow: WorkflowId, ended: RunKey, was_admitted: bool, now: Now) {
        let admission = &mut self.admissions[usize::from(workflow.0)];
        if !was_admitted {
            admission.waiting.retain(|&run| run != ended);
            return;
        }
        let Some(next) = admission.waiting.pop_front() else {
            admission.admitted -= 1;
            return;
        };
        if let Some(handler) = self.handlers.get_mut(&next.handler) {
            handler.admitted = true;
        }
        self.reduce(next.handler, Input::Admitted, now);
    }
}
