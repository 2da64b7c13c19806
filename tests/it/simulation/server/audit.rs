//! What must hold: after every turn, at a start, when nothing is pending, at the end.

use std::{collections::BTreeSet, time::Duration};

use steprill::{
    Outcome,
    engine::{
        input::PassId,
        keys::{HandlerKey, RunKey, WorkflowId},
        scheduler::{Capacity, Lane},
        storage::Batch,
    },
    graph::StepId,
    limits::{BACK_OFF_US, RETENTION_PAUSE_US},
    pass::PassInput,
};

use super::{clients::Told, model::Row, workflows::Flow, world::World};

impl World {
    /// Checks that no event and no outcome is sent before it is committed.
    pub(crate) fn audit(&mut self) {
        let mut next = self.core.scheduler().next_handler(None);
        while let Some(key) = next {
            self.check_handler(key);
            next = self.core.scheduler().next_handler(Some(key));
        }
        assert_eq!(self.core.scheduler().counts(), self.core.scheduler().recounts(), "the counts equal a recount");
        self.check_places();
        self.check_waiting();
    }

    /// Checks that no more than `max_runs` runs are admitted, besides those whose end was dropped.
    fn check_places(&self) {
        let unreadable = &self.store.unreadable;
        // An end in a pending batch will be dropped, too, if its handler was set aside meanwhile and is resident again.
        let ended = self.store.submitted.iter().flat_map(|batch| &batch.ended).map(|ended| ended.run);
        let undone: BTreeSet<RunKey> = self.store.undone.iter().copied().chain(ended).collect();
        for flow in &self.flows {
            let (Some(max), Some(workflow)) = (flow.graph.max_runs, self.core.scheduler().workflow(&flow.name)) else {
                continue;
            };
            let (mut admitted, _) = self.places(flow);
            // A run that a start could not read has failed and left its place, although that may never be committed.
            admitted.retain(|run| !undone.contains(run) && !unreadable.contains(&run.handler));
            assert!(admitted.len() <= max, "no more runs than may run at a time: {admitted:?}");
            let goes_on = |run: &&RunKey| {
                let key = run.handler;
                let is_here = self.core.scheduler().run_of(key) == Some(**run) && !self.core.scheduler().is_aside(key);
                is_here && self.core.scheduler().workflow_of(key) == Some(workflow)
            };
            let undone_here = undone.iter().filter(goes_on).count();
            let [held, _] = self.core.scheduler().counts().places[usize::from(workflow.0)];
            assert!(held <= max + undone_here, "no more places than there are: {held}, {undone_here} of them undone");
        }
    }

    /// Returns the live runs of a workflow: those that are admitted, and those that wait for a place.
    fn places(&self, flow: &Flow) -> (Vec<RunKey>, Vec<RunKey>) {
        // A run that cannot be carried over to the present version of its workflow starts no pass, and is about to
        // fail.
        let workflow = self.core.scheduler().workflow(&flow.name);
        let is_of_flow =
            |run: &RunKey| workflow.is_some() && self.core.scheduler().workflow_of(run.handler) == workflow;
        let of_flow = self.live().map(|(run, _)| run).filter(is_of_flow);
        of_flow.partition(|run| self.history.runs[run].shadow.is_admitted())
    }

    fn check_handler(&self, key: HandlerKey) {
        let (view, run) = (self.core.scheduler().view(key), self.core.scheduler().run_of(key));
        let (Some(view), Some(run), Some(range)) = (view, run, self.core.scheduler().feed_range(key)) else {
            panic!("a handler that is here can be asked")
        };
        let Some(history) = self.history.runs.get(&run) else {
            assert!(view.outcome.is_none() && range.is_empty(), "nothing uncommitted is visible");
            return;
        };
        assert_eq!(view.run_id, history.run_id);
        let window = self.store.model.feeds.get(&run).map_or(u64::MAX, |events| events.first);
        assert!(
            range.start >= history.first && range.end <= history.next_sequence(),
            "only committed events are visible"
        );
        assert!(range.start <= window, "all that has not left the window shows");
        if let Some(outcome) = view.outcome.filter(|_| !self.core.scheduler().is_aside(key)) {
            let committed = history.end.as_ref().map(|(outcome, _)| outcome);
            assert_eq!(committed, Some(outcome), "only a committed outcome is visible, and there is one");
            assert_eq!(range.end, history.next_sequence(), "a run that has ended shows all of its events");
        }
    }

    /// Checks that a started pass is due according to the store: its end is not recorded, and this process has not
    /// started it before.
    pub(crate) fn check_start(&mut self, run: RunKey, workflow: WorkflowId, step: StepId, input: &PassInput) -> PassId {
        let history = &self.history.runs[&run];
        assert!(history.end.is_none(), "no pass is started after the end");
        let pass = history.pass_of(input.work).expect("a pass is owed before it starts");
        let graph = self.core.scheduler().graph(workflow);
        let owed = history.shadow.pass_step(pass).expect("it is owed");
        assert_eq!(graph.step(step).name, self.store.model.versions[history.version].step(owed).name);
        let owed = history.shadow.pass_input(pass).expect("it is owed");
        assert_eq!(owed.attempt, input.attempt, "an attempt is counted across crashes");
        assert_eq!(owed.waits.len(), input.waits.len());
        assert!(self.started.insert((run, pass)), "{run:?} {pass:?}: a pass is started once");
        pass
    }

