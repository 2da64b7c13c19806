//! The pool of threads, driven as the loop drives it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use steprill::{
    engine::{keys::WorkflowId, scheduler::StartPass},
    executors::{
        Executor, ExecutorReport,
        threads::{StepBody, Threads},
    },
    graph::{EventId, EventKind, StepId},
    json::Json,
    limits::HANDED_PASSES_MAX,
    pass::{
        self, Done, EventRef, FeedOrder, Note, Order, OtherEvent, PassEnd, PassInput, SharedList, Snapshot, Stop,
        WorkEvent,
    },
    workflow::{
        Body,
        link::{NoteRefused, PassLink},
    },
};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);
const TICK_US: u64 = 1_000;

/// A pool with one step, and a way to learn that it wakes the loop.
struct Pool {
    threads: Threads,
    woken: mpsc::Receiver<()>,
}

impl Pool {
    fn new(workers: usize, body: impl Fn(PassInput, &Arc<PassLink>) -> Done + Send + Sync + 'static) -> Self {
        let (wakes, woken) = mpsc::channel();
        let wakes = Mutex::new(wakes);
        let wake_loop = Arc::new(move || wakes.lock().expect("the sender").send(()).expect("the test listens"));
        let body: Body = Arc::new(body);
        let threads = Threads::new(workers, vec![vec![Some(StepBody { body, is_urgent: false })]], false, wake_loop);
        Self { threads, woken }
    }

    fn start(&mut self, tags: std::ops::Range<u64>) {
        for tag in tags {
            let (workflow, step, input) = (WorkflowId(0), StepId(0), input());
            self.threads.start(StartPass { tag, workflow, step, input, grant_bytes: 100 });
        }
        self.threads.wake(0);
    }

    /// The next report, once the pool has woken the loop for it.
    fn report(&mut self) -> (u64, pass::Report) {
        loop {
            self.threads.handle_ready(0);
            match self.threads.poll_report(true) {
                Some(ExecutorReport::Of(tag, report)) => return (tag, report),
                Some(ExecutorReport::LargeDone(..)) => panic!("nothing is recorded"),
                None => self.woken.recv_timeout(PATIENCE).expect("it wakes the loop for a report"),
            }
        }
    }

    fn at_once(&self) -> usize {
        self.threads.capacity().at_once
    }
}

fn input() -> PassInput {
    PassInput {
        run_id: uuid::Uuid::nil(),
        handler_id: "h".into(),
        work: 0,
        attempt: 1,
        event: WorkEvent::One(EventId(0), Json::parse("{}").expect("JSON")),
        state: Snapshot::default(),
        waits: SharedList::default(),
        once: SharedList::default(),
        published: SharedList::default(),
        failure: None,
    }
}

fn done() -> Done {
    Done::of(PassEnd::Returned(Vec::new()))
}

#[test]
fn with_no_idle_worker_the_loop_need_not_poll_and_every_report_wakes_it() {
    let (begins, begun) = mpsc::channel();
    let (gate, may_end) = mpsc::channel::<()>();
    let (begins, may_end) = (Mutex::new(begins), Mutex::new(may_end));
    let mut pool = Pool::new(1, move |_, _| {
        begins.lock().expect("begins").send(()).expect("the test listens");
        may_end.lock().expect("the gate").recv().expect("the test opens it");
        done()
    });
    pool.start(0..3);
    begun.recv_timeout(PATIENCE).expect("the first pass begins");
    assert_eq!(pool.threads.poll_timeout(0), Some(Duration::from_micros(TICK_US)), "there may be more workers to call");
    pool.threads.handle_time(TICK_US);
    assert_eq!(pool.threads.poll_timeout(TICK_US), None, "the one worker is busy");

    for tag in 0..3 {
        gate.send(()).expect("the pass waits");
        pool.woken.recv_timeout(PATIENCE).expect("its report wakes the loop, whatever is in the queue");
        pool.threads.handle_ready(0);
        let report = pool.threads.poll_report(true);
        assert!(matches!(report, Some(ExecutorReport::Of(came, pass::Report::Done(_))) if came == tag));
        if tag < 2 {
            begun.recv_timeout(PATIENCE).expect("the next pass begins by itself");
        }
    }
    pool.threads.handle_time(2 * TICK_US);
    assert_eq!(pool.threads.poll_timeout(2 * TICK_US), None, "nothing is left to do");
}

