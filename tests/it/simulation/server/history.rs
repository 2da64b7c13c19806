//! What was committed of every run, record by record, and the run that follows from it, folded independently of the
//! scheduler.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use steprill::{
    engine::{
        ids::HandlerIds,
        input::{Effect, External, Input, Outcome, PassId, TimerId},
        keys::{HandlerKey, RunKey},
        published::Published,
        record::{self, Names},
        run::Run,
        storage::{Batch, StartState},
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    now::{Clock, Deadline, Now},
    pass::{Done, Emitted, NewWait, Note, PassEnd, PassInput},
    values::Values,
};

use super::model::{Model, Session, Version};
use crate::simulation::{run::body::Performance, run::model::Model as Rules, run::places::Places};

pub(crate) const SECRET: u128 = 0x51_0E;

/// All runs that ever existed, including those of removed handlers.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) runs: BTreeMap<RunKey, RunHistory>,
    /// Values of refused posts, and refused runs: none of them may ever appear.
    pub(crate) refused_posts: BTreeSet<String>,
    pub(crate) refused_runs: BTreeSet<uuid::Uuid>,
    /// Runs that a client wants to cancel.
    pub(crate) cancelling: BTreeSet<RunKey>,
    /// Handlers whose rows cannot be read.
    pub(crate) unreadable: BTreeSet<HandlerKey>,
    pub(crate) records: u64,
    /// How many events a run turns into works with one input.
    pub(crate) events_at_once: u32,
    /// Time during which the server's alive clock stood still: where it stood, and for how long.
    unseen: Vec<(u64, u64)>,
}

/// One run, as committed.
pub(crate) struct RunHistory {
    pub(crate) run_id: uuid::Uuid,
    handler_id: Arc<str>,
    pub(crate) version: Version,
    pub(crate) first: u64,
    /// The state with which it began, if that is not in the journal.
    initial_state: Values,
    events_at_once: u32,
    /// Follows the journal, record by record.
    pub(crate) shadow: Run,
    /// The rules of a run, as long as it has had one version of its workflow and lost nothing.
    rules: Option<Rules>,
    log: Vec<Logged>,
    pub(crate) events: Vec<(Version, Published)>,
    pub(crate) end: Option<(Outcome, Values)>,
    pub(crate) posts: BTreeSet<String>,
    /// Open questions, by work.
    pub(crate) questions: BTreeMap<u64, (u64, EventId)>,
    /// Passes of this session that were handed out, with what they saw, until their ends are committed.
    handed: Vec<(PassId, StepId, PassInput)>,
    performances: BTreeMap<PassId, Performance>,
    /// Whether any event other than an answer came from outside.
    pub(crate) is_disturbed: bool,
    pub(crate) event: Option<Json>,
    newest: Now,
}

/// Refused posts, and time that the alive clock missed.
type Outside<'a> = (&'a BTreeSet<String>, &'a [(u64, u64)]);

enum Logged {
    Record(Vec<u8>),
    Moved(Version),
}

impl History {
    pub(crate) fn new(events_at_once: u32) -> Self {
        Self { events_at_once, ..Self::default() }
    }

