//! A randomized environment of a run: passes complete in any order, timers fire, people answer, the server crashes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, External, Input, Outcome, PassId, TimerId},
        published::Published,
        record::{self, Names, Translation},
        run::Run,
    },
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::EVENTS_AT_ONCE,
    now::{Clock, Deadline, Now},
    pass::{Done, Emitted, NewWait, Note, PassEnd},
    values::Values,
};

use super::{
    body::{self, Performance},
    flows::Kind,
    model::Model,
    places::Places,
};
use crate::simulation::random::{Random, hash};

/// How often something goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// One in this many steps is a crash.
    pub(crate) crash: usize,
    /// One in this many steps is an input that is late, duplicate or unknown.
    pub(crate) noise: usize,
}

pub(crate) struct World {
    graph: Arc<Graph>,
    kind: Kind,
    random: Random,
    faults: Faults,
    run: Run,
    /// A run that follows the journal, record by record.
    replica: Run,
    translation: Translation,
    id: uuid::Uuid,
    now: Now,
    /// The records as they were decoded.
    journal: Vec<(Input, Now)>,
    /// A snapshot, and how many records it covers.
    snapshot: Option<(usize, Vec<u8>)>,
    feed: Feed,
    ready: BTreeSet<PassId>,
    out: BTreeMap<PassId, Out>,
    timers: BTreeMap<TimerId, Deadline>,
    /// Open questions: number, and the type of the answer.
    questions: BTreeMap<u64, Question>,
    pub(crate) model: Model,
    /// The state that the run begins with, if its journal does not contain it.
    initial_state: Values,
    old_inputs: VecDeque<Input>,
    serial: u64,
    pub(crate) steps: u64,
    /// How many events the run turns into works with one input.
    at_once: u32,
    /// Whether it has deferred something.
    goes_on: bool,
}

/// A pass that a worker executes.
struct Out {
    step: StepId,
    notes: VecDeque<Note>,
    performance: Performance,
}

struct Question {
    number: u64,
    answer: EventId,
}

impl World {
    pub(crate) fn new(graph: &Arc<Graph>, kind: Kind, seed: u64, faults: Faults) -> Self {
        let id = uuid::Uuid::from_u128(u128::from(seed));
        let mut random = Random::new(seed);
        let at_once = *random.pick(&[1, 2, 5, EVENTS_AT_ONCE]);
        let run = || Run::new(Arc::clone(graph), id, "h".into()).with_events_at_once(at_once);
        Self {
            kind,
            random,
            faults,
            run: run(),
            replica: run(),
            translation: Names::of(graph).translation(graph),
            id,
            now: Now { wall_us: 1_000_000, alive_us: 5 },
            journal: Vec::new(),
            snapshot: None,
            feed: Feed::new(3),
            ready: BTreeSet::new(),
            out: BTreeMap::new(),
            timers: BTreeMap::new(),
            questions: BTreeMap::new(),
            model: Model::new(Arc::clone(graph)),
            initial_state: if kind == Kind::Wild && seed.is_multiple_of(2) { body::state() } else { Values::default() },
            old_inputs: VecDeque::new(),
            serial: 0,
            steps: 0,
            at_once,
            goes_on: false,
            graph: Arc::clone(graph),
        }
    }

    /// Simulates until the end, or until nothing can happen. Returns the outcome.
    pub(crate) fn play(&mut self) -> Option<Outcome> {
        let admitted = self.kind != Kind::Wild || !self.random.one_in(4);
        let event = body::value(1, 0);
        let state = self.initial_state.clone();
        self.input(if state.is_empty() {
            Input::Started { event, state, admitted, sequence: 3 }
        } else {
            Input::StartedFrom { event, state, admitted, sequence: 3 }
        });
        while self.run.outcome().is_none() {
            self.steps += 1;
            assert!(self.steps < 100_000, "it never ends");
            if self.random.one_in(self.faults.crash) {
                self.crash();
            }
            if self.random.one_in(self.faults.noise) {
                self.noise();
            }
            if !self.step(admitted) {
                break;
            }
        }
        self.crash();
        let questions: Vec<u64> = self.questions.values().map(|question| question.number).collect();
        self.model.check_end(&self.run, &questions);
        self.run.outcome().cloned()
    }

