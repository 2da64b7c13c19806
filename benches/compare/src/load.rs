//! The load: runs that are posted one after the other on each connection, and streams that are followed.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll};

use crate::{
    Result,
    client::{Client, EventCounter, get, post},
};

/// How long a load may take before the bench gives up on a server.
const PATIENCE: Duration = Duration::from_mins(10);

const BUFFER_BYTES: usize = 256 * 1024;

/// When a load of requests ends.
#[derive(Clone, Copy)]
pub enum Until {
    Time(Duration),
    Requests(usize),
}

/// The result of a load of requests.
pub struct Load {
    pub requests: usize,
    pub seconds: f64,
    /// The times from request to reply, sorted.
    latencies_us: Vec<u32>,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub fn median_us(&self) -> f64 {
        self.latencies_us.get(self.latencies_us.len() / 2).map_or(f64::NAN, |us| f64::from(*us))
    }
}

/// Sends the same request on each connection again and again, each time after the reply to the previous one.
pub fn requests(address: SocketAddr, request: &[u8], connections: usize, until: Until) -> Result<Load> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; BUFFER_BYTES];
    let start = Instant::now();
    let mut clients = Vec::new();
    for token in 0..connections {
        let mut client = Client::connect(address, poll.registry(), token)?;
        client.send(request)?;
        clients.push((client, Instant::now()));
    }
    let mut latencies_us = Vec::new();
    let is_over = |replies: usize| match until {
        Until::Time(time) => start.elapsed() >= time,
        Until::Requests(requests) => replies >= requests,
    };
    while !is_over(latencies_us.len()) {
        give_up_late(start)?;
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let (client, sent) = &mut clients[event.token().0];
            client.flush()?;
            client.read(&mut buffer)?;
            while client.reply()?.is_some() {
                let now = Instant::now();
                latencies_us.push(u32::try_from((now - *sent).as_micros())?);
                *sent = now;
                client.send(request)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    Ok(Load { requests: latencies_us.len(), seconds, latencies_us })
}

/// The runs to start, and how far to follow their streams.
pub struct Streams {
    pub workflow: &'static str,
    pub start_event: String,
    pub runs: usize,
    /// The number of streams that are opened concurrently.
    pub opening_max: usize,
    pub follow: Follow,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Follow {
    /// The streams stay open.
    ToFirstEvent,
    ToEnd,
}

/// A run, and the connection on which it is started and followed.
pub struct Follower {
    client: Client,
    phase: Phase,
}

enum Phase {
    Starting,
    Opening,
    Reading(EventCounter),
}

/// Starts these runs and follows their streams. Returns the followers and the number of events received.
pub fn streams(address: SocketAddr, streams: &Streams) -> Result<(Vec<Follower>, u64)> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(4096);
    let mut buffer = vec![0; BUFFER_BYTES];
    let start = Instant::now();
    let path = format!("/workflows/{}/run-nowait", streams.workflow);
    let request = post(&path, &format!(r#"{{"start_event":{}}}"#, streams.start_event));
    let mut followers: Vec<Follower> = Vec::new();
    let mut followed = 0;
    while followed < streams.runs {
        give_up_late(start)?;
        while followers.len() < streams.runs.min(followed + streams.opening_max) {
            let mut client = Client::connect(address, poll.registry(), followers.len())?;
            client.send(&request)?;
            followers.push(Follower { client, phase: Phase::Starting });
        }
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let follower = &mut followers[event.token().0];
            let was_followed = follower.is_followed(streams.follow);
            if !(was_followed && streams.follow == Follow::ToEnd) {
                follower.advance(&mut buffer)?;
            }
            followed += usize::from(!was_followed && follower.is_followed(streams.follow));
        }
    }
    let count = followers.iter().map(Follower::events).sum();
    Ok((followers, count))
}

impl Follower {
    fn advance(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.client.flush()?;
        self.client.read(buffer)?;
        loop {
            match &mut self.phase {
                Phase::Starting => {
                    let Some(body) = self.client.reply()? else { return Ok(()) };
                    let handler: serde_json::Value = serde_json::from_slice(&body)?;
                    let id = handler["handler_id"].as_str().ok_or("expected a handler_id")?;
                    let path = format!("/events/{id}?sse=true&after_sequence=-1&acquire_timeout=30");
                    self.client.send(&get(&path))?;
                    self.phase = Phase::Opening;
                }
                Phase::Opening => {
                    if !self.client.head()? {
                        return Ok(());
                    }
                    self.phase = Phase::Reading(EventCounter::default());
                }
                Phase::Reading(counter) => return counter.handle(&self.client.rest()),
            }
        }
    }

    fn events(&self) -> u64 {
        match &self.phase {
            Phase::Reading(counter) => counter.events,
            Phase::Starting | Phase::Opening => 0,
        }
    }

    fn is_followed(&self, follow: Follow) -> bool {
        match (&self.phase, follow) {
            (Phase::Reading(counter), Follow::ToEnd) => counter.is_at_end(),
            (Phase::Reading(counter), Follow::ToFirstEvent) => counter.events > 0,
            (Phase::Starting | Phase::Opening, _) => false,
        }
    }
}

fn give_up_late(start: Instant) -> Result<()> {
    if start.elapsed() > PATIENCE { Err("the server takes too long".into()) } else { Ok(()) }
}
