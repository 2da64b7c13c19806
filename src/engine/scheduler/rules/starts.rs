//! How runs begin: the handler that they belong to, and their admission.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    engine::{
        armed::Armed,
        channel::Channel,
        input::{Input, Outcome},
        keys::{HandlerKey, RunKey, WorkflowId},
        run::Run,
        scheduler::{
            Scheduler,
            handler::{Handler, Journal},
            new_run::{NewRun, StartAs, StartRefused},
            phase::Life,
        },
        storage::{Head, OpenedRun, StartState},
    },
    limits::PARKED_MAX,
    now::Now,
};

impl Scheduler {
    /// Decides which handler a run would belong to: without a context, `handler_id` continues that handler; with one,
    /// the run gets the id as given.
    ///
    /// # Errors
    /// Why the run may not start.
    pub fn check_start(
        &self,
        workflow: WorkflowId,
        handler_id: Option<&str>,
        with_context: bool,
    ) -> Result<StartAs, StartRefused> {
        let known = handler_id.and_then(|id| self.find(id)).and_then(|key| Some((key, self.handlers.get(key)?)));
        let start_as = match (handler_id, known, with_context) {
            (None, ..) => StartAs::New(None),
            (_, Some((key, _)), _) if self.health.is_aside(key) => return Err(StartRefused::Damaged),
            (Some(id), None, true) => StartAs::New(Some(id.into())),
            (Some(_), None, false) => return Err(StartRefused::NotFound),
            (_, Some((key, handler)), true) => match () {
                () if !handler.is_over() => return Err(StartRefused::StillRunning),
                () if self.workflows.current(handler.workflow) != Some(workflow) => {
                    return Err(StartRefused::OtherWorkflow);
                }
                () => StartAs::Restart(key),
            },
            (_, Some((key, handler)), false) => match handler.life.end().map(|end| &end.outcome) {
                _ if self.workflows.current(handler.workflow) != Some(workflow) => return Err(StartRefused::NotFound),
                _ if !handler.is_over() => return Err(StartRefused::StillRunning),
                Some(Outcome::Completed(_)) => StartAs::Continue(key),
                _ => return Err(StartRefused::NotFound),
            },
        };
        // A run that is only in the store costs little, and there may be many that nobody ever answers.
        if self.tally.running - self.tally.parked >= self.policies.limits.runs_max || self.tally.parked >= PARKED_MAX {
            return Err(StartRefused::Full);
        }
        if self.retention.is_store_full() {
            return Err(StartRefused::StoreFull);
        }
        Ok(start_as)
    }

    /// Starts a run. All checks must have passed.
    pub fn start(&mut self, new: NewRun, now: Now) -> HandlerKey {
        let NewRun { workflow, start_as, run_id, event, mut state } = new;
        let (mut chosen_id, continues) = (None, matches!(start_as, StartAs::Continue(_)));
        let key = match start_as {
            StartAs::New(id) => {
                chosen_id = id.map(Arc::from);
                self.open(chosen_id.clone(), workflow, run_id, now)
            }
            StartAs::Continue(key) => {
                if let Some(taken) = self.handlers.get_mut(key).and_then(|handler| handler.life.take_state()) {
                    state = taken;
                }
                self.reopen(key, workflow, run_id, now);
                key
            }
            StartAs::Restart(key) => {
                self.reopen(key, workflow, run_id, now);
                key
            }
        };
        let Some((run, first)) = self.handlers.get(key).map(|handler| (handler.run, handler.next_sequence)) else {
            return key;
        };
        let run = RunKey { handler: key, run };
        let admitted = self.has_place(workflow);
        let recording = self.policies.recording;
        let is_apart = recording.keeps_apart(state.cost_bytes());
        let head = recording.is_on().then(|| {
            self.commits.held.opened.push(run);
            let id = chosen_id.or_else(|| self.chosen_id(key));
            let state = match () {
                () if !is_apart => StartState::Recorded,
                () if continues => StartState::Inherited,
                () => StartState::Given(state.clone()),
            };
            Box::new(Head { id, workflow, run_id, started_us: now.wall_us, state })
        });
        self.commits.batch.opened.push(OpenedRun { run, first, head });
        let sequence = first;
        let input = if is_apart {
            Input::StartedFrom { event, state, admitted, sequence }
        } else {
            Input::Started { event, state, admitted, sequence }
        };
        self.reduce(key, input, now);
        key
    }