    /// Does one of the possible things. Returns `false` if there is none.
    fn step(&mut self, admitted: bool) -> bool {
        if !admitted && self.random.one_in(3) {
            self.input(Input::Admitted);
        }
        if self.kind == Kind::Wild && self.random.one_in(400) {
            let ends = [Input::Cancel, Input::Fail("the workflow has changed".into())];
            let end = self.random.pick(&ends).clone();
            self.input(end);
            return true;
        }
        if self.kind == Kind::Wild && self.random.one_in(12) {
            self.post_anything();
            return true;
        }
        match self.random.below(8) {
            5 | 6 if self.goes_on => self.input(Input::GoOn),
            0..=2 if !self.ready.is_empty() => self.hand_over(),
            3 if !self.questions.is_empty() => self.answer(),
            4 if !self.timers.is_empty() && self.random.one_in(2) => self.fire(),
            _ if !self.out.is_empty() => self.finish_one(),
            _ if !self.ready.is_empty() => self.hand_over(),
            _ if !self.questions.is_empty() => self.answer(),
            _ if self.goes_on => self.input(Input::GoOn),
            _ if !self.timers.is_empty() => self.fire(),
            _ if self.run.outcome().is_none() && self.model.is_unadmitted() => self.input(Input::Admitted),
            _ => return false,
        }
        true
    }

    fn hand_over(&mut self) {
        let passes: Vec<_> = self.ready.iter().copied().collect();
        let pass = *self.random.pick(&passes);
        self.ready.remove(&pass);
        let step = self.run.pass_step(pass).expect("a ready pass is live");
        let input = self.run.pass_input(pass).expect("a ready pass is live");
        self.model.check_pass(pass, step, &input);
        let performance = body::perform(&self.graph, self.kind, step, &input);
        let notes = performance.notes.iter().cloned().collect();
        self.out.insert(pass, Out { step, notes, performance });
    }

    fn finish_one(&mut self) {
        let passes: Vec<_> = self.out.keys().copied().collect();
        // Where many contend for one key, the first are at a disadvantage.
        let first = if self.kind == Kind::Contended && !self.random.one_in(8) { passes.len() - 1 } else { 0 };
        let pass = *self.random.pick(&passes[first..]);
        let wild = self.kind == Kind::Wild;
        let Some(out) = self.out.get_mut(&pass) else { return };
        let times_out = wild && self.graph.step(out.step).timeout.is_some() && self.random.one_in(12);
        if !out.notes.is_empty() && !times_out {
            let count = 1 + self.random.below(out.notes.len());
            let notes = out.notes.drain(..count).collect();
            self.input(Input::Noted { pass, notes });
            return;
        }
        let Some(out) = self.out.remove(&pass) else { return };
        if wild && self.random.one_in(10) {
            return self.input(Input::PassLost { pass });
        }
        let done = if times_out { Done::of(PassEnd::TimedOut) } else { out.performance.done.clone() };
        self.input_done(pass, done, &out.performance);
    }

    fn input_done(&mut self, pass: PassId, done: Done, performance: &Performance) {
        self.model.expect_done(pass, &done, performance);
        if let PassEnd::Waits { wait: NewWait::Ask { answer, value, .. }, .. } = &done.end {
            let number = value.decode::<serde_json::Value>().expect("an object")["q"].as_u64().expect("a number");
            self.questions.insert(pass.work, Question { number, answer: *answer });
        }
        let input = match done {
            Done { end: PassEnd::Returned(returned), sent, state } if self.random.one_in(3) => {
                Input::LargeDone { emitted: Arc::new(Emitted { sent, returned }), state, pass }
            }
            done => Input::Done { pass, done },
        };
        self.input(input);
    }

    fn answer(&mut self) {
        let works: Vec<_> = self.questions.keys().copied().collect();
        let work = *self.random.pick(&works);
        let Question { number, answer, .. } = self.questions[&work];
        let external = self.external(answer, number, None);
        if self.run.check_external(&external).is_ok() {
            return self.input(Input::External(external));
        }
        // It was answered before, and its work is queued.
        let wants = [("q".to_owned(), Json::from_value(&number).expect("a number"))];
        assert!(self.run.open_questions().all(|open| open.matching != wants), "an open question takes its answer");
        self.questions.remove(&work);
    }

    fn post_anything(&mut self) {
        let event = EventId(self.random.below(self.graph.events.len()) as u16);
        let step = self.random.one_in(3).then(|| StepId(self.random.below(self.graph.steps.len()) as u16));
        let number = self.random.next() % 1_000_000;
        let mut external = self.external(event, number, step);
        if self.random.one_in(4) {
            let open: Vec<u64> = self.run.open_questions().map(|question| question.sequence).collect();
            let any = self.random.next() % (self.run.next_sequence() + 2);
            external.in_reply_to = Some(if open.is_empty() { any } else { *self.random.pick(&open) });
        }
        if self.run.check_external(&external).is_ok() {
            self.input(Input::External(external));
        }
    }

