//! Sequences of what happens to a store: runs are opened, their inputs recorded, snapshots taken, workflows changed,
//! and the process dies with the last records uncommitted. What is restored from the newest snapshot and the records
//! after it must equal the state at that record: the same state, the same pending passes and timers, the same feed.

use std::sync::Arc;

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, Input},
        record::{self, Names, RecordError},
        run::Run,
    },
    graph::Graph,
};

use crate::{
    graphs::{GRAPHS, build},
    inputs::{EVENTS_AT_ONCE, Inputs, json, uuid},
};

/// Each byte is an operation, followed by its arguments.
pub fn run(data: &[u8]) {
    let mut world = World { inputs: Inputs::new(data), runs: Vec::new() };
    while let Some(operation) = world.inputs.bytes.next() {
        world.operate(operation);
    }
    for index in 0..world.runs.len() {
        world.crash(index);
    }
}

struct World<'a> {
    inputs: Inputs<'a>,
    runs: Vec<Stored>,
}

/// A run, what a store has of it, and its state after each of its records.
struct Stored {
    run: Run,
    graph: Arc<Graph>,
    snapshot: Option<Vec<u8>>,
    /// The records after the snapshot.
    records: Vec<Vec<u8>>,
    /// The state at the snapshot, and after each record since.
    states: Vec<State>,
    /// All events as they were published, under any graph.
    feed: Feed,
    /// The same as in a store: for each record that published, the graph and the events.
    rows: Vec<(Arc<Graph>, Vec<u8>)>,
}

/// The state of a run.
#[derive(PartialEq, Debug)]
struct State {
    snapshot: Vec<u8>,
    owed: Vec<Effect>,
    next_sequence: u64,
    feed_bytes: usize,
    rows: usize,
}

const RUNS_MAX: usize = 3;
const FIRST_SEQUENCE: u64 = 3;

