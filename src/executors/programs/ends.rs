//! After each visit of a program: reports its output, and its end.

use std::{fs, sync::Arc, thread};

use rustix::process::Signal;

use super::{
    Location, Programs,
    running::{Interest, Running},
};
use crate::{
    executors::ExecutorReport,
    limits::{PROGRAM_OUTPUT_BYTES_INLINE, PROGRAM_TERM_WAIT_US, PROGRAMS_OUTPUT_BYTES_MAX},
    pass::{self, Done, PassEnd},
};

impl Programs {
    /// Tells a program to end. It gets a moment until it is killed.
    pub(super) fn terminate(&mut self, slot: u32, interest: Interest) {
        let Some(running) = &mut self.slots[slot as usize] else { return };
        if interest != Interest::Wanted {
            running.interest = interest;
        }
        if running.kill_us.is_none() {
            running.signal(Signal::TERM);
            // One that was stopped has to continue to end.
            running.signal(Signal::CONT);
            let kill_us = self.alive_us + PROGRAM_TERM_WAIT_US;
            running.kill_us = Some(kill_us);
            self.kills.insert((kill_us, slot));
        }
        self.activate(slot);
    }

    /// After a visit: reports the program's output, and its end.
    pub(super) fn settle(&mut self, slot: u32) {
        let Some(running) = &mut self.slots[slot as usize] else { return };
        let tag = running.tag;
        let held_bytes = running.dialogue.held_bytes();
        self.held_bytes = self.held_bytes - running.counted_bytes + held_bytes;
        if held_bytes > running.counted_bytes && self.held_bytes > PROGRAMS_OUTPUT_BYTES_MAX {
            running.dialogue.handle_shortage();
            self.held_bytes -= held_bytes - running.dialogue.held_bytes();
        }
        running.counted_bytes = running.dialogue.held_bytes();
        if let Some(bytes) = running.dialogue.poll_feed_wanted() {
            self.reports.push_back(ExecutorReport::Of(tag, pass::Report::FeedWanted(bytes)));
        }
        if running.dialogue.has_notes() && !running.listed.is_noted {
            running.listed.is_noted = true;
            self.noted.push(slot);
        }
        let is_faulty = running.exit.is_none() && running.dialogue.is_faulty() && running.kill_us.is_none();
        if running.interest != Interest::Wanted && running.exit.is_some() {
            let is_ending = running.interest == Interest::Ending;
            self.take_out(slot);
            self.passes.remove(&tag);
            return self.say(tag, if is_ending { pass::Report::NotBegun } else { pass::Report::Done(stopped()) });
        }
        if running.is_drained() && !running.is_told {
            running.tell_exit(self.alive_us);
            return self.settle(slot);
        }
        if running.is_told && running.dialogue.is_complete() {
            return self.finish(slot);
        }
        if running.has_work() && !running.is_drained() {
            self.activate(slot);
        }
        if is_faulty {
            self.terminate(slot, Interest::Wanted);
        }
    }

    /// Reports the end of a program whose output is complete, after its last notes.
    fn finish(&mut self, slot: u32) {
        let Some(mut running) = self.take_out(slot) else { return };
        let (tag, notes) = (running.tag, running.dialogue.take_notes());
        if !notes.is_empty() {
            self.say(tag, pass::Report::Noted(notes));
        }
        let Running { dialogue, .. } = *running;
        if dialogue.held_bytes() < PROGRAM_OUTPUT_BYTES_INLINE {
            self.passes.remove(&tag);
            return self.say(tag, pass::Report::Done(dialogue.finish()));
        }
        self.passes.insert(tag, Location::Ended);
        let (said, wake_loop, makes_records) =
            (self.said.clone(), Arc::clone(&self.setting.wake_loop), self.setting.makes_records);
        let evaluate = move || {
            let _ = said.send(ExecutorReport::of_end(tag, dialogue.finish(), makes_records));
            wake_loop();
        };
        if thread::Builder::new().name("steprill-output".into()).spawn(evaluate).is_err() {
            self.passes.remove(&tag);
            self.say(tag, pass::Report::Lost);
        }
    }

    /// Frees the slot of a program that has ended.
    pub(super) fn take_out(&mut self, slot: u32) -> Option<Box<Running>> {
        let running = self.slots[slot as usize].take()?;
        self.free.push(slot);
        self.held_bytes -= running.counted_bytes;
        self.unreported -= usize::from(running.pidfd.is_none());
        if let Some(kill_us) = running.kill_us {
            self.kills.remove(&(kill_us, slot));
        }
        if let Some(state) = &running.state {
            let _ = fs::remove_file(state);
        }
        if let (Some(left), Some(record)) = (&mut self.left, running.record) {
            left.remove(record);
        }
        Some(running)
    }

    pub(super) fn stop(&mut self, tag: u64) {
        match self.passes.get(&tag) {
            Some(Location::Queued) => {
                self.queue.retain(|queued| queued.tag != tag);
                self.passes.remove(&tag);
                self.say(tag, pass::Report::NotBegun);
            }
            Some(&Location::Slot(slot)) => self.terminate(slot, Interest::Unwanted),
            Some(Location::Ended) | None => {}
        }
    }
}

/// The end of a pass whose result is not wanted.
fn stopped() -> Done {
    let end = PassEnd::Failed { error: "its program was told to end".into(), retry: false };
    Done::of(end)
}
