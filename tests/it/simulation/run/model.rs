//! What must hold for any run, judged only by its inputs and effects.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::{
        input::{Effect, External, Input, Outcome, PassId},
        published::{Published, StepOutput, StepState},
        run::Run,
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::{CONFLICTS_MAX, PASS_LOSSES_MAX},
    now::Now,
    pass::{Done, Emitted, EventRef, Note, PassEnd, PassInput, Wait, WorkEvent},
};

use super::{body, body::Performance};

pub(crate) struct Model {
    graph: Arc<Graph>,
    admitted: bool,
    outcome: Option<Outcome>,
    /// The slots that are taken, and how many works of a step wait for one.
    slots: BTreeSet<(StepId, u16)>,
    queued: BTreeMap<StepId, usize>,
    works: BTreeMap<u64, WorkSeen>,
    /// The newest pass that has started, by work.
    started: BTreeMap<u64, u32>,
    /// How many works of a step there must be, without fan-ins.
    owed: BTreeMap<StepId, usize>,
    /// The events that fan-ins did not get yet, by fan-in and number.
    collected: BTreeMap<(StepId, u64), usize>,
    /// The committed state, by the order of commits, with the version of each key's last change.
    state: BTreeMap<Arc<str>, Json>,
    changed: BTreeMap<Arc<str>, u64>,
    keys_changed: u64,
    commits: u64,
    /// The number of commits when the snapshot of a pass was taken.
    snapshots: BTreeMap<PassId, u64>,
    /// Serial numbers of answers, and the one wait that each resolved.
    answers: BTreeMap<u64, (u64, usize)>,
    /// Works that must run alone, in order.
    alone: VecDeque<u64>,
    running: BTreeSet<PassId>,
    pub(crate) most_conflicts: u32,
    expected: Option<Expected>,
    /// The work whose pass was lost with this input.
    again: Option<u64>,
}

#[derive(Default)]
struct WorkSeen {
    step: Option<StepId>,
    attempt: u32,
    waits: Vec<Wait>,
    /// Hashes of the attempt's stream writes.
    published: Vec<u128>,
    conflicts: u32,
    /// Passes that were lost in a row.
    losses: u32,
    /// Whether its last attempt has failed, so that it emits an event instead.
    failed: bool,
    ended: bool,
}

/// What the next `Done` must lead to.
struct Expected {
    pass: PassId,
    conflict: bool,
}

impl Model {
    pub(crate) fn new(graph: Arc<Graph>) -> Self {
        Self {
            graph,
            admitted: false,
            outcome: None,
            slots: BTreeSet::new(),
            queued: BTreeMap::new(),
            works: BTreeMap::new(),
            started: BTreeMap::new(),
            owed: BTreeMap::new(),
            collected: BTreeMap::new(),
            state: BTreeMap::new(),
            changed: BTreeMap::new(),
            keys_changed: 0,
            commits: 0,
            snapshots: BTreeMap::new(),
            answers: BTreeMap::new(),
            alone: VecDeque::new(),
            running: BTreeSet::new(),
            most_conflicts: 0,
            expected: None,
            again: None,
        }
    }

    pub(crate) fn is_unadmitted(&self) -> bool {
        !self.admitted
    }

    /// Checks that a pass's input fits what its work got before.
    pub(crate) fn check_pass(&mut self, pass: PassId, step: StepId, input: &PassInput) {
        let graph = Arc::clone(&self.graph);
        assert_eq!(input.state.values, self.state, "a snapshot is the state of the commits so far");
        self.snapshots.insert(pass, self.commits);
        let work = self.works.entry(pass.work).or_default();
        let first = work.step.is_none();
        assert!(work.step.is_none_or(|known| known == step) && input.attempt >= work.attempt);
        if let (true, WorkEvent::All(events)) = (first, &input.event) {
            for (event, value) in &**events {
                assert!(graph.step(step).takes.contains(event), "a fan-in gets the types that it takes");
                let (id, _) = body::identity(&WorkEvent::One(*event, value.clone()));
                let left = self.collected.get_mut(&(step, id)).filter(|left| **left > 0);
                *left.expect("a fan-in gets each event once") -= 1;
            }
        }
        let new_attempt = input.attempt > work.attempt;
        for (ordinal, wait) in work.waits.iter().enumerate() {
            let now = input.waits.get(ordinal).expect("waits are remembered");
            let lasts = match wait {
                Wait::Slept | Wait::Asked { answer: Some(_), .. } => now == wait,
                Wait::Asked { answer: None, .. } if !new_attempt => now == wait,
                Wait::Asked { question, answer: None } => *now == Wait::Forgotten { question: *question },
                Wait::Forgotten { .. } => true,
            };
            assert!(lasts, "{wait:?} became {now:?}");
        }
        for (ordinal, wait) in input.waits.iter().enumerate() {
            if let Wait::Asked { answer: Some(answer), .. } = wait {
                let serial = answer.decode::<serde_json::Value>().expect("an object")["serial"].as_u64();
                let place = *self.answers.entry(serial.expect("a number")).or_insert((pass.work, ordinal));
                assert_eq!(place, (pass.work, ordinal), "one answer resolves one wait");
            }
        }
        if new_attempt {
            work.published.clear();
        }
        assert!(input.published.iter().eq(&work.published), "an attempt knows what it has published, and no more");
        (work.step, work.attempt, work.waits) = (Some(step), input.attempt, input.waits.iter().cloned().collect());
        assert!(input.attempt <= 5, "no more attempts than any policy has");
        assert!(input.failure.is_some() || !work.failed, "what has failed at last is not tried again");
        work.failed = input.failure.is_some();
    }