    fn external(&mut self, event: EventId, number: u64, step: Option<StepId>) -> External {
        self.serial += 1;
        let value = if self.graph.takers(event).is_empty() {
            Json::from_value(&serde_json::json!({ "q": number, "serial": self.serial })).expect("an object")
        } else {
            body::value(hash(&[number, self.serial]), 0)
        };
        External { step, ..External::new(event, value) }
    }

    /// Advances the time to the timer that is due first on a random clock.
    fn fire(&mut self) {
        let clock = if self.random.one_in(2) { Clock::Wall } else { Clock::Alive };
        let first = |clock| {
            let of_clock = self.timers.iter().filter(|(_, deadline)| deadline.clock == clock);
            of_clock
                .min_by_key(|(timer, deadline)| (deadline.at_us, **timer))
                .map(|(timer, deadline)| (*timer, *deadline))
        };
        let other = if clock == Clock::Wall { Clock::Alive } else { Clock::Wall };
        let (timer, deadline) = first(clock).or_else(|| first(other)).expect("a timer is armed");
        let until_us = self.now.until(deadline).as_micros() as u64;
        self.now.wall_us += until_us.cast_signed();
        self.now.alive_us += until_us;
        self.timers.remove(&timer);
        self.input(Input::Due { timer });
    }

    /// Records the input as in a journal, reduces it, and carries out the effects.
    fn input(&mut self, input: Input) {
        let record = record::encode(&input, self.now);
        let (mut read, now) = record::decode(&record, &self.graph).expect("a record is read back");
        if let Input::StartedFrom { state, .. } = &mut read {
            assert!(state.is_empty(), "the journal is without it");
            *state = self.initial_state.clone();
        }
        assert_eq!((&read, now), (&recorded(input.clone()), self.now));
        self.journal.push((read.clone(), now));
        if matches!(input, Input::GoOn) {
            self.goes_on = false;
        }
        let given = input.clone();
        self.old_inputs.push_back(input.clone());
        if self.old_inputs.len() > 12 {
            self.old_inputs.pop_front();
        }
        let mut effects = Vec::new();
        let places = Places::of(&self.run);
        self.run.handle(input, self.now, &mut effects);
        places.check(&given, &self.run);
        let mut again = Vec::new();
        self.replica.handle(read, now, &mut again);
        let of_journal = effects.iter().filter(|effect| !is_in_feed_alone(&given, effect));
        assert!(of_journal.eq(&again), "the journal leads to the same effects: {effects:?}, {again:?}");
        assert_eq!(self.run.next_sequence(), self.replica.next_sequence());
        if self.random.one_in(20) {
            assert_eq!(self.run.snapshot(), self.replica.snapshot(), "the journal leads to the same state");
        }
        if self.random.one_in(30) {
            self.snapshot = Some((self.journal.len(), self.run.snapshot()));
        }
        self.model.check(&given, now, &effects, &self.run);
        for effect in effects {
            self.carry_out(effect);
        }
        assert_eq!(self.run.feed_bytes(), self.feed.bytes());
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::StartPass(pass) => {
                self.questions.remove(&pass.work);
                assert!(self.ready.insert(pass), "a pass starts once");
            }
            Effect::Publish(event) => {
                self.feed.push(&event);
            }
            Effect::Arm(timer, deadline) => {
                assert!(self.timers.insert(timer, deadline).is_none(), "a timer is armed once");
            }
            Effect::Disarm(timer) => {
                assert!(self.timers.remove(&timer).is_some(), "only what is armed is disarmed");
            }
            Effect::GoOn => {
                assert!(!std::mem::replace(&mut self.goes_on, true), "a run is owed one part at a time");
            }
            Effect::Finish(_) => {
                self.timers.clear();
                self.ready.clear();
                self.goes_on = false;
            }
        }
    }

    /// Kills the process: what is not in the journal is lost, and pending effects come back.
    fn crash(&mut self) {
        let mut owed: BTreeSet<String> =
            self.ready.iter().chain(self.out.keys()).map(|pass| format!("{:?}", Effect::StartPass(*pass))).collect();
        if self.run.outcome().is_some() {
            owed.clear();
        }
        owed.extend(self.goes_on.then(|| format!("{:?}", Effect::GoOn)));
        owed.extend(self.timers.iter().map(|(timer, deadline)| format!("{:?}", Effect::Arm(*timer, *deadline))));
        let rebuilt = self.rebuild(None);
        assert_eq!(rebuilt.snapshot(), self.run.snapshot(), "the whole journal leads to the same run");
        if let Some((covered, bytes)) = self.snapshot.take() {
            let from_snapshot = self.rebuild(Some((covered, &bytes)));
            assert_eq!(
                from_snapshot.snapshot(),
                self.run.snapshot(),
                "a snapshot and the records after it lead to the same run"
            );
            assert_eq!(costs(&from_snapshot), costs(&self.run), "what it costs is counted as it changes");
        }
        let pending: BTreeSet<String> = rebuilt.pending().iter().map(|effect| format!("{effect:?}")).collect();
        assert_eq!(pending, owed, "what was owed before the crash is owed after it");
        let counted = Run::restore(&rebuilt.snapshot(), &self.translation, Arc::clone(&self.graph));
        let counted = counted.map(|run| run.with_initial_state(&self.initial_state));
        assert_eq!(counted.map(|run| costs(&run)), Ok(costs(&self.run)), "what it costs is a recount");
        self.run = rebuilt;
        self.out.clear();
        self.ready = self.run.pending().iter().filter_map(started).collect();
        self.now.wall_us += Duration::from_millis(self.random.next() % 4_000).as_micros() as i64;
    }

    fn rebuild(&self, snapshot: Option<(usize, &Vec<u8>)>) -> Run {
        let (covered, mut run) = match snapshot {
            None => (0, Run::new(Arc::clone(&self.graph), self.id, "h".into()).with_events_at_once(self.at_once)),
            Some((covered, bytes)) => {
                let run = Run::restore(bytes, &self.translation, Arc::clone(&self.graph)).expect("it is read back");
                (covered, run.with_events_at_once(self.at_once).with_initial_state(&self.initial_state))
            }
        };
        let mut effects = Vec::new();
        for (input, now) in &self.journal[covered..] {
            run.handle(input.clone(), *now, &mut effects);
            self.check_published(&effects, &run);
            effects.clear();
        }
        assert_eq!(
            (run.next_sequence(), run.feed_bytes()),
            (self.feed.next(), self.feed.bytes()),
            "a crash neither removes nor renumbers"
        );
        run
    }

    /// Checks that what an input publishes again has the same numbers in the feed.
    fn check_published(&self, effects: &[Effect], run: &Run) {
        let published = effects.iter().filter_map(|effect| match effect {
            Effect::Publish(event) => Some(event),
            _ => None,
        });
        let mut again = Feed::new(run.next_sequence() - published.clone().count() as u64);
        for event in published {
            let sequence = again.push(event);
            assert_eq!(again.get(sequence), self.feed.get(sequence), "a crash neither removes nor renumbers");
        }
    }

    /// Checks that inputs that are late, duplicate or unknown change nothing.
    fn noise(&mut self) {
        let before = self.run.snapshot();
        let mut effects = Vec::new();
        let pass = PassId { work: self.random.next() % 40, pass: (self.random.next() % 4) as u32 };
        let nothing = Done::of(PassEnd::Returned(Vec::new()));
        let inputs = [
            Input::Done { pass, done: nothing },
            Input::PassLost { pass },
            Input::Noted { pass, notes: Vec::new() },
            Input::Due { timer: TimerId(self.random.next() % 60) },
            self.random.pick(self.old_inputs.make_contiguous()).clone(),
        ];
        for input in inputs {
            let stale = match &input {
                Input::Done { pass, .. }
                | Input::LargeDone { pass, .. }
                | Input::PassLost { pass }
                | Input::Noted { pass, .. } => !self.ready.contains(pass) && !self.out.contains_key(pass),
                Input::Due { timer } => !self.timers.contains_key(timer),
                Input::Started { .. } | Input::StartedFrom { .. } => true,
                Input::GoOn => !self.goes_on,
                Input::Admitted => !self.model.is_unadmitted(),
                Input::External(_) | Input::Cancel | Input::Fail(_) => false,
            };
            if stale {
                self.run.handle(input, self.now, &mut effects);
            }
        }
        assert_eq!((effects, self.run.snapshot()), (Vec::new(), before), "stale inputs change nothing");
    }
}

/// Returns the input as recorded: of a stream write, only what its event takes in the feed.
fn recorded(mut input: Input) -> Input {
    if let Input::Noted { notes, .. } = &mut input {
        for note in notes {
            if let Note::Stream { ordinal, hash, event, value } = note.clone() {
                let of_graph = event.known();
                let bytes = Feed::cost_bytes(&Published::Event(event, value)) as u32;
                *note = Note::Recorded { ordinal, hash, event: of_graph, bytes };
            }
        }
    }
    input
}

/// Returns whether the effect is an event that only the feed contains.
fn is_in_feed_alone(input: &Input, effect: &Effect) -> bool {
    matches!((input, effect), (Input::Noted { .. }, Effect::Publish(Published::Event(..))))
}

fn started(effect: &Effect) -> Option<PassId> {
    match effect {
        Effect::StartPass(pass) => Some(*pass),
        _ => None,
    }
}

/// Returns the costs that a run counts.
fn costs(run: &Run) -> [usize; 2] {
    [run.cost_bytes(), run.answers_bytes()]
}
