//! The server's only blocking wait, and the connections that it waits for.
//!
//! A turn of the loop:
//!
//! ```text
//! poll ──► (the caller reads its clock) ──► handle_ready ──► next_ready, next_closed ──► flush ──► next_ready ──► poll
//! waits and collects                        reads, accepts   requests, hang-ups, room    writes
//! ```
//! [`Reactor::poll`] does not block while something is left to report, read, write or accept. Each socket is registered
//! once, edge-triggered: a turn with one request costs a wait, a read and a write.
//! registered once, edge-triggered: a turn with a request costs one wait for all, one read and one write.

mod accept;
mod descriptors;
mod room;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use mio::{Events, Poll, Registry, Token, Waker};

use descriptors::Descriptors;

use super::{Address, connection::Connection, listener::Listener, timers::Timers};
use crate::{
    client_id::ClientId,
    http::{Limits, Response},
    limits::{
        LISTENERS_MAX, POLL_EVENTS_MAX, READ_BUFFER_BYTES, SMALL_READ_BYTES, TURN_BYTES_MAX, TURN_READ_BYTES_MAX,
        TURN_WRITE_BYTES_MAX,
    },
    now::Now,
};

/// Waits for sockets and moves their bytes.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    limits: Arc<Limits>,
    listeners: Vec<Listener>,
    /// Until when accepting is paused, on the alive clock; 0 if it is not.
    accept_paused_until_us: u64,
    descriptors: Descriptors,
    connections_max: usize,
    /// Connections that are held only to be told that the server is full.
    refused_count: usize,
    /// Bytes of requests held by all connections.
    requests_bytes: usize,
    requests_bytes_max: usize,
    /// Bytes of replies held by all connections.
    replies_bytes: usize,
    replies_bytes_max: usize,
    /// While requests hold fewer bytes than this, refusing none of them would make room.
    requests_bytes_stuck: usize,
    /// Connections that have long been idle, and since when; the last has been idle longest. May be out of date.
    spare: Vec<(u64, ClientId)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    read_buffer: Vec<u8>,
    /// How many bytes may still be written in this turn to connections with much output.
    write_left_bytes: usize,
    /// Connections to read from, to continue reading from, to write to, and to report. Entries may be out of date.
    active: VecDeque<u32>,
    bulk: VecDeque<u32>,
    dirty: VecDeque<u32>,
    ready: VecDeque<ClientId>,
    closed: VecDeque<Closed>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// What ended a wait besides sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wakes {
    /// The waker was used.
    pub woken: bool,
    /// A source registered with [`SIGNAL_TOKEN`] is ready.
    pub signal: bool,
}

/// A connection that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Its former id.
    pub id: ClientId,
    /// The final [`taken_position`](crate::http::exchange::Exchange::taken_position).
    pub taken_position: u64,
}

/// The token with which the server registers its signals at [`Reactor::registry`].
pub const SIGNAL_TOKEN: Token = Token(1);
/// The token with which the server registers the descriptor of its executors. It only ends a wait.
pub const EXECUTOR_TOKEN: Token = Token(2);
const WAKER_TOKEN: Token = Token(0);
const LISTENER_TOKEN: usize = 16;
const CONNECTION_TOKEN: usize = LISTENER_TOKEN + LISTENERS_MAX;

