//! What passes do: an executor whose passes go on by chance.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use steprill::{
    engine::scheduler::{Capacity, StartPass},
    executors::{Executor, ExecutorReport},
    graph::Graph,
    pass::{Done, FeedOrder, Note, Order, PassEnd, Report},
};

use crate::simulation::{
    random::Random,
    run::{body::perform, flows::Kind},
};

pub(super) struct Passes {
    random: Random,
    /// By workflow.
    workflows: Vec<(Arc<Graph>, Kind)>,
    /// How many passes it takes now.
    pub(super) room: usize,
    out: BTreeMap<u64, Out>,
    reports: VecDeque<ExecutorReport>,
}

/// A pass that has not ended.
struct Out {
    notes: VecDeque<Note>,
    done: Done,
    granted_bytes: usize,
}

impl Passes {
    pub(super) fn new(random: Random, workflows: Vec<(Arc<Graph>, Kind)>) -> Self {
        Self { random, workflows, room: 0, out: BTreeMap::new(), reports: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.reports.is_empty()
    }

    /// Passes stream, remember and end: all of them, or some.
    pub(super) fn go_on(&mut self, all: bool) {
        let tags: Vec<u64> = self.out.keys().copied().collect();
        for tag in tags {
            if !all && self.random.one_in(3) {
                continue;
            }
            let Some(out) = self.out.get_mut(&tag) else { continue };
            let report = if let Some(note) = out.notes.pop_front() {
                let left = out.granted_bytes.checked_sub(note.feed_bytes());
                out.granted_bytes = left.expect("small notes never need more than is granted");
                Report::Noted(vec![note])
            } else {
                let Some(out) = self.out.remove(&tag) else { continue };
                Report::Done(out.done)
            };
            self.reports.push_back(ExecutorReport::Of(tag, report));
        }
    }
}

impl Executor for Passes {
    fn capacity(&self) -> Capacity {
        Capacity { at_once: self.room, queued: self.room }
    }

    fn start(&mut self, pass: StartPass) {
        let StartPass { tag, workflow, step, input, grant_bytes } = pass;
        self.room -= 1;
        let (graph, kind) = &self.workflows[usize::from(workflow.0)];
        let performance = perform(graph, *kind, step, &input);
        let notes = performance.notes.into();
        self.out.insert(tag, Out { notes, done: performance.done, granted_bytes: grant_bytes });
    }

    fn order(&mut self, tag: u64, order: Order) {
        let Some(out) = self.out.get_mut(&tag) else { return };
        match order {
            Order::Stop(_) => {
                out.notes.clear();
                out.done.end = PassEnd::Failed { error: "stopped".to_owned(), retry: false };
            }
            Order::Abandon => {}
            Order::Feed(FeedOrder::Grant(bytes)) => out.granted_bytes += bytes,
            Order::Feed(FeedOrder::Refuse) => panic!("nothing was wanted"),
            Order::Feed(FeedOrder::TakeBack) => {
                let bytes = mem::take(&mut out.granted_bytes);
                self.reports.push_back(ExecutorReport::Of(tag, Report::FeedGivenBack(bytes)));
            }
        }
    }

    fn wake(&mut self, _: u64) {}

    fn poll_report(&mut self, _: bool) -> Option<ExecutorReport> {
        self.reports.pop_front()
    }

    fn overload(&self) -> Option<String> {
        None
    }

    fn handle_time(&mut self, _: u64) {}

    fn poll_timeout(&self, _: u64) -> Option<Duration> {
        (!self.reports.is_empty()).then_some(Duration::ZERO)
    }
}
