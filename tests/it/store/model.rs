//! Random batches, committed in groups of any size, against a model: after each group, and after each start, all
//! queries return what the model has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use steprill::{
    engine::{
        ids::HandlerIds,
        input::Outcome,
        keys::{HandlerKey, WorkflowId},
        published::Published,
        stored::{StoredEnd, StoredHandler, StoredJournal},
    },
    hash::{INCREMENT, avalanche},
};

use super::*;

/// Numbers that follow from a seed: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        avalanche(self.0) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

struct Handler {
    kept: StoredHandler,
    journal: StoredJournal,
    /// Whether the state with which the newest run began is stored separately.
    is_apart: bool,
    /// By number: text, workflow, and the run that published it.
    events: BTreeMap<u64, (String, u16, u32)>,
}

#[derive(Default)]
struct Model {
    handlers: BTreeMap<u64, Handler>,
    ended: VecDeque<u64>,
}

/// The two workflows of the tests; the second graph has other ids.
fn graphs() -> [Arc<Graph>; 2] {
    let mut second = parts("a: S -> T ~ D|E");
    second.name = "second".into();
    [graph(), Arc::new(Graph::build(second).expect("a graph"))]
}

struct World {
    kit: Kit,
    model: Model,
    random: Random,
    graphs: [Arc<Graph>; 2],
    /// The time of the newest change.
    newest: Now,
}

impl World {
    fn publish(&mut self, batch: &mut Batch, key: u64, event: Published) {
        let Some(handler) = self.model.handlers.get_mut(&key) else { return };
        let mut feed = steprill::engine::feed::Feed::new(0);
        feed.push(&event);
        let text = format!("{:?}", feed.get(0).expect("an event"));
        let kept = &mut handler.kept;
        handler.events.insert(kept.next_sequence, (text, kept.workflow.0, kept.run));
        kept.next_sequence += 1;
        batch.published.push((run(key, kept.run), event));
    }