    /// Checks that retention removes no more handlers than it must, the longest ended first. It may have counted
    /// handlers that were set aside without its knowledge.
    pub(crate) fn check_purges(&self, batch: &Batch, oldest: &[(HandlerKey, i64)]) {
        let limits = &self.settings.limits;
        let by_retention: Vec<_> = batch.purged.iter().filter(|key| !self.clients.purging.contains(key)).collect();
        let expired = |key: &HandlerKey| {
            let ended_us = oldest.iter().find(|(other, _)| other == key).map(|(_, ended_us)| *ended_us);
            let keep_us = limits.keep_for.map(|keep_for| keep_for.as_micros() as i64);
            keep_us.zip(ended_us).is_some_and(|(keep_us, ended_us)| ended_us + keep_us <= self.now.wall_us)
        };
        let unexpired = by_retention.iter().filter(|key| !expired(key)).count();
        let before = oldest.len() + batch.ended.len() + self.store.finished_unheard();
        assert!(
            unexpired == 0 || limits.data_bytes_max.is_some() || before >= limits.keep_finished + unexpired,
            "retention removes {unexpired} of {before}, of which {} are to stay",
            limits.keep_finished
        );
        for key in by_retention {
            assert!(oldest.iter().any(|(other, _)| other == key), "only what has ended is removed");
            let read = self.clients.readers.values().any(|reader| reader.run.handler == *key);
            let newest = self.store.model.handlers.get(key).map(|row| row.run);
            assert!(newest.is_none() || !read, "no reader loses its run");
        }
    }

    pub(crate) fn is_so(&self, told: &Told) -> bool {
        let model = &self.store.model;
        let history = |run: &RunKey| self.history.runs.get(run);
        match told {
            Told::Started(run, run_id) => {
                let stands = model.handlers.get(&run.handler).is_some_and(|row| row.run >= run.run);
                history(run).is_some_and(|run| run.run_id == *run_id) && (stands || self.purged.contains(&run.handler))
            }
            Told::Posted(run, text) => history(run).is_some_and(|run| run.posts.contains(text)),
            Told::Cancelled(run) => history(run).is_some_and(|run| matches!(run.end, Some((Outcome::Cancelled, _)))),
            Told::Purged(key, run_id) => model.handlers.get(key).is_none_or(|row| row.run_id != *run_id),
            Told::Refused => true,
            Told::Result(run, outcome) => {
                history(run).and_then(|run| run.end.as_ref()).is_some_and(|(end, _)| end == outcome)
            }
        }
    }

    pub(crate) fn check_told(&self, told: &Told) {
        assert!(self.is_so(told), "what was acknowledged is in the store: {told:?}");
    }

    /// Checks that every handler whose run has not ended is resident again, unchanged.
    pub(crate) fn check_recovered(&mut self) {
        let goes_on = |key: HandlerKey, row: &Row| row.end.is_none() && !row.is_aside && !self.store.is_headless(key);
        for (key, row) in self.store.model.handlers.iter().filter(|(key, row)| goes_on(**key, row)) {
            let run = self.core.scheduler().run_of(*key).expect("a live run is resident after a start");
            assert_eq!(run.run, row.run);
        }
        self.audit();
    }

    /// Simulates turns without anything new until nothing is pending.
    fn quiesce(&mut self, turns: &mut u64) {
        // Whatever could not be committed or read is retried.
        self.skip(BACK_OFF_US);
        for _ in 0..2_000 {
            let Ok(()) = self.turn() else { unreachable!("nothing goes wrong any more") };
            *turns = self.counts.turns;
            let is_due = self.core.scheduler().poll_timeout(self.now) == Some(Duration::ZERO);
            let is_busy = !self.store.is_idle() || !self.core.scheduler().is_settled() || self.is_working();
            let is_quiet = !is_due && !is_busy && self.is_quiet();
            let is_here =
                |key| self.core.scheduler().run_of(key).is_some() && !self.core.scheduler().is_backing_off(key);
            if is_quiet && self.live().all(|(run, _)| is_here(run.handler)) {
                return self.audit_quiet();
            }
        }
        panic!("it does not come to rest: {:#?}", self.core);
    }

    /// Returns the live runs. Runs of handlers that were set aside (by the store, or because their end could not be
    /// committed), or of which nothing can be read, are not among them. The same rules apply to all others, whether or
    /// not there are such runs.
    fn live(&self) -> impl Iterator<Item = (RunKey, bool)> {
        let is_aside = |key: HandlerKey, row: &Row| row.is_aside || self.core.scheduler().is_aside(key);
        let goes_on = move |key: HandlerKey, row: &Row| row.end.is_none() && !is_aside(key, row) && !self.is_lost(key);
        let live = self.store.model.handlers.iter().filter(move |(key, row)| goes_on(**key, row));
        live.map(|(&handler, row)| {
            let served = self.core.scheduler().workflow(&self.store.model.versions[row.version].name).is_some();
            (RunKey { handler, run: row.run }, served)
        })
    }

