//! The line between a running pass and the loop: notes go one way, the order to stop comes the other.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    limits::NOTES_BYTES_MAX,
    pass::{Note, Stop},
};

/// Called with a line's tag when its first note is waiting to be taken.
pub type Bell = Arc<dyn Fn(u64) + Send + Sync>;

/// One pass's line. The worker holds one end, the loop the other; both are the same `Arc<Line>`.
pub struct Line {
    tag: u64,
    bell: Option<Bell>,
    feed_room_bytes: Arc<AtomicUsize>,
    instant: Option<InstantPauses>,
    stop: AtomicU8,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    notes: Vec<Note>,
    bytes: usize,
    begun: bool,
}

/// Pauses that take no time, but are counted.
#[derive(Default)]
struct InstantPauses {
    paused_us: AtomicU64,
    /// When they come to this, the pass is past its step's time-out.
    max_us: Option<u64>,
}

/// Why a note is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteRefused {
    /// The pass is to stop.
    Stopped(Stop),
    /// The run's feed holds as much as it may.
    FeedFull,
}

impl Line {
    /// A line whose notes are announced by `bell(tag)`. `feed_room_bytes` is what the run's feed can still take of
    /// stream writes; all lines of a run share it.
    pub fn new(tag: u64, bell: Bell, feed_room_bytes: Arc<AtomicUsize>) -> Self {
        Self { bell: Some(bell), ..Self::unattended(tag, feed_room_bytes) }
    }

    /// A line that nobody is told about: for running a step on its own. Notes gather until they are taken; there must
    /// be somebody to take them once [`NOTES_BYTES_MAX`] are waiting, or the pass waits for ever.
    pub fn unattended(tag: u64, feed_room_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            tag,
            bell: None,
            feed_room_bytes,
            instant: None,
            stop: AtomicU8::new(0),
            waiting: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// A line for a test, whose loop is the pass's own thread: notes gather until they are taken, however many, and a
    /// pause ends at once. When all pauses together reach `timeout`, the pass is told that it is past it.
    pub fn instant(feed_room_bytes: Arc<AtomicUsize>, timeout: Option<Duration>) -> Self {
        let max_us = timeout.map(|timeout| u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX));
        let instant = Some(InstantPauses { max_us, ..InstantPauses::default() });
        Self { instant, ..Self::unattended(0, feed_room_bytes) }
    }

    /// How long an instant line's pass would have paused.
    pub fn paused(&self) -> Duration {
        let paused_us = self.instant.as_ref().map_or(0, |instant| instant.paused_us.load(Ordering::Relaxed));
        Duration::from_micros(paused_us)
    }

    /// Worker's end: the pass begins now; `false`: it was told to stop before.
    pub fn begin(&self) -> bool {
        let mut waiting = self.lock();
        waiting.begun = self.stopped().is_none();
        waiting.begun
    }

    /// Worker's end: hands a note over; waits while the loop is [`NOTES_BYTES_MAX`] behind. `feed_bytes` is what the
    /// note will take of the feed (0 for a `once` value).
    ///
    /// # Errors
    /// When the pass is to stop or the feed is full; the note is not taken then.
    pub fn note(&self, note: Note, note_bytes: usize, feed_bytes: usize) -> Result<(), NoteRefused> {
        let take = |room: usize| room.checked_sub(feed_bytes);
        let mut waiting = self.lock();
        loop {
            if let Some(stop) = self.stopped() {
                return Err(NoteRefused::Stopped(stop));
            }
            if waiting.notes.is_empty() || waiting.bytes < NOTES_BYTES_MAX || self.instant.is_some() {
                break;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if self.feed_room_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(NoteRefused::FeedFull);
        }
        let first = waiting.notes.is_empty();
        waiting.notes.push(note);
        waiting.bytes += note_bytes;
        drop(waiting);
        if let (true, Some(bell)) = (first, &self.bell) {
            bell(self.tag);
        }
        Ok(())
    }

    /// Worker's end: blocks for `duration`, or until the pass is to stop.
    ///
    /// # Errors
    /// When the pass is to stop.
    pub fn pause(&self, duration: Duration) -> Result<(), Stop> {
        if let Some(instant) = &self.instant {
            let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let before_us = instant.paused_us.load(Ordering::Relaxed);
            let paused_us = before_us.saturating_add(duration_us).min(instant.max_us.unwrap_or(u64::MAX));
            instant.paused_us.store(paused_us, Ordering::Relaxed);
            if instant.max_us == Some(paused_us) {
                self.stop(Stop::TimedOut);
            }
            return self.stopped().map_or(Ok(()), Err);
        }
        let waiting = self.lock();
        let stopped = |_: &mut Waiting| self.stopped().is_none();
        drop(self.changed.wait_timeout_while(waiting, duration, stopped).unwrap_or_else(PoisonError::into_inner));
        self.stopped().map_or(Ok(()), Err)
    }

    /// Whether the pass is to stop.
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Cancelled),
            _ => Some(Stop::TimedOut),
        }
    }

    /// The loop's end: everything noted and not yet taken, in order.
    pub fn take_notes(&self) -> Vec<Note> {
        let mut waiting = self.lock();
        let full = waiting.bytes >= NOTES_BYTES_MAX;
        let notes = std::mem::take(&mut waiting.notes);
        waiting.bytes = 0;
        drop(waiting);
        if full {
            self.changed.notify_all();
        }
        notes
    }

    /// The loop's end: the pass is to stop. The first order stands. Whether the pass has begun; else it never will.
    pub fn stop(&self, stop: Stop) -> bool {
        let code = match stop {
            Stop::Cancelled => 1,
            Stop::TimedOut => 2,
        };
        let waiting = self.lock();
        let _ = self.stop.compare_exchange(0, code, Ordering::Release, Ordering::Relaxed);
        let begun = waiting.begun;
        drop(waiting);
        self.changed.notify_all();
        begun
    }

    /// A panic in a step cannot leave the notes half-changed: every change is one push or one take.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").field("tag", &self.tag).finish_non_exhaustive()
    }
}