    /// Checks a committed batch against the state before it.
    pub(crate) fn apply(&mut self, batch: &Batch, before: &Model, session: &Session) {
        let mut published: BTreeMap<RunKey, VecDeque<&Published>> = BTreeMap::new();
        for (run, event) in &batch.published {
            published.entry(*run).or_default().push_back(event);
        }
        for opened in &batch.opened {
            let head = opened.head.as_ref().expect("what is begun is recorded");
            assert!(!self.refused_runs.contains(&head.run_id), "what was refused never shows up");
            let spelled = || String::from_utf8_lossy(&HandlerIds::new(SECRET).spell(opened.run.handler)).into();
            let id = head.id.clone().unwrap_or_else(spelled);
            let graph = &before.versions[session.version(head.workflow)];
            let version = session.version(head.workflow);
            let mut history = RunHistory::new(head.run_id, id, version, graph, (opened.first, self.events_at_once));
            history.initial_state = match &head.state {
                StartState::Recorded => Values::default(),
                StartState::Given(state) => state.clone(),
                StartState::Inherited => {
                    let earlier = RunKey { run: opened.run.run - 1, ..opened.run };
                    let end = self.runs[&earlier].end.as_ref().expect("a run that has ended is continued");
                    end.1.clone()
                }
            };
            assert!(self.runs.insert(opened.run, history).is_none(), "a run is opened once");
        }
        let mut seen = BTreeSet::new();
        for snapshotted in &batch.snapshots {
            let (run, version) = (self.run_mut(snapshotted.run), session.version(snapshotted.workflow));
            if seen.insert(snapshotted.run) && run.version != version {
                run.move_to(version, &before.versions);
                run.log.push(Logged::Moved(version));
                assert_eq!(run.shadow.snapshot(), snapshotted.snapshot, "a run is carried over as it was");
            }
        }
        for (key, record) in &batch.records {
            let events = published.entry(*key).or_default();
            self.records += 1;
            let (refused, unseen) = (&self.refused_posts, &self.unseen);
            let run = self.runs.get_mut(key).expect("a record is of a run");
            run.take_record(record, events, &before.versions, (refused, unseen));
            let is_cancelled = matches!(run.end, Some((Outcome::Cancelled, _)));
            assert!(!is_cancelled || self.cancelling.contains(key), "what was refused never shows up");
        }
        for of in batch.ended.iter().filter(|of| self.unreadable.contains(&of.run.handler)) {
            // It fails without an input, because its journal cannot be read.
            let run = self.runs.get_mut(&of.run).expect("a run that was opened");
            if run.end.is_none() && matches!(of.outcome, Outcome::Failed(_)) {
                let events = std::mem::take(published.entry(of.run).or_default());
                run.events.extend(events.into_iter().map(|event| (run.version, event.clone())));
                run.end = Some((of.outcome.clone(), of.state.clone()));
            }
        }
        for (key, events) in &published {
            assert!(events.is_empty(), "{key:?} publishes events that none of its inputs emits: {events:?}");
        }
        let newest: BTreeMap<_, _> = batch.snapshots.iter().map(|of| (of.run, &of.snapshot)).collect();
        for (key, snapshot) in newest {
            let run = &self.runs[&key];
            let same = run.end.is_some() || run.shadow.snapshot() == run.resumed(snapshot, &before.versions);
            assert!(same, "{key:?}: a snapshot is what the whole journal comes to");
        }
        let ended: BTreeSet<RunKey> = batch.ended.iter().map(|ended| ended.run).collect();
        for of in &batch.ended {
            let run = &self.runs[&of.run];
            let (outcome, state) = run.end.as_ref().expect("a run ends by an input");
            assert_eq!((outcome, state), (&of.outcome, &of.state), "one outcome, and the state of its commits");
        }
        for (key, _) in &batch.records {
            assert!(
                self.runs[key].end.is_none() || ended.contains(key),
                "an end is committed with the input that led to it"
            );
        }
    }

    pub(crate) fn note_unseen(&mut self, alive_us: u64, passed_us: u64) {
        self.unseen.push((alive_us, passed_us));
    }

    pub(crate) fn run_mut(&mut self, key: RunKey) -> &mut RunHistory {
        self.runs.get_mut(&key).expect("a run that was opened")
    }

    /// The process has ended. After a loss of power, only what the store has now was ever committed.
    pub(crate) fn crash(&mut self, model: &Model, purged: &BTreeSet<HandlerKey>) {
        self.cancelling.clear();
        for run in self.runs.values_mut() {
            run.handed.clear();
            run.performances.clear();
        }
        self.runs.retain(|key, _| {
            purged.contains(&key.handler) || model.handlers.get(&key.handler).is_some_and(|row| row.run >= key.run)
        });
        for (key, row) in &model.handlers {
            let key = RunKey { handler: *key, run: row.run };
            let (run, unseen) = (self.runs.get_mut(&key).expect("a run that was opened"), &self.unseen);
            let records = run.log.iter().filter(|logged| matches!(logged, Logged::Record(_))).count();
            if records != row.records || run.version != row.version || run.end.is_some() != row.end.is_some() {
                run.go_back(row.records, row.version, model, unseen);
            }
            let events = &model.feeds[&key];
            // Earlier ones have left the window.
            let left = (events.first - run.first) as usize;
            assert_eq!(run.events[left..], events.list, "a crash neither removes nor renumbers");
        }
    }
}

