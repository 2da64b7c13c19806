//! A store on two threads: one commits batches in groups, each of what has queued up during the previous commit; the
//! other answers queries, so that no query waits for a sync. This is the same for every backend that blocks: batches
//! that depend on what is not committed are dropped, everything completes under its number or ticket, and the loop is
//! woken.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};

use super::{Answer, Aside, Batch, Completed, Query, StoreError, Ticket};
use crate::{
    engine::keys::HandlerKey,
    limits::{COMMIT_BYTES_MAX, STORE_CLOSE_WAIT, STORE_IDLE},
    wake::WakeLoop,
};

/// The part of a backend that commits, on the thread that writes.
pub(super) trait Writer: Send + 'static {
    /// What it accepts besides batches.
    type Order: Send;

    /// Commits these batches in one transaction; `bytes` is about their size. Returns the handlers that it had to leave
    /// out because they cannot be changed, in order, without serial numbers.
    ///
    /// # Errors
    /// If it fails: nothing is committed.
    fn commit(&mut self, batches: Vec<Batch>, bytes: usize) -> Result<Vec<Aside>, StoreError>;

    fn take(&mut self, order: Self::Order);

    /// Called after a commit, an order or a chore. Reports anything else, such as the size.
    fn end_turn(&mut self, say: &mut dyn FnMut(Completed));

    /// Returns whether there is work to be done in small parts while no batch arrives.
    fn has_chores(&self) -> bool;

    fn do_chore(&mut self);

    /// Nothing has arrived for a while, or nothing more will.
    fn handle_idle(&mut self);
}

/// The part of a backend that reads, on the thread that reads.
pub(super) trait Reader: Send + 'static {
    fn answer(&mut self, query: &Query) -> Result<Answer, StoreError>;

    /// No query has arrived for a while.
    fn handle_idle(&mut self);
}

/// The two threads, and the channels to and from them.
pub(super) struct Threads<O> {
    orders: Option<Sender<Order<O>>>,
    queries: Option<Sender<(Ticket, Query)>>,
    completed: Receiver<Completed>,
    said: Arc<Said>,
    reader: Option<Running>,
    writer: Option<Running>,
}

/// Work for the writer.
#[expect(clippy::large_enum_variant, reason = "nearly all are batches")]
enum Order<O> {
    Commit(Batch),
    Other(O),
}

/// Where threads report what they have completed.
struct Said {
    completed: Sender<Completed>,
    /// Whether the loop was woken and has not found the channel empty since: until then nobody wakes it again.
    is_woken: AtomicBool,
    wake_loop: WakeLoop,
}

impl<O: Send + 'static> Threads<O> {
    /// Starts both threads. `wake_loop` is called from one of them when something is completed and nothing was before.
    pub(super) fn start<W: Writer<Order = O>>(reader: impl Reader, writer: W, wake_loop: WakeLoop) -> io::Result<Self> {
        let (say, completed) = unbounded();
        let said = Arc::new(Said { completed: say, is_woken: AtomicBool::new(false), wake_loop });
        let ((orders, taken), (queries, asked)) = (unbounded(), unbounded());
        let answers = Arc::clone(&said);
        let reader = spawn("reader", &said, move || answer_queries(reader, &asked, &answers))?;
        let results = Arc::clone(&said);
        let writer = spawn("writer", &said, move || commit_batches(writer, &taken, &results))?;
        let (orders, queries, reader, writer) = (Some(orders), Some(queries), Some(reader), Some(writer));
        Ok(Self { orders, queries, completed, said, reader, writer })
    }

    pub(super) fn submit(&self, batch: Batch) {
        let number = batch.number;
        if !self.send(Order::Commit(batch)) {
            self.said.say(Completed::Failed { number, error: StoreError::Closed });
        }
    }

    /// Sends an order to the writer. Returns whether it still runs.
    pub(super) fn tell(&self, order: O) -> bool {
        self.send(Order::Other(order))
    }

    fn send(&self, order: Order<O>) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }

    pub(super) fn read(&self, ticket: Ticket, query: Query) {
        let sent = self.queries.as_ref().is_some_and(|queries| queries.send((ticket, query)).is_ok());
        if !sent {
            self.said.say(Completed::Answer { ticket, answer: Err(StoreError::Closed) });
        }
    }

    /// Reports something that did not come from a thread.
    pub(super) fn say(&self, completed: Completed) {
        self.said.say(completed);
    }

    pub(super) fn poll_completed(&self) -> Option<Completed> {
        self.completed.try_recv().ok().or_else(|| {
            // Later senders wake the loop; what was sent before is received here.
            self.said.is_woken.store(false, Ordering::Release);
            self.completed.try_recv().ok()
        })
    }

    /// Waits until everything that was submitted has completed, and ends both threads, the writer last. Returns whether
    /// both have ended.
    pub(super) fn close(&mut self) -> bool {
        self.queries = None;
        let mut ended = self.reader.take().is_none_or(|reader| reader.join("store reader"));
        self.orders = None;
        ended &= self.writer.take().is_none_or(|writer| writer.join("store writer"));
        ended
    }
}

