//! An orderly stop: no new connections, streams are cut off, callers get a reply, and work in progress gets a period of
//! grace.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mio::Waker;
use signal_hook::{SigId, flag, low_level};
use signal_hook_mio::v1_0::Signals;

use crate::{
    api::ErrorFormat,
    engine::storage::Recall,
    http::Response,
    now::{Clock, Deadline, Now},
};

/// Stops a server in an orderly way, like SIGTERM: no new connections, callers get a reply, and work in progress gets a
/// period of grace.
#[derive(Clone)]
pub struct Stopper {
    wanted: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Begins the stop, which the server's thread completes.
    pub fn stop(&self) {
        self.wanted.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            ::log::error!("the loop cannot be woken: {error}");
        }
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stopper").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Whether the server is to stop, and how long that may take.
pub(super) struct Stop {
    /// The time for work in progress from the beginning of the stop.
    pub(super) grace: Duration,
    pub(super) signals: Option<Signals>,
    /// Set by a [`Stopper`].
    wanted: Arc<AtomicBool>,
    /// When a stop that has begun ends at the latest.
    until: Option<Deadline>,
}

impl Stop {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, signals: None, wanted: Arc::default(), until: None }
    }

    /// Returns a handle that begins the stop from another thread.
    pub(super) fn stopper(&self, waker: Arc<Waker>) -> Stopper {
        Stopper { wanted: Arc::clone(&self.wanted), waker }
    }

    /// Returns whether a [`Stopper`] has requested a stop that has not begun.
    pub(super) fn is_due(&self) -> bool {
        !self.has_begun() && self.wanted.load(Ordering::Acquire)
    }

    pub(super) fn begin(&mut self, now: Now) {
        self.until = Some(now.deadline(Clock::Alive, self.grace));
    }

    pub(super) fn has_begun(&self) -> bool {
        self.until.is_some()
    }

    /// Returns how long a stop that has begun may still take.
    pub(super) fn time_left(&self, now: Now) -> Option<Duration> {
        self.until.map(|until| now.until(until))
    }
}

/// Catches SIGTERM and SIGINT, which then no longer end the process by themselves, and SIGXFSZ: a file that may not
/// grow is an error of the write, like a full disk.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGXFSZ])
}

/// Makes the second SIGTERM or SIGINT end the process inside its handler, whatever the threads are doing. Dropping it
/// removes the handlers.
pub(super) struct SecondSignal {
    ids: Vec<SigId>,
}

impl SecondSignal {
    pub(super) fn install() -> io::Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let mut ids = Vec::new();
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset, and sets it.
            ids.push(flag::register_conditional_shutdown(signal, EXIT_AT_ONCE, Arc::clone(&seen))?);
            ids.push(flag::register(signal, Arc::clone(&seen))?);
        }
        Ok(Self { ids })
    }
}

impl Drop for SecondSignal {
    fn drop(&mut self) {
        for &id in &self.ids {
            low_level::unregister(id);
        }
    }
}

/// Returns the reply to a client that waits to read. It can come back only if a store retains what it wants to read.
pub(super) fn cut_off(recall: Recall, errors: ErrorFormat) -> Response {
    match recall {
        Recall::Everything => errors.overloaded("The server is stopping; come back in a moment"),
        Recall::Feeds => errors.ending(),
    }
}

/// The exit code of a server that was told twice to stop.
pub(super) const EXIT_AT_ONCE: i32 = 1;

/// The POSIX number, on every Unix.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// The number on Linux and the BSDs.
pub(super) const SIGXFSZ: i32 = 25;
