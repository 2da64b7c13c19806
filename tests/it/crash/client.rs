//! A concurrent user of the server, and its ledger.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    ledger::{Entry, Fact},
    wire::call,
    work::Work,
};
use crate::{
    simulation::random::Random,
    support::{PATIENCE, Response},
};

/// What the clients of one round share.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) host: &'a str,
    /// Requests to be made before the server is killed.
    pub(super) left: &'a AtomicUsize,
    /// Notified when they are made.
    pub(super) end: Sender<()>,
    /// The threads that follow feeds of handlers.
    pub(super) readers: Vec<Sender<String>>,
}

/// A client, with all its requests.
#[derive(Debug)]
pub(super) struct Client {
    name: usize,
    random: Random,
    pub(super) entries: Vec<Entry>,
    /// Workflows of runs whose start may be committed, although no handler id was received.
    pub(super) lost: Vec<&'static str>,
    count: usize,
}

impl Client {
    pub(super) fn new(name: usize, random: Random) -> Self {
        Self { name, random, entries: Vec::new(), lost: Vec::new(), count: 0 }
    }

    /// Checks, after a restart, everything that is not settled, and some of the rest.
    pub(super) fn check(&mut self, host: &str) {
        let there = "the server is there";
        for entry in &mut self.entries {
            if entry.is_settled() && !self.random.one_in(20) {
                continue;
            }
            entry.check(host).expect(there);
            if !entry.is_gone() {
                entry.check_feed(host).expect(there);
            }
        }
    }

    /// Makes no new requests: answers all questions, waits for all ends, and checks everything once more.
    pub(super) fn finish(&mut self, host: &str) {
        for index in 0..self.entries.len() {
            let said = self.tag();
            let entry = &mut self.entries[index];
            entry.check(host).expect("the server is there");
            if entry.work.is_question() && entry.is_open() && entry.answered != Fact::Yes {
                let may_be_over = entry.answered == Fact::Perhaps;
                let (path, event) = entry.sent_answer(&said);
                let reply = call(host, "POST", &path, Some(&event)).expect("the server is there");
                assert!(reply.status == 200 || may_be_over && reply.status == 409, "{entry:?}: {reply:?}");
            }
        }
        for entry in &mut self.entries {
            let begun = Instant::now();
            while entry.is_open() {
                assert!(begun.elapsed() < PATIENCE, "its run does not end: {entry:?}");
                entry.check(host).expect("the server is there");
            }
            if !entry.is_gone() {
                entry.check_feed(host).expect("the server is there");
                if entry.queue_next > 0 || entry.work.workflow != "cumulative" && self.random.one_in(4) {
                    entry.drain(host);
                }
            }
        }
    }

    /// Makes requests until the server is gone.
    pub(super) fn load(&mut self, round: &Round<'_>) {
        while self.step(round).is_some() {}
    }

    fn step(&mut self, round: &Round<'_>) -> Option<()> {
        match self.random.below(100) {
            0..40 => self.begin(round),
            40..50 => self.run(round),
            50..65 => self.answer(round),
            65..75 => self.go_on(round),
            75..80 => self.cancel(round, false),
            80..83 => self.cancel(round, true),
            83..95 => {
                round.burn();
                let Some(index) = self.any(|_| true) else { return Some(()) };
                self.entries[index].check(round.host)
            }
            _ => round.ask("GET", "/handlers?limit=50", None).map(|reply| assert_eq!(reply.status, 200)),
        }
    }

    /// Starts a run, under an id chosen by it or the server.
    fn begin(&mut self, round: &Round<'_>) -> Option<()> {
        let tag = self.tag();
        let work = Work::draw(&mut self.random, &tag);
        self.start(round, work, &tag, "run-nowait")
    }

    /// Runs something short to its end.
    fn run(&mut self, round: &Round<'_>) -> Option<()> {
        let tag = self.tag();
        let work = Work::draw_quick(&mut self.random, &tag);
        self.start(round, work, &tag, "run")
    }

    fn start(&mut self, round: &Round<'_>, work: Work, tag: &str, how: &str) -> Option<()> {
        let is_chosen = self.random.one_in(2);
        let mut body = json!({ "start_event": work.input });
        if is_chosen {
            body["handler_id"] = tag.into();
            body["context"] = json!({ "version": 1 });
        }
        let path = format!("/workflows/{}/{how}", work.workflow);
        let reply = round.ask("POST", &path, Some(&body));
        let known = reply.as_ref().filter(|reply| reply.status != 503);
        let location = reply.as_ref().and_then(|reply| reply.header("location")?.strip_prefix("/handlers/"));
        let (id, handler) = match (known, location) {
            // A failed run is reported as an error that names no handler.
            (Some(reply), _) if reply.status == 500 && how == "run" => {
                assert!(reply.text().starts_with("Error running workflow: "), "{work:?}: {reply:?}");
                (is_chosen.then(|| tag.to_owned()), None)
            }
            (Some(reply), _) => {
                assert_eq!(reply.status, 200, "{work:?}: {reply:?}");
                let handler = reply.json();
                (handler["handler_id"].as_str().map(str::to_owned), Some(handler))
            }
            (None, Some(id)) => (Some(id.to_owned()), None),
            (None, None) => (is_chosen.then(|| tag.to_owned()), None),
        };
        let begun = if known.is_some() || location.is_some() { Fact::Yes } else { Fact::Perhaps };
        let Some(id) = id else {
            self.lost.push(work.workflow);
            return known.map(|_| ());
        };
        assert!(!is_chosen || id == tag, "{id} is not {tag}");
        let mut entry = Entry::new(id, work, begun);
        if begun == Fact::Yes {
            entry.increments.extend(entry.increment.take());
        }
        if let Some(handler) = &handler {
            entry.born_as(handler);
            entry.told = known.filter(|_| how == "run").map(|reply| reply.text().to_owned());
        }
        if entry.work.workflow != "cumulative" && begun == Fact::Yes && self.random.one_in(3) {
            let reader = self.random.pick(&round.readers);
            let _ = reader.send(entry.id.clone());
        }
        self.entries.push(entry);
        known.map(|_| ())
    }