impl Reactor {
    /// Listens on `addresses`, for at most `connections_max` connections at a time; more get 503. The files of unix
    /// sockets get the mode `socket_mode`.
    ///
    /// # Errors
    /// The system's error, with the address added to its text.
    pub fn bind(addresses: &[Address], socket_mode: u32, limits: Limits, connections_max: usize) -> io::Result<Self> {
        if addresses.len() > LISTENERS_MAX {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("more than {LISTENERS_MAX} addresses")));
        }
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER_TOKEN)?);
        let mut listeners =
            addresses.iter().map(|address| Listener::bind(address, socket_mode)).collect::<io::Result<Vec<_>>>()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(LISTENER_TOKEN + index))?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(POLL_EVENTS_MAX),
            waker,
            requests_bytes_max: limits.requests_bytes_max,
            limits: Arc::new(limits),
            listeners,
            accept_paused_until_us: 0,
            descriptors: Descriptors::default(),
            connections_max,
            refused_count: 0,
            requests_bytes: 0,
            replies_bytes: 0,
            replies_bytes_max: usize::MAX,
            requests_bytes_stuck: 0,
            spare: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            read_buffer: vec![0; READ_BUFFER_BYTES],
            write_left_bytes: TURN_WRITE_BYTES_MAX,
            active: VecDeque::new(),
            bulk: VecDeque::new(),
            dirty: VecDeque::new(),
            ready: VecDeque::new(),
            closed: VecDeque::new(),
        })
    }

    /// Returns the addresses that it listens on, with the ports that the system chose, in the order of `bind`.
    pub fn local_addresses(&self) -> impl Iterator<Item = &Address> {
        self.listeners.iter().map(Listener::address)
    }

    /// Returns a handle with which other threads end a wait.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Returns the registry, for registering signals with [`SIGNAL_TOKEN`].
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Returns the number of connections, including those that are being told that the server is full.
    pub fn connection_count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns when to call [`Reactor::handle_ready`] at the latest, in microseconds on the alive clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let accept_us = (self.accept_paused_until_us > 0).then_some(self.accept_paused_until_us);
        [self.timers.next_us(), accept_us].into_iter().flatten().min()
    }

    /// Waits until something happens, at most for `timeout`. Returns at once while something is left to do.
    ///
    /// # Errors
    /// The system's error, from which there is no recovery.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Wakes> {
        let timeout = if self.has_work() { Some(Duration::ZERO) } else { timeout };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Wakes::default()),
            Err(error) => return Err(error),
        }
        let mut wakes = Wakes::default();
        for event in &self.events {
            match event.token() {
                WAKER_TOKEN => wakes.woken = true,
                SIGNAL_TOKEN => wakes.signal = true,
                EXECUTOR_TOKEN => {}
                Token(token) if token >= CONNECTION_TOKEN => {
                    let slot = token - CONNECTION_TOKEN;
                    // A late event of a closed connection is only a wrong hint to the next one in its slot.
                    if let Some(connection) = self.slots.get_mut(slot).and_then(|slot| slot.connection.as_mut()) {
                        connection.note(event);
                        if !connection.queued.active {
                            connection.queued.active = true;
                            self.active.push_back(slot as u32);
                        }
                    }
                }
                Token(token) => {
                    if let Some(listener) = self.listeners.get_mut(token - LISTENER_TOKEN) {
                        listener.pending = true;
                    }
                }
            }
        }
        Ok(wakes)
    }

    /// Handles what the last wait reported: new connections, input, time-outs. Call [`Reactor::next_ready`] next.
    pub fn handle_ready(&mut self, now: Now) {
        if self.accept_paused_until_us <= now.alive_us {
            self.accept_paused_until_us = 0;
        }
        for index in 0..self.listeners.len() {
            self.accept(index, now);
        }
        self.write_left_bytes = TURN_WRITE_BYTES_MAX;
        // Connections queued again have had their turn.
        for _ in 0..self.active.len() {
            let Some(slot) = self.active.pop_front() else { break };
            let Some(connection) = self.slots[slot as usize].connection.as_mut() else { continue };
            connection.queued.active = false;
            connection.read(&mut self.read_buffer[..SMALL_READ_BYTES], SMALL_READ_BYTES, now);
            if connection.can_read() {
                connection.queued.active = true;
                self.bulk.push_back(slot);
            }
            self.settle(slot);
            self.make_room_for_requests(now);
        }
        self.read_bulk(now);
        self.handle_due(now);
    }

    /// Continues to read from connections that send much, up to this turn's share; the rest continue in the next turn.
    fn read_bulk(&mut self, now: Now) {
        let mut left_bytes = TURN_READ_BYTES_MAX;
        for _ in 0..self.bulk.len() {
            if left_bytes == 0 {
                return;
            }
            let Some(slot) = self.bulk.pop_front() else { return };
            let Some(connection) = self.slots[slot as usize].connection.as_mut() else { continue };
            let taken = connection.read(&mut self.read_buffer, TURN_BYTES_MAX.min(left_bytes), now);
            left_bytes = left_bytes.saturating_sub(taken);
            connection.queued.active = connection.can_read();
            if connection.queued.active {
                self.bulk.push_back(slot);
            }
            self.settle(slot);
            self.make_room_for_requests(now);
        }
    }

    /// Handles time-outs, after all input.
    fn handle_due(&mut self, now: Now) {
        while let Some(slot) = self.timers.pop_due(now.alive_us) {
            let Some(connection) = self.slots[slot as usize].connection.as_mut() else { continue };
            let follows = connection.exchange().follows_output();
            let taken = connection.handle_timeout(&mut self.read_buffer, now);
            if follows && taken > 0 {
                self.report(slot);
            }
            self.settle(slot);
        }
    }

    /// Returns the next connection that has something for the server: a request (complete, or with its body to come), a
    /// hang-up, or stream output that was taken, so that there may be room for more.
    pub fn next_ready(&mut self) -> Option<ClientId> {
        while let Some(id) = self.ready.pop_front() {
            let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)
            else {
                continue;
            };
            if let Some(connection) = &mut slot.connection {
                connection.queued.reported = false;
                return Some(id);
            }
        }
        None
    }

    /// Returns the next connection that has ended. Each is reported once.
    pub fn next_closed(&mut self) -> Option<Closed> {
        self.closed.pop_front()
    }

    /// Returns the connection with that id unless it has ended. What its exchange then outputs is written by the next
    /// [`Reactor::flush`].
    pub fn connection(&mut self, id: ClientId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let connection = slot.connection.as_deref_mut()?;
        if !connection.queued.dirty {
            connection.queued.dirty = true;
            self.dirty.push_back(id.slot);
        }
        Some(connection)
    }

    /// See [`taken_position`](crate::http::exchange::Exchange::taken_position). Does not schedule a write.
    pub fn taken_position(&self, id: ClientId) -> Option<u64> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.connection.as_ref().map(|connection| connection.taken_position())
    }

    /// Returns whether [`Reactor::next_ready`] or [`Reactor::next_closed`] would return something.
    pub fn has_ready(&self) -> bool {
        !(self.ready.is_empty() && self.closed.is_empty())
    }

    /// Writes pending output as far as the sockets accept it. Call [`Reactor::next_ready`] again afterwards: a reply
    /// that was written may have made room for the next request.
    pub fn flush(&mut self, now: Now) {
        // Connections queued again have had their turn.
        for _ in 0..self.dirty.len() {
            let Some(slot) = self.dirty.pop_front() else { break };
            let is_used_up = self.write_left_bytes == 0;
            let Some(connection) = self.occupant(slot) else { continue };
            if is_used_up && connection.takes_much() {
                self.dirty.push_back(slot);
                continue;
            }
            connection.queued.dirty = false;
            let follows = connection.exchange().follows_output();
            let taken = connection.write(now);
            self.write_left_bytes = self.write_left_bytes.saturating_sub(taken);
            if follows && taken > 0 {
                self.report(slot);
            }
            self.settle(slot);
            self.make_room_for_replies();
        }
    }

    /// Closes the listeners, so that there are no new connections, and removes the files of unix sockets.
    pub fn stop_accepting(&mut self) {
        self.listeners.clear();
        self.accept_paused_until_us = 0;
    }

    /// Closes the listeners and every connection without a pending request; the others close after their reply. A
    /// request that is still arriving gets `unfinished`.
    pub fn drain(&mut self, unfinished: &Response, now: Now) {
        self.stop_accepting();
        for slot in 0..self.slots.len() as u32 {
            if let Some(connection) = self.occupant(slot) {
                connection.exchange().drain(now);
                connection.exchange().refuse_request(unfinished, now);
                self.settle(slot);
            }
        }
    }
}

