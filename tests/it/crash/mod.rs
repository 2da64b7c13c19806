//! Kills the conformance program at random moments under load and restarts it: everything that it had acknowledged must
//! still hold, and everything that it had begun must continue as if it had only been slow.
//!
//! A few clients start runs, answer, cancel, purge and continue, each with a ledger of the replies; others follow the
//! feeds. After a number of requests, and some microseconds more, the program gets SIGKILL, sometimes SIGTERM.
//! `CRASH_SEED` repeats a sequence as far as timing allows, `CRASH_ROUNDS` makes it longer.

mod client;
mod ledger;
mod wire;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, atomic::AtomicUsize, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use client::{Client, Round};
use ledger::{Fact, log_path, queue_path};
use wire::{Reading, call};

use crate::{
    simulation::random::{Random, hash},
    support::{PATIENCE, Program},
};

#[test]
fn what_was_acknowledged_survives_sigkill() {
    Story::new(1, 25).play();
}

#[test]
fn what_was_acknowledged_survives_sigkill_in_another_story() {
    Story::new(2, 25).play();
}

/// A data directory, and everyone who ever used it.
struct Story {
    directory: tempfile::TempDir,
    seed: u64,
    random: Random,
    rounds: usize,
    clients: Vec<Client>,
}

/// What those who follow feeds have read, by handler: whether of its queue, and what.
type Read = Vec<(String, bool, Reading)>;

