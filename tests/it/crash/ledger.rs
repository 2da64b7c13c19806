//! What a server was asked and what it acknowledged, and whether it still holds.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    wire::{Reading, call, read},
    work::{End, Work},
};
use crate::support::PATIENCE;

/// Whether a request took effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fact {
    /// It did not: it was never made, or its absence was observed.
    No,
    /// The server was gone before it replied.
    Perhaps,
    /// The server acknowledged it.
    Yes,
}

/// One handler and its newest run.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) work: Work,
    pub(super) begun: Fact,
    /// The run's id, and when it began.
    pub(super) born: Option<(String, String)>,
    /// The answers that were sent.
    pub(super) answers: Vec<String>,
    /// Whether the last one was accepted.
    pub(super) answered: Fact,
    pub(super) cancelled: Fact,
    pub(super) purged: Fact,
    /// The increments of a `cumulative` handler that were accepted, and one that may have been.
    pub(super) increments: Vec<i64>,
    pub(super) increment: Option<i64>,
    /// The reply to a caller who waited for the end.
    pub(super) told: Option<String>,
    /// The handler and its result as they were shown after the end.
    pub(super) end: Option<(String, String)>,
    /// The events that readers have seen.
    pub(super) feed: BTreeMap<u64, String>,
    /// Whether the feed of the ended run was read and checked.
    pub(super) is_feed_checked: bool,
    /// The number after the last event that a queue reader has seen.
    pub(super) queue_next: u64,
}

