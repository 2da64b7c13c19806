//! The loop's stop: what clients are told, and when it is complete.

use std::io;

use mio::Interest;
use signal_hook::low_level;
use signal_hook_mio::v1_0::Signals;

use super::{
    stop::{EXIT_AT_ONCE, SIGXFSZ, Stopper, cut_off},
    turn::{Flow, Loop},
};
use crate::{api::ErrorFormat, client_id::ClientId, net::SIGNAL_TOKEN};

impl Loop {
    /// Makes these signals stop the loop.
    pub(super) fn listen_to_signals(&mut self, mut signals: Signals) -> io::Result<()> {
        self.reactor.registry().register(&mut signals, SIGNAL_TOKEN, Interest::READABLE)?;
        self.stop.signals = Some(signals);
        Ok(())
    }

    pub(super) fn stopper(&self) -> Stopper {
        self.stop.stopper(self.reactor.waker())
    }

    /// A [`Stopper`] begins the stop.
    pub(super) fn handle_stop_wanted(&mut self) {
        if self.stop.is_due() {
            self.begin_stop("told to stop");
        }
    }

    /// The first signal begins the stop. One that arrives after a [`Stopper`] has begun it ends the process at once, as
    /// `SecondSignal` does with a second one.
    pub(super) fn handle_signals(&mut self) {
        let Some(signals) = &mut self.stop.signals else { return };
        for signal in signals.pending().filter(|signal| *signal != SIGXFSZ).collect::<Vec<_>>() {
            if self.stop.has_begun() {
                log::warn!("signal {signal} while stopping: ending at once");
                super::log::flush();
                low_level::exit(EXIT_AT_ONCE);
            }
            self.begin_stop(&format!("signal {signal}"));
        }
    }

    fn begin_stop(&mut self, why: &str) {
        log::info!("{why}: stopping; work in progress has {:?}", self.stop.grace);
        self.stop.begin(self.now);
        let grace_us = u64::try_from(self.stop.grace.as_micros()).unwrap_or(u64::MAX);
        self.executors.begin_stop(self.now.alive_us.saturating_add(grace_us), self.now.alive_us);
        // First, so that the callers' replies announce that they are the last.
        self.reactor.drain(&ErrorFormat::default().not_begun(), self.now);
        for client in self.core.callers().collect::<Vec<_>>() {
            self.answer_stopping(client);
        }
        for client in self.clients.iter().map(|(client, _)| client).collect::<Vec<_>>() {
            self.stop_reader(client);
            self.cut_list(client);
        }
        self.settle();
        self.reactor.flush(self.now);
    }

    pub(super) fn cut_list(&mut self, id: ClientId) {
        if self.clients.take_list(id).is_none() {
            return;
        }
        let Some(connection) = self.reactor.connection(id) else { return };
        if connection.exchange().is_streaming() {
            connection.exchange().abort_stream(self.now);
        } else {
            let response = cut_off(self.core.scheduler().recall(), ErrorFormat::Text);
            self.respond(id, &response);
        }
    }

    /// Ends the loop: the store commits everything submitted, and clients that waited for that get their replies.
    pub(super) fn close(&mut self) {
        self.core.scheduler_mut().note_time(self.now);
        self.settle();
        self.store.close();
        self.settle();
        self.reactor.flush(self.now);
    }

    /// Returns whether the loop continues: until a stop is complete, or its time is up.
    pub(super) fn flow(&self) -> Flow {
        match self.stop.time_left(self.now) {
            None => Flow::Goes,
            Some(time_left) => {
                let idle = self.core.scheduler().working() == 0 && self.reactor.connection_count() == 0;
                let through = idle && self.core.scheduler().is_settled();
                if through || time_left.is_zero() { Flow::Ended } else { Flow::Goes }
            }
        }
    }
}
