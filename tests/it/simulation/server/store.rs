//! A store that is slow, fails, and forgets what was not synced.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
};

use steprill::{
    engine::{
        keys::{HandlerKey, RunKey},
        storage::{Batch, Ended, OpenedRun, Snapshotted},
        stored::{Aside, Beginning, Recovered},
    },
    graph::Graph,
    store::{Answer, Completed, Query, StoreError, Ticket},
};

use super::model::{CAUSE, Model, Session};
use crate::simulation::random::Random;

/// The model, and the batches on their way to it.
pub(crate) struct Store {
    /// What was committed.
    pub(crate) model: Model,
    pub(crate) session: Session,
    /// The least that a loss of power leaves, and the batches after it.
    synced: Model,
    unsynced: VecDeque<Committed>,
    pub(crate) submitted: VecDeque<Batch>,
    /// An epoch of which nothing more is committed.
    dead_epoch: Option<u32>,
    /// Handlers whose rows cannot be changed, and those whose rows cannot be read.
    pub(crate) unwritable: BTreeSet<HandlerKey>,
    pub(crate) unreadable: BTreeSet<HandlerKey>,
    /// Undamaged handlers whose changes cannot be committed this many times, because of a neighbour's damaged page.
    pub(crate) blocked: BTreeMap<HandlerKey, usize>,
    /// Runs whose end was dropped from a committed batch, which may have given their place to the next in the queue.
    pub(crate) undone: BTreeSet<RunKey>,
    /// Handlers that were set aside, by serial number, about which the scheduler may not know yet.
    unheard: VecDeque<Unheard>,
    /// How many of those that were reported while the present batch was open had finished; perhaps the scheduler had
    /// already chosen what that batch removes.
    finished_just_heard: usize,
    asides: u64,
    /// How many transactions fail before the disk has room again.
    pub(crate) failing: usize,
    queries: Vec<Asked>,
    pub(crate) completed: VecDeque<Completed>,
    /// Whether answers arrive in any order.
    pub(crate) shuffles: bool,
}

/// A handler that was set aside.
struct Unheard {
    serial: u64,
    handler: HandlerKey,
    was_finished: bool,
}

/// A committed batch, and the handlers that were set aside for it.
struct Committed {
    batch: Rc<Batch>,
    aside: Vec<HandlerKey>,
}

struct Asked {
    ticket: Ticket,
    query: Query,
    /// The answer, if it reflects the time of the query.
    answer: Option<Answer>,
}

impl Store {
    pub(crate) fn new(shuffles: bool) -> Self {
        Self {
            model: Model::default(),
            session: Session::default(),
            synced: Model::default(),
            unsynced: VecDeque::new(),
            submitted: VecDeque::new(),
            dead_epoch: None,
            unwritable: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            blocked: BTreeMap::new(),
            undone: BTreeSet::new(),
            unheard: VecDeque::new(),
            finished_just_heard: 0,
            asides: 0,
            failing: 0,
            queries: Vec::new(),
            completed: VecDeque::new(),
            shuffles,
        }
    }

    /// The server starts with these workflows.
    pub(crate) fn open(&mut self, registered: &[Arc<Graph>], secret: u128) -> Beginning {
        let (session, beginning) = self.model.open(registered, secret);
        self.session = session;
        self.synced.versions.clone_from(&self.model.versions);
        beginning
    }

    pub(crate) fn submit(&mut self, batch: Batch) {
        if self.dead_epoch != Some(batch.epoch) {
            self.submitted.push_back(batch);
        }
    }

    pub(crate) fn read(&mut self, ticket: Ticket, query: Query, random: &mut Random) {
        let answer = random.one_in(2).then(|| self.model.answer(&query, &self.session));
        self.queries.push(Asked { ticket, query, answer });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.submitted.is_empty() && self.queries.is_empty() && self.completed.is_empty()
    }

    pub(crate) fn has_queries(&self) -> bool {
        !self.queries.is_empty()
    }

