//! Sequences of a run's inputs, good ones and bad ones: it never panics, owes exactly what it has not been given, says
//! nothing after its end, and its journal and its snapshot make the same run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, Input, PassId, TimerId},
        record::{self, Names, Translation},
        run::Run,
    },
    graph::{EventId, EventKind, EventType, Graph, Parts, Retry, StepId, StepParts},
    json::Json,
    now::{Deadline, Now},
    pass::{Done, EventRef, NewWait, Note, OnceValue, OtherEvent, PassEnd, StateUse, Write},
};

/// The first byte chooses the graph; each further one is an operation, with its arguments behind it.
pub fn run(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let graph = GRAPHS[usize::from(bytes.next().unwrap_or(0)) % GRAPHS.len()];
    let mut world = World::new(Arc::new(build(graph)), bytes);
    while let Some(operation) = world.bytes.next() {
        world.operate(operation);
        world.check();
    }
    world.replay();
}

/// Steps as `name: takes -> returns`, `[E]` for a `Vec`, `+` what it sends, `?` what it asks and by what it is answered.
const GRAPHS: [&[&str]; 4] = [
    &["a: S -> T ? NeedQ HumanA"],
    &["ask: S -> NeedQ", "answer: HumanA -> T", "watch: NeedQ -> S"],
    &["split: S -> [E]", "b: E -> F ? NeedQ HumanA", "c: E -> F", "join: [F] -> T"],
    &["a: S -> [G]", "b: G -> U + E", "c: E -> F", "d: [F] -> U", "e: U -> U|V", "f: [V] -> T"],
];

struct World<'a> {
    bytes: std::iter::Copied<std::slice::Iter<'a, u8>>,
    graph: Arc<Graph>,
    translation: Translation,
    run: Run,
    now: Now,
    journal: Vec<Vec<u8>>,
    live: BTreeSet<PassId>,
    started: BTreeSet<PassId>,
    timers: BTreeMap<TimerId, Deadline>,
    feed_bytes: usize,
}