impl Said {
    fn say(&self, completed: Completed) {
        if self.completed.send(completed).is_ok() && !self.is_woken.swap(true, Ordering::AcqRel) {
            (self.wake_loop)();
        }
    }
}

/// Answers queries until no more can arrive.
fn answer_queries(mut reader: impl Reader, queries: &Receiver<(Ticket, Query)>, said: &Said) {
    let mut is_busy = false;
    loop {
        let received = if is_busy {
            queries.recv_timeout(STORE_IDLE)
        } else {
            queries.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match received {
            Ok((ticket, query)) => {
                is_busy = true;
                said.say(Completed::Answer { ticket, answer: reader.answer(&query) });
            }
            Err(RecvTimeoutError::Timeout) => {
                is_busy = false;
                reader.handle_idle();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Commits batches until no more can arrive.
fn commit_batches<W: Writer>(mut writer: W, orders: &Receiver<Order<W::Order>>, said: &Said) {
    let (mut refused, mut is_busy) = (Refused::default(), true);
    loop {
        let received = match () {
            () if writer.has_chores() => orders.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            () if is_busy => orders.recv_timeout(STORE_IDLE),
            () => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(order) => {
                is_busy = true;
                commit_group(&mut writer, order, orders, &mut refused, said);
            }
            Err(RecvTimeoutError::Timeout) if writer.has_chores() => writer.do_chore(),
            Err(RecvTimeoutError::Timeout) => {
                is_busy = false;
                writer.handle_idle();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        writer.end_turn(&mut |completed| said.say(completed));
    }
    writer.handle_idle();
}

/// Commits this batch and those that have queued up behind it.
fn commit_group<W: Writer>(
    writer: &mut W,
    first: Order<W::Order>,
    orders: &Receiver<Order<W::Order>>,
    refused: &mut Refused,
    said: &Said,
) {
    let (mut batches, mut bytes) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(order) = next {
        match order {
            Order::Commit(batch) => {
                if let Some(batch) = refused.sift(batch) {
                    bytes += batch.bytes();
                    batches.push(batch);
                }
            }
            Order::Other(order) => writer.take(order),
        }
        next = if bytes < COMMIT_BYTES_MAX { orders.try_recv().ok() } else { None };
    }
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return };
    let (first, last, epoch) = (first.number, last.number, last.epoch);
    match writer.commit(batches, bytes) {
        Ok(asides) => {
            for aside in asides {
                said.say(Completed::Aside(refused.note_aside(aside)));
            }
            said.say(Completed::Batch { number: last });
        }
        Err(error) => {
            refused.failed_epoch = Some(epoch);
            said.say(Completed::Failed { number: first, error });
        }
    }
}

/// Refused changes about which the scheduler may not know yet. Changes that depend on them are dropped.
#[derive(Default)]
struct Refused {
    /// Batches of this epoch and earlier ones depend on one that is not committed.
    failed_epoch: Option<u32>,
    /// Handlers that were left out of a batch, by the serial numbers of the reports.
    unheard: VecDeque<(u64, HandlerKey)>,
    asides: u64,
}

impl Refused {
    /// Returns what is left of a batch.
    fn sift(&mut self, mut batch: Batch) -> Option<Batch> {
        if self.failed_epoch.is_some_and(|failed| batch.epoch <= failed) {
            return None;
        }
        while self.unheard.front().is_some_and(|&(serial, _)| serial <= batch.asides_heard) {
            self.unheard.pop_front();
        }
        for &(_, handler) in &self.unheard {
            batch.drop_handler(handler);
        }
        Some(batch)
    }

    /// A handler was left out. Returns it with its serial number.
    fn note_aside(&mut self, aside: Aside) -> Aside {
        self.asides += 1;
        self.unheard.push_back((self.asides, aside.handler));
        Aside { serial: self.asides, ..aside }
    }
}

/// A thread, and the channel that is disconnected when it ends.
struct Running {
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

impl Running {
    /// Waits for its end, for a limited time, because a disk may not answer any longer. What was acknowledged is
    /// committed already. Returns whether it has ended.
    fn join(self, name: &str) -> bool {
        if self.ended.recv_timeout(STORE_CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            log::error!("the {name} has not ended within {STORE_CLOSE_WAIT:?}: the disk does not answer");
            return false;
        }
        if self.thread.join().is_err() {
            log::error!("the {name} has panicked");
        }
        true
    }
}

fn spawn(name: &'static str, said: &Arc<Said>, run: impl FnOnce() + Send + 'static) -> io::Result<Running> {
    let alive = Alive { thread: name, said: Arc::clone(said) };
    let (ends, ended) = unbounded();
    let thread = Builder::new().name(format!("store {name}")).spawn(move || {
        let _ends: Sender<()> = ends;
        let _alive = alive;
        run();
    })?;
    Ok(Running { thread, ended })
}

/// Reports that a thread has ended by a panic, which nobody else would notice.
struct Alive {
    thread: &'static str,
    said: Arc<Said>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.said.say(Completed::Died(self.thread));
        }
    }
}
