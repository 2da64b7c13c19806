//! New connections, up to the bound on them, and while there are file descriptors.

use std::{io::ErrorKind, sync::Arc};

use mio::Token;

use super::{CONNECTION_TOKEN, Reactor, Slot, busy};
use crate::{
    http::exchange::Exchange,
    limits::{ACCEPT_PAUSE_US, CONNECTIONS_REFUSED_MAX, TURN_ACCEPTS_MAX},
    net::connection::{Connection, Origin, Socket},
    now::Now,
};

impl Reactor {
    /// Takes in what waits at a listener: some of it, if there is much.
    pub(super) fn accept(&mut self, index: usize, now: Now) {
        for _ in 0..TURN_ACCEPTS_MAX {
            let listener = &mut self.listeners[index];
            if !listener.pending || self.accept_paused_until_us > 0 {
                return;
            }
            match listener.accept() {
                Ok((socket, origin)) => self.admit(socket, origin, now),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => listener.pending = false,
                    // The client was gone before it was accepted.
                    ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::NotConnected
                    | ErrorKind::InvalidInput
                    | ErrorKind::Interrupted => {}
                    // No more file descriptors, or no memory for one. Trying again at once would find the same.
                    _ => self.accept_paused_until_us = now.alive_us + ACCEPT_PAUSE_US,
                },
            }
        }
    }

    fn admit(&mut self, mut socket: Socket, origin: Origin, now: Now) {
        let limits = Arc::clone(&self.limits);
        // One that was refused takes no room, however long its client holds on to it.
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
            // Out of memory or of watches: as with file descriptors, the connection is lost but not the server.
            Err(_) => self.free.push(slot),
        }
    }
}
