//! Graphs, runs and values that the rows start from.

use std::{sync::Arc, time::Duration};

use steprill::{
    engine::{
        input::{Effect, External, Input, PassId},
        run::Run,
    },
    graph::{EventId, Graph, Parts, sketch::parts},
    json::Json,
    now::Now,
    pass::{Done, Emitted, NewWait, PassEnd, StateUse, Write},
    values::Values,
};

use super::{Cost, once};

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// `{"n":7}`
pub(crate) fn numbered(number: usize) -> Json {
    json(&format!("{{\"n\":{number}}}"))
}

/// Returns a number below `size`, in a scattered order.
pub(crate) fn scattered(index: usize, size: usize) -> usize {
    (index * 7_919 + 13) % size
}

/// `spread` (S) emits many E; `each` takes one, asks `NeedQ`, which `HumanA` answers, and has an inbox; it emits F;
/// `join` takes all. `loop` takes and emits L. `listen` takes `OpenX` from outside.
pub(crate) fn graph(max_runs: Option<usize>) -> Arc<Graph> {
    graph_with(max_runs, None)
}

/// Returns the same graph with a time-out of the run.
pub(crate) fn graph_with(max_runs: Option<usize>, timeout: Option<Duration>) -> Arc<Graph> {
    let lines =
        "spread: S -> [E]\n each: E -> F ? NeedQ/HumanA\n join: [F] -> T|L\n loop: L -> L|T\n listen: OpenX -> ()";
    let mut parts = Parts { timeout, max_runs, ..parts(lines) };
    for step in &mut parts.steps {
        step.workers = u16::MAX;
        step.inboxes = step.asks.iter().map(|(_, answer)| (answer.clone(), 1_000)).collect();
    }
    Arc::new(Graph::build(parts).unwrap_or_else(|faults| panic!("{faults}")))
}

/// A run, and its last effects.
pub(crate) struct Driven {
    pub(crate) graph: Arc<Graph>,
    pub(crate) run: Run,
    pub(crate) effects: Vec<Effect>,
}

impl Driven {
    pub(crate) fn new(state: Values) -> Self {
        Self::of(graph(None), state)
    }

    pub(crate) fn of(graph: Arc<Graph>, state: Values) -> Self {
        let run = Run::new(Arc::clone(&graph), uuid::Uuid::nil(), "abcdefghij".into()).with_window();
        let mut driven = Self { graph, run, effects: Vec::new() };
        driven.handle(Input::Started { event: json("{}"), state, admitted: true, sequence: 0 });
        driven
    }

    /// Creates a run with `count` running works of `each`, from work 1.
    pub(crate) fn spread(count: usize) -> Self {
        Self::new(Values::default()).spread_out(count)
    }

    pub(crate) fn spread_out(self, count: usize) -> Self {
        let mut driven = self;
        let elements = (0..count).map(|index| (driven.event("E"), numbered(index))).collect();
        driven.done(0, 0, PassEnd::Returned(elements));
        driven.effects.clear();
        driven
    }

    /// Returns `count` events that `each` takes.
    pub(crate) fn elements(&self, count: usize) -> Emitted {
        let returned = (0..count).map(|index| (self.event("E"), numbered(index))).collect();
        Emitted { sent: Vec::new(), returned }
    }

    /// Makes the first work emit these.
    pub(crate) fn large_done(&mut self, emitted: Emitted) {
        let (emitted, state, pass) = (Arc::new(emitted), StateUse::default(), PassId { work: 0, pass: 0 });
        self.handle(Input::LargeDone { emitted, state, pass });
    }

    /// Carries out everything that is deferred.
    pub(crate) fn go_on(&mut self) {
        while self.effects.contains(&Effect::GoOn) {
            self.handle(Input::GoOn);
        }
    }

    /// Does the same, and measures each part.
    pub(crate) fn each_part(&mut self) -> Cost {
        let mut parts = Vec::new();
        while self.effects.contains(&Effect::GoOn) {
            parts.push(once(|| self.handle(Input::GoOn)).usual);
        }
        Cost { longest: parts.iter().copied().max().unwrap_or_default(), ..Cost::of(parts) }
    }

    /// Creates a run with `count` open questions, each for its own number.
    pub(crate) fn asking(count: usize, matching: bool) -> Self {
        let mut driven = Self::spread(count);
        for index in 0..count {
            let ask = driven.ask(matching.then_some(index));
            driven.done(index as u64 + 1, 0, ask);
        }
        driven
    }

    pub(crate) fn ask(&self, number: Option<usize>) -> PassEnd {
        let (question, answer) = (self.event("NeedQ"), self.event("HumanA"));
        let matching = number.map(|number| ("n".to_owned(), json(&number.to_string()))).into_iter().collect();
        let wait = NewWait::Ask { question, answer, value: json("{}"), matching, timeout: None };
        PassEnd::Waits { ordinal: 0, wait }
    }

    pub(crate) fn event(&self, name: &str) -> EventId {
        self.graph.event_id(name).expect("the graph has it")
    }

    pub(crate) fn answer(&self, value: Json, in_reply_to: Option<u64>) -> External {
        External { in_reply_to, ..External::new(self.event("HumanA"), value) }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.effects.clear();
        self.run.handle(input, Now::default(), &mut self.effects);
    }

    pub(crate) fn done(&mut self, work: u64, pass: u32, end: PassEnd) {
        self.done_with(work, pass, end, Vec::new());
    }

    pub(crate) fn done_with(&mut self, work: u64, pass: u32, end: PassEnd, writes: Vec<(Arc<str>, Write)>) {
        let state = StateUse { writes, ..StateUse::default() };
        self.handle(Input::Done { pass: PassId { work, pass }, done: Done { end, sent: Vec::new(), state } });
    }
}