    /// Removes handlers whose rows cannot be changed from the next batch. Returns these handlers.
    pub(crate) fn set_aside(&mut self) -> Vec<HandlerKey> {
        let Some(batch) = self.submitted.front_mut() else { return Vec::new() };
        let heard = self.unheard.iter().take_while(|of| of.serial <= batch.asides_heard).count();
        self.finished_just_heard = self.unheard.drain(..heard).filter(|of| of.was_finished).count();
        let mut drop_handler = |batch: &mut Batch, key: HandlerKey| {
            self.undone.extend(batch.ended.iter().map(|of| of.run).filter(|run| run.handler == key));
            batch.drop_handler(key);
        };
        self.unheard.iter().for_each(|of| drop_handler(batch, of.handler));
        let touched = handlers(batch);
        for refused in self.model.refused(batch) {
            self.blocked.entry(refused).or_insert(1);
        }
        self.blocked.retain(|key, times| {
            if touched.contains(key) && !self.unwritable.contains(key) {
                *times -= 1;
                drop_handler(batch, *key);
                self.asides += 1;
                let (serial, handler, cause) = (self.asides, *key, CAUSE.into());
                self.unheard.push_back(Unheard { serial, handler, was_finished: false });
                let aside = Aside { is_own: false, handler, cause, was_finished: false, serial };
                self.completed.push_back(Completed::Aside(aside));
            }
            *times > 0
        });
        let aside: Vec<HandlerKey> = self.unwritable.intersection(&touched).copied().collect();
        for &key in &aside {
            batch.drop_handler(key);
            self.asides += 1;
            let (was_finished, serial) = (self.model.set_aside(key), self.asides);
            self.unheard.push_back(Unheard { serial, handler: key, was_finished });
            self.completed.push_back(Completed::Aside(Aside {
                is_own: true,
                handler: key,
                cause: CAUSE.into(),
                was_finished,
                serial,
            }));
        }
        aside
    }

    /// Returns how many finished handlers have been set aside of which the scheduler may not have known when it chose
    /// what the last batch removes.
    pub(crate) fn finished_unheard(&self) -> usize {
        self.unheard.iter().filter(|of| of.was_finished).count() + self.finished_just_heard
    }

    /// The next batch is committed, but not yet reported.
    pub(crate) fn commit(&mut self, aside: Vec<HandlerKey>) -> Option<Rc<Batch>> {
        let batch = Rc::new(self.submitted.pop_front()?);
        self.model.apply(&batch, &self.session);
        self.unsynced.push_back(Committed { batch: Rc::clone(&batch), aside });
        self.completed.push_back(Completed::Batch { number: batch.number });
        self.completed.push_back(Completed::Size(self.model.bytes()));
        Some(batch)
    }

    /// Neither the next batch nor any that depends on it is committed.
    pub(crate) fn fail(&mut self) {
        let Some(batch) = self.submitted.pop_front() else { return };
        self.failing = self.failing.saturating_sub(1);
        self.dead_epoch = Some(batch.epoch);
        self.submitted.retain(|other| other.epoch != batch.epoch);
        let error = StoreError::Full { cause: "no room".into() };
        self.completed.push_back(Completed::Failed { number: batch.number, error });
    }

    /// Answers one query.
    pub(crate) fn answer(&mut self, random: &mut Random) {
        if self.queries.is_empty() {
            return;
        }
        let index = if self.shuffles { random.below(self.queries.len()) } else { 0 };
        let Asked { ticket, query, answer } = self.queries.remove(index);
        let answer = match answer {
            _ if self.failing > 0 && random.one_in(8) => Err(StoreError::Failed { cause: "cannot be read".into() }),
            Some(answer) => Ok(answer),
            None => Ok(self.model.answer(&query, &self.session)),
        };
        let answer = answer.and_then(|answer| self.damage(&query, answer));
        self.completed.push_back(Completed::Answer { ticket, answer });
    }

    /// Returns the answer to return instead if the handler cannot be read.
    fn damage(&self, query: &Query, answer: Answer) -> Result<Answer, StoreError> {
        match (query, &answer) {
            (Query::Page { run, .. }, _) if self.unreadable.contains(&run.handler) => {
                Err(StoreError::Damaged { handler: run.handler, cause: CAUSE.into() })
            }
            (_, Answer::Handler(Some(stored))) if self.unreadable.contains(&stored.handler.key) => {
                let handler = &stored.handler;
                if handler.end.is_none() && has_head(handler.key) {
                    return Ok(Answer::Damaged { handler: Box::new(handler.clone()), cause: CAUSE.into() });
                }
                Err(StoreError::Damaged { handler: handler.key, cause: CAUSE.into() })
            }
            _ => Ok(answer),
        }
    }