    fn publish_some(&mut self, batch: &mut Batch, key: u64) {
        let length = match self.random.below(40) {
            0 => 70_000,
            1..4 => 3_000,
            _ => self.random.below(40) as usize,
        };
        for _ in 0..self.random.below(5) {
            let graph = &self.graphs[usize::from(self.model.handlers[&key].kept.workflow.0)];
            let text = format!(r#"{{"n":{},"s":"{}"}}"#, self.random.below(1_000), "x".repeat(length));
            let event = Published::Event(EventRef::Known(graph.event_id("E").expect("E")), json(&text));
            self.publish(batch, key, event);
        }
    }

    /// Returns a state of a few keys, some of which are large.
    fn state(&mut self) -> Values {
        (0..self.random.below(4)).map(|key| (Arc::from(format!("k{key}")), self.value())).collect()
    }

    fn value(&mut self) -> Json {
        let length = self.random.pick(&[2, 100, 3_000, 20_000]);
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

    fn open(&mut self, batch: &mut Batch) {
        let key = self.kit.next_handler;
        self.kit.next_handler += 1;
        batch.next_handler = self.kit.next_handler;
        let id: Option<Arc<str>> = self.random.one_in(4).then(|| format!("mine-{key}").into());
        let workflow = WorkflowId(self.random.below(2) as u16);
        let (run, started_us) = (run(key, 0), batch.now.wall_us);
        let (state, apart) = self.start_state(Values::default());
        let is_apart = state != StartState::Recorded;
        let head = Head { id: id.clone(), workflow, run_id: run_id(run), started_us, state };
        batch.opened.push(OpenedRun { run, first: 0, head: Some(Box::new(head)) });
        let kept = StoredHandler {
            key: HandlerKey(key),
            id,
            workflow,
            run: 0,
            run_id: run_id(run),
            started_us,
            updated_us: started_us,
            first_sequence: 0,
            next_sequence: 0,
            window: None,
            cursor: 0,
            end: None,
        };
        let journal = StoredJournal { state: apart, ..StoredJournal::default() };
        let handler = Handler { kept, journal, is_apart, events: BTreeMap::new() };
        self.model.handlers.insert(key, handler);
        self.go_on(batch, key);
    }

    fn open_again(&mut self, batch: &mut Batch, key: u64) {
        let end = self.model.handlers.get(&key).and_then(|handler| handler.kept.end.clone());
        let (state, apart) = self.start_state(end.map(|end| end.state).unwrap_or_default());
        let Some(handler) = self.model.handlers.get_mut(&key) else { return };
        let kept = &mut handler.kept;
        let (earlier, earlier_events) = (run(key, kept.run), kept.first_sequence..kept.next_sequence);
        kept.run += 1;
        kept.workflow = WorkflowId(self.random.below(2) as u16);
        (kept.run_id, kept.started_us, kept.updated_us) =
            (run_id(run(key, kept.run)), batch.now.wall_us, batch.now.wall_us);
        (kept.first_sequence, kept.cursor) = (kept.next_sequence, kept.next_sequence);
        if kept.end.take().is_some() {
            self.model.ended.retain(|ended| *ended != key);
        }
        handler.is_apart = state != StartState::Recorded;
        handler.journal = StoredJournal { state: apart, ..StoredJournal::default() };
        let (id, workflow, run_id, started_us) = (kept.id.clone(), kept.workflow, kept.run_id, kept.started_us);
        let head = Head { id, workflow, run_id, started_us, state };
        let first = kept.first_sequence;
        batch.opened.push(OpenedRun { run: run(key, kept.run), first, head: Some(Box::new(head)) });
        if self.random.one_in(2) {
            handler.events.retain(|number, _| !earlier_events.contains(number));
            batch.removed.push((earlier, earlier_events));
        }
        self.go_on(batch, key);
    }

    /// Adds inputs and events of a run; perhaps a snapshot and the end.
    fn go_on(&mut self, batch: &mut Batch, key: u64) {
        let snapshots = self.random.one_in(6);
        let Some(handler) = self.model.handlers.get_mut(&key) else { return };
        let (handle, kept) = (run(key, handler.kept.run), &mut handler.kept);
        if kept.end.is_some() {
            return;
        }
        if snapshots {
            kept.workflow = WorkflowId(self.random.below(2) as u16);
            kept.updated_us = batch.now.wall_us;
        }
        let workflow = kept.workflow;
        for _ in 0..self.random.below(3) {
            let text = format!("r{}", self.random.below(100));
            record(batch, handle, &text);
            handler.journal.records.extend(batch.records.last().map(|(_, record)| record.clone()));
        }
        if snapshots {
            let bytes = vec![7; self.random.below(3_000) as usize + 1];
            handler.journal.snapshot = Some(bytes.clone());
            handler.journal.records.clear();
            snapshot(batch, handle, workflow.0, &bytes);
        }
        self.publish_some(batch, key);
        if self.random.one_in(3) {
            self.end(batch, key);
        }
    }

    fn end(&mut self, batch: &mut Batch, key: u64) {
        let graph = &self.graphs[usize::from(self.model.handlers[&key].kept.workflow.0)];
        let value = json(&format!(r#"["{}"]"#, "y".repeat(self.random.below(40) as usize)));
        let (outcome, event) = match self.random.below(3) {
            0 => (Outcome::Completed(value.clone()), Published::Event(EventRef::Known(graph.stop), value)),
            1 => (Outcome::Failed("it broke".into()), Published::Ended { step: None, error: Some("it broke".into()) }),
            _ => (Outcome::Cancelled, Published::Ended { step: None, error: None }),
        };
        self.publish(batch, key, event);
        let keeps_journal = matches!(outcome, Outcome::Failed(_));
        let Handler { journal, is_apart, .. } = &self.model.handlers[&key];
        let (begun, is_apart) = (journal.state.clone(), *is_apart);
        let (mut state, changed) = self.change_state(begun, is_apart);
        if !matches!(outcome, Outcome::Completed(_)) {
            state = Values::default();
        }
        let Some(handler) = self.model.handlers.get_mut(&key) else { return };
        handler.kept.updated_us = batch.now.wall_us;
        handler.kept.end = Some(StoredEnd { outcome: outcome.clone(), state: state.clone() });
        self.model.ended.push_back(key);
        let (run, updated_us) = (run(key, handler.kept.run), batch.now.wall_us);
        batch.ended.push(Ended { run, outcome, state, changed, updated_us, keeps_journal });
    }

    fn batch(&mut self) -> Batch {
        let mut batch = self.kit.batch();
        if self.random.one_in(2) {
            self.open(&mut batch);
        }
        let mut keys: Vec<u64> = self.model.handlers.keys().copied().collect();
        for _ in 0..self.random.below(4) {
            if keys.is_empty() {
                break;
            }
            let key = keys.swap_remove(self.random.below(keys.len() as u64) as usize);
            if batch.opened.iter().any(|opened| opened.run.handler.0 == key) {
                continue;
            }
            let kept = &mut self.model.handlers.get_mut(&key).expect("a handler").kept;
            match self.random.below(8) {
                0 if kept.end.is_some() => {
                    batch.purged.push(HandlerKey(key));
                    self.model.handlers.remove(&key);
                    self.model.ended.retain(|ended| *ended != key);
                }
                1 | 2 if kept.end.is_some() => self.open_again(&mut batch, key),
                3 => {
                    kept.cursor = kept.first_sequence + self.random.below(5);
                    let (run, cursor) = (run(key, kept.run), kept.cursor);
                    batch.cursors.push((run, cursor));
                }
                _ => self.go_on(&mut batch, key),
            }
        }
        batch
    }

    fn check(&mut self) {
        let (kit, model) = (&mut self.kit, &self.model);
        for (&key, handler) in &model.handlers {
            let kept = kit.handler(key).unwrap_or_else(|| panic!("handler {key} is gone"));
            assert_eq!(kept.handler, handler.kept);
            let journal = if handler.kept.end.is_none() { handler.journal.clone() } else { StoredJournal::default() };
            assert_eq!(kept.journal, journal, "journal of {key}");
            let made = HandlerIds::new(kit.beginning.secret).spell(HandlerKey(key));
            let made = str::from_utf8(&made).expect("ASCII");
            for (id, is_found) in
                [(handler.kept.id.as_deref().unwrap_or(made), true), (made, handler.kept.id.is_none())]
            {
                let answer = kit.ask(Query::Handler(HandlerAddress::Id(id.into()))).expect("an answer");
                let Answer::Handler(found) = answer else { panic!("{answer:?}") };
                assert_eq!(found.is_some_and(|found| found.handler.key.0 == key), is_found, "{key} by {id}");
            }
        }
        let mut listed = Vec::new();
        loop {
            let page = kit.list(listed.last().map(|last: &StoredHandler| last.key.0), 3);
            let is_last = page.len() < 3;
            listed.extend(page);
            if is_last {
                break;
            }
        }
        let without_state = model.handlers.values().map(|handler| {
            let mut kept = handler.kept.clone();
            if let Some(end) = &mut kept.end {
                end.state = steprill::values::Values::default();
            }
            kept
        });
        assert_eq!(listed, without_state.collect::<Vec<_>>());
        let ended_us = |key| model.handlers[&key].kept.updated_us;
        assert_eq!(kit.oldest(1_000), model.ended.iter().map(|&key| (key, ended_us(key))).collect::<Vec<_>>());
        self.check_pages();
    }

    fn check_pages(&mut self) {
        for (&key, handler) in &self.model.handlers {
            for (&from, (_, version, number)) in &handler.events {
                let bytes_max = [0, 50, 500, 65_536][self.random.below(4) as usize];
                let last = handler.events.range(from..).take_while(|(_, event)| event.2 == *number).last();
                let until = last.map_or(from, |(last, _)| last + 1).min(from + 1 + self.random.below(20));
                let (page, workflow) = self.kit.page(run(key, *number), from, until, bytes_max);
                assert_eq!(workflow, Some(*version), "{key} from {from}");
                assert!(!page.is_empty(), "{key} from {from}");
                for (place, text) in page.iter().enumerate() {
                    let (expected, of, _) = &handler.events[&(from + place as u64)];
                    assert_eq!((text, workflow), (expected, Some(*of)), "{key} from {from}");
                }
                assert!(page.len() as u64 <= until - from);
                let bytes: usize = page.iter().skip(1).map(String::len).sum();
                assert!(bytes <= 2 * bytes_max + 80 * page.len(), "{bytes} bytes in a page of {bytes_max}");
            }
            let next = handler.kept.next_sequence;
            assert_eq!(self.kit.page(run(key, handler.kept.run), next, u64::MAX, 100), (Vec::new(), None));
        }
    }
}

fn check_seed(seed: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let graphs = graphs();
    let kit = Kit::open_with(directory.path(), &graphs).expect("a store");
    let mut world =
        World { kit, model: Model::default(), random: Random(seed), graphs: graphs.clone(), newest: Now::default() };
    for _ in 0..12 {
        for _ in 0..=world.random.below(4) {
            let batch = world.batch();
            let is_empty = batch.opened.is_empty() && batch.records.is_empty() && batch.published.is_empty();
            if !is_empty {
                world.newest = batch.now;
            }
            world.kit.store.submit(batch);
        }
        let last = world.kit.number;
        world.kit.wait_for(last);
        world.check();
        if world.random.one_in(3) {
            world.kit.store.close();
            let Kit { number, epoch, now, next_handler, .. } = world.kit;
            let kit = Kit::open_with(directory.path(), &graphs).expect("a store");
            assert!((world.newest..=now).contains(&kit.beginning.newest), "{:?}", kit.beginning);
            assert_eq!(kit.beginning.issued.next, next_handler);
            assert_eq!(kit.beginning.secret, SECRET);
            assert_eq!(kit.beginning.finished, world.model.ended.len());
            world.kit = Kit { number, epoch, ..kit };
            let running = world.model.handlers.values().filter(|handler| handler.kept.end.is_none());
            let running: Vec<Stored> = running
                .map(|handler| Stored { handler: handler.kept.clone(), journal: handler.journal.clone() })
                .collect();
            assert_eq!(world.kit.recover(), running);
        }
    }
}

#[test]
fn whatever_is_committed_is_read_back() {
    for seed in 0..60 {
        println!("seed {seed}");
        check_seed(seed);
    }
}