    /// Records what a live pass has read before it ends, which decides whether it conflicts.
    pub(crate) fn expect_done(&mut self, pass: PassId, done: &Done, performance: &Performance) {
        let snapshot = self.snapshots[&pass];
        let stale = |key: &Arc<str>| self.changed.get(key).is_some_and(|commit| *commit > snapshot);
        let listed = performance.keys_seen.is_some() && self.keys_changed > snapshot;
        let succeeds = matches!(done.end, PassEnd::Returned(_));
        let conflict = succeeds && (listed || performance.seen.keys().any(stale));
        if succeeds && !conflict {
            for (key, seen) in &performance.seen {
                assert_eq!(self.state.get(key), seen.as_ref(), "what a pass read is so when it commits");
            }
            if let Some(keys) = &performance.keys_seen {
                assert!(self.state.keys().eq(keys), "the keys that a pass listed are so when it commits");
            }
        }
        self.expected = Some(Expected { pass, conflict });
    }

    /// Checks the effects of one input.
    pub(crate) fn check(&mut self, input: &Input, now: Now, effects: &[Effect], run: &Run) {
        assert!(self.outcome.is_none() || effects.is_empty(), "nothing comes after the end");
        match input {
            Input::Started { admitted, state, .. } | Input::StartedFrom { admitted, state, .. } => {
                self.admitted = *admitted;
                self.state = state.iter().map(|(key, value)| (Arc::clone(key), value.json())).collect();
                let graph = Arc::clone(&self.graph);
                self.owe(graph.start, graph.takers(graph.start));
            }
            Input::Admitted => self.admitted = true,
            Input::Done { pass, done } => self.commit(*pass, done, now, effects),
            Input::LargeDone { emitted, state, pass } => {
                let Emitted { sent, returned } = Emitted::clone(emitted);
                let done = Done { end: PassEnd::Returned(returned), sent, state: state.clone() };
                self.commit(*pass, &done, now, effects);
            }
            Input::External(External { event, step, .. }) => {
                let answers = effects.iter().any(|effect| matches!(effect, Effect::Publish(_)));
                let takers: Vec<StepId> = self.graph.takers(*event).to_vec();
                let to = |taker: &StepId| step.is_none_or(|step| step == *taker);
                let takers: Vec<StepId> = takers.into_iter().filter(to).collect();
                if answers && !takers.is_empty() {
                    self.owe(*event, &takers);
                }
            }
            Input::Noted { pass, notes } => self.stream(*pass, notes, effects),
            Input::PassLost { pass } => self.lose(*pass, now, effects),
            Input::Due { .. } | Input::Cancel | Input::Fail(_) | Input::GoOn => {}
        }
        for (index, effect) in effects.iter().enumerate() {
            match effect {
                Effect::StartPass(pass) => self.start(*pass),
                Effect::Publish(event) => self.publish(event),
                Effect::Arm(_, deadline) => assert!(deadline.alive_at_us >= now.alive_us, "a timer is not overdue"),
                Effect::Finish(outcome) => {
                    assert_eq!(index + 1, effects.len(), "the finish is the last effect");
                    self.outcome = Some(outcome.clone());
                    self.check_last(&effects[..index], outcome);
                }
                Effect::Disarm(_) | Effect::GoOn => {}
            }
        }
        assert_eq!(run.outcome(), self.outcome.as_ref());
        let outcome_open = self.outcome.is_none();
        for (step, queued) in self.queued.iter().filter(|(_, queued)| outcome_open && **queued > 0) {
            let taken = self.slots.iter().filter(|(of, _)| of == step).count();
            assert_eq!(
                taken,
                usize::from(self.graph.step(*step).workers),
                "{queued} queue only if all slots are taken"
            );
        }
    }

