//! A socket and its exchange.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    time::Duration,
};

use mio::{
    Interest, Registry, Token,
    event::Event,
    net::{TcpStream, UnixStream},
};

use super::peer;
use crate::{
    http::exchange::Exchange,
    limits::{OUTPUT_TIMEOUT_US, SMALL_WRITE_BYTES, TURN_BYTES_MAX, UNACKNOWLEDGED_TIMEOUT},
    now::Now,
};

/// Where a connection came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// On a TCP address of this server.
    Tcp {
        /// Whether that address is a loopback one.
        loopback: bool,
    },
    /// On a unix socket.
    Unix,
}

/// A socket and its exchange.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    exchange: Exchange,
    origin: Origin,
    ready: Readiness,
    /// The lists of the reactor that contain it.
    pub(super) queued: Queued,
    /// Whether it exceeds the limit and is only held to be told so.
    pub(super) is_refused: bool,
    /// Bytes of requests and of replies, as last added to the reactor's totals.
    pub(super) counted_bytes: usize,
    pub(super) counted_output_bytes: usize,
    /// Until when the system's time-out is extended because the client reads slowly; 0 if it is not.
    patient_until_us: u64,
    is_shut: bool,
}

/// The socket's readiness as last reported. Each change is reported only once.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the system says by itself")]
struct Readiness {
    readable: bool,
    writable: bool,
    /// The end of input will follow, perhaps after more bytes.
    ending: bool,
    /// The client no longer reads: it has reset the connection, or both sides have ended theirs.
    gone: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queued {
    pub(super) active: bool,
    pub(super) dirty: bool,
    pub(super) reported: bool,
}

impl Connection {
    pub(super) fn new(socket: Socket, origin: Origin, exchange: Exchange, is_refused: bool) -> Self {
        let ready = Readiness { readable: false, writable: true, ending: false, gone: false };
        Self {
            socket,
            exchange,
            origin,
            ready,
            queued: Queued::default(),
            is_refused,
            counted_bytes: 0,
            counted_output_bytes: 0,
            patient_until_us: 0,
            is_shut: false,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.socket {
            Socket::Tcp(stream) => registry.register(stream, token, interest),
            Socket::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Returns its exchange.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// See [`Exchange::taken_position`].
    pub fn taken_position(&self) -> u64 {
        self.exchange.taken_position()
    }

    /// Returns where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.ready.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.ready.ending |= event.is_read_closed() || event.is_error();
        self.ready.gone |= event.is_write_closed() || event.is_error();
        self.ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    pub(super) fn can_read(&self) -> bool {
        self.ready.readable && self.exchange.wants_input()
    }

    pub(super) fn can_write(&self) -> bool {
        self.ready.writable && !self.exchange.output().is_empty()
    }

    /// Reads until the socket is empty, the exchange has enough or about `bytes_max` were read. Returns the bytes read.
    pub(super) fn read(&mut self, buffer: &mut [u8], bytes_max: usize, now: Now) -> usize {
        let mut taken = 0;
        while self.can_read() && taken < bytes_max {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.ready.readable = false;
                    self.exchange.handle_end_of_input(now);
                    if let (Socket::Tcp(stream), false) = (&self.socket, self.exchange.is_closed()) {
                        peer::probe_half_closed(stream);
                    }
                }
                Ok(count) => {
                    // A short read has emptied the socket; later bytes, or the end, are reported anew.
                    self.ready.readable = count == buffer.len() || self.ready.ending;
                    self.exchange.handle_input(&buffer[..count], now);
                    taken += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.exchange.close(),
            }
        }
        if self.ready.gone {
            self.exchange.handle_gone();
        } else if self.ready.ending {
            self.exchange.handle_ending();
        }
        taken
    }

    /// Returns whether it outputs so much that others are served first.
    pub(super) fn takes_much(&self) -> bool {
        self.exchange.output().len() > SMALL_WRITE_BYTES
    }

    /// Returns when to call [`Connection::handle_timeout`], in microseconds on the alive clock.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        let patient_until_us = (self.patient_until_us > 0).then_some(self.patient_until_us);
        [self.exchange.poll_timeout(), patient_until_us].into_iter().flatten().min()
    }

    /// Handles time-outs. Reads and writes first: the loop may have been blocked for longer than a time-out, and a
    /// socket reports that it is writable only when much of its buffer is free. Returns the bytes read.
    pub(super) fn handle_timeout(&mut self, buffer: &mut [u8], now: Now) -> usize {
        let mut taken = 0;
        if self.exchange.poll_timeout().is_some_and(|at_us| at_us <= now.alive_us) {
            self.ready.readable = true;
            self.ready.writable = true;
            taken = self.write(now);
            self.read(buffer, TURN_BYTES_MAX, now);
            self.exchange.handle_timeout(now);
        }
        if self.patient_until_us > 0 && self.patient_until_us <= now.alive_us {
            self.patient_until_us = 0;
            self.limit_unacknowledged(UNACKNOWLEDGED_TIMEOUT);
        }
        taken
    }

    /// Extends the system's time-out for a client that does not read. The system counts small reads as no progress, so
    /// it must not decide: the client has [`OUTPUT_TIMEOUT_US`] for the output here, and as long again for what the
    /// system has buffered.
    fn be_patient(&mut self, now: Now) {
        if self.patient_until_us == 0 {
            self.limit_unacknowledged(Duration::ZERO);
        }
        self.patient_until_us = now.alive_us + OUTPUT_TIMEOUT_US;
    }

    fn limit_unacknowledged(&self, timeout: Duration) {
        if let Socket::Tcp(stream) = &self.socket {
            // This fails only if the socket has failed, which reading and writing report.
            let _ = peer::limit_unacknowledged(stream, timeout);
        }
    }

    /// Writes until the output, the socket's room or this turn's share is used up. Returns the bytes written.
    pub(super) fn write(&mut self, now: Now) -> usize {
        let mut taken = 0;
        while self.can_write() && taken < TURN_BYTES_MAX {
            let output = self.exchange.output();
            match self.socket.write(output) {
                Ok(count) => {
                    self.ready.writable = count == output.len();
                    self.exchange.consume_output(count, now);
                    taken += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.exchange.close(),
            }
        }
        if !self.ready.writable {
            self.be_patient(now);
        }
        taken
    }

    /// Shuts down the write side once the exchange only lingers.
    pub(super) fn shut_when_wanted(&mut self) {
        if self.exchange.wants_shutdown() && !self.is_shut {
            self.is_shut = true;
            // This fails only if the client has gone, which reading reports.
            let _ = self.socket.shutdown_write();
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}
