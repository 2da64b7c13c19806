//! Generates inputs of a run from bytes, mostly ones that have an effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::{
        input::{Effect, External, Input, PassId, TimerId},
        run::Run,
    },
    graph::{EventId, EventKind, Graph, StepId},
    json::Json,
    now::{Deadline, Now},
    pass::{Done, Emitted, EventRef, NewWait, Note, OnceValue, OtherEvent, PassEnd, StateUse, Write},
};

/// The source of inputs.
pub struct Inputs<'a> {
    pub bytes: std::iter::Copied<std::slice::Iter<'a, u8>>,
    pub now: Now,
    /// Passes that the run has started.
    pub live: BTreeSet<PassId>,
    /// Timers that it has armed.
    pub timers: BTreeMap<TimerId, Deadline>,
    /// Whether it has deferred something.
    pub goes_on: bool,
}

/// The most events that one input turns into works: few, so that others are deferred.
pub const EVENTS_AT_ONCE: u32 = 2;

impl<'a> Inputs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter().copied(),
            now: Now::default(),
            live: BTreeSet::new(),
            timers: BTreeMap::new(),
            goes_on: false,
        }
    }

    /// Records the effects that the run has pending.
    pub fn owe(&mut self, run: &Run) {
        (self.live, self.timers, self.goes_on) = (BTreeSet::new(), BTreeMap::new(), false);
        for effect in run.pending() {
            match effect {
                Effect::StartPass(pass) => assert!(self.live.insert(pass)),
                Effect::Arm(timer, deadline) => assert!(self.timers.insert(timer, deadline).is_none()),
                Effect::GoOn => self.goes_on = true,
                other => panic!("{other:?} is not owed"),
            }
        }
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    /// Returns an input of one of nine kinds.
    pub fn input(&mut self, kind: u8, run: &Run, graph: &Graph) -> Input {
        match kind {
            0 => Input::Started {
                event: json("{}"),
                state: BTreeMap::new().into(),
                admitted: self.byte().is_multiple_of(2),
                sequence: 0,
            },
            1 => Input::Admitted,
            2 | 3 => self.done(run, graph),
            4 => self.wait(run, graph),
            5 => self.failure(),
            6 => self.notes(run, graph),
            7 => self.due(),
            _ => self.external(run, graph),
        }
    }

    /// Advances both clocks independently.
    pub fn pass_time(&mut self) {
        self.now.wall_us += i64::from(self.byte()) * 100_000;
        self.now.alive_us += u64::from(self.byte()) * 100_000;
    }

    /// Returns a pass, mostly a live one.
    fn pass(&mut self) -> PassId {
        let (byte, live) = (usize::from(self.byte()), self.live.len());
        match self.live.iter().nth(byte % live.max(1)) {
            Some(pass) if byte < 224 => *pass,
            _ => PassId { work: byte as u64 % 8, pass: u32::from(self.byte()) % 4 },
        }
    }

    /// Returns events of types that the pass's step mostly returns, sometimes of one that the graph does not have.
    fn events(&mut self, run: &Run, graph: &Graph, pass: PassId) -> Vec<(EventId, Json)> {
        let count = self.byte() % 5;
        let returns = run.pass_step(pass).map(|step| graph.step(step).returns.clone()).unwrap_or_default();
        let mut events = Vec::new();
        for _ in 0..count {
            let byte = self.byte();
            let event = match returns.get(usize::from(byte) % returns.len().max(1)) {
                Some(event) if byte < 240 => *event,
                _ => EventId(u16::from(byte) % (graph.events.len() as u16 + 1)),
            };
            events.push((event, json(&byte.to_string())));
        }
        events
    }

    fn done(&mut self, run: &Run, graph: &Graph) -> Input {
        let pass = self.pass();
        let returned = self.events(run, graph, pass);
        let sends = run.pass_step(pass).map(|step| graph.step(step).sends.clone()).unwrap_or_default();
        let sent: Vec<_> = sends.iter().map(|event| (*event, json("0"))).collect();
        let state = self.state_use();
        if returned.len() + sent.len() > EVENTS_AT_ONCE as usize {
            return Input::LargeDone { emitted: Arc::new(Emitted { sent, returned }), state, pass };
        }
        let done = Done { end: PassEnd::Returned(returned), sent, state };
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

    fn wait(&mut self, run: &Run, graph: &Graph) -> Input {
        let pass = self.pass();
        let byte = self.byte();
        let waits = run.pass_input(pass).map_or(0, |input| input.waits.len() as u32);
        let ordinal = if byte < 240 { waits } else { u32::from(byte) - 240 };
        let asks = run.pass_step(pass).and_then(|step| graph.step(step).asks.first().copied());
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
        let done = Done::of(PassEnd::Waits { ordinal, wait });
        Input::Done { pass, done }
    }

    fn failure(&mut self) -> Input {
        let pass = self.pass();
        let end = match self.byte() % 8 {
            0 => PassEnd::Diverged("diverged".into()),
            1 => PassEnd::Failed { error: "for good".into(), retry: false },
            2 => PassEnd::TimedOut,
            3 => PassEnd::Panicked("boom".into()),
            4 => return Input::PassLost { pass },
            _ => PassEnd::Failed { error: "again".into(), retry: true },
        };
        Input::Done { pass, done: Done::of(end) }
    }

    fn notes(&mut self, run: &Run, graph: &Graph) -> Input {
        let pass = self.pass();
        let known = run.pass_input(pass);
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
                    1 => EventRef::Known(EventId(u16::from(byte) % (graph.events.len() as u16 + 1))),
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
        if self.goes_on && byte.is_multiple_of(2) {
            return Input::GoOn;
        }
        let armed =
            self.timers.iter().nth(byte % self.timers.len().max(1)).map(|(timer, deadline)| (*timer, *deadline));
        let Some((timer, deadline)) = armed.filter(|_| byte < 224) else {
            return Input::Due { timer: TimerId(byte as u64 % 16) };
        };
        let until_us = self.now.until(deadline).as_micros() as u64;
        self.now = Now { wall_us: self.now.wall_us + until_us as i64, alive_us: self.now.alive_us + until_us };
        Input::Due { timer }
    }

    fn external(&mut self, run: &Run, graph: &Graph) -> Input {
        let (event, step) = (self.byte(), self.byte());
        let event = EventId(u16::from(event) % (graph.events.len() as u16 + 1));
        let step = (step > 127).then(|| StepId(u16::from(step) % (graph.steps.len() as u16 + 1)));
        let byte = self.byte();
        let value = json(if byte.is_multiple_of(2) { r#"{"n":1}"# } else { "[1]" });
        // A reply now and then, mostly to an open question.
        let open = run.open_questions().map(|question| question.sequence).nth(usize::from(byte >> 6));
        let in_reply_to = (byte % 8 > 5).then(|| open.unwrap_or(u64::from(byte)));
        let external = External { step, in_reply_to, ..External::new(event, value) };
        let _ = run.check_external(&external);
        Input::External(external)
    }
}

pub fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// The same for every run: only the jitter of retries depends on it.
pub fn uuid() -> uuid::Uuid {
    uuid::Uuid::nil()
}