    /// Returns the handler's id, if a client chose it.
    fn chosen_id(&self, key: HandlerKey) -> Option<Arc<str>> {
        let id = &self.handlers.get(key)?.id;
        (self.names.chosen.get(id) == Some(&key)).then(|| Arc::clone(id))
    }

    fn open(&mut self, chosen_id: Option<Arc<str>>, workflow: WorkflowId, run_id: Uuid, now: Now) -> HandlerKey {
        let (key, id) = match chosen_id {
            Some(id) => {
                let key = self.names.keys.make(now, Some(self.names.ids.shard(&id)));
                self.names.chosen.insert(Arc::clone(&id), key);
                (key, id)
            }
            None => loop {
                let key = self.names.keys.make(now, None);
                let id = self.spell(key);
                // A client may choose an id that a key stands for, though it cannot know which key.
                if !self.names.chosen.contains_key(&id) {
                    break (key, id);
                }
            },
        };
        let run = self.new_run(workflow, run_id, &id);
        let handler = Handler {
            id,
            workflow,
            run: 0,
            run_id,
            life: Life::begun(run),
            started_us: now.wall_us,
            updated_us: now.wall_us,
            next_sequence: 0,
            channel: Channel::new(0),
            armed: Armed::default(),
            passes: Vec::new(),
            granted_bytes: 0,
            window: None,
            caller: None,
            journal: Journal::default(),
        };
        self.handlers.insert(key, handler);
        key
    }

    /// Begins a new run under a handler that has ended, which retains its position in the list and continues counting.
    fn reopen(&mut self, key: HandlerKey, workflow: WorkflowId, run_id: Uuid, now: Now) {
        if self.handlers.get(key).is_some_and(Handler::is_over) {
            self.uncount_finished(key);
        }
        self.cursors.forget(key);
        let Some(run) = self.handlers.get(key).map(|handler| self.new_run(workflow, run_id, &handler.id)) else {
            return;
        };
        let Some(handler) = self.handlers.get_mut(key) else { return };
        handler.window = None;
        handler.workflow = workflow;
        handler.journal = Journal::default();
        let earlier = RunKey { handler: key, run: handler.run };
        let channel = std::mem::replace(&mut handler.channel, Channel::new(handler.next_sequence));
        handler.run += 1;
        handler.run_id = run_id;
        handler.started_us = now.wall_us;
        handler.updated_us = now.wall_us;
        handler.begin(key, run, &mut self.tally);
        handler.passes.clear();
        handler.granted_bytes = 0;
        if channel.is_busy() {
            self.channels.insert(earlier, channel);
        } else {
            self.note_unread(earlier, channel.range().end);
        }
    }

    /// Creates a run before its start.
    fn new_run(&self, workflow: WorkflowId, run_id: Uuid, id: &Arc<str>) -> Run {
        let run = Run::new(Arc::clone(self.graph(workflow)), run_id, Arc::clone(id));
        let run = run.with_events_at_once(self.policies.limits.events_at_once);
        if self.policies.feed_keep.is_some() { run.with_window() } else { run }
    }

    /// Returns whether a run of this workflow that begins now may start passes at once.
    fn has_place(&self, workflow: WorkflowId) -> bool {
        self.tally.has_place(workflow, self.places(workflow))
    }

    /// Returns how many runs of this workflow may be admitted. While handlers are reloading, it is not known which are.
    fn places(&self, workflow: WorkflowId) -> usize {
        match self.graph(workflow).max_runs {
            _ if !self.workflows.is_served(workflow) => 0,
            None => usize::MAX,
            Some(_) if self.handlers.reloading_count() > 0 => 0,
            Some(max) => max,
        }
    }

    /// Admits the first runs in the workflow's queue, as many as allowed.
    pub(super) fn admit_waiting(&mut self, workflow: WorkflowId, now: Now) {
        while self.has_place(workflow)
            && let Some(first) = self.tally.take_first(workflow)
        {
            self.reduce(first.handler, Input::Admitted, now);
        }
    }
}
