//! Bodies of steps: short scripts drawn from the step and its event, run on a pass's input like real bodies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use steprill::{
    graph::{EventId, EventKind, Graph, StepId},
    json::Json,
    pass::{
        Done, EventRef, NewWait, Note, OnceValue, OtherEvent, PassEnd, PassInput, StateUse, Wait, WorkEvent, Write,
    },
};

use super::flows::Kind;
use crate::simulation::random::{Random, hash};

/// What one pass does.
#[derive(Clone, Debug)]
pub(crate) struct Performance {
    pub(crate) notes: Vec<Note>,
    pub(crate) done: Done,
    /// The values that it read from its snapshot.
    pub(crate) seen: BTreeMap<Arc<str>, Option<Json>>,
    pub(crate) keys_seen: Option<Vec<Arc<str>>>,
}

/// Runs the body of `step`.
pub(crate) fn perform(graph: &Graph, kind: Kind, step: StepId, input: &PassInput) -> Performance {
    let (id, round) = identity(&input.event);
    let step_hash = name_hash(&graph.step(step).name);
    let mut random = Random::new(hash(&[step_hash, id, round]));
    let mut body = Body {
        graph,
        kind,
        step,
        input,
        id,
        round,
        waits: 0,
        streamed: 0,
        in_step: true,
        noted: 0,
        performance: Performance {
            notes: Vec::new(),
            done: Done {
                end: PassEnd::Returned(Vec::new()),
                sent: Vec::new(),
                state: StateUse { version: input.state.version, ..StateUse::default() },
            },
            seen: BTreeMap::new(),
            keys_seen: None,
        },
    };
    if input.failure.is_some() {
        return body.give_failure();
    }
    let mut end = None;
    if kind == Kind::Contended {
        body.count("a");
    }
    for act in 0..random.below(5) {
        end = body.act(&mut random, act as u64).err();
        if end.is_some() {
            break;
        }
    }
    let end = match end {
        None if fails(graph, step, id) => PassEnd::Failed { error: "it always fails".to_owned(), retry: true },
        end => end.unwrap_or_else(|| body.give(&mut random)),
    };
    let Body { mut performance, .. } = body;
    performance.done.state.reads = performance.seen.keys().cloned().collect();
    performance.done.state.listed = performance.keys_seen.is_some();
    performance.done.end = end;
    performance
}

/// Returns number and round of an event; for a fan-in, a number that depends on all of its events in order.
pub(crate) fn identity(event: &WorkEvent) -> (u64, u64) {
    match event {
        WorkEvent::One(_, value) => pair(value),
        WorkEvent::All(events) => {
            let ids: Vec<(u64, u64)> = events.iter().map(|(_, value)| pair(value)).collect();
            (hash(&ids.iter().map(|(id, _)| *id).collect::<Vec<_>>()), 0)
        }
    }
}

/// Returns what [`value`] or [`fields`] was made from.
fn pair(value: &Json) -> (u64, u64) {
    let Some(fields) = value.as_str().strip_prefix("{\"id\":") else { return value.decode().expect("[id, round]") };
    (fields.trim_end_matches('}').parse().expect("an id"), 0)
}

/// Returns whether all attempts at this event fail, which is so for some steps with `on_failure`.
fn fails(graph: &Graph, step: StepId, id: u64) -> bool {
    let step = graph.step(step);
    step.on_failure.is_some() && hash(&[name_hash(&step.name), id, 1]).is_multiple_of(3)
}

/// Depends on the name, so a body stays the same when its workflow changes around it.
fn name_hash(name: &str) -> u64 {
    hash(&name.bytes().map(u64::from).collect::<Vec<_>>())
}

pub(crate) fn value(id: u64, round: u64) -> Json {
    Json::from_value(&(id, round)).expect("a pair of numbers")
}

/// Returns the value of the first round as an object, which is what clients send.
pub(crate) fn fields(id: u64) -> serde_json::Value {
    serde_json::json!({ "id": id })
}