    fn owe(&mut self, _: EventId, takers: &[StepId]) {
        for taker in takers {
            *self.owed.entry(*taker).or_default() += 1;
        }
    }

    /// Checks that a known write is not shown again, and that the first that differs and all after it are shown.
    fn stream(&mut self, pass: PassId, notes: &[Note], effects: &[Effect]) {
        let published = &mut self.works.get_mut(&pass.work).expect("a live work").published;
        let mut shown = 0;
        for note in notes {
            let (Note::Stream { ordinal, hash, .. } | Note::Recorded { ordinal, hash, .. }) = note else { continue };
            if published.get(*ordinal as usize) != Some(hash) {
                published.truncate(*ordinal as usize);
                published.push(*hash);
                shown += 1;
            }
        }
        assert_eq!(effects.len(), shown);
    }

    /// A lost pass runs again at once, in its slot, even beside one that is to run alone; or its attempt has failed.
    fn lose(&mut self, pass: PassId, now: Now, effects: &[Effect]) {
        let work = self.works.get_mut(&pass.work).expect("a live work");
        work.losses += 1;
        if work.losses < PASS_LOSSES_MAX {
            assert!(self.running.remove(&pass), "only what runs is lost");
            assert_eq!(effects, [Effect::StartPass(PassId { pass: pass.pass + 1, ..pass })]);
            self.again = Some(pass.work);
            return;
        }
        self.expected = Some(Expected { pass, conflict: false });
        let end = PassEnd::Failed { error: String::new(), retry: true };
        self.commit(pass, &Done::of(end), now, effects);
    }

    fn commit(&mut self, pass: PassId, done: &Done, now: Now, effects: &[Effect]) {
        let Some(Expected { pass: expected, conflict }) = self.expected.take() else { panic!("an unexpected Done") };
        assert_eq!(pass, expected);
        self.running.remove(&pass);
        if self.alone.front() == Some(&pass.work) {
            self.alone.pop_front();
        }
        let work = self.works.get_mut(&pass.work).expect("a live work");
        work.losses = 0;
        if conflict {
            let only_starts = effects.iter().all(|effect| matches!(effect, Effect::StartPass(_)));
            assert!(only_starts, "a conflict publishes nothing: {effects:?}");
            work.conflicts += 1;
            self.most_conflicts = self.most_conflicts.max(work.conflicts);
            assert!(work.conflicts <= CONFLICTS_MAX, "what runs alone has no conflict");
            if work.conflicts == CONFLICTS_MAX {
                self.alone.push_back(pass.work);
            } else if self.alone.is_empty() {
                assert_eq!(effects.len(), 1, "it runs again at once");
            }
            return;
        }
        work.conflicts = 0;
        let (step, attempt) = (work.step.expect("it has started"), work.attempt);
        let failed = work.failed;
        if let PassEnd::Failed { retry: true, .. } | PassEnd::Panicked(_) | PassEnd::TimedOut = &done.end {
            if failed {
                assert!(matches!(effects.last(), Some(Effect::Finish(Outcome::Failed(_)))), "{effects:?}");
            } else {
                self.check_retry(step, attempt, now, effects);
            }
        }
        let PassEnd::Returned(returned) = &done.end else { return };
        if let Some(work) = self.works.get_mut(&pass.work) {
            work.ended = true;
        }
        self.apply(done);
        let graph = Arc::clone(&self.graph);
        if returned.iter().any(|(event, _)| *event == graph.stop) {
            return;
        }
        for (event, value) in done.sent.iter().chain(returned) {
            self.owe(*event, graph.takers(*event));
            for fan_in in graph.joiners(*event) {
                let (id, _) = body::identity(&WorkEvent::One(*event, value.clone()));
                *self.collected.entry((*fan_in, id)).or_default() += 1;
            }
        }
    }

    /// Checks that a failed attempt is retried after the policy's delay, or not at all if the policy says so.
    fn check_retry(&self, step: StepId, attempt: u32, now: Now, effects: &[Effect]) {
        let policy = self.graph.step(step).retry.clone().without_jitter();
        let armed = effects.iter().find_map(|effect| match effect {
            Effect::Arm(_, deadline) => Some(now.until(*deadline)),
            _ => None,
        });
        match policy.policy(attempt, Duration::ZERO, 0) {
            Some(delay) => {
                assert!(armed.is_some_and(|armed| (delay / 2..=delay).contains(&armed)), "{delay:?} {armed:?}");
            }
            None if self.graph.step(step).on_failure.is_some() => {
                let failed =
                    effects.iter().any(|effect| matches!(effect, Effect::Publish(Published::StepFailed { .. })));
                assert!(failed && armed.is_none(), "one more pass makes the event: {effects:?}");
            }
            None => assert!(effects.iter().any(|effect| matches!(effect, Effect::Finish(Outcome::Failed(_))))),
        }
    }

