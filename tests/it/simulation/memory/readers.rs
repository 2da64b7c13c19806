//! Clients that read feeds.

use steprill::{
    api::{Cursor, Follow},
    client_id::ClientId,
    core::{Begun, PageFound, ReadFrom, ReadStep},
    engine::{feed::Feed, storage::Ticket},
};

use super::world::{Doing, World};

impl World {
    pub(super) fn begin_reading(&mut self, client: ClientId, follow: &Follow) {
        let from = match follow.cursor {
            Cursor::Queue { acquire_timeout, .. } => ReadFrom::Queue(acquire_timeout),
            Cursor::Log { from } => ReadFrom::Log(from),
        };
        let doing = match self.core.begin_reading(client, follow.run, from, self.now) {
            Begun::Gone => panic!("the call has found it"),
            Begun::NoLock => return,
            Begun::Waits(due_us) => Doing::Locking(follow.run, due_us),
            Begun::Open(reading) => Doing::Reading(follow.run, reading),
        };
        self.doing.insert(client, doing);
        self.pump(client);
    }

    pub(super) fn pump(&mut self, client: ClientId) {
        let Some(Doing::Reading(run, reading)) = self.doing.get_mut(&client) else { return };
        let run = *run;
        let Some(channel) = self.core.scheduler().channel(run) else { return };
        if reading.next() >= channel.visible() {
            reading.begin();
        }
        let bytes_max = 1 + self.random.below(2_000);
        match self.core.next_step(client, run, reading, (None, true), bytes_max) {
            ReadStep::Wait | ReadStep::Asked => {}
            ReadStep::BreakOff => panic!("a feed in memory has no window"),
            ReadStep::Finish => {
                let Some(Doing::Reading(_, reading)) = self.doing.remove(&client) else { return };
                let channel = self.core.scheduler().channel(run).expect("it is being read");
                assert!(channel.is_ended() && reading.next() == channel.visible(), "a stream ends with its run");
                if let Some(mut reading) = self.core.finish_reading(client, run, reading) {
                    let taken = reading.next();
                    self.core.stop_reading(client, run, &mut reading, taken);
                }
            }
        }
    }

    pub(super) fn take_page(&mut self, client: ClientId, ticket: Ticket, feed: &Feed) {
        let Some(Doing::Reading(run, reading)) = self.doing.get_mut(&client) else { return };
        if !reading.wants(ticket) {
            return;
        }
        let from = reading.next();
        assert_eq!(
            (reading.take_page(ticket, feed), feed.first()),
            (PageFound::Found, from),
            "what is visible is there"
        );
        reading.begin();
        let visible = self.core.scheduler().channel(*run).expect("it is being read").visible();
        assert!(feed.next() <= visible, "nothing is sent before its time");
        let seen = self.runs.get_mut(run).expect("it has begun");
        for sequence in feed.first()..feed.next() {
            let event = format!("{:?}", feed.get(sequence).expect("it is in the page"));
            assert_eq!(*seen.entry(sequence).or_insert_with(|| event.clone()), event, "all readers see the same");
            // Each event takes one byte of the socket.
            reading.advance(sequence + 1);
        }
        if self.random.one_in(2) {
            let next = reading.next();
            self.core.move_queue(*run, reading, next);
        }
        self.pump(client);
    }

    pub(super) fn stop_waiting_readers(&mut self) {
        let is_over = |doing: &Doing| matches!(doing, Doing::Locking(_, due_us) if *due_us <= self.now.alive_us);
        let over: Vec<_> = self.doing.iter().filter(|(_, doing)| is_over(doing)).map(|(client, _)| *client).collect();
        for client in over {
            self.leave(client);
        }
    }
}