/// Returns an initial state, with keys that bodies change.
pub(crate) fn state() -> steprill::values::Values {
    ["d", "list", "other"].into_iter().map(|key| (Arc::from(key), value(1, 1))).collect()
}

struct Body<'a> {
    graph: &'a Graph,
    kind: Kind,
    step: StepId,
    input: &'a PassInput,
    id: u64,
    round: u64,
    waits: u32,
    streamed: u32,
    /// Whether all stream writes so far equal the published ones.
    in_step: bool,
    noted: u32,
    performance: Performance,
}

impl Body<'_> {
    /// Performs one act; `Err` ends the pass.
    fn act(&mut self, random: &mut Random, act: u64) -> Result<(), PassEnd> {
        match random.below(12) {
            0 | 1 => self.stream(random.next()),
            2 => self.once(),
            3 => return self.ask(random, act),
            4 => return self.sleep(random),
            5 if u64::from(self.input.attempt) <= random.next() % 3 => {
                let retry = self.kind != Kind::Wild || !random.one_in(16);
                return Err(match random.below(3) {
                    0 => PassEnd::Panicked("boom".to_owned()),
                    _ => PassEnd::Failed { error: format!("attempt {} failed", self.input.attempt), retry },
                });
            }
            6 | 7 => {
                let key = *random.pick(&["a", "b", "c"]);
                self.count(key);
            }
            8 => self.write("sum".into(), Write::Add(Json::from_value(&1).expect("a number"))),
            9 => self.write("list".into(), Write::Push(value(self.id, act))),
            10 => {
                let keys = self.input.state.values.keys().cloned().collect();
                self.performance.keys_seen = Some(keys);
                self.write("d".into(), if random.one_in(2) { Write::Remove } else { Write::Set(value(0, 0)) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads a number and writes its successor.
    fn count(&mut self, key: &str) {
        let key = Arc::from(key);
        let old = self.read(&key).map_or(0, |value| value.decode::<u64>().unwrap_or(0));
        self.write(key, Write::Set(Json::from_value(&(old + 1)).expect("a number")));
    }

    /// Streams the same in every pass of an attempt, except for bodies that vary a little.
    fn stream(&mut self, drawn: u64) {
        let wavers = self.kind == Kind::Wild && drawn.is_multiple_of(4);
        let shown = if wavers { drawn ^ self.input.waits.len() as u64 } else { drawn };
        let ordinal = self.streamed;
        self.streamed += 1;
        self.in_step &= self.input.published.get(ordinal as usize) == Some(&u128::from(shown));
        if !self.in_step {
            let other = OtherEvent { name: "Tick".into(), qualified_name: "m.Tick".into(), kind: EventKind::Plain };
            let event = EventRef::Other(Arc::new(other));
            self.performance.notes.push(Note::Stream { ordinal, hash: shown.into(), event, value: value(shown, 0) });
        }
    }

    fn once(&mut self) {
        let ordinal = self.noted;
        self.noted += 1;
        let stream_ordinal = self.streamed;
        let value = value(hash(&[self.input.work, u64::from(ordinal)]), 0);
        match self.input.once.get(ordinal as usize) {
            Some(noted) => assert_eq!(noted.value, value, "a once value lasts"),
            None => self.performance.notes.push(Note::Once { ordinal, value: OnceValue { value, stream_ordinal } }),
        }
    }

    fn ask(&mut self, random: &mut Random, act: u64) -> Result<(), PassEnd> {
        let Some(&(question, answer)) = self.graph.step(self.step).asks.first() else { return Ok(()) };
        let ordered = self.kind != Kind::Wild;
        let number = hash(&[self.id, act]) % 1_000_000;
        let matches = ordered || random.one_in(2);
        let matching = matches.then(|| ("q".to_owned(), Json::from_value(&number).expect("a number"))).into_iter();
        let matching = matching.collect();
        let timeout = (!ordered && random.one_in(3)).then_some(Duration::from_secs(3));
        let gives_up = random.one_in(2);
        let ordinal = self.waits;
        self.waits += 1;
        match self.input.waits.get(ordinal as usize) {
            None | Some(Wait::Forgotten { .. }) => {
                let value = Json::from_value(&serde_json::json!({ "q": number })).expect("an object");
                let wait = NewWait::Ask { question, answer, value, matching, timeout };
                Err(PassEnd::Waits { ordinal, wait })
            }
            Some(Wait::Asked { question: asked, answer }) => {
                assert_eq!(*asked, question, "a wait keeps its type");
                match answer {
                    None if gives_up => Err(PassEnd::Failed { error: "nobody answered".into(), retry: true }),
                    _ => Ok(()),
                }
            }
            Some(Wait::Slept) => panic!("a wait keeps its kind"),
        }
    }

    fn sleep(&mut self, random: &mut Random) -> Result<(), PassEnd> {
        let duration = Duration::from_millis([0, 1, 3_000][random.below(3)]);
        let ordinal = self.waits;
        self.waits += 1;
        match self.input.waits.get(ordinal as usize) {
            None => Err(PassEnd::Waits { ordinal, wait: NewWait::Sleep(duration) }),
            Some(wait) => {
                assert_eq!(*wait, Wait::Slept, "a wait keeps its kind");
                Ok(())
            }
        }
    }

    /// Returns the key's value: from the pass's own writes, else from its snapshot, which counts as a read.
    fn read(&mut self, key: &Arc<str>) -> Option<Json> {
        let snapshot = self.input.state.values.get(key);
        let writes = self.performance.done.state.writes.iter().filter(|(written, _)| written == key);
        let mut set = false;
        let value = writes.fold(snapshot.clone(), |value, (_, write)| {
            set |= matches!(write, Write::Set(_) | Write::Remove);
            let value = write.apply(key, value.map(Into::into)).expect("keys keep their types");
            value.map(|value| value.json())
        });
        if !set {
            self.performance.seen.insert(Arc::clone(key), snapshot);
        }
        value
    }

    fn write(&mut self, key: Arc<str>, write: Write) {
        self.performance.done.state.writes.push((key, write));
    }

    /// Returns the `on_failure` event.
    fn give_failure(mut self) -> Performance {
        let step = self.graph.step(self.step);
        let event = step.on_failure.expect("a step with `on_failure`");
        let value = value(hash(&[self.id, self.round, name_hash(&step.name), 11]), 0);
        self.performance.done.end = PassEnd::Returned(vec![(event, value)]);
        self.performance
    }

    /// Returns what the step emits, according to its graph.
    fn give(&mut self, random: &mut Random) -> PassEnd {
        let step = self.graph.step(self.step);
        let child = |index: u64| hash(&[self.id, self.round, name_hash(&step.name), index]);
        let width = if self.kind == Kind::Contended { 9 } else { 4 };
        let many =
            |of: EventId, count: usize| (0..count as u64).map(move |index| (of, value(child(index), 0))).collect();
        if let Some(&sent) = step.sends.first() {
            self.performance.done.sent = many(sent, random.below(width));
        }
        let returned = match *step.returns {
            [] => Vec::new(),
            [element] if step.fan_out => many(element, random.below(width)),
            [_] if step.name.ends_with("drop") && random.one_in(2) => Vec::new(),
            [one] => vec![(one, value(child(9), 0))],
            [again, _] if step.takes.contains(&again) && self.round < random.next() % 6 => {
                vec![(again, value(child(9), self.round + 1))]
            }
            [again, on] if step.takes.contains(&again) => vec![(on, value(child(9), 0))],
            [..] => vec![(*random.pick(&step.returns), value(child(9), 0))],
        };
        PassEnd::Returned(returned)
    }
}