#[test]
fn as_many_hanging_threads_are_replaced_as_there_are_workers_and_beyond_that_it_is_overloaded() {
    let (gate, may_end) = mpsc::channel::<()>();
    let may_end = Mutex::new(may_end);
    let mut pool = Pool::new(2, move |_, _| {
        let _ = may_end.lock().expect("the gate").recv();
        done()
    });
    assert_eq!(pool.at_once(), 2);
    pool.start(0..2);
    assert_eq!(pool.at_once(), 0);
    pool.threads.order(0, Order::Abandon);
    pool.threads.order(0, Order::Abandon);
    pool.threads.order(9, Order::Abandon);
    assert_eq!(pool.at_once(), 1, "abandoned once");
    pool.threads.order(1, Order::Abandon);
    pool.start(2..5);
    assert_eq!((pool.at_once(), pool.threads.overload()), (0, None));
    (2..4).for_each(|tag| pool.threads.order(tag, Order::Abandon));
    assert_eq!(pool.at_once(), 0, "no more than four threads");
    let overload = pool.threads.overload().expect("more than two hang");
    assert!(overload.starts_with("4 passes were told to stop and do not end; 2 of their threads"), "{overload}");
    (0..5).for_each(|_| gate.send(()).expect("passes wait"));
    for _ in 0..5 {
        let (_, report) = pool.report();
        assert_eq!(report, pass::Report::Done(done()));
        pool.threads.handle_time(u64::MAX / 2);
    }
    assert_eq!((pool.at_once(), pool.threads.overload()), (2, None));
    assert_eq!(pool.threads.capacity().queued, HANDED_PASSES_MAX);
}

#[test]
fn a_pass_that_is_stopped_in_the_queue_never_begins() {
    let (gate, may_end) = mpsc::channel::<()>();
    let may_end = Mutex::new(may_end);
    let begun = Arc::new(AtomicUsize::new(0));
    let begins = Arc::clone(&begun);
    let mut pool = Pool::new(1, move |_, _| {
        begins.fetch_add(1, Ordering::SeqCst);
        let _ = may_end.lock().expect("the gate").recv();
        done()
    });
    pool.start(0..3);
    while begun.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    pool.threads.order(1, Order::Stop(Stop::Cancelled));
    assert_eq!(pool.threads.poll_timeout(0), Some(Duration::ZERO));
    assert_eq!(pool.report(), (1, pass::Report::NotBegun));
    (0..2).for_each(|_| gate.send(()).expect("passes wait"));
    assert_eq!([pool.report().0, pool.report().0], [0, 2]);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[test]
fn a_thread_that_dies_reports_its_pass_as_lost_and_another_one_takes_its_place() {
    let runs = AtomicUsize::new(0);
    let mut pool = Pool::new(1, move |_, _| {
        // Steps of a workflow catch what their bodies panic with; this one does not.
        assert!(runs.fetch_add(1, Ordering::SeqCst) > 0, "the first pass kills its thread");
        done()
    });
    pool.start(0..2);
    assert_eq!(pool.report(), (0, pass::Report::Lost));
    pool.threads.handle_time(TICK_US);
    assert_eq!(pool.report(), (1, pass::Report::Done(done())));
    assert_eq!(pool.at_once(), 1);
}

/// A pass that streams events of 100 bytes until it is refused, and then returns how many it could.
fn stream(link: &PassLink) -> usize {
    let other = Arc::new(OtherEvent { name: "E".into(), qualified_name: "E".into(), kind: EventKind::Plain });
    (0..1_000)
        .take_while(|ordinal| {
            let value = Json::parse(&format!("\"{}\"", "x".repeat(80))).expect("JSON");
            let event = EventRef::Other(Arc::clone(&other));
            let note = Note::Stream { ordinal: *ordinal, hash: 0, event, value };
            assert_eq!(note.feed_bytes(), 100);
            let taken = link.note(note);
            assert!(matches!(taken, Ok(()) | Err(NoteRefused::FeedFull)), "{taken:?}");
            taken.is_ok()
        })
        .count()
}

#[test]
fn a_pass_that_needs_more_of_the_feed_waits_for_the_answer() {
    let (counts, count) = mpsc::channel();
    let counts = Mutex::new(counts);
    let mut pool = Pool::new(1, move |_, link| {
        counts.lock().expect("counts").send(stream(link)).expect("the test listens");
        done()
    });
    pool.start(0..1);
    let mut wanted = Vec::new();
    loop {
        match pool.report() {
            (0, pass::Report::Noted(_)) => {}
            (0, pass::Report::FeedWanted(bytes)) => {
                wanted.push(bytes);
                pool.threads.order(0, Order::Feed(FeedOrder::TakeBack));
                assert_eq!(pool.report(), (0, pass::Report::FeedGivenBack(0)), "it needs it itself");
                let answers = [FeedOrder::Grant(50), FeedOrder::Grant(50), FeedOrder::Grant(250), FeedOrder::Refuse];
                pool.threads.order(0, Order::Feed(answers[wanted.len() - 1]));
            }
            (0, report) => break assert_eq!(report, pass::Report::Done(done())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((wanted, count.recv_timeout(PATIENCE)), (vec![100, 50, 100, 50], Ok(4)));
}
