//! What must hold after every turn and at the end.

use steprill::{
    engine::storage::{Answer, Completed, Query, Ticket},
    http::Method,
    limits::RETENTION_PAUSE_US,
    store::Store,
};

use super::world::{Call, Doing, World};

impl World {
    pub(super) fn audit(&self) {
        assert_eq!(self.scheduler().counts(), self.scheduler().recounts(), "counts equal a recount");
        assert!(self.scheduler().counts().running <= self.limits.runs_max);
        for (client, doing) in &self.doing {
            let waits = !matches!(doing, Doing::Locking(..) | Doing::Reading(..));
            assert_eq!(self.core.is_waiting(*client), waits, "{client:?}");
        }
        for flow in &self.flows {
            let workflow = self.scheduler().workflow(&flow.name).expect("it is served");
            let [admitted, waiting] = self.scheduler().counts().places[usize::from(workflow.0)];
            let max = flow.graph.max_runs.unwrap_or(usize::MAX);
            assert!(admitted <= max && (waiting == 0 || admitted == max), "a free place is taken at once");
        }
    }

    /// Lets all runs end, and all clients be answered.
    pub(super) fn wind_down(&mut self) {
        for round in 0..2_000 {
            self.turn();
            let mut next = self.scheduler().next_handler(None);
            while let Some(key) = next {
                let (id, is_over) = self
                    .scheduler()
                    .view(key)
                    .map(|view| (view.id.to_owned(), view.outcome.is_some()))
                    .expect("it is here");
                if !is_over && round > 300 {
                    let path = format!("/handlers/{id}/cancel");
                    self.request(Call { method: Method::Post, path, query: None, body: Vec::new(), parsed: None });
                } else if !is_over && self.scheduler().open_question_count(key) > 0 {
                    let body = self.compose_answer(&id);
                    let path = format!("/events/{id}");
                    self.request(Call { method: Method::Post, path, query: None, body, parsed: None });
                }
                next = self.scheduler().next_handler(Some(key));
            }
            if self.scheduler().counts().running == 0 && self.doing.is_empty() && self.passes.is_empty() {
                break;
            }
        }
        assert_eq!(self.scheduler().counts().running, 0, "every run comes to its end");
        assert!(self.doing.is_empty() && self.core.caller_count() == 0, "everybody is answered");
        self.pass_time(self.limits.keep_for.map_or(0, |keep_for| keep_for.as_micros() as u64));
        for _ in 0..4 {
            self.pass_time(RETENTION_PAUSE_US);
            self.turn();
        }
        let counts = self.scheduler().counts();
        let retained = if self.limits.keep_for.is_some() { 0 } else { self.limits.keep_finished };
        assert!(counts.finished <= retained, "{} of {retained} are retained", counts.finished);
        assert_eq!((counts.running, counts.time_outs, counts.held.runs), (0, 0, 0));
        self.check_removed();
    }

    /// The store has nothing of a run that is gone.
    pub(super) fn check_removed(&mut self) {
        for (run, seen) in &self.runs {
            let is_here = self.core.scheduler().run_of(run.handler) == Some(*run);
            self.store
                .read(Ticket(u64::MAX), Query::Page { run: *run, from: 0, until: u64::MAX, bytes_max: usize::MAX });
            let Some(Completed::Answer { answer: Ok(Answer::Page { feed, .. }), .. }) = self.store.poll_completed()
            else {
                panic!("a store in memory answers at once")
            };
            assert!(is_here || feed.next() == feed.first(), "{run:?} is gone, and so are its events");
            assert!(!is_here || seen.keys().all(|sequence| feed.get(*sequence).is_some()), "{run:?} has its events");
        }
    }
}