impl Entry {
    pub(super) fn new(id: String, work: Work, begun: Fact) -> Self {
        let increment = (work.workflow == "cumulative").then(|| work.number("increment"));
        Self {
            id,
            work,
            begun,
            born: None,
            answers: Vec::new(),
            answered: Fact::No,
            cancelled: Fact::No,
            purged: Fact::No,
            increments: Vec::new(),
            increment,
            told: None,
            end: None,
            feed: BTreeMap::new(),
            is_feed_checked: false,
            queue_next: 0,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.purged == Fact::Yes || self.begun == Fact::No
    }

    /// Returns whether its run may not have ended.
    pub(super) fn is_open(&self) -> bool {
        !self.is_gone() && self.end.is_none()
    }

    /// Returns whether nothing about it may change any more.
    pub(super) fn is_settled(&self) -> bool {
        let is_over = self.end.is_some() && self.is_feed_checked && self.increment.is_none();
        self.is_gone() || is_over && self.purged == Fact::No
    }

    /// Compares with the handler as shown by the server: its run's id and start never change.
    #[track_caller]
    pub(super) fn born_as(&mut self, handler: &Value) {
        let text = |name: &str| handler[name].as_str().unwrap_or_else(|| panic!("no {name}: {handler}")).to_owned();
        assert_eq!((text("handler_id"), text("workflow_name")), (self.id.clone(), self.work.workflow.to_owned()));
        let born = (text("run_id"), text("started_at"));
        match &self.born {
            Some(known) => assert_eq!(*known, born, "the run is another one: {self:?}"),
            None => self.born = Some(born),
        }
    }

    /// Records that the handler continues with a new run, or may do so.
    pub(super) fn begin_anew(&mut self, increment: i64) {
        assert_eq!(self.increment, None);
        self.increment = Some(increment);
        (self.born, self.told, self.end, self.is_feed_checked) = (None, None, None, false);
    }

    /// Asks the server for the handler and checks it. Returns nothing if the server is gone.
    pub(super) fn check(&mut self, host: &str) -> Option<()> {
        let reply = call(host, "GET", &format!("/handlers/{}", self.id), None)?;
        if reply.status == 404 {
            let may_be_gone = self.begun != Fact::Yes || self.purged != Fact::No;
            assert!(may_be_gone, "an acknowledged run is lost: {self:?}");
            if self.purged == Fact::No {
                self.begun = Fact::No;
            } else {
                self.purged = Fact::Yes;
            }
            return Some(());
        }
        assert!(!self.is_gone(), "it was gone and is there again: {self:?} {reply:?}");
        let handler = reply.json();
        let is_over = handler["status"] != "running";
        if self.increment.is_some() && !self.increments.is_empty() && self.born.is_none() {
            // Its end shows whether the handler has continued.
            if !is_over {
                return Some(());
            }
        }
        self.born_as(&handler);
        (self.begun, self.purged) = (Fact::Yes, Fact::No);
        if !is_over {
            assert_ne!(self.cancelled, Fact::Yes, "a cancel was acknowledged: {self:?}");
            assert!(self.end.is_none() && self.told.is_none(), "it had ended: {self:?}");
            self.cancelled = Fact::No;
            self.check_sleep(&handler);
            return Some(());
        }
        let result = call(host, "GET", &format!("/results/{}", self.id), None)?;
        if let Some(told) = &self.told {
            assert_eq!(*told, result.text(), "the caller was told something else");
        }
        let shown = (reply.text().to_owned(), format!("{} {}", result.status, result.text()));
        if let Some(end) = &self.end {
            assert_eq!(*end, shown, "the end is another one");
        } else {
            self.check_end(&handler, result.text());
            self.end = Some(shown);
        }
        Some(())
    }

    /// Checks that a sleep ends even if its time has passed long ago.
    fn check_sleep(&self, handler: &Value) {
        if matches!(self.work.workflow, "sleepy" | "timeout") {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            let until_us = micros(&handler["started_at"]) + self.work.number("delay_ms") * 1_000;
            let now_us = i64::try_from(since_epoch.as_micros()).expect("before the year 290000");
            let late = Duration::from_micros(u64::try_from(now_us - until_us).unwrap_or(0));
            assert!(late < PATIENCE, "it sleeps {late:?} too long: {self:?}");
        }
    }

    /// Checks how the run has ended.
    fn check_end(&mut self, handler: &Value, result: &str) {
        let end = match handler["status"].as_str() {
            Some("completed") => {
                let shown: Value = serde_json::from_str(result).expect("a handler");
                End::Completed(shown["result"].clone())
            }
            Some("failed") => End::Failed(handler["error"].as_str().expect("an error").to_owned()),
            Some("cancelled") => End::Cancelled,
            other => panic!("status {other:?}: {handler}"),
        };
        if end == End::Cancelled {
            assert_ne!(self.cancelled, Fact::No, "nobody cancelled it: {self:?}");
            self.cancelled = Fact::Yes;
            return;
        }
        assert_ne!(self.cancelled, Fact::Yes, "a cancel was acknowledged: {self:?} {handler}");
        self.cancelled = Fact::No;
        if self.work.workflow == "cumulative" {
            return self.check_count(&end);
        }
        // An answer that may be lost was followed by another one, and either may have been used.
        let answers = if self.work.is_question() { self.answers.clone() } else { vec![String::new()] };
        let mut may_be = answers.iter().map(|said| self.work.end(said)).collect::<Vec<_>>();
        if self.work.workflow == "timeout" {
            // Downtime ends sleeps, but does not count for time-outs.
            let error = "Operation timed out after 0.2 seconds. Currently active steps: sleep";
            may_be.push(End::Failed(error.to_owned()));
        }
        assert!(may_be.contains(&end), "{end:?} is none of {may_be:?}: {self:?}");
        if matches!(end, End::Completed(_)) && matches!(self.work.workflow, "sleepy" | "timeout") {
            let slept_us = micros(&handler["completed_at"]) - micros(&handler["started_at"]);
            assert!(slept_us >= self.work.number("delay_ms") * 1_000, "it slept {slept_us} µs: {self:?}");
        }
    }

    /// Checks that acknowledged increments were counted once, and others once or not at all.
    fn check_count(&mut self, end: &End) {
        let counted = |increments: &[i64]| {
            let (sum, runs): (i64, usize) = (increments.iter().sum(), increments.len());
            End::Completed(format!("count: {sum}, runs: {runs}").into())
        };
        let mut with = self.increments.clone();
        with.extend(self.increment.take());
        if *end != counted(&with) {
            assert_eq!(*end, counted(&self.increments), "it may be {with:?}: {self:?}");
            assert_ne!(self.begun, Fact::No);
            return;
        }
        self.increments = with;
    }

    /// Reads the feed as far as readers have seen it, or all of it if the run has ended.
    pub(super) fn check_feed(&mut self, host: &str) -> Option<()> {
        let is_whole = self.end.is_some();
        let seen = self.feed.len();
        if !is_whole && seen == 0 {
            return Some(());
        }
        let reading = read(host, &log_path(&self.id), if is_whole { usize::MAX } else { seen })?;
        assert_eq!(reading.status, 200, "{self:?}");
        if is_whole && !reading.is_whole {
            return None;
        }
        let last = reading.events.last().map(|(number, _)| *number);
        assert!(
            last >= self.feed.keys().last().copied(),
            "readers have seen more than there is: {last:?} {self:?} {reading:?}"
        );
        assert!(reading.events.first().is_none_or(|(first, _)| *first == 0) || self.work.workflow == "cumulative");
        self.see(&reading);
        if is_whole && !self.is_feed_checked {
            let feed = reading.events.iter().map(|(_, data)| serde_json::from_str(data).expect("an event"));
            self.work.check_feed(&feed.collect::<Vec<_>>(), &self.shown_end());
            self.is_feed_checked = true;
        }
        Some(())
    }

    fn shown_end(&self) -> End {
        let (handler, _) = self.end.as_ref().expect("it has ended");
        let handler: Value = serde_json::from_str(handler).expect("a handler");
        match handler["status"].as_str() {
            Some("completed") => End::Completed(Value::Null),
            Some("failed") => End::Failed(String::new()),
            _ => End::Cancelled,
        }
    }

    /// Checks that events and numbers always correspond.
    pub(super) fn see(&mut self, reading: &Reading) {
        for (number, data) in &reading.events {
            let known = self.feed.entry(*number).or_insert_with(|| data.clone());
            assert_eq!(known, data, "event {number} of {}", self.id);
        }
    }

    /// Checks what a queue reader has read: it must continue where the queue was, without a gap.
    pub(super) fn see_queue(&mut self, reading: &Reading) {
        let (Some((first, _)), Some((last, _))) = (reading.events.first(), reading.events.last()) else { return };
        assert!(*first <= self.queue_next, "the queue skips {}..{first}: {self:?}", self.queue_next);
        self.queue_next = self.queue_next.max(last + 1);
        self.see(reading);
    }

    /// Reads the rest of an ended run's queue, which must skip nothing and then be drained.
    pub(super) fn drain(&mut self, host: &str) {
        let path = queue_path(&self.id);
        let reading = read(host, &path, usize::MAX).expect("the server is there");
        if reading.status == 200 {
            assert!(reading.is_whole, "{reading:?}");
            self.see_queue(&reading);
        } else {
            assert_eq!(reading.status, 204, "{self:?}");
        }
        let next = self.feed.keys().last().map_or(0, |last| last + 1);
        assert_eq!(self.queue_next, next, "the queue ends early: {self:?}");
        assert_eq!(read(host, &path, usize::MAX).expect("the server is there").status, 204, "{self:?}");
    }
}

pub(super) fn log_path(id: &str) -> String {
    format!("/events/{id}?sse=true&include_internal=true&after_sequence=-1")
}

pub(super) fn queue_path(id: &str) -> String {
    format!("/events/{id}?sse=true&include_internal=true&acquire_timeout=0")
}

/// Parses `2026-11-24T15:19:41.245592+00:00` to microseconds since the epoch.
fn micros(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>().expect("digits");
    let month = time::Month::try_from(part(5..7) as u8).expect("a month");
    let date = time::Date::from_calendar_date(part(0..4).cast_signed(), month, part(8..10) as u8).expect("a date");
    let days = i64::from(date.to_julian_day() - 2_440_588);
    let of_day = |range| i64::from(part(range));
    let seconds = ((days * 24 + of_day(11..13)) * 60 + of_day(14..16)) * 60 + of_day(17..19);
    seconds * 1_000_000 + of_day(20..26)
}