impl Reactor {
    fn has_work(&self) -> bool {
        !(self.active.is_empty()
            && self.bulk.is_empty()
            && self.dirty.is_empty()
            && self.ready.is_empty()
            && self.closed.is_empty())
            || (self.accept_paused_until_us == 0 && self.listeners.iter().any(|listener| listener.pending))
    }

    fn occupant(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.connection.as_deref_mut()
    }

    /// Updates the lists for a connection that may have changed.
    fn settle(&mut self, slot: u32) {
        self.count(slot);
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        connection.shut_when_wanted();
        let (can_read, can_write) = (connection.can_read(), connection.can_write());
        let timeout_us = connection.poll_timeout();
        let exchange = connection.exchange();
        if exchange.is_closed() {
            return self.remove(slot);
        }
        let has_news = exchange.has_request() || exchange.has_offer() || exchange.hung_up();
        if let Some(at_us) = timeout_us {
            self.timers.arm(slot, at_us);
        }
        if can_read && !connection.queued.active {
            connection.queued.active = true;
            self.active.push_back(slot);
        }
        if can_write && !connection.queued.dirty {
            connection.queued.dirty = true;
            self.dirty.push_back(slot);
        }
        if has_news {
            self.report(slot);
        }
    }

    /// Updates the totals of what all connections hold.
    fn count(&mut self, slot: u32) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        let (input, output) = (connection.exchange().input_bytes(), connection.exchange().output_bytes());
        self.requests_bytes = self.requests_bytes - connection.counted_bytes + input;
        self.replies_bytes = self.replies_bytes - connection.counted_output_bytes + output;
        (connection.counted_bytes, connection.counted_output_bytes) = (input, output);
    }

    fn report(&mut self, slot: u32) {
        let Slot { generation, connection: Some(connection) } = &mut self.slots[slot as usize] else { return };
        if !connection.queued.reported {
            connection.queued.reported = true;
            self.ready.push_back(ClientId { slot, generation: *generation });
        }
    }

    fn remove(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        let Some(mut connection) = place.connection.take() else { return };
        let id = ClientId { slot, generation: place.generation };
        place.generation = place.generation.wrapping_add(1);
        self.requests_bytes -= connection.counted_bytes;
        self.replies_bytes -= connection.counted_output_bytes;
        self.refused_count -= usize::from(connection.is_refused);
        self.free.push(slot);
        self.closed.push_back(Closed { id, taken_position: connection.exchange().taken_position() });
        // Accepting may have been waiting for its file descriptor.
        self.accept_paused_until_us = 0;
    }
}

/// Returns the reply for when a limit on all connections is reached.
fn busy(text: String) -> Response {
    Response {
        status: 503,
        content_type: Some("text/plain; charset=utf-8"),
        headers: vec![("Retry-After", "1".into())],
        body: text.into_bytes(),
        shared: None,
    }
}