impl<'a> World<'a> {
    fn new(graph: Arc<Graph>, bytes: std::iter::Copied<std::slice::Iter<'a, u8>>) -> Self {
        Self {
            bytes,
            translation: Names::of(&graph).translation(&graph),
            run: Run::new(Arc::clone(&graph), uuid(), "h".into()),
            graph,
            now: Now::default(),
            journal: Vec::new(),
            live: BTreeSet::new(),
            started: BTreeSet::new(),
            timers: BTreeMap::new(),
            feed_bytes: 0,
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    fn operate(&mut self, operation: u8) {
        let input = match operation % 12 {
            0 => Input::Started {
                event: json("{}"),
                state: BTreeMap::new(),
                admitted: self.byte().is_multiple_of(2),
                sequence: 0,
            },
            1 => Input::Admitted,
            2 | 3 => self.done(),
            4 => self.wait(),
            5 => self.failure(),
            6 => self.notes(),
            7 => self.due(),
            8 => self.external(),
            9 if self.byte() == 0 => Input::Cancel,
            10 => {
                self.now.wall_us += i64::from(self.byte()) * 100_000;
                self.now.alive_us += u64::from(self.byte()) * 100_000;
                return;
            }
            _ => {
                let snapshot = self.run.snapshot();
                self.run =
                    Run::restore(&snapshot, &self.translation, Arc::clone(&self.graph)).expect("it is read back");
                assert_eq!(self.run.snapshot(), snapshot);
                return;
            }
        };
        self.give(input);
    }

    /// A pass: mostly one that is live.
    fn pass(&mut self) -> PassId {
        let (byte, live) = (usize::from(self.byte()), self.live.len());
        match self.live.iter().nth(byte % live.max(1)) {
            Some(pass) if byte < 224 => *pass,
            _ => PassId { work: byte as u64 % 8, pass: u32::from(self.byte()) % 4 },
        }
    }

    /// An event type: mostly one that the pass's step returns, sometimes one that the graph does not have.
    fn events(&mut self, pass: PassId) -> Vec<(EventId, Json)> {
        let count = self.byte() % 5;
        let returns = self.run.pass_step(pass).map(|step| self.graph.step(step).returns.clone()).unwrap_or_default();
        let mut events = Vec::new();
        for _ in 0..count {
            let byte = self.byte();
            let event = match returns.get(usize::from(byte) % returns.len().max(1)) {
                Some(event) if byte < 240 => *event,
                _ => EventId(u16::from(byte) % (self.graph.events.len() as u16 + 1)),
            };
            events.push((event, json(&byte.to_string())));
        }
        events
    }

    fn done(&mut self) -> Input {
        let pass = self.pass();
        let returned = self.events(pass);
        let sends = self.run.pass_step(pass).map(|step| self.graph.step(step).sends.clone()).unwrap_or_default();
        let sent = sends.iter().map(|event| (*event, json("0"))).collect();
        let done = Done { end: PassEnd::Returned(returned), sent, state: self.state_use() };
        Input::Done { pass, done }
    }

    fn state_use(&mut self) -> StateUse {
        let byte = self.byte();
        let key: Arc<str> = ["a", "b"][usize::from(byte % 2)].into();
        let write = match (byte >> 1) % 8 {
            0 => Write::Set(json(&byte.to_string())),
            1 => Write::Remove,
            2 => Write::Add(json("1")),
            3 => Write::Push(json("[]")),
            4 => Write::Add(json("null")),
            _ => return StateUse::default(),
        };
        let version = u64::from(self.byte() % 8);
        let reads = if byte > 127 { vec!["a".into(), "b".into()] } else { Vec::new() };
        StateUse { version, reads, listed: byte % 16 == 15, writes: vec![(key, write)] }
    }

    fn wait(&mut self) -> Input {
        let pass = self.pass();
        let byte = self.byte();
        let waits = self.run.pass_input(pass).map_or(0, |input| input.waits.len() as u32);
        let ordinal = if byte < 240 { waits } else { u32::from(byte) - 240 };
        let asks = self.run.pass_step(pass).and_then(|step| self.graph.step(step).asks.first().copied());
        let wait = match asks {
            Some((question, answer)) if !byte.is_multiple_of(3) => NewWait::Ask {
                question,
                answer,
                value: json("{}"),
                matching: if byte.is_multiple_of(2) { vec![("n".into(), json("1"))] } else { Vec::new() },
                timeout: byte.is_multiple_of(5).then_some(Duration::from_secs(1)),
            },
            _ => NewWait::Sleep(Duration::from_secs(u64::from(byte))),
        };
        let done = Done { end: PassEnd::Waits { ordinal, wait }, sent: Vec::new(), state: StateUse::default() };
        Input::Done { pass, done }
    }

    fn failure(&mut self) -> Input {
        let pass = self.pass();
        let end = match self.byte() % 8 {
            0 => PassEnd::Diverged("diverged".into()),
            1 => PassEnd::Failed { error: "for good".into(), retry: false },
            2 => PassEnd::TimedOut,
            3 => PassEnd::Panicked("boom".into()),
            _ => PassEnd::Failed { error: "again".into(), retry: true },
        };
        Input::Done { pass, done: Done { end, sent: Vec::new(), state: StateUse::default() } }
    }

    fn notes(&mut self) -> Input {
        let pass = self.pass();
        let known = self.run.pass_input(pass);
        let (published, once) = known.map_or((0, 0), |input| (input.published.len() as u32, input.once.len() as u32));
        let mut notes = Vec::new();
        for _ in 0..self.byte() % 4 {
            let byte = self.byte();
            let back = u32::from(byte >> 6);
            notes.push(if byte.is_multiple_of(4) {
                let value = OnceValue { value: json("1"), stream_ordinal: 0 };
                Note::Once { ordinal: (once + u32::from(byte == 128)).saturating_sub(back), value }
            } else {
                let other = OtherEvent { name: "O".into(), qualified_name: "m.O".into(), kind: EventKind::Plain };
                let event = match byte % 4 {
                    1 => EventRef::Known(EventId(u16::from(byte) % (self.graph.events.len() as u16 + 1))),
                    _ => EventRef::Other(Arc::new(other)),
                };
                let ordinal = (published + notes.len() as u32).saturating_sub(back);
                Note::Stream { ordinal, hash: u128::from(byte % 8), event, value: json("1") }
            });
        }
        Input::Noted { pass, notes }
    }

    fn due(&mut self) -> Input {
        let byte = usize::from(self.byte());
        let armed =
            self.timers.iter().nth(byte % self.timers.len().max(1)).map(|(timer, deadline)| (*timer, *deadline));
        let Some((timer, deadline)) = armed.filter(|_| byte < 224) else {
            return Input::Due { timer: TimerId(byte as u64 % 16) };
        };
        let until_us = self.now.until(deadline).as_micros() as u64;
        self.now = Now { wall_us: self.now.wall_us + until_us as i64, alive_us: self.now.alive_us + until_us };
        Input::Due { timer }
    }

    fn external(&mut self) -> Input {
        let (event, step) = (self.byte(), self.byte());
        let event = EventId(u16::from(event) % (self.graph.events.len() as u16 + 1));
        let step = (step > 127).then(|| StepId(u16::from(step) % (self.graph.steps.len() as u16 + 1)));
        let _ = self.run.check_external(event, step);
        let value = json(if self.byte().is_multiple_of(2) { r#"{"n":1}"# } else { "[1]" });
        Input::External { event, value, step }
    }

    fn give(&mut self, input: Input) {
        if let Input::Due { timer } = input {
            self.timers.remove(&timer);
        }
        if let Input::Done { pass, .. } = input {
            self.live.remove(&pass);
        }
        let bytes = record::encode(&input, self.now);
        let ended = self.run.outcome().is_some();
        let mut effects = Vec::new();
        self.run.handle(input, self.now, &mut effects);
        assert!(!ended || effects.is_empty(), "nothing comes after the end");
        self.journal.push(bytes);
        let last = effects.len().wrapping_sub(1);
        for (index, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::StartPass(pass) => {
                    assert!(self.started.insert(pass), "a pass starts once");
                    self.live.insert(pass);
                }
                Effect::Publish(event) => self.feed_bytes += Feed::cost_bytes(&event),
                Effect::Arm(timer, deadline) => assert!(self.timers.insert(timer, deadline).is_none()),
                Effect::Disarm(timer) => assert!(self.timers.remove(&timer).is_some()),
                Effect::Dropped(_) => {}
                Effect::Finish(outcome) => {
                    assert_eq!((index, Some(&outcome)), (last, self.run.outcome()));
                    self.live.clear();
                }
            }
        }
    }

    /// What the run owes is what it has not been given.
    fn check(&self) {
        let (mut passes, mut timers) = (BTreeSet::new(), BTreeMap::new());
        for effect in self.run.pending() {
            match effect {
                Effect::StartPass(pass) => assert!(passes.insert(pass)),
                Effect::Arm(timer, deadline) => assert!(timers.insert(timer, deadline).is_none()),
                other => panic!("{other:?} is not owed"),
            }
        }
        assert_eq!((&passes, &timers), (&self.live, &self.timers));
        assert!(passes.iter().all(|pass| self.run.pass_input(*pass).is_some()));
        assert_eq!(self.run.feed_bytes(), self.feed_bytes);
    }

    fn replay(&self) {
        let mut again = Run::new(Arc::clone(&self.graph), uuid(), "h".into());
        for bytes in &self.journal {
            if let Ok((input, now)) = record::decode(bytes, &self.graph) {
                again.handle(input, now, &mut Vec::new());
            } else {
                // It names a type that the graph does not have: no program of this graph wrote it.
                return;
            }
        }
        assert_eq!(again.snapshot(), self.run.snapshot(), "the journal gives the same run");
        assert_eq!(again.next_sequence(), self.run.next_sequence());
    }
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// The same for every run: all that hangs on it is the jitter of retries.
fn uuid() -> uuid::Uuid {
    uuid::Uuid::nil()
}

fn build(lines: &[&str]) -> Graph {
    let mut names = BTreeSet::from(["S".to_owned(), "T".to_owned()]);
    let mut steps = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(": ").expect("name: takes -> returns");
        let mut words = rest.split(' ');
        let mut types = |word: &str| -> Vec<String> {
            let found: Vec<_> = word.trim_matches(['[', ']']).split('|').map(str::to_owned).collect();
            names.extend(found.iter().cloned());
            found
        };
        let (takes, _, returns) = (words.next().expect("takes"), words.next(), words.next().expect("returns"));
        let mut step = StepParts {
            name: name.into(),
            takes: types(takes),
            fan_in: takes.starts_with('['),
            returns: types(returns),
            fan_out: returns.starts_with('['),
            workers: 2,
            retry: Retry::exponential(Duration::from_secs(1)),
            timeout: Some(Duration::from_secs(1)),
            ..StepParts::default()
        };
        match words.next() {
            Some("+") => step.sends = types(words.next().expect("sends")),
            Some(_) => {
                let (question, answer) = (words.next().expect("question"), words.next().expect("answer"));
                types(question);
                types(answer);
                step.asks.push((question.to_owned(), answer.to_owned()));
            }
            None => {}
        }
        steps.push(step);
    }
    let event = |name: String| EventType {
        qualified_name: name.clone().into(),
        kind: match &name[..1] {
            "N" => EventKind::InputRequired,
            "H" => EventKind::HumanResponse,
            _ => EventKind::Plain,
        },
        name: name.into(),
        builtin: false,
        schema: Default::default(),
        check: Arc::new(|_| Ok(())),
    };
    let parts = Parts {
        name: "fuzzed".into(),
        module: None,
        events: names.into_iter().map(event).collect(),
        steps,
        start: "S".into(),
        stop: "T".into(),
        timeout: Some(Duration::from_secs(30)),
        max_runs: None,
    };
    Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}"))
}
