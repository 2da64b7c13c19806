//! Ids, chosen and made, with the scheduler in front of the store: an id that one client received or chose never names
//! the handler of another.

use std::collections::BTreeMap;

use proptest::prelude::*;
use steprill::engine::{
    ids::HandlerIds,
    keys::{Issued, Keys},
    scheduler::{NewRun, Notice, Residence, Scheduler, SchedulerLimits, StartAs},
};
use uuid::Uuid;

use super::*;

/// A server without a loop: every change is committed at once.
struct Server {
    directory: tempfile::TempDir,
    store: Option<SqliteStore>,
    scheduler: Scheduler,
    woken: mpsc::Receiver<()>,
    now: Now,
    drawn: u128,
}

fn open_store(directory: &Path) -> (SqliteStore, Scheduler, mpsc::Receiver<()>) {
    let (bell, woken) = mpsc::channel();
    let wake_loop = Arc::new(move || bell.send(()).unwrap_or_default());
    let opened = SqliteStore::open(directory, Durability::Off, &[graph()], SECRET, wake_loop);
    let steprill::store::Opened { mut store, graphs, beginning, .. } = opened.expect("the store is opened");
    let limits = SchedulerLimits { finished_bytes_max: 0, ..SchedulerLimits::default() };
    let mut scheduler = Scheduler::resume(graphs, 1, limits, &beginning);
    store.recover(&mut |stored| scheduler.recover_any(stored, beginning.newest)).expect("it is read");
    scheduler.handle_recovered(beginning.newest);
    (store, scheduler, woken)
}

impl Server {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, scheduler, woken) = open_store(directory.path());
        let now = Now { wall_us: 1_795_533_581_245_592, alive_us: 1 };
        Self { directory, store: Some(store), scheduler, woken, now, drawn: 0 }
    }

    fn restart(&mut self) {
        if let Some(mut store) = self.store.take() {
            store.close();
        }
        let (store, scheduler, woken) = open_store(self.directory.path());
        (self.store, self.scheduler, self.woken) = (Some(store), scheduler, woken);
    }

    fn completed(&mut self) -> Completed {
        loop {
            match self.store.as_mut().expect("it is open").poll_completed() {
                Some(Completed::Gone(gone)) => self.scheduler.handle_gone(&gone),
                Some(completed) => return completed,
                None => self.woken.recv_timeout(PATIENCE).expect("the store wakes the loop"),
            }
        }
    }

    /// Commits what has changed. Returns whether all of it is committed.
    fn commit(&mut self) -> bool {
        let mut is_whole = true;
        while let Some(batch) = self.scheduler.seal() {
            let number = batch.number;
            self.store.as_mut().expect("it is open").submit(batch);
            loop {
                match self.completed() {
                    Completed::Batch { number: completed } if completed == number => break,
                    Completed::Aside(aside) => {
                        self.scheduler.handle_aside(&aside, self.now);
                        is_whole = false;
                    }
                    other => panic!("expected batch {number}, got {other:?}"),
                }
            }
            self.scheduler.handle_committed(number);
            while let Some(notice) = self.scheduler.poll_notice() {
                if let Notice::Load(key) = notice {
                    self.read(HandlerAddress::Key(key));
                }
            }
        }
        is_whole
    }

    fn read(&mut self, address: HandlerAddress) {
        let asked = self.scheduler.begin_read();
        self.drawn += 1;
        let store = self.store.as_mut().expect("it is open");
        store.read(Ticket(self.drawn as u64), Query::Handler(address.clone()));
        let Completed::Answer { answer: Ok(Answer::Handler(stored)), .. } = self.completed() else {
            panic!("{address:?}")
        };
        assert!(self.scheduler.end_read(asked), "nothing has failed since");
        match (stored, address) {
            (Some(stored), _) => self.scheduler.handle_loaded(&stored, self.now),
            (None, HandlerAddress::Key(key)) => self.scheduler.handle_absent(key, self.now),
            (None, HandlerAddress::Id(_)) => {}
        }
    }

    /// Returns the run id of the handler that the id names.
    fn named(&mut self, id: &str) -> Option<Uuid> {
        if let Residence::InStore(address) = self.scheduler.residence(id, true) {
            self.read(address);
        }
        let key = self.scheduler.find(id)?;
        Some(self.scheduler.view(key).expect("it is here").run_id)
    }

    /// Begins a run, under this id if it is free. Returns the id that it got and the run's id, if it is committed.
    fn begin(&mut self, id: Option<&str>) -> Option<(String, Uuid)> {
        if id.is_some_and(|id| self.named(id).is_some()) {
            return None;
        }
        self.drawn += 1;
        let run_id = Uuid::from_u128(self.drawn);
        let (workflow, event) = (WorkflowId(0), json("{}"));
        let start_as = StartAs::New(id.map(Into::into));
        let key =
            self.scheduler.start(NewRun { workflow, start_as, run_id, event, state: Values::default() }, self.now);
        let got = self.scheduler.view(key).expect("it has begun").id.to_owned();
        assert!(id.is_none_or(|id| id == got), "a chosen id is taken as given");
        let ids = HandlerIds::new(SECRET);
        assert_eq!(ids.shard(&got), key.shard(), "the shard follows from the id");
        self.commit().then_some((got, run_id))
    }

    fn purge(&mut self, id: &str) {
        if self.named(id).is_some() {
            let key = self.scheduler.find(id).expect("it was named");
            self.scheduler.purge(key, self.now).expect("it is in memory");
            assert!(self.commit());
        }
    }

    fn cancel(&mut self, id: &str) {
        if self.named(id).is_some() {
            let key = self.scheduler.find(id).expect("it was named");
            self.scheduler.cancel(key, self.now).expect("it is in memory");
            assert!(self.commit());
            // All ended handlers but the last leave memory.
            self.scheduler.retire();
        }
    }
}