    /// Returns whether nothing of the handler could be read when it was wanted, so that it is not resident.
    fn is_lost(&self, key: HandlerKey) -> bool {
        self.store.is_headless(key) && self.core.scheduler().run_of(key).is_none()
    }

    /// Checks that everything due is done, and everything committed is visible.
    fn audit_quiet(&mut self) {
        for lane in [Lane(0), Lane(1)] {
            assert!(self.core.scheduler_mut().poll_pass(self.now, lane, Capacity::UNBOUNDED).is_none());
        }
        for (run, served) in self.live() {
            let history = &self.history.runs[&run];
            let range = self.core.scheduler().feed_range(run.handler).expect("a live run is resident");
            assert_eq!(range.end, history.next_sequence(), "everything committed is visible");
            if served {
                assert!(history.owed_passes().is_empty(), "{run:?}: no pass that is owed is forgotten");
                let due =
                    history.owed_timers().into_iter().find(|(_, deadline)| deadline.is_due(self.now, self.began_us));
                assert!(due.is_none(), "{run:?}: no timer that is due is forgotten");
            }
        }
        let counts = self.core.scheduler().counts();
        assert_eq!((counts.reloading, counts.running), (0, self.live().count()), "all runs count that go on");
        // A handler that cannot be removed although its own rows are whole is not chosen again, and does not count.
        let retained = self.store.model.ended.values().filter(|key| !self.core.scheduler().is_aside(**key)).count();
        assert_eq!(self.core.scheduler().retained_count(), retained, "every retained handler counts");
        for flow in &self.flows {
            let Some(max) = flow.graph.max_runs else { continue };
            let (admitted, waiting) = self.places(flow);
            let is_full = admitted.len() >= max || waiting.is_empty();
            assert!(is_full, "a waiting run gets a free place: {admitted:?}, {waiting:?}");
        }
    }

    /// Lets everything end, and checks what is left.
    pub(crate) fn wind_down(&mut self, turns: &mut u64) {
        if self.random.one_in(2) {
            self.restart();
        }
        self.quiesce(turns);
        // Every workflow is served again.
        self.restart();
        self.leave_all();
        for round in 0..1_000 {
            self.quiesce(turns);
            let live: Vec<RunKey> = self.live().map(|(run, _)| run).collect();
            if live.is_empty() {
                break;
            }
            let run = *self.random.pick(&live);
            let first = live.iter().flat_map(|run| self.history.runs[run].owed_timers());
            let first_us = first.map(|(_, deadline)| self.now.until(deadline).as_micros() as u64).min();
            match (round, first_us) {
                (0..300, Some(left_us)) if self.random.one_in(2) => self.skip(left_us),
                (0..300, _) if !self.history.runs[&run].questions.is_empty() => self.answer(run),
                (0..300, Some(left_us)) => self.skip(left_us),
                _ => {
                    let id = self.core.scheduler().view(run.handler).expect("it is here").id.to_owned();
                    self.request(super::clients::Request::Cancel { id, purge: false });
                }
            }
        }
        assert_eq!(self.live().count(), 0, "every run comes to its end");
        self.skip(120_000_000);
        self.quiesce(turns);
        self.quiesce(turns);
        self.check_empty();
        self.restart();
        self.quiesce(turns);
        self.check_empty();
    }

    /// Checks that without live runs nothing is held but finished handlers within their limits.
    fn check_empty(&mut self) {
        let finished = self.store.model.ended.len();
        assert!(finished <= self.settings.limits.keep_finished, "{finished} finished handlers are retained");
        if let Some(keep_for) = self.settings.limits.keep_for {
            let expired_us = self.now.wall_us - (keep_for + 2 * RETENTION_PAUSE).as_micros() as i64;
            let oldest = self.store.model.ended.values().map(|key| self.store.model.handlers[key].updated_us);
            assert!(oldest.min().is_none_or(|ended_us| ended_us > expired_us), "nothing is retained for too long");
        }
        assert_eq!((self.core.scheduler().working(), self.core.scheduler().hanging()), (0, 0));
        assert!(self.clients.doing.is_empty() && self.core.caller_count() == 0, "every caller got a reply");
        assert!(self.clients.readers.is_empty(), "every reader came to the end");
        let counts = self.core.scheduler().counts();
        assert_eq!((counts.reloading, counts.running, counts.time_outs), (0, 0, 0));
        assert!(counts.places.iter().all(|places| *places == [0, 0]), "every place is free again");
        let inside = format!("{:?}", self.core.scheduler());
        assert!(["[]", "[[]]", "[[], []]"].iter().any(|empty| inside.contains(&format!("ready: {empty}, lanes: "))));
        for part in ["channels: {}", "wall: {}, alive: {}", "out: {}, next_tag"] {
            assert!(inside.contains(part), "memory is bounded by live work: no {part} in {inside}");
        }
    }
}

/// How often the ages of handlers are checked.
const RETENTION_PAUSE: Duration = Duration::from_micros(RETENTION_PAUSE_US);
