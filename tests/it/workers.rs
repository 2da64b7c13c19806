//! The pool of workers, driven as the loop drives it.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use steprill::{
    graph::EventId,
    json::Json,
    pass::{Done, PassEnd, PassInput, SharedList, Snapshot, StateUse, WorkEvent},
    workers::{Pool, Report},
    workflow::Body,
};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);
const TICK_US: u64 = 1_000;

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
    Done { end: PassEnd::Returned(Vec::new()), sent: Vec::new(), state: StateUse::default() }
}

#[test]
fn with_no_worker_left_the_loop_need_not_look_and_every_report_rings() {
    let (rings, rung) = mpsc::channel();
    let rings = Mutex::new(rings);
    let ring = Arc::new(move || rings.lock().expect("the ring").send(()).expect("the test listens"));
    let (begins, begun) = mpsc::channel();
    let (gate, may_end) = mpsc::channel::<()>();
    let (begins, may_end) = (Mutex::new(begins), Mutex::new(may_end));
    let body: Body = Arc::new(move |_, _| {
        begins.lock().expect("begins").send(()).expect("the test listens");
        may_end.lock().expect("the gate").recv().expect("the test opens it");
        done()
    });

    let mut pool = Pool::new(1, false, ring);
    for tag in 0..3 {
        pool.start(tag, Arc::clone(&body), input(), 0);
    }
    pool.wake(0, 0);
    begun.recv_timeout(PATIENCE).expect("the first pass begins");
    assert_eq!(pool.poll_timeout(0), Some(Duration::from_micros(TICK_US)), "there may be more workers to call");
    pool.handle_time(TICK_US);
    assert_eq!(pool.poll_timeout(TICK_US), None, "the one worker is busy");

    for tag in 0..3 {
        gate.send(()).expect("the pass waits");
        rung.recv_timeout(PATIENCE).expect("its report rings, whatever stands in the queue");
        pool.handle_rung();
        assert!(matches!(pool.poll_report(true), Some(Report::Done(came, _)) if came == tag));
        if tag < 2 {
            begun.recv_timeout(PATIENCE).expect("the next pass begins by itself");
        }
    }
    pool.handle_time(2 * TICK_US);
    assert_eq!(pool.poll_timeout(2 * TICK_US), None, "nothing is left to do");
}
