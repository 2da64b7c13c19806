//! A thread for what would block the loop: it parses large bodies, folds large journals and frees large values.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, mem, panic,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{
    api::{Form, Parsed},
    client_id::ClientId,
    core::Loaded,
    engine::scheduler::{Fold, Folded, JournalError, Waste},
    wake::WakeLoop,
};

/// The thread, and the parsed bodies whose calls are to be repeated.
pub(super) struct Helper {
    shared: Arc<Shared>,
    done: Receiver<Done>,
    /// How many jobs are in progress.
    out: usize,
    /// Bytes of the bodies stored here and being parsed.
    bytes: usize,
    /// Bytes of the journals being folded.
    journals_bytes: usize,
    parsed: BTreeMap<ClientId, (Parsed, usize)>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Bytes that are not freed yet.
    waste_bytes: AtomicUsize,
    done: Sender<Done>,
    wake_loop: WakeLoop,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether there is a thread. It ends when it finds no job.
    has_thread: bool,
}

enum Job {
    Parse { id: ClientId, form: Form, body: Vec<u8> },
    Fold(Loaded, Fold),
    Free(Waste),
}

/// The result of a job, and its size in bytes.
pub(super) struct Done {
    pub(super) bytes: usize,
    pub(super) given: Given,
}

pub(super) enum Given {
    /// `None` if the parser has panicked.
    Parsed(ClientId, Option<Parsed>),
    Folded(Loaded, Box<Result<Folded, JournalError>>),
}

impl Helper {
    /// `wake_loop` is called when something is done.
    pub(super) fn new(wake_loop: WakeLoop) -> Self {
        let (sender, done) = unbounded();
        let shared =
            Arc::new(Shared { queue: Mutex::default(), waste_bytes: AtomicUsize::new(0), done: sender, wake_loop });
        Self { shared, done, out: 0, bytes: 0, journals_bytes: 0, parsed: BTreeMap::new() }
    }

    /// Returns the bytes of bodies that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes of runs that it has still to fold, or to free.
    pub(super) fn run_bytes(&self) -> usize {
        self.journals_bytes.saturating_add(self.shared.waste_bytes.load(Ordering::Relaxed))
    }

    /// Returns whether a result is available.
    pub(super) fn is_ready(&self) -> bool {
        !self.done.is_empty()
    }

    pub(super) fn parse(&mut self, id: ClientId, form: Form, body: Vec<u8>) {
        self.out += 1;
        self.bytes += body.len();
        self.hand_over(Job::Parse { id, form, body });
    }

    /// Folds the journal of a run.
    pub(super) fn fold(&mut self, loaded: Loaded, fold: Fold) {
        self.out += 1;
        self.journals_bytes += loaded.stored.journal.bytes();
        self.hand_over(Job::Fold(loaded, fold));
    }

    /// Frees what is no longer needed.
    pub(super) fn free(&self, waste: Waste) {
        self.shared.waste_bytes.fetch_add(waste.bytes(), Ordering::Relaxed);
        self.hand_over(Job::Free(waste));
    }

    fn hand_over(&self, job: Job) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(job);
        if mem::replace(&mut queue.has_thread, true) {
            return;
        }
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("steprill-helper".into());
        if let Err(error) = thread.spawn(move || shared.do_all()) {
            ::log::warn!("the loop does itself what its helper is for, as the system gives no thread: {error}");
            self.shared.do_all();
        }
    }

    /// Returns the next result.
    pub(super) fn poll(&mut self) -> Option<Done> {
        if self.out == 0 {
            return None;
        }
        let done = self.done.try_recv().ok()?;
        self.out -= 1;
        match &done.given {
            Given::Parsed(..) => self.bytes -= done.bytes,
            Given::Folded(..) => self.journals_bytes -= done.bytes,
        }
        Some(done)
    }

    /// Stores a parsed body until its connection's call is made.
    pub(super) fn keep(&mut self, id: ClientId, parsed: Parsed) {
        let bytes = parsed.bytes();
        self.bytes += bytes;
        self.parsed.insert(id, (parsed, bytes));
    }

    /// Removes and returns the parsed body of the connection's request.
    pub(super) fn take(&mut self, id: ClientId) -> Option<Parsed> {
        let (parsed, bytes) = self.parsed.remove(&id)?;
        self.bytes -= bytes;
        Some(parsed)
    }
}

impl fmt::Debug for Helper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Helper").field("out", &self.out).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Shared {
    /// Executes jobs until none is left.
    fn do_all(&self) {
        loop {
            let mut queue = self.lock();
            let Some(job) = queue.jobs.pop_front() else {
                queue.has_thread = false;
                return;
            };
            drop(queue);
            let done = match job {
                Job::Parse { id, form, body } => {
                    let parsed = panic::catch_unwind(|| form.parse(&body)).ok();
                    Done { bytes: body.len(), given: Given::Parsed(id, parsed) }
                }
                Job::Fold(loaded, fold) => {
                    let bytes = loaded.stored.journal.bytes();
                    let folded = panic::catch_unwind(|| fold.fold(&loaded.stored));
                    let folded = folded.unwrap_or_else(|_| Err(JournalError::Panicked));
                    Done { bytes, given: Given::Folded(loaded, Box::new(folded)) }
                }
                Job::Free(waste) => {
                    let bytes = waste.bytes();
                    // Whatever it is, the thread continues.
                    let _ = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(waste)));
                    self.waste_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    // What is now free may be released to the system, which an idle loop would not check.
                    (self.wake_loop)();
                    continue;
                }
            };
            // The loop may have ended.
            let _ = self.done.send(done);
            (self.wake_loop)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Blocks in its drop until it is told to continue.
    struct Stuck(Receiver<()>);

    impl Drop for Stuck {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn what_waits_to_be_freed_counts_until_it_is() {
        let helper = Helper::new(Arc::new(|| ()));
        let (go_on, told) = channel();
        helper.free(Waste::new(3, Stuck(told)));
        helper.free(Waste::new(4, ()));
        assert_eq!(helper.run_bytes(), 7);
        drop(go_on);
        while helper.run_bytes() > 0 {
            thread::yield_now();
        }
    }
}
