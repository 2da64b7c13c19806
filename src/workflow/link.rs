//! The link between a running pass and the loop: notes go one way, orders come the other.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    limits::NOTES_BYTES_MAX,
    pass::{FeedOrder, Note, Stop},
};

/// Called with a link's tag and what its pass wants.
pub type OnCall = Arc<dyn Fn(u64, Call) + Send + Sync>;

/// What a pass wants of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Its first note is waiting to be taken.
    Noted,
    /// It waits until it may stream this many more bytes: [`PassLink::order`] answers.
    NeedsFeed(usize),
}

/// The link of one pass. The worker holds one end and the loop the other; both are the same `Arc<PassLink>`.
pub struct PassLink {
    tag: u64,
    on_call: Option<OnCall>,
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
    /// What the pass may still stream.
    grant_bytes: usize,
    ask: Ask,
}

/// Whether the pass has asked to be granted more.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Ask {
    #[default]
    Nothing,
    /// It has asked, and waits.
    Open,
    /// It has an answer that it has not seen.
    Answered { refused: bool },
}

/// Pauses that take no real time but are counted.
#[derive(Default)]
struct InstantPauses {
    paused_us: AtomicU64,
    /// The total of pauses at which the pass exceeds its step's time-out.
    max_us: Option<u64>,
}

/// Why a note is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteRefused {
    /// The pass must stop.
    Stopped(Stop),
    /// The run's feed is full.
    FeedFull,
}

impl PassLink {
    /// Creates a link whose pass calls `on_call`. It may stream `grant_bytes`, and requests more when it needs them.
    pub fn new(tag: u64, on_call: OnCall, grant_bytes: usize) -> Self {
        Self { on_call: Some(on_call), ..Self::unattended(tag, grant_bytes) }
    }

    /// Creates a link that notifies nobody, to run a step on its own. Notes accumulate until they are taken; another
    /// thread must take them once [`NOTES_BYTES_MAX`] are waiting, or the pass waits forever. It may stream no more
    /// than `grant_bytes`.
    pub fn unattended(tag: u64, grant_bytes: usize) -> Self {
        Self {
            tag,
            on_call: None,
            instant: None,
            stop: AtomicU8::new(0),
            waiting: Mutex::new(Waiting { grant_bytes, ..Waiting::default() }),
            changed: Condvar::new(),
        }
    }

    /// Creates a link for a test in which the pass's own thread is the loop: any number of notes accumulates until they
    /// are taken, and a pause ends at once. When all pauses together reach `timeout`, the pass is told that it has
    /// timed out.
    pub fn instant(grant_bytes: usize, timeout: Option<Duration>) -> Self {
        let max_us = timeout.map(|timeout| u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX));
        let instant = Some(InstantPauses { max_us, ..InstantPauses::default() });
        Self { instant, ..Self::unattended(0, grant_bytes) }
    }

    /// Returns how long the pass of an instant link would have paused.
    pub fn paused(&self) -> Duration {
        let paused_us = self.instant.as_ref().map_or(0, |instant| instant.paused_us.load(Ordering::Relaxed));
        Duration::from_micros(paused_us)
    }

    /// Worker's end: begins the pass. Returns `false` if it was told to stop before.
    pub fn begin(&self) -> bool {
        let mut waiting = self.lock();
        waiting.begun = self.stopped().is_none();
        waiting.begun
    }

    /// Worker's end: hands a note over. Waits while the loop is [`NOTES_BYTES_MAX`] behind, and for an answer if the
    /// note needs more of the feed than the pass was granted.
    ///
    /// # Errors
    /// If the pass must stop or the feed is full; then the note is not taken.
    pub fn note(&self, note: Note) -> Result<(), NoteRefused> {
        let (note_bytes, feed_bytes) = (note.bytes(), note.feed_bytes());
        let mut waiting = self.lock();
        loop {
            if let Some(stop) = self.stopped() {
                return Err(NoteRefused::Stopped(stop));
            }
            if waiting.notes.is_empty() || waiting.bytes < NOTES_BYTES_MAX || self.instant.is_some() {
                if feed_bytes <= waiting.grant_bytes {
                    break;
                }
                waiting = self.ask(waiting, feed_bytes)?;
            } else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
        waiting.grant_bytes -= feed_bytes;
        waiting.ask = Ask::Nothing;
        let first = waiting.notes.is_empty();
        waiting.notes.push(note);
        waiting.bytes += note_bytes;
        drop(waiting);
        if let (true, Some(on_call)) = (first, &self.on_call) {
            on_call(self.tag, Call::Noted);
        }
        Ok(())
    }

    /// Requests what is missing of `feed_bytes`, and waits until something has changed.
    #[cold]
    fn ask<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        feed_bytes: usize,
    ) -> Result<MutexGuard<'a, Waiting>, NoteRefused> {
        let Some(on_call) = &self.on_call else { return Err(NoteRefused::FeedFull) };
        match std::mem::replace(&mut waiting.ask, Ask::Open) {
            Ask::Answered { refused: true } => {
                waiting.ask = Ask::Nothing;
                return Err(NoteRefused::FeedFull);
            }
            Ask::Open => {}
            Ask::Nothing | Ask::Answered { refused: false } => {
                let missing_bytes = feed_bytes - waiting.grant_bytes;
                drop(waiting);
                on_call(self.tag, Call::NeedsFeed(missing_bytes));
                waiting = self.lock();
            }
        }
        let unanswered = |waiting: &mut Waiting| waiting.ask == Ask::Open && self.stopped().is_none();
        Ok(self.changed.wait_while(waiting, unanswered).unwrap_or_else(PoisonError::into_inner))
    }

    /// The loop's end: changes how much the pass may stream. Returns how much it has given back.
    pub fn order(&self, order: FeedOrder) -> usize {
        let mut waiting = self.lock();
        match order {
            FeedOrder::Grant(bytes) => {
                waiting.grant_bytes = waiting.grant_bytes.saturating_add(bytes);
                if waiting.ask == Ask::Open {
                    waiting.ask = Ask::Answered { refused: false };
                }
            }
            FeedOrder::Refuse if waiting.ask == Ask::Open => waiting.ask = Ask::Answered { refused: true },
            FeedOrder::Refuse => {}
            // It keeps what it is about to use.
            FeedOrder::TakeBack if waiting.ask == Ask::Nothing => return std::mem::take(&mut waiting.grant_bytes),
            FeedOrder::TakeBack => return 0,
        }
        drop(waiting);
        self.changed.notify_all();
        0
    }

    /// Worker's end: blocks for `duration`, or until the pass must stop.
    ///
    /// # Errors
    /// If the pass must stop.
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

    /// Returns why the pass must stop, if it must.
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Cancelled),
            _ => Some(Stop::TimedOut),
        }
    }

    /// The loop's end: returns everything that was noted and not taken yet, in order.
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

    /// The loop's end: tells the pass to stop. The first order counts. Returns whether the pass has begun; if not, it
    /// never will.
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

    /// A panic in a step cannot leave the notes half-changed: every change is a single push or take.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PassLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PassLink").field("tag", &self.tag).finish_non_exhaustive()
    }
}
