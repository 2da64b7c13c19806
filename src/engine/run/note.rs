//! Notes: what a running pass streams and remembers.

use std::fmt;

use super::{
    facts::{Facts, Reduction},
    work::{Memory, once_bytes},
};
use crate::{
    cost,
    engine::{input::PassId, published::Published},
    graph::{EventId, Graph},
    limits::{WORK_NOTES_MAX, WORK_STREAMS_MAX},
    pass::{Note, OnceValue},
};

impl Facts {
    pub(super) fn noted(&mut self, reduction: &mut Reduction<'_>, pass: PassId, notes: Vec<Note>) {
        for note in notes {
            if self.running_work(pass).is_none() {
                return;
            }
            let taken = match note {
                Note::Stream { ordinal, hash, event, value } => {
                    self.streamed(reduction.graph, pass, (ordinal, hash), event.known()).map(|new| {
                        if new {
                            self.publish(reduction, Published::Event(event, value));
                        }
                    })
                }
                Note::Recorded { ordinal, hash, event, bytes } => {
                    self.streamed(reduction.graph, pass, (ordinal, hash), event).map(|new| {
                        if new {
                            self.count_published(bytes as usize);
                        }
                    })
                }
                Note::Once { ordinal, value } => self.noted_once(pass, ordinal, value),
            };
            if let Err(error) = taken {
                let _ = self.end_pass(pass);
                let name = self.works.get(pass.work).map_or("", |work| &reduction.graph.step(work.step).name);
                self.fail_work(reduction, pass.work, format!("Step {name}: {error}"));
            }
        }
    }

    /// Returns whether a stream write is new. A write that equals the published one at its ordinal is not; from the
    /// first that differs on, all are new. Ordinals of a skipped `once` that this attempt has not published are filled
    /// with a hash that no write has.
    fn streamed(
        &mut self,
        graph: &Graph,
        pass: PassId,
        (ordinal, hash): (u32, u128),
        event: Option<EventId>,
    ) -> Result<bool, NoteError> {
        if event.is_some_and(|event| usize::from(event.0) >= graph.events.len()) {
            return Err(NoteError::UnknownType);
        }
        self.change(pass.work, |work| work.memory_mut().publish(ordinal, hash)).unwrap_or(Ok(false))
    }

    fn noted_once(&mut self, pass: PassId, ordinal: u32, value: OnceValue) -> Result<(), NoteError> {
        self.change(pass.work, |work| work.memory_mut().note_once(ordinal, value)).unwrap_or(Ok(()))
    }
}

/// Why a note fails its run.
enum NoteError {
    /// It streams a type that the workflow does not have.
    UnknownType,
    /// It streams too many events.
    TooManyStreams,
    /// Its stream write has this ordinal, and so many came before.
    StreamOrder { index: usize, counted: usize },
    /// It calls `once` too often.
    TooManyOnce,
    /// Its `once` has this ordinal, and so many came before.
    OnceOrder { index: usize, known: usize },
    /// Its `once` counts more stream writes than there are.
    OnceCount { ordinal: u32, counted: usize },
}

impl fmt::Display for NoteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType => out.write_str("it streams a type that the workflow does not have"),
            Self::TooManyStreams => {
                write!(out, "it may stream {WORK_STREAMS_MAX} events: stream fewer, or in more works")
            }
            Self::StreamOrder { index, counted } => {
                write!(out, "its stream write number {index} comes after {counted}")
            }
            Self::TooManyOnce => write!(out, "it may call `once` {WORK_NOTES_MAX} times"),
            Self::OnceOrder { index, known } => write!(out, "its `once` number {index} comes after {known}"),
            Self::OnceCount { ordinal, counted } => {
                write!(out, "its `once` number {ordinal} counts more stream writes than {counted}")
            }
        }
    }
}

impl Memory {
    fn publish(&mut self, ordinal: u32, hash: u128) -> Result<bool, NoteError> {
        let memory = self;
        let (index, counted) = (ordinal as usize, memory.streams_counted());
        match memory.published.get(index) {
            Some(known) if *known == hash => return Ok(false),
            None if index >= WORK_STREAMS_MAX => {
                return Err(NoteError::TooManyStreams);
            }
            None if index > counted => {
                return Err(NoteError::StreamOrder { index, counted });
            }
            _ => {}
        }
        let published = &mut memory.published;
        let before = published.len();
        published.truncate(index);
        while published.len() < index {
            published.push(0);
        }
        published.push(hash);
        let (entry, now) = (cost::elements::<u128>(1), published.len());
        memory.cost_bytes = memory.cost_bytes + entry * now - entry * before;
        Ok(true)
    }

    fn note_once(&mut self, ordinal: u32, value: OnceValue) -> Result<(), NoteError> {
        let memory = self;
        let counted = memory.streams_counted();
        if value.stream_ordinal as usize > counted {
            return Err(NoteError::OnceCount { ordinal, counted });
        }
        let once = &mut memory.once;
        let index = ordinal as usize;
        if index >= WORK_NOTES_MAX {
            return Err(NoteError::TooManyOnce);
        }
        match index.cmp(&once.len()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                memory.cost_bytes += once_bytes(&value);
                once.push(value);
            }
            std::cmp::Ordering::Greater => return Err(NoteError::OnceOrder { index, known: once.len() }),
        }
        Ok(())
    }
}
