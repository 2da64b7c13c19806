//! Accepts connections, up to a limit and while there are file descriptors.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use mio::Token;

use super::{CONNECTION_TOKEN, Reactor, Slot, busy};
use crate::{
    http::exchange::Exchange,
    limits::{ACCEPT_PAUSE_US, CONNECTIONS_REFUSED_MAX, TURN_ACCEPTS_MAX},
    net::connection::{Connection, Origin, Socket},
    now::Now,
};

impl Reactor {
    /// Accepts connections that wait at a listener, up to a number per turn.
    pub(super) fn accept(&mut self, index: usize, now: Now) {
        for _ in 0..TURN_ACCEPTS_MAX {
            let listener = &mut self.listeners[index];
            if !listener.pending || self.accept_paused_until_us > 0 {
                return;
            }
            self.descriptors.keep();
            match listener.accept() {
                Ok((socket, origin)) => self.admit(socket, origin, now),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => listener.pending = false,
                    // The client closed before it was accepted.
                    ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::NotConnected
                    | ErrorKind::InvalidInput
                    | ErrorKind::Interrupted => {}
                    _ if is_out_of_descriptors(&error) => self.accept_on_reserve(index, now),
                    // Out of memory; trying again at once would fail again.
                    _ => self.accept_paused_until_us = now.alive_us + ACCEPT_PAUSE_US,
                },
            }
        }
    }

    /// Accepts the next client on the reserve descriptor. Closes the longest idle connection to make room; if none is
    /// idle, tells the client that there is no descriptor for it.
    fn accept_on_reserve(&mut self, index: usize, now: Now) {
        // Something else in the process may have taken the reserve.
        if self.descriptors.reserve.is_none() && self.make_room_for_connection() {
            self.descriptors.keep();
        }
        let waits = self.descriptors.reserve.take().map(|reserve| {
            drop(reserve);
            self.listeners[index].accept()
        });
        match waits {
            Some(Ok((socket, origin))) if self.make_room_for_connection() => {
                self.descriptors.keep();
                self.admit(socket, origin, now);
            }
            Some(Ok((mut socket, _))) => {
                self.descriptors.complain(self.connection_count(), now);
                let text = "The server has no file descriptors left; try again later";
                let exchange = Exchange::refused(Arc::clone(&self.limits), &busy(text.to_owned()), now);
                // Read what has arrived first: closing over unread bytes would reset the connection, perhaps before the
                // client has read the reply.
                while socket.read(&mut self.read_buffer).is_ok_and(|count| count == self.read_buffer.len()) {}
                let _ = socket.write(exchange.output());
                let _ = socket.shutdown_write();
                drop(socket);
                self.descriptors.keep();
            }
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.listeners[index].pending = false;
                self.descriptors.keep();
            }
            // Another part of the process has taken it.
            Some(Err(_)) | None => {
                self.descriptors.complain(self.connection_count(), now);
                self.accept_paused_until_us = now.alive_us + ACCEPT_PAUSE_US;
            }
        }
    }

    fn admit(&mut self, mut socket: Socket, origin: Origin, now: Now) {
        let limits = Arc::clone(&self.limits);
        // Refused connections do not count, however long their clients hold them open.
        let is_full = self.connection_count() - self.refused_count >= self.connections_max;
        let is_refused = is_full && !self.make_room_for_connection();
        let exchange = if is_refused {
            let text = format!("Too many connections: {} are open; try again later", self.connections_max);
            let exchange = Exchange::refused(limits, &busy(text), now);
            if self.refused_count >= CONNECTIONS_REFUSED_MAX {
                let _ = socket.write(exchange.output());
                return;
            }
            exchange
        } else {
            Exchange::new(limits, now)
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let mut connection = Box::new(Connection::new(socket, origin, exchange, is_refused));
        match connection.register(self.poll.registry(), Token(CONNECTION_TOKEN + slot as usize)) {
            Ok(()) => {
                self.refused_count += usize::from(is_refused);
                self.slots[slot as usize].connection = Some(connection);
                self.settle(slot);
            }
            // Out of memory or watches: as without descriptors, this connection is lost but the server continues.
            Err(_) => self.free.push(slot),
        }
    }
}

/// Returns whether the process or the system has no more file descriptors (EMFILE, ENFILE).
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error).is_some_and(|errno| errno == Errno::MFILE || errno == Errno::NFILE)
}
