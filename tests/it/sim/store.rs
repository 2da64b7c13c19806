//! A store that is slow, fails, and forgets what was not synced.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use steprill::{
    engine::{
        kept::Beginning,
        scheduler::{Batch, Ended, Opened, Snapshotted},
    },
    graph::Graph,
    store::{Answer, Completed, Query, StoreError, Ticket},
};

use super::model::{Model, Session};
use crate::simulation::random::Random;

/// The model, and what is on its way to it.
pub(crate) struct Store {
    /// What was committed.
    pub(crate) model: Model,
    pub(crate) session: Session,
    /// What a loss of power leaves at least, and the batches after it.
    synced: Model,
    unsynced: VecDeque<Rc<Batch>>,
    pub(crate) submitted: VecDeque<Batch>,
    /// Of this epoch nothing more is kept.
    dead_epoch: Option<u32>,
    /// So many transactions fail before the disk has room again.
    pub(crate) failing: usize,
    queries: Vec<Asked>,
    pub(crate) completed: VecDeque<Completed>,
    last_ticket: u64,
    /// Whether answers come in any order.
    pub(crate) shuffles: bool,
}

struct Asked {
    ticket: Ticket,
    query: Query,
    /// The answer, if it is as things were when it was asked.
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
            failing: 0,
            queries: Vec::new(),
            completed: VecDeque::new(),
            last_ticket: 0,
            shuffles,
        }
    }

    /// The server begins, with these workflows.
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

    pub(crate) fn read(&mut self, query: Query, random: &mut Random) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let answer = random.one_in(2).then(|| self.model.answer(&query, &self.session));
        self.queries.push(Asked { ticket, query, answer });
        ticket
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.submitted.is_empty() && self.queries.is_empty() && self.completed.is_empty()
    }

    pub(crate) fn has_queries(&self) -> bool {
        !self.queries.is_empty()
    }

    /// The next batch is on the disk, but nobody has been told.
    pub(crate) fn commit(&mut self) -> Option<Rc<Batch>> {
        let batch = Rc::new(self.submitted.pop_front()?);
        self.model.apply(&batch, &self.session);
        self.unsynced.push_back(Rc::clone(&batch));
        self.completed.push_back(Completed::Batch { number: batch.number });
        self.completed.push_back(Completed::Size(self.model.bytes()));
        Some(batch)
    }

    /// The next batch is not kept, nor what rests on it.
    pub(crate) fn fail(&mut self) {
        let Some(batch) = self.submitted.pop_front() else { return };
        self.failing = self.failing.saturating_sub(1);
        self.dead_epoch = Some(batch.epoch);
        self.submitted.retain(|other| other.epoch != batch.epoch);
        let error = StoreError::Full("no room".to_owned());
        self.completed.push_back(Completed::Failed { number: batch.number, error });
    }

    /// One query is answered.
    pub(crate) fn answer(&mut self, random: &mut Random) {
        if self.queries.is_empty() {
            return;
        }
        let index = if self.shuffles { random.below(self.queries.len()) } else { 0 };
        let Asked { ticket, query, answer } = self.queries.remove(index);
        let answer = match answer {
            _ if self.failing > 0 && random.one_in(8) => Err(StoreError::Failed("cannot be read".to_owned())),
            Some(answer) => Ok(answer),
            None => Ok(self.model.answer(&query, &self.session)),
        };
        self.completed.push_back(Completed::Answer { ticket, answer });
    }

    /// What was committed so far survives a loss of power.
    pub(crate) fn sync(&mut self) {
        self.synced = self.model.clone();
        self.unsynced.clear();
    }

    /// The process ends. With a loss of power only so many of the batches that were not synced are left.
    pub(crate) fn crash(&mut self, power_lost: bool, random: &mut Random) {
        if power_lost {
            let left = random.below(self.unsynced.len() + 1);
            let mut model = self.synced.clone();
            for batch in self.unsynced.iter().take(left) {
                model.apply(batch, &self.session);
            }
            self.model = model;
        }
        self.sync();
        self.submitted.clear();
        self.queries.clear();
        self.completed.clear();
        self.dead_epoch = None;
    }
}

/// The same batch again.
pub(crate) fn copy(batch: &Batch) -> Batch {
    let opened = |opened: &Opened| Opened { run: opened.run, first: opened.first, head: opened.head.clone() };
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
        updated_us: of.updated_us,
        keeps_journal: of.keeps_journal,
    };
    Batch {
        number: batch.number,
        epoch: batch.epoch,
        journaled: batch.journaled,
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
