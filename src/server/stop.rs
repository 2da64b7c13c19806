//! A stop in order: no new connections, streams cut, callers told, work in progress given its grace.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mio::{Interest, Waker};
use signal_hook::{SigId, flag, low_level};
use signal_hook_mio::v1_0::Signals;

use super::turn::{Flow, Loop};
use crate::{
    api::ErrorFormat,
    http::Response,
    net::{ConnectionId, SIGNAL_TOKEN},
    now::{Clock, Deadline, Now},
};

/// Stops a server in order, as SIGTERM does: no new connections, callers told, work in progress given its grace.
#[derive(Clone)]
pub struct Stopper {
    wanted: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Begins the stop; the server's thread goes through with it.
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

/// A stop that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    until: Deadline,
}

impl Stopping {
    pub(super) fn time_left(&self, now: Now) -> Duration {
        now.until(self.until)
    }
}

/// SIGTERM and SIGINT, which no longer end the process by themselves; nor does SIGXFSZ: a file that may not grow is an
/// error of the write, as a full disk is.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGXFSZ])
}

/// Has the second SIGTERM or SIGINT end the process inside of its handler, whatever the threads are doing. Dropping it
/// takes the handlers back.
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

impl Loop {
    /// Has these stop the loop.
    pub(super) fn listen_to_signals(&mut self, mut signals: Signals) -> io::Result<()> {
        self.reactor.registry().register(&mut signals, SIGNAL_TOKEN, Interest::READABLE)?;
        self.signals = Some(signals);
        Ok(())
    }

    pub(super) fn stopper(&self) -> Stopper {
        Stopper { wanted: Arc::clone(&self.stop_wanted), waker: self.reactor.waker() }
    }

    /// A [`Stopper`] begins the stop.
    pub(super) fn handle_stop_wanted(&mut self) {
        if self.stopping.is_none() && self.stop_wanted.load(Ordering::Acquire) {
            self.begin_stop("told to stop");
        }
    }

    /// The first signal begins the stop. One that comes while a [`Stopper`] has begun it ends the process at once, as
    /// [`SecondSignal`] does with a second one.
    pub(super) fn handle_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        for signal in signals.pending().filter(|signal| *signal != SIGXFSZ).collect::<Vec<_>>() {
            if self.stopping.is_some() {
                log::warn!("signal {signal} while stopping: ending at once");
                super::log::flush();
                low_level::exit(EXIT_AT_ONCE);
            }
            self.begin_stop(&format!("signal {signal}"));
        }
    }

    fn begin_stop(&mut self, why: &str) {
        log::info!("{why}: stopping; work in progress has {:?}", self.grace);
        self.stopping = Some(Stopping { until: self.now.deadline(Clock::Alive, self.grace) });
        // First, so that the callers' replies say that they are the last.
        self.reactor.drain(&ErrorFormat::default().not_begun(), self.now);
        for client in self.core.callers().collect::<Vec<_>>() {
            self.answer_stopping(client.into());
        }
        for client in self.clients.clients().map(|(client, _)| client).collect::<Vec<_>>() {
            self.stop_reader(client.into());
            self.cut_list(client.into());
        }
        self.settle();
        self.reactor.flush(self.now);
    }

    pub(super) fn cut_list(&mut self, id: ConnectionId) {
        if self.take_list(id).is_none() {
            return;
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.exchange().is_streaming() {
            connection.exchange().abort_stream(self.now);
        } else {
            let response = cut_off(self.store.is_durable(), ErrorFormat::Text);
            self.respond(id, &response);
        }
    }

    /// Ends: the store keeps what it was given, and whoever waited for that is told.
    pub(super) fn close(&mut self) {
        self.core.scheduler_mut().note_time(self.now);
        self.settle();
        self.store.close();
        self.settle();
        self.reactor.flush(self.now);
    }

    /// Whether the loop goes on: until a stop is through, or its time is up.
    pub(super) fn flow(&self) -> Flow {
        match &self.stopping {
            None => Flow::Goes,
            Some(stopping) => {
                let idle = self.core.scheduler().working() == 0 && self.reactor.connection_count() == 0;
                let through = idle && self.core.scheduler().is_settled();
                if through || stopping.time_left(self.now).is_zero() { Flow::Ended } else { Flow::Goes }
            }
        }
    }
}

/// The reply to a client that waits to read. What it came for is there again only if a store keeps it.
pub(super) fn cut_off(is_durable: bool, errors: ErrorFormat) -> Response {
    if is_durable { errors.overloaded("The server is stopping; come back in a moment") } else { errors.ending() }
}

/// The exit code of a server that was told twice to stop.
const EXIT_AT_ONCE: i32 = 1;

/// As POSIX numbers them, on every Unix.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// As Linux and the BSDs number it.
const SIGXFSZ: i32 = 25;