impl Story {
    fn new(salt: u64, rounds: usize) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().expect("a number"));
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seed = number("CRASH_SEED").unwrap_or_else(|| hash(&[salt, u64::from(since_epoch.subsec_nanos())]));
        let rounds = number("CRASH_ROUNDS").map_or(rounds, |rounds| rounds as usize);
        let directory = tempfile::tempdir().expect("a directory");
        let clients = (0..CLIENTS).map(|name| Client::new(name, Random::new(hash(&[seed, name as u64])))).collect();
        Self { directory, seed, random: Random::new(seed), rounds, clients }
    }

    fn play(mut self) {
        for _ in 0..self.rounds {
            if self.random.one_in(6) {
                self.kill_while_it_starts();
            }
            let program = self.start();
            self.each_client(program.host(), Client::check);
            self.check_list(program.host());
            self.load(program);
        }
        let program = self.start();
        self.each_client(program.host(), Client::finish);
        self.check_list(program.host());
        program.signal("TERM");
        let (status, log) = program.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        is_calm(&log);
        let entries = self.clients.iter().flat_map(|client| &client.entries);
        let (gone, there): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_gone());
        println!("{} rounds, {} handlers, {} gone", self.rounds, there.len(), gone.len());
    }

    fn flags(&mut self) -> Vec<String> {
        let durability = *self.random.pick(&["full", "full", "full", "normal", "off"]);
        let idle_after = *self.random.pick(&["60s", "60s", "50ms", "0s"]);
        let workers = *self.random.pick(&["1", "4", "8"]);
        let directory = self.directory.path().to_str().expect("UTF-8");
        let flags = ["--data", directory, "--durability", durability, "--idle-after", idle_after, "--workers", workers];
        let flags = flags.iter().chain(&["--keep-finished", "1000000", "--grace", "0.1"]);
        flags.map(|flag| (*flag).to_owned()).collect()
    }

    fn start(&mut self) -> Program {
        let flags = self.flags();
        Program::with(&flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Kills it before it may have started to listen.
    fn kill_while_it_starts(&mut self) {
        let flags = self.flags();
        let mut child = Program::command(&["--listen", "127.0.0.1:0"]).args(flags).spawn().expect("it starts");
        thread::sleep(Duration::from_micros(self.random.below(60_000) as u64));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    fn each_client(&mut self, host: &str, act: impl Fn(&mut Client, &str) + Sync) {
        thread::scope(|scope| {
            for client in &mut self.clients {
                let act = &act;
                scope.spawn(move || act(client, host));
            }
        });
    }

    /// Checks that the listed handlers are those that are known; each client's are listed in the order in which it
    /// began them.
    fn check_list(&self, host: &str) {
        let listed = call(host, "GET", "/handlers", None).expect("the server is there").json();
        let listed = listed["handlers"].as_array().expect("a list");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let places: HashMap<String, usize> =
            listed.iter().enumerate().map(|(place, handler)| (text(&handler["handler_id"]), place)).collect();
        assert_eq!(places.len(), listed.len(), "no handler is listed twice");
        let mut known = BTreeSet::new();
        for client in &self.clients {
            let there = client.entries.iter().filter(|entry| !entry.is_gone() && entry.purged == Fact::No);
            let ids: Vec<&str> = there.map(|entry| &*entry.id).collect();
            let of_client: Vec<usize> =
                ids.iter().map(|id| *places.get(*id).unwrap_or_else(|| panic!("{id} is not listed"))).collect();
            assert!(of_client.is_sorted(), "{ids:?} stand in another order");
            known.extend(of_client);
        }
        let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
        for workflow in self.clients.iter().flat_map(|client| &client.lost) {
            *lost.entry(*workflow).or_default() += 1;
        }
        for (_, handler) in listed.iter().enumerate().filter(|(place, _)| !known.contains(place)) {
            let left = lost.get_mut(handler["workflow_name"].as_str().expect("a text")).filter(|left| **left > 0);
            *left.unwrap_or_else(|| panic!("nobody began {handler}")) -= 1;
        }
    }

    /// Uses the program until it is killed in the middle of that.
    fn load(&mut self, program: Program) {
        let is_stopped = self.random.one_in(8);
        let (end, ended) = mpsc::channel();
        let requests = *self.random.pick(&[1, 3, 10, 30, 100, 300]);
        let left = AtomicUsize::new(1 + self.random.below(requests));
        let after = Duration::from_micros(self.random.below(4_000) as u64);
        let host = program.host().to_owned();
        let seen = Mutex::new(Read::new());
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|number| {
                    let (sender, ids) = mpsc::channel();
                    let (host, seen) = (&host, &seen);
                    scope.spawn(move || follow(host, &ids, number % 2 == 0, seen));
                    sender
                })
                .collect();
            for client in &mut self.clients {
                let round = Round { host: &host, left: &left, end: end.clone(), readers: readers.clone() };
                scope.spawn(move || client.load(&round));
            }
            drop(readers);
            drop(end);
            let in_time = ended.recv_timeout(PATIENCE);
            let begun = Instant::now();
            while begun.elapsed() < after {
                thread::yield_now();
            }
            is_calm(&if is_stopped { stop(program) } else { program.kill() });
            in_time.expect("the server answers");
        });
        self.enter(seen.into_inner().expect("no reader has panicked"));
    }

    fn enter(&mut self, seen: Read) {
        for (id, is_queue, reading) in seen {
            let mut entries = self.clients.iter_mut().flat_map(|client| &mut client.entries);
            let entry = entries.find(|entry| entry.id == id).expect("a client has named it");
            match reading.status {
                200 if entry.purged != Fact::No => {}
                200 if is_queue => entry.see_queue(&reading),
                200 => entry.see(&reading),
                // Drained, or read by somebody else.
                204 | 409 if is_queue => {}
                404 => assert_ne!(entry.purged, Fact::No, "{entry:?}"),
                other => panic!("{other} for the feed of {entry:?}"),
            }
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to repeat it: CRASH_SEED={}", self.seed);
        }
    }
}

/// Follows one feed after another, each to its end or that of the server.
fn follow(host: &str, ids: &mpsc::Receiver<String>, is_queue: bool, seen: &Mutex<Read>) {
    for id in ids {
        let path = if is_queue { queue_path(&id) } else { log_path(&id) };
        let Some(reading) = wire::follow(host, &path) else { return };
        seen.lock().expect("no reader has panicked").push((id, is_queue, reading));
    }
}

/// Stops it in an orderly way. Returns its log.
fn stop(program: Program) -> String {
    program.signal("TERM");
    let (status, log) = program.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}

/// Checks that a log contains no panic and no error.
#[track_caller]
fn is_calm(log: &str) {
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
}

const CLIENTS: usize = 4;

/// Half of them follow queues.
const READERS: usize = 4;