impl RunHistory {
    fn new(
        run_id: uuid::Uuid,
        handler_id: Arc<str>,
        version: Version,
        graph: &Arc<Graph>,
        (first, events_at_once): (u64, u32),
    ) -> Self {
        let shadow = Run::new(Arc::clone(graph), run_id, Arc::clone(&handler_id)).with_window();
        Self {
            run_id,
            shadow: shadow.with_events_at_once(events_at_once),
            events_at_once,
            handler_id,
            version,
            first,
            initial_state: Values::default(),
            rules: Some(Rules::new(Arc::clone(graph))),
            log: Vec::new(),
            events: Vec::new(),
            end: None,
            posts: BTreeSet::new(),
            questions: BTreeMap::new(),
            handed: Vec::new(),
            performances: BTreeMap::new(),
            is_disturbed: false,
            event: None,
            newest: Now::default(),
        }
    }

    /// Returns the run that continues from this snapshot.
    fn resumed(&self, snapshot: &[u8], versions: &[Arc<Graph>]) -> Vec<u8> {
        let (snapshot, records) = record::split(snapshot).expect("it is whole");
        let graph = &versions[self.version];
        let same = Names::of(graph).translation(graph);
        let run = Run::restore(snapshot, &same, Arc::clone(graph)).expect("it is read back");
        let run = run.with_window().with_events_at_once(self.events_at_once);
        let mut run = run.with_initial_state(&self.initial_state);
        for record in records {
            let (input, now) = record::decode(record, graph).expect("a record is read back");
            run.handle(input, now, &mut Vec::new());
        }
        run.snapshot()
    }

    /// Returns the live pass of a work, if there is one.
    pub(crate) fn pass_of(&self, work: u64) -> Option<PassId> {
        self.owed_passes().into_iter().find(|pass| pass.work == work)
    }

    pub(crate) fn owed_passes(&self) -> Vec<PassId> {
        let pending = self.shadow.pending();
        pending
            .into_iter()
            .filter_map(|effect| if let Effect::StartPass(pass) = effect { Some(pass) } else { None })
            .collect()
    }