    fn apply(&mut self, done: &Done) {
        if done.state.writes.is_empty() {
            return;
        }
        self.commits += 1;
        let keys: Vec<_> = self.state.keys().cloned().collect();
        for (key, write) in &done.state.writes {
            match write.apply(key, self.state.get(key).cloned().map(Into::into)).expect("keys keep their types") {
                Some(value) => self.state.insert(Arc::clone(key), value.json()),
                None => self.state.remove(key),
            };
            self.changed.insert(Arc::clone(key), self.commits);
        }
        if !self.state.keys().eq(&keys) {
            self.keys_changed = self.commits;
        }
    }

    fn start(&mut self, pass: PassId) {
        assert!(self.admitted, "no pass starts before the run is admitted");
        let again = self.again.take() == Some(pass.work);
        if let Some(first) = self.alone.front().filter(|_| !again) {
            assert!(*first == pass.work && self.running.is_empty(), "it runs alone");
        }
        self.running.insert(pass);
        let before = self.started.insert(pass.work, pass.pass);
        assert!(before.is_none_or(|before| before < pass.pass), "a pass number is never used twice");
        assert!(!self.works.get(&pass.work).is_some_and(|work| work.ended), "a work ends once");
    }

    fn publish(&mut self, event: &Published) {
        let Published::Step { step, state, slot, output, .. } = event else { return };
        let workers = self.graph.step(*step).workers;
        match (state, slot) {
            (StepState::Preparing, None) => *self.queued.entry(*step).or_default() += 1,
            (StepState::Running, Some(slot)) => {
                let lowest = (0..workers).find(|slot| !self.slots.contains(&(*step, *slot)));
                assert_eq!(Some(*slot), lowest, "the lowest free slot is taken");
                self.slots.insert((*step, *slot));
                if let Some(queued) = self.queued.get_mut(step).filter(|queued| **queued > 0) {
                    *queued -= 1;
                }
            }
            (StepState::NotRunning, Some(slot)) => {
                assert!(self.slots.remove(&(*step, *slot)), "only what ran stops running");
            }
            other => panic!("{other:?} of {output:?}"),
        }
        assert!(*state == StepState::NotRunning || *output == StepOutput::None);
    }

    /// Checks that the end is shown last and as what it is.
    fn check_last(&self, effects: &[Effect], outcome: &Outcome) {
        let shown = effects.iter().rev().find(|effect| matches!(effect, Effect::Publish(_)));
        match (outcome, shown) {
            (Outcome::Completed(value), Some(Effect::Publish(Published::Event(EventRef::Known(event), shown)))) => {
                assert_eq!((*event, shown), (self.graph.stop, value));
            }
            (Outcome::Failed(error), Some(Effect::Publish(Published::Ended { error: Some(shown), .. }))) => {
                assert_eq!(shown, error);
            }
            (Outcome::Cancelled, Some(Effect::Publish(Published::Ended { error: None, step: None }))) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Checks a run that has ended, or in which nothing can happen.
    pub(crate) fn check_end(&self, run: &Run, questions: &[u64]) {
        assert_eq!(run.state(), self.state, "the state is the writes of the passes that succeeded, in order");
        let idle = match &self.outcome {
            None => true,
            Some(Outcome::Failed(error)) => error.starts_with("no step is left"),
            Some(_) => false,
        };
        if !idle {
            return;
        }
        assert!(
            questions.is_empty() && self.slots.is_empty(),
            "no work is left, so no slot is taken: {:?}",
            self.slots
        );
        let left: Vec<_> = self.collected.iter().filter(|(_, left)| **left > 0).collect();
        assert!(left.is_empty(), "every collected event was passed to its fan-in: {left:?}");
        let mut started: BTreeMap<StepId, usize> = BTreeMap::new();
        for work in self.works.values() {
            assert!(work.ended, "every work has ended");
            let step = work.step.expect("it has started");
            if !self.graph.step(step).fan_in {
                *started.entry(step).or_default() += 1;
            }
        }
        assert_eq!(started, self.owed, "every event that a step takes became one work");
        assert_eq!(self.works.len() as u64, self.works.keys().last().map_or(0, |last| last + 1), "none vanished");
    }
}