    /// Returns the handlers whose runs have not ended, at a start.
    pub(crate) fn recovered(&self) -> Vec<Recovered> {
        let recovered = self.model.live(&self.session).into_iter().map(|stored| {
            let key = stored.handler.key;
            if !self.unreadable.contains(&key) {
                return Recovered::Whole(stored);
            }
            Recovered::Damaged { key, handler: has_head(key).then_some(stored.handler), cause: CAUSE.into() }
        });
        recovered.collect()
    }

    /// Returns whether so little of a handler can be read that a start does not know what it is.
    pub(crate) fn is_headless(&self, key: HandlerKey) -> bool {
        self.unreadable.contains(&key) && !has_head(key)
    }

    /// Makes everything committed so far survive a loss of power.
    pub(crate) fn sync(&mut self) {
        self.synced = self.model.clone();
        self.unsynced.clear();
    }

    /// The process ends. After a loss of power, only this many of the unsynced batches are left.
    pub(crate) fn crash(&mut self, power_lost: bool, random: &mut Random) {
        if power_lost {
            let left = random.below(self.unsynced.len() + 1);
            let mut model = self.synced.clone();
            for committed in self.unsynced.iter().take(left) {
                for key in &committed.aside {
                    model.set_aside(*key);
                }
                model.apply(&committed.batch, &self.session);
            }
            self.model = model;
        }
        self.sync();
        self.submitted.clear();
        self.queries.clear();
        self.completed.clear();
        self.dead_epoch = None;
        self.unheard.clear();
        self.asides = 0;
    }
}

/// Returns whether the head of an unreadable handler can be read.
fn has_head(key: HandlerKey) -> bool {
    key.0.is_multiple_of(2)
}

/// Returns the handlers that a batch changes.
fn handlers(batch: &Batch) -> BTreeSet<HandlerKey> {
    let opened = batch.opened.iter().map(|opened| opened.run);
    let runs = batch.records.iter().map(|(run, _)| *run).chain(batch.published.iter().map(|(run, _)| *run));
    let runs = runs.chain(batch.snapshots.iter().map(|of| of.run)).chain(batch.ended.iter().map(|of| of.run));
    let runs = runs.chain(batch.cursors.iter().map(|(run, _)| *run)).chain(batch.removed.iter().map(|(run, _)| *run));
    let runs = runs.chain(batch.left.iter().map(|(run, _)| *run));
    opened.chain(runs).map(|run| run.handler).chain(batch.purged.iter().copied()).collect()
}

/// Returns a copy of the batch.
pub(crate) fn copy(batch: &Batch) -> Batch {
    let opened = |opened: &OpenedRun| OpenedRun { run: opened.run, first: opened.first, head: opened.head.clone() };
    let snapshotted = |of: &Snapshotted| Snapshotted {
        run: of.run,
        workflow: of.workflow,
        updated_us: of.updated_us,
        snapshot: of.snapshot.clone(),
    };
    let ended = |of: &Ended| Ended {
        run: of.run,
        outcome: of.outcome.clone(),
        state: of.state.clone(),
        changed: of.changed.clone(),
        updated_us: of.updated_us,
        keeps_journal: of.keeps_journal,
    };
    Batch {
        number: batch.number,
        epoch: batch.epoch,
        asides_heard: batch.asides_heard,
        now: batch.now,
        next_handler: batch.next_handler,
        opened: batch.opened.iter().map(opened).collect(),
        records: batch.records.clone(),
        published: batch.published.clone(),
        left: batch.left.clone(),
        snapshots: batch.snapshots.iter().map(snapshotted).collect(),
        ended: batch.ended.iter().map(ended).collect(),
        cursors: batch.cursors.clone(),
        removed: batch.removed.clone(),
        purged: batch.purged.clone(),
        is_clock: batch.is_clock,
    }
}
