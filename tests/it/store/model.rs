//! Random batches, committed in groups of any size, against the simulator's model: after each group, and after each
//! start, all queries return what the model has.

use std::collections::BTreeSet;

use steprill::engine::input::Outcome;

use super::*;
use crate::simulation::{
    random::Random,
    server::{
        mirror::{Mirror, SECRET},
        model::{Model, Session},
    },
};

/// The two workflows of the tests; the second graph has other ids.
fn graphs() -> [Arc<Graph>; 2] {
    let mut second = parts("a: S -> T ~ D|E");
    second.name = "second".into();
    [graph(), Arc::new(Graph::build(second).expect("a graph"))]
}

struct World {
    mirror: Mirror,
    model: Model,
    session: Session,
    random: Random,
    graphs: [Arc<Graph>; 2],
    number: u64,
    now: Now,
    /// The time of the newest change.
    newest: Now,
    next_handler: u64,
    /// Handlers whose newest run began with a state that is stored separately.
    apart: BTreeSet<HandlerKey>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (mut mirror, mut model, graphs) = (Mirror::new(), Model::default(), graphs());
        let (session, _) = model.open(&graphs, SECRET);
        let beginning = mirror.open(&graphs, &model, &session);
        Self {
            mirror,
            model,
            session,
            random: Random::new(seed),
            graphs,
            number: 0,
            now: beginning.newest,
            newest: beginning.newest,
            next_handler: beginning.issued.next,
            apart: BTreeSet::new(),
        }
    }

    fn publish_some(&mut self, batch: &mut Batch, run: RunKey, workflow: WorkflowId) {
        let length = match self.random.below(40) {
            0 => 70_000,
            1..4 => 3_000,
            _ => self.random.below(40),
        };
        let event = self.graphs[usize::from(workflow.0)].event_id("E").expect("E");
        for _ in 0..self.random.below(5) {
            let text = format!(r#"{{"n":{},"s":"{}"}}"#, self.random.below(1_000), "x".repeat(length));
            batch.published.push((run, Published::Event(EventRef::Known(event), json(&text))));
        }
    }

    /// Returns a state of a few keys, some of which are large.
    fn state(&mut self) -> Values {
        (0..self.random.below(4)).map(|key| (Arc::from(format!("k{key}")), self.value())).collect()
    }

    fn value(&mut self) -> Json {
        let length = *self.random.pick(&[2, 100, 3_000, 20_000]);
        json(&format!(r#""{}{}""#, self.random.below(10), "ü".repeat(length / 2)))
    }

    /// Returns the state with which a run begins, and where it is. `kept` is that of the handler's previous run, if it
    /// completed.
    fn start_state(&mut self, kept: Values) -> (StartState, Values) {
        match self.random.below(3) {
            0 if !kept.is_empty() => (StartState::Inherited, kept),
            1 => {
                let state = self.state();
                (StartState::Given(state.clone()), state)
            }
            _ => (StartState::Recorded, Values::default()),
        }
    }

    /// Returns what becomes of the state with which a run began, and what of it has changed if it is stored separately.
    fn change_state(&mut self, mut state: Values, is_apart: bool) -> (Values, Option<Changed>) {
        let mut keys = BTreeSet::new();
        for _ in 0..self.random.below(3) {
            let key: Arc<str> = format!("k{}", self.random.below(5)).into();
            if self.random.one_in(3) {
                state.remove(&key);
            } else {
                state.insert(Arc::clone(&key), self.value());
            }
            keys.insert(key);
        }
        let changed = if self.random.one_in(8) { Changed::Much } else { Changed::Keys(keys) };
        (state, is_apart.then_some(changed))
    }

    fn workflow(&mut self) -> WorkflowId {
        WorkflowId(self.random.below(2) as u16)
    }

    fn open(&mut self, batch: &mut Batch) {
        let key = self.next_handler;
        self.next_handler += 1;
        batch.next_handler = self.next_handler;
        let chosen: Arc<str> = format!("chosen{}", self.random.below(6)).into();
        let id = Some(chosen).filter(|id| !self.model.names.contains_key(id) && self.random.one_in(4));
        self.begin(batch, run(key, 0), 0, id, Values::default());
    }

    fn open_again(&mut self, batch: &mut Batch, before: RunKey) {
        let row = &self.model.handlers[&before.handler];
        let (begin, id, kept) = (row.begin, row.id.clone(), row.end.as_ref().expect("an end").state.clone());
        let next = self.next_sequence(before);
        if self.random.one_in(2) {
            batch.removed.push((before, begin..next));
        }
        self.begin(batch, RunKey { run: before.run + 1, ..before }, next, id, kept);
    }

    fn begin(&mut self, batch: &mut Batch, run: RunKey, first: u64, id: Option<Arc<str>>, kept: Values) {
        let workflow = self.workflow();
        let (state, begun) = self.start_state(kept);
        self.apart.remove(&run.handler);
        if state != StartState::Recorded {
            self.apart.insert(run.handler);
        }
        let head = Head { id, workflow, run_id: run_id(run), started_us: batch.now.wall_us, state };
        batch.opened.push(OpenedRun { run, first, head: Some(Box::new(head)) });
        self.go_on(batch, run, workflow, begun);
    }

    /// Adds inputs and events of a run that began with this state; perhaps a snapshot and the end.
    fn go_on(&mut self, batch: &mut Batch, run: RunKey, mut workflow: WorkflowId, begun: Values) {
        for _ in 0..self.random.below(3) {
            record(batch, run, &format!("r{}", self.random.below(100)));
        }
        if self.random.one_in(6) {
            workflow = self.workflow();
            snapshot(batch, run, workflow.0, &vec![7; self.random.below(3_000) + 1]);
        }
        self.publish_some(batch, run, workflow);
        if self.random.one_in(3) {
            self.end(batch, run, workflow, begun);
        }
    }

    fn end(&mut self, batch: &mut Batch, run: RunKey, workflow: WorkflowId, begun: Values) {
        let stop = self.graphs[usize::from(workflow.0)].stop;
        let value = json(&format!(r#"["{}"]"#, "y".repeat(self.random.below(40))));
        let (outcome, event) = match self.random.below(3) {
            0 => (Outcome::Completed(value.clone()), Published::Event(EventRef::Known(stop), value)),
            1 => (Outcome::Failed("it broke".into()), Published::Ended { step: None, error: Some("it broke".into()) }),
            _ => (Outcome::Cancelled, Published::Ended { step: None, error: None }),
        };
        batch.published.push((run, event));
        let keeps_journal = matches!(outcome, Outcome::Failed(_));
        let (mut state, changed) = self.change_state(begun, self.apart.contains(&run.handler));
        if !matches!(outcome, Outcome::Completed(_)) {
            state = Values::default();
        }
        let updated_us = batch.now.wall_us;
        batch.ended.push(Ended { run, outcome, state, changed, updated_us, keeps_journal });
    }

    /// Submits a batch.
    fn submit(&mut self) {
        self.number += 1;
        self.now.wall_us += 1_000;
        self.now.alive_us += 1_000;
        let (number, now, next_handler) = (self.number, self.now, self.next_handler);
        let mut batch = Batch { number, now, next_handler, ..Batch::default() };
        if self.random.one_in(2) {
            self.open(&mut batch);
        }
        let mut keys: Vec<HandlerKey> = self.model.handlers.keys().copied().collect();
        for _ in 0..self.random.below(4).min(keys.len()) {
            let handler = keys.swap_remove(self.random.below(keys.len()));
            let row = &self.model.handlers[&handler];
            let (run, begin, is_over) = (RunKey { handler, run: row.run }, row.begin, row.end.is_some());
            let (workflow, begun) = (self.session.workflow(row.version), row.journal.state.clone());
            match self.random.below(8) {
                0 if is_over => batch.purged.push(handler),
                1 | 2 if is_over => self.open_again(&mut batch, run),
                3 => batch.cursors.push((run, begin + self.random.below(5) as u64)),
                _ if is_over => {}
                _ => self.go_on(&mut batch, run, workflow, begun),
            }
        }
        if !(batch.opened.is_empty() && batch.records.is_empty() && batch.published.is_empty()) {
            self.newest = batch.now;
        }
        self.model.apply(&batch, &self.session);
        self.mirror.submit(&batch);
    }

    fn next_sequence(&self, run: RunKey) -> u64 {
        let events = &self.model.feeds[&run];
        events.first + events.list.len() as u64
    }

    fn check(&mut self) {
        let runs: Vec<RunKey> = self.model.feeds.keys().copied().collect();
        self.mirror.compare(&self.model, &self.session, std::iter::empty());
        for run in runs {
            let (first, next) = (self.model.feeds[&run].first, self.next_sequence(run));
            let from = first + self.random.below((next - first) as usize + 1) as u64;
            let until = next.min(from + self.random.below(20) as u64);
            let bytes_max = *self.random.pick(&[0, 50, 500, 65_536]);
            self.mirror.compare_events(run, from..until, bytes_max, &self.model, &self.session);
        }
    }

    fn open_store_again(&mut self) {
        (self.session, _) = self.model.open(&self.graphs, SECRET);
        let beginning = self.mirror.open(&self.graphs, &self.model, &self.session);
        assert!((self.newest..=self.now).contains(&beginning.newest), "{beginning:?}");
        assert_eq!(beginning.issued.next, self.next_handler);
    }
}

#[test]
fn whatever_is_committed_is_read_back() {
    for seed in 0..50 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..12 {
            for _ in 0..=world.random.below(4) {
                world.submit();
            }
            world.check();
            if world.random.one_in(3) {
                world.open_store_again();
            }
        }
    }
}