/// Returns the id of the `count`-th key that the server would make `ms` later in this shard.
fn id_of(now: Now, ms: i64, count: u64, shard: u8) -> String {
    let mut keys = Keys::resume(Issued::default());
    let now = Now { wall_us: now.wall_us + ms * 1_000, ..now };
    for _ in 0..count {
        keys.make(now, Some(0));
    }
    let id = HandlerIds::new(SECRET).spell(keys.make(now, Some(shard)));
    str::from_utf8(&id).expect("ASCII").to_owned()
}

#[test]
fn no_handler_is_created_under_an_id_that_a_client_ever_chose() {
    for (is_in_memory, is_purged) in [(true, false), (false, false), (false, true)] {
        let mut server = Server::new();
        // The first id that is made after a start is of shard 1.
        let chosen = id_of(server.now, 3_600_000, 0, 1);
        let (id, run_id) = server.begin(Some(&chosen)).expect("it is committed");
        assert_eq!(id, chosen);
        if is_purged {
            server.purge(&chosen);
        } else if !is_in_memory {
            server.cancel(&chosen);
        }
        server.restart();
        server.now.wall_us += 3_600_000_000;
        let made = server.begin(None);
        match &made {
            Some((id, _)) if is_in_memory => assert_ne!(*id, chosen, "its key is passed over"),
            Some((id, _)) => assert!(is_purged && *id == chosen, "it is free again"),
            None => assert!(!is_in_memory && !is_purged, "the store refuses it"),
        }
        let named = if is_purged { made.map(|(_, run_id)| run_id) } else { Some(run_id) };
        assert_eq!(server.named(&chosen), named);
        let (next, run_id) = server.begin(None).expect("the next one is another");
        assert_ne!(next, chosen);
        assert_eq!(server.named(&next), Some(run_id));
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// A run without an id.
    Make,
    /// A run with an id that looks made, this many milliseconds from now.
    ChooseAhead {
        ms: i64,
        count: u64,
        shard: u8,
    },
    /// A run with an id that was chosen, or made, for another: the id's number.
    ChooseAgain(usize),
    /// A run with the id that follows from the key of a handler, if a client chose that handler's id.
    ChooseKey(usize),
    Purge(usize),
    Cancel(usize),
    Restart,
    Pass(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let shard = 0..6_u8;
    let op = prop_oneof![
        4 => Just(Op::Make),
        4 => (-2..4_i64, 0..3_u64, shard).prop_map(|(ms, count, shard)| Op::ChooseAhead { ms, count, shard }),
        1 => (0..20_usize).prop_map(Op::ChooseAgain),
        1 => (0..20_usize).prop_map(Op::ChooseKey),
        2 => (0..20_usize).prop_map(Op::Purge),
        1 => Just(Op::Restart),
        3 => (0..20_usize).prop_map(Op::Cancel),
        3 => (-1..3_i64).prop_map(Op::Pass),
    ];
    prop::collection::vec(op, 1..40)
}

/// Runs the steps, and checks after each that every id names the handler that got it last, or none.
fn play(ops: Vec<Op>) {
    let mut server = Server::new();
    let (mut all, mut names) = (Vec::<String>::new(), BTreeMap::<String, Option<Uuid>>::new());
    for op in ops {
        let some = |number: usize| (!all.is_empty()).then(|| all[number % all.len()].clone());
        let begun = match op {
            Op::Make => server.begin(None),
            Op::ChooseAhead { ms, count, shard } => {
                let id = id_of(server.now, ms, count, shard);
                server.begin(Some(&id))
            }
            Op::ChooseAgain(number) => some(number).and_then(|id: String| server.begin(Some(&id))),
            Op::ChooseKey(number) => some(number).and_then(|id| {
                server.named(&id)?;
                let key = server.scheduler.find(&id)?;
                let spelled = HandlerIds::new(SECRET).spell(key);
                server.begin(Some(str::from_utf8(&spelled).expect("ASCII")))
            }),
            Op::Purge(number) => {
                if let Some(id) = some(number) {
                    server.purge(&id);
                    names.insert(id, None);
                }
                None
            }
            Op::Restart => {
                server.restart();
                None
            }
            Op::Cancel(number) => {
                if let Some(id) = some(number) {
                    server.cancel(&id);
                }
                None
            }
            Op::Pass(ms) => {
                server.now.wall_us += ms * 1_000;
                None
            }
        };
        if let Some((id, run_id)) = begun {
            let before = names.insert(id.clone(), Some(run_id));
            assert!(before.is_none_or(|before| before.is_none()), "{id} is another's");
            all.push(id);
        }
        for (id, run_id) in &names {
            assert_eq!(server.named(id), *run_id, "{id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_id_never_names_the_handler_of_another(ops in ops()) {
        play(ops);
    }
}
