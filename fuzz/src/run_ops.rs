//! Sequences of a run's inputs, valid and invalid: it never panics, its pending effects are exactly those that were not
//! answered, it publishes nothing after its end, and its journal and its snapshot restore the same run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, Input, PassId},
        record::{self, Names, Translation},
        run::Run,
    },
    graph::Graph,
};

use crate::{
    graphs::{GRAPHS, build},
    inputs::{EVENTS_AT_ONCE, Inputs, uuid},
};

/// The first byte chooses the graph; each further one is an operation, followed by its arguments.
pub fn run(data: &[u8]) {
    let mut inputs = Inputs::new(data);
    let graph = GRAPHS[usize::from(inputs.byte()) % GRAPHS.len()];
    let mut world = World::new(Arc::new(build(graph)), inputs);
    while let Some(operation) = world.inputs.bytes.next() {
        world.operate(operation);
        world.check();
    }
    world.replay();
}

/// Counts the answers that wait, the questions on which works wait, and the works.
fn places(run: &Run) -> [isize; 3] {
    let asking = run.works().filter(|(.., phase)| *phase == "asks").count();
    [run.waiting_answers().count(), asking, run.works().count()].map(|count| count as isize)
}

struct World<'a> {
    inputs: Inputs<'a>,
    graph: Arc<Graph>,
    translation: Translation,
    run: Run,
    journal: Vec<Vec<u8>>,
    started: BTreeSet<PassId>,
    feed_bytes: usize,
}

impl<'a> World<'a> {
    fn new(graph: Arc<Graph>, inputs: Inputs<'a>) -> Self {
        Self {
            inputs,
            translation: Names::of(&graph).translation(&graph),
            run: Run::new(Arc::clone(&graph), uuid(), "h".into()).with_events_at_once(EVENTS_AT_ONCE),
            graph,
            journal: Vec::new(),
            started: BTreeSet::new(),
            feed_bytes: 0,
        }
    }

    fn operate(&mut self, operation: u8) {
        let input = match operation % 12 {
            kind @ 0..=8 => self.inputs.input(kind, &self.run, &self.graph),
            9 if self.inputs.byte() == 0 => Input::Cancel,
            10 => return self.inputs.pass_time(),
            _ => {
                let snapshot = self.run.snapshot();
                let run = Run::restore(&snapshot, &self.translation, Arc::clone(&self.graph)).expect("it is read back");
                self.run = run.with_events_at_once(EVENTS_AT_ONCE);
                assert_eq!(self.run.snapshot(), snapshot);
                return;
            }
        };
        self.give(input);
    }

    fn give(&mut self, input: Input) {
        if let Input::Due { timer } = input {
            self.inputs.timers.remove(&timer);
        }
        if let Input::Done { pass, .. } | Input::LargeDone { pass, .. } | Input::PassLost { pass } = input {
            self.inputs.live.remove(&pass);
        }
        if matches!(input, Input::GoOn) {
            self.inputs.goes_on = false;
        }
        let bytes = record::encode(&input, self.inputs.now);
        let ended = self.run.outcome().is_some();
        let accepted = match &input {
            Input::External(external) => Some(self.run.check_external(external).is_ok()),
            _ => None,
        };
        let before = places(&self.run);
        let mut effects = Vec::new();
        self.run.handle(input, self.inputs.now, &mut effects);
        if let (Some(accepted), None) = (accepted, self.run.outcome()) {
            let after = places(&self.run);
            let [waiting, asking, works] = std::array::from_fn(|place| after[place] - before[place]);
            let used = matches!((waiting, asking, works), (1, 0, 0) | (0, -1, 0) | (0, 0, 1..));
            assert!(
                if accepted { used } else { after == before },
                "what is accepted is used or waits, and nothing else"
            );
        }
        assert!(!ended || effects.is_empty(), "nothing comes after the end");
        self.journal.push(bytes);
        let last = effects.len().wrapping_sub(1);
        for (index, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::StartPass(pass) => {
                    assert!(self.started.insert(pass), "a pass starts once");
                    self.inputs.live.insert(pass);
                }
                Effect::Publish(event) => self.feed_bytes += Feed::cost_bytes(&event),
                Effect::Arm(timer, deadline) => assert!(self.inputs.timers.insert(timer, deadline).is_none()),
                Effect::Disarm(timer) => assert!(self.inputs.timers.remove(&timer).is_some()),
                Effect::GoOn => assert!(!std::mem::replace(&mut self.inputs.goes_on, true)),
                Effect::Finish(outcome) => {
                    self.inputs.goes_on = false;
                    assert_eq!((index, Some(&outcome)), (last, self.run.outcome()));
                    self.inputs.live.clear();
                    self.inputs.timers.clear();
                }
            }
        }
    }

    /// Checks that the pending effects are those that were not answered.
    fn check(&self) {
        let (mut passes, mut timers, mut goes_on) = (BTreeSet::new(), BTreeMap::new(), false);
        for effect in self.run.pending() {
            match effect {
                Effect::StartPass(pass) => assert!(passes.insert(pass)),
                Effect::Arm(timer, deadline) => assert!(timers.insert(timer, deadline).is_none()),
                Effect::GoOn => goes_on = true,
                other => panic!("{other:?} is not owed"),
            }
        }
        assert_eq!((&passes, &timers, goes_on), (&self.inputs.live, &self.inputs.timers, self.inputs.goes_on));
        assert!(passes.iter().all(|pass| self.run.pass_input(*pass).is_some()));
        assert_eq!(self.run.feed_bytes(), self.feed_bytes);
    }

    fn replay(&self) {
        let mut again = Run::new(Arc::clone(&self.graph), uuid(), "h".into()).with_events_at_once(EVENTS_AT_ONCE);
        for bytes in &self.journal {
            if let Ok((input, now)) = record::decode(bytes, &self.graph) {
                again.handle(input, now, &mut Vec::new());
            } else {
                // It names a type that the graph does not have, which no program of this graph records.
                return;
            }
        }
        assert_eq!(again.snapshot(), self.run.snapshot(), "the journal gives the same run");
        assert_eq!(again.next_sequence(), self.run.next_sequence());
    }
}