impl World<'_> {
    fn operate(&mut self, operation: u8) {
        let index = usize::from(operation / 16) % self.runs.len().max(1);
        match operation % 16 {
            15 if self.runs.len() < RUNS_MAX => self.open(),
            10 => self.inputs.pass_time(),
            _ if self.runs.is_empty() => {}
            11 => self.runs[index].take_snapshot(),
            12 => self.crash(index),
            13 => self.change_workflow(index),
            9 if self.inputs.byte() < 8 => self.give(index, Input::Cancel),
            14 if self.inputs.byte() < 8 => self.give(index, Input::Fail("no more".into())),
            kind => {
                let Stored { run, graph, .. } = &self.runs[index];
                self.inputs.owe(run);
                let input = self.inputs.input(kind, run, graph);
                self.give(index, input);
            }
        }
    }

    fn open(&mut self) {
        let which = usize::from(self.inputs.byte());
        let graph = Arc::new(build(GRAPHS[which % GRAPHS.len()]));
        let run = Run::new(Arc::clone(&graph), uuid(), "h".into()).with_events_at_once(EVENTS_AT_ONCE);
        let mut stored = Stored {
            run,
            graph,
            snapshot: None,
            records: Vec::new(),
            states: Vec::new(),
            feed: Feed::new(FIRST_SEQUENCE),
            rows: Vec::new(),
        };
        stored.states.push(stored.state());
        self.runs.push(stored);
        let started = Input::Started {
            event: json("{}"),
            state: Default::default(),
            admitted: which < 200,
            sequence: FIRST_SEQUENCE,
        };
        self.give(self.runs.len() - 1, started);
    }

    fn give(&mut self, index: usize, input: Input) {
        self.runs[index].record(input, self.inputs.now);
    }

    /// The process dies before some records of this run are committed. A run without committed records never existed.
    fn crash(&mut self, index: usize) {
        let stored = &mut self.runs[index];
        let boundaries = stored.records.len() + usize::from(stored.snapshot.is_some());
        let lost = usize::from(self.inputs.byte()) % boundaries;
        stored.rebuild(lost);
    }

    /// Restarts the program with a changed workflow: the run continues if the graph has all that it needs.
    fn change_workflow(&mut self, index: usize) {
        let stored = &mut self.runs[index];
        let mut lines = GRAPHS[usize::from(self.inputs.byte()) % GRAPHS.len()].to_vec();
        // This changes all ids.
        lines.extend(["0: HumanA0 -> A0", "1: A0 -> T"]);
        let graph = Arc::new(build(&lines));
        let translation = Names::of(&stored.graph).translation(&graph);
        match Run::restore(&stored.run.snapshot(), &translation, Arc::clone(&graph)) {
            Ok(run) => {
                (stored.run, stored.graph) = (run.with_events_at_once(EVENTS_AT_ONCE), graph);
                stored.take_snapshot();
            }
            Err(RecordError::EventGone(_) | RecordError::StepGone(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Stored {
    fn record(&mut self, input: Input, now: steprill::now::Now) {
        let bytes = record::encode(&input, now);
        match record::decode(&bytes, &self.graph) {
            Ok((read, then)) => assert_eq!((record::encode(&read, then), then), (bytes.clone(), now)),
            // It names a type that the graph does not have, which no program records.
            Err(_) => return,
        }
        let mut effects = Vec::new();
        self.run.handle(input, now, &mut effects);
        let mut row = Feed::new(0);
        for effect in &effects {
            if let Effect::Publish(event) = effect {
                self.feed.push(event);
                row.push(event);
            }
        }
        if row.next() > 0 {
            self.rows.push((Arc::clone(&self.graph), row.encode_events()));
        }
        self.records.push(bytes);
        self.states.push(self.state());
        assert_eq!((self.run.next_sequence(), self.run.feed_bytes()), (self.feed.next(), self.feed.bytes()));
    }

    fn state(&self) -> State {
        State {
            snapshot: self.run.snapshot(),
            owed: self.run.pending(),
            next_sequence: self.run.next_sequence(),
            feed_bytes: self.run.feed_bytes(),
            rows: self.rows.len(),
        }
    }

    /// Replaces all records so far.
    fn take_snapshot(&mut self) {
        self.snapshot = Some(self.run.snapshot());
        self.records.clear();
        self.states = vec![self.state()];
    }

    fn rebuild(&mut self, lost: usize) {
        self.records.truncate(self.records.len() - lost);
        self.states.truncate(self.records.len() + 1);
        let graph = &self.graph;
        let run = match &self.snapshot {
            None => Run::new(Arc::clone(graph), uuid(), "h".into()),
            Some(bytes) => {
                Run::restore(bytes, &Names::of(graph).translation(graph), Arc::clone(graph)).expect("a snapshot")
            }
        };
        let mut run = run.with_events_at_once(EVENTS_AT_ONCE);
        for bytes in &self.records {
            let (input, now) = record::decode(bytes, graph).expect("a record");
            run.handle(input, now, &mut Vec::new());
        }
        self.run = run;
        let state = self.states.last().expect("one at least");
        self.rows.truncate(state.rows);
        assert_eq!(&self.state(), state, "it is what it was at that record");
        self.rebuild_feed();
    }

    /// Rows under one graph can be decoded together.
    fn rebuild_feed(&mut self) {
        let mut again = Vec::new();
        for rows in self.rows.chunk_by(|(one, _), (other, _)| Arc::ptr_eq(one, other)) {
            let bytes: Vec<u8> = rows.iter().flat_map(|(_, bytes)| bytes).copied().collect();
            let first = FIRST_SEQUENCE + again.len() as u64;
            let page = Feed::decode_events(first, &bytes, &rows[0].0).expect("events");
            again.extend((first..page.next()).map(|number| format!("{:?}", page.get(number))));
        }
        let next = FIRST_SEQUENCE + again.len() as u64;
        let before: Vec<_> = (FIRST_SEQUENCE..next).map(|number| format!("{:?}", self.feed.get(number))).collect();
        assert_eq!(again, before, "a crash neither removes nor renumbers");
        self.feed = self.feed.page(FIRST_SEQUENCE..next, usize::MAX);
        assert_eq!((self.run.next_sequence(), self.run.feed_bytes()), (self.feed.next(), self.feed.bytes()));
    }
}