    /// Answers one of the open questions.
    fn answer(&mut self, round: &Round<'_>) -> Option<()> {
        let open = |entry: &Entry| {
            entry.work.is_question()
                && entry.is_open()
                && entry.begun == Fact::Yes
                && entry.answered == Fact::No
                && entry.answers.is_empty()
                && entry.cancelled == Fact::No
                && entry.purged == Fact::No
        };
        let Some(index) = self.any(open) else { return self.begin(round) };
        let said = self.tag();
        let (path, event) = self.entries[index].sent_answer(&said);
        let reply = round.ask("POST", &path, Some(&event));
        self.entries[index].answered = Fact::Perhaps;
        let reply = reply.filter(|reply| reply.status != 503)?;
        assert_eq!((reply.status, reply.text()), (200, r#"{"status":"sent"}"#), "{:?}", self.entries[index]);
        self.entries[index].answered = Fact::Yes;
        Some(())
    }

    /// Continues a handler of `cumulative` whose run has ended.
    fn go_on(&mut self, round: &Round<'_>) -> Option<()> {
        let ended = |entry: &Entry| entry.work.workflow == "cumulative" && entry.end.is_some() && !entry.is_gone();
        let Some(index) = self.any(ended) else {
            // Those that were begun may have ended.
            let Some(index) = self.any(|entry| entry.work.workflow == "cumulative" && entry.is_open()) else {
                return self.begin(round);
            };
            round.burn();
            return self.entries[index].check(round.host);
        };
        if self.entries[index].shown_status() != "completed" || self.entries[index].purged == Fact::Perhaps {
            return self.begin(round);
        }
        let increment = i64::from(self.random.below(50) as u32) - 10;
        let body = json!({ "handler_id": self.entries[index].id, "start_event": { "increment": increment } });
        let how = *self.random.pick(&["run", "run-nowait"]);
        let reply = round.ask("POST", &format!("/workflows/cumulative/{how}"), Some(&body));
        let entry = &mut self.entries[index];
        entry.begin_anew(increment);
        let reply = reply.filter(|reply| reply.status != 503)?;
        assert_eq!(reply.status, 200, "{entry:?}: {reply:?}");
        entry.born_as(&reply.json());
        entry.told = (how == "run").then(|| reply.text().to_owned());
        entry.increments.extend(entry.increment.take());
        Some(())
    }

    /// Cancels a run, or purges a handler.
    fn cancel(&mut self, round: &Round<'_>, purge: bool) -> Option<()> {
        let known = |entry: &Entry| {
            entry.begun == Fact::Yes
                && entry.increment.is_none()
                && if purge { !entry.is_gone() } else { entry.is_open() }
        };
        let Some(index) = self.any(known) else { return self.begin(round) };
        let path = format!("/handlers/{}/cancel?purge={purge}", self.entries[index].id);
        let reply = round.ask("POST", &path, None).filter(|reply| reply.status != 503);
        let entry = &mut self.entries[index];
        let fact = match &reply {
            None => Fact::Perhaps,
            Some(reply) if reply.status == 200 => Fact::Yes,
            // It had ended by itself, or an earlier request arrived after all.
            Some(reply) => {
                assert_eq!(reply.status, 404, "{entry:?}: {reply:?}");
                assert!(!purge || entry.purged == Fact::Perhaps, "it is there, and its purge is refused: {entry:?}");
                return Some(());
            }
        };
        if purge {
            entry.purged = fact;
        } else {
            entry.cancelled = fact;
        }
        reply.map(|_| ())
    }

    /// Returns any entry for which `is_so` is true.
    fn any(&mut self, is_so: impl Fn(&Entry) -> bool) -> Option<usize> {
        let those: Vec<usize> = (0..self.entries.len()).filter(|&index| is_so(&self.entries[index])).collect();
        (!those.is_empty()).then(|| *self.random.pick(&those))
    }

    /// Returns an unused name.
    pub(super) fn tag(&mut self) -> String {
        self.count += 1;
        format!("client{}.{}", self.name, self.count)
    }
}

impl Entry {
    /// Returns the path and body with which to send an answer.
    pub(super) fn sent_answer(&mut self, said: &str) -> (String, Value) {
        self.answers.push(said.to_owned());
        (format!("/events/{}", self.id), json!({ "event": self.work.answer(said) }))
    }

    pub(super) fn shown_status(&self) -> String {
        let handler = self.end.as_ref().and_then(|(handler, _)| serde_json::from_str::<Value>(handler).ok());
        handler.and_then(|handler| handler["status"].as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Round<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Response> {
        self.burn();
        call(self.host, method, path, body)
    }

    /// Counts a request that is about to be made; during the last one of the round the server is killed.
    fn burn(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = self.end.send(());
        }
    }
}