    pub(crate) fn owed_timers(&self) -> Vec<(TimerId, Deadline)> {
        let pending = self.shadow.pending();
        let timer = |effect| if let Effect::Arm(timer, deadline) = effect { Some((timer, deadline)) } else { None };
        pending.into_iter().filter_map(timer).collect()
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(crate) fn note_handed(&mut self, pass: PassId, step: StepId, input: PassInput, performance: Performance) {
        self.handed.push((pass, step, input));
        self.performances.insert(pass, performance);
    }

    fn move_to(&mut self, version: Version, versions: &[Arc<Graph>]) {
        let (old, new) = (&versions[self.version], &versions[version]);
        let translation = Names::of(old).translation(new);
        let moved = Run::restore(&self.shadow.snapshot(), &translation, Arc::clone(new));
        let moved =
            moved.expect("a run that is carried over has all that it needs").with_initial_state(&self.initial_state);
        let moved = moved.with_events_at_once(self.events_at_once);
        let waiting = Places::of(&self.shadow).waiting;
        assert_eq!(Places::of(&moved).waiting, waiting, "what waits is carried over with its run");
        self.shadow = moved;
        self.version = version;
        self.rules = None;
        self.questions.clear();
        self.is_disturbed = true;
    }

    fn take_record(
        &mut self,
        bytes: &[u8],
        published: &mut VecDeque<&Published>,
        versions: &[Arc<Graph>],
        outside: Outside<'_>,
    ) {
        let graph = Arc::clone(&versions[self.version]);
        let (mut input, now) = record::decode(bytes, &graph).expect("a record is read back");
        if let Input::StartedFrom { state, .. } = &mut input {
            *state = self.initial_state.clone();
        }
        assert!(self.end.is_none(), "nothing comes after the end");
        assert!(now.wall_us >= self.newest.wall_us && now.alive_us >= self.newest.alive_us, "time does not go back");
        self.newest = now;
        self.check_input(&input, now, outside);
        self.see_handed();
        let is_live = match &input {
            Input::Done { pass, .. } | Input::LargeDone { pass, .. } | Input::PassLost { pass } => {
                self.shadow.pass_step(*pass).is_some()
            }
            _ => true,
        };
        let mut effects = Vec::new();
        let places = Places::of(&self.shadow);
        self.shadow.handle(input.clone(), now, &mut effects);
        places.check(&input, &self.shadow);
        let shown = (self.shadow.next_sequence() - self.next_sequence()) as usize;
        let folded = effects.iter().filter(|effect| matches!(effect, Effect::Publish(_))).count();
        // Stream writes are only in the feed, and come first among the events of their input.
        let streamed: Vec<_> =
            published.iter().take(shown - folded).map(|event| Effect::Publish((*event).clone())).collect();
        assert!(streamed.is_empty() || matches!(input, Input::Noted { .. }));
        effects.splice(0..0, streamed);
        for effect in &effects {
            if let Effect::Publish(event) = effect {
                assert_eq!(published.pop_front(), Some(event), "the journal leads to the same events: {input:?}");
                self.events.push((self.version, event.clone()));
            }
        }
        assert_eq!(self.shadow.next_sequence(), self.next_sequence(), "feed numbers have no gaps");
        self.check_rules(&input, now, &effects, is_live);
        self.note_questions(&input, &effects);
        if let Some(Effect::Finish(outcome)) = effects.last() {
            let state = matches!(outcome, Outcome::Completed(_)).then(|| self.shadow.state()).unwrap_or_default();
            self.end = Some((outcome.clone(), state));
        }
        self.log.push(Logged::Record(bytes.to_vec()));
    }

    fn check_input(&mut self, input: &Input, now: Now, (refused, unseen): Outside<'_>) {
        match input {
            Input::External(External { value, .. }) => {
                assert!(!refused.contains(value.as_str()), "what was refused never shows up");
                assert!(self.posts.insert(value.as_str().to_owned()), "what was posted once is there once");
            }
            Input::Due { timer } => {
                if let Some((_, deadline)) = self.owed_timers().iter().find(|(other, _)| other == timer) {
                    let since = unseen.iter().filter(|(at_us, _)| *at_us >= deadline.set_us);
                    let is_wall = deadline.clock == Clock::Wall;
                    let unseen_us: u64 = since.filter(|_| is_wall).map(|(_, passed_us)| passed_us).sum();
                    assert!(now.alive_us + unseen_us >= deadline.alive_at_us, "waits and time-outs end not early");
                }
            }
            Input::Started { event, state, .. } | Input::StartedFrom { event, state, .. } => {
                self.event = Some(event.clone());
                self.is_disturbed = !state.is_empty();
            }
            _ => {}
        }
    }

    /// Returns the passes whose snapshots are of this moment.
    fn see_handed(&mut self) {
        let (shadow, rules) = (&self.shadow, &mut self.rules);
        self.handed.retain(|(pass, step, input)| {
            let seen = shadow.pass_input(*pass).is_some_and(|now| now.state.version == input.state.version);
            if seen && let Some(rules) = rules {
                rules.check_pass(*pass, *step, input);
            }
            !seen
        });
    }

    fn check_rules(&mut self, input: &Input, now: Now, effects: &[Effect], is_live: bool) {
        if let (Some((pass, done)), true) = (done_of(input), is_live) {
            let seen = !self.handed.iter().any(|(other, ..)| *other == pass);
            let performance = self.performances.remove(&pass).expect("a pass that is done was handed out");
            assert!(seen, "a pass sees a state that was");
            if let Some(rules) = &mut self.rules {
                rules.expect_done(pass, &done, &performance);
            }
        }
        if let Input::PassLost { pass } = input {
            self.handed.retain(|(other, ..)| other != pass);
            self.performances.remove(pass);
        }
        if !is_live {
            assert!(effects.is_empty(), "stale results change nothing");
        } else if let Some(rules) = &mut self.rules {
            rules.check(input, now, effects, &self.shadow);
        }
    }

    fn note_questions(&mut self, input: &Input, effects: &[Effect]) {
        match input {
            Input::External(External { step, value, in_reply_to, .. }) => {
                let answers = step.is_none() && in_reply_to.is_none() && value.as_str().starts_with("{\"q\":");
                self.is_disturbed |= !answers;
            }
            Input::Cancel | Input::Fail(_) => self.is_disturbed = true,
            // Attempts that time out use up the attempts of a step that emits an event on failure.
            Input::Done { done, .. } if done.end == PassEnd::TimedOut => self.is_disturbed = true,
            // So do attempts whose passes are lost too often.
            Input::PassLost { .. } if !matches!(effects, [Effect::StartPass(_)]) => self.is_disturbed = true,
            Input::Done { pass, done } => {
                if let PassEnd::Waits { wait: NewWait::Ask { answer, value, .. }, .. } = &done.end {
                    let number = value.decode::<serde_json::Value>().expect("an object")["q"].as_u64();
                    self.questions.insert(pass.work, (number.expect("a number"), *answer));
                }
            }
            _ => {}
        }
        for effect in effects {
            match effect {
                Effect::StartPass(pass) => {
                    self.questions.remove(&pass.work);
                }
                Effect::Finish(_) => self.questions.clear(),
                _ => {}
            }
        }
    }

    /// Drops all but this many of its records.
    fn go_back(&mut self, records: usize, version: Version, model: &Model, unseen: &[(u64, u64)]) {
        let log = std::mem::take(&mut self.log);
        let events = std::mem::take(&mut self.events);
        let began = events.first().map_or(self.version, |(version, _)| *version);
        let initial_state = std::mem::take(&mut self.initial_state);
        let (first, events_at_once) = (self.first, self.events_at_once);
        let graph = &model.versions[began];
        *self = Self::new(self.run_id, Arc::clone(&self.handler_id), began, graph, (first, events_at_once));
        self.initial_state = initial_state;
        (self.rules, self.is_disturbed) = (None, true);
        let mut left = records;
        for logged in log {
            match &logged {
                Logged::Record(bytes) if left > 0 => {
                    left -= 1;
                    let mut published: VecDeque<&Published> =
                        events[self.events.len()..].iter().map(|(_, event)| event).collect();
                    self.performances_of(bytes, &model.versions);
                    self.take_record(bytes, &mut published, &model.versions, (&BTreeSet::new(), unseen));
                }
                Logged::Record(_) => break,
                Logged::Moved(to) => {
                    if left == 0 && self.version == version {
                        break;
                    }
                    self.move_to(*to, &model.versions);
                    self.log.push(logged);
                }
            }
        }
        assert_eq!((left, self.version), (0, version), "the store has what the history has");
    }

    /// Restores the performance that this record ends, which no pass of this session has reported.
    fn performances_of(&mut self, bytes: &[u8], versions: &[Arc<Graph>]) {
        let (input, _) = record::decode(bytes, &versions[self.version]).expect("a record is read back");
        if let Some((pass, done)) = done_of(&input) {
            let performance = Performance { notes: Vec::<Note>::new(), done, seen: BTreeMap::new(), keys_seen: None };
            self.performances.insert(pass, performance);
        }
    }
}

/// Returns the end of a pass, however it is recorded.
fn done_of(input: &Input) -> Option<(PassId, Done)> {
    match input {
        Input::Done { pass, done } => Some((*pass, done.clone())),
        Input::LargeDone { emitted, state, pass } => {
            let Emitted { sent, returned } = Emitted::clone(emitted);
            Some((*pass, Done { end: PassEnd::Returned(returned), sent, state: state.clone() }))
        }
        _ => None,
    }
}
