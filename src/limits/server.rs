//! Limits of the server as a whole: handlers, turns of the loop, workers, memory, its log.

use super::ERROR_BYTES_MAX;

/// Bytes of a `handler_id` chosen by a client.
pub const HANDLER_ID_BYTES_MAX: usize = 64;

/// Handlers that one step of writing a list examines: a filter that matches few must not block the loop.
pub const LIST_SCAN_HANDLERS_MAX: usize = 512;

/// Bytes of an error's message: a step's complete error text, and what precedes it.
pub const MESSAGE_BYTES_MAX: usize = ERROR_BYTES_MAX + (1 << 10);

/// Bytes of a name or number from a client that an error quotes; the rest is cut, so that the rest of the error fits.
pub const QUOTED_BYTES_MAX: usize = 256;

/// Bytes of a misspelt word for which the intended one is searched: a comparison takes the product of both lengths.
pub const SPELLING_BYTES_MAX: usize = 64;

/// Values of one kind that are logged at once, each once: clients must not be able to fill a log, or memory.
pub const TOLD_VALUES_MAX: usize = 64;

/// The time from one further value to the next, so that random names cannot hide real mistakes forever.
pub const TOLD_PAUSE_US: u64 = 60_000_000;

/// Bytes that the log shows of a value from a client.
pub const TOLD_BYTES_MAX: usize = 128;

/// Bytes of a log line's message; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes of log lines that wait for stderr to be read; more are dropped and counted. As many again may be being
/// written.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 << 10;

/// After how long a client that got 503 may try again.
pub const RETRY_AFTER_S: u32 = 1;

/// How long a browser may cache the answer to a CORS preflight.
pub const PREFLIGHT_AGE_S: u32 = 600;

/// Passes that workers have or that are in their queue. A queue saves a wake-up per pass under load; it is limited
/// because a queued pass already has its snapshot of the state.
pub const HANDED_PASSES_MAX: usize = 256;

/// Notes and ends of passes that one turn of the loop takes from the workers, because streams at full speed would
/// otherwise block everything else. A few milliseconds' worth.
pub const TURN_REPORTS_MAX: usize = 4_096;

/// Timers that one turn of the loop passes to their runs: when very many are due at once, as after a suspend, clients
/// are served in between. About a millisecond's worth.
pub const TURN_TIMERS_MAX: usize = 512;

/// Microseconds that a pass may take to return after it was told to stop, because its run has ended or its step has
/// timed out, before it counts as hanging and its thread is replaced. Its executor may end it itself; then this begins
/// behind that.
pub const STRAGGLER_GRACE_US: u64 = 1_000_000;

/// Finished handlers that one turn of the loop examines for removal, besides twice as many as have ended in it: an
/// excess shrinks, however many end at a time, and a large one costs no turn much.
pub const RETIRED_PER_TURN_MIN: usize = 64;

/// Bytes of a feed that are read from the store at a time for one reader: what a socket takes at once.
pub const PAGE_BYTES_MAX: usize = 64 << 10;

/// How long a worker thread waits for work before it ends.
pub const WORKER_IDLE: std::time::Duration = std::time::Duration::from_secs(10);

/// Worker threads, by default.
pub const WORKERS_DEFAULT: usize = 8;

/// Worker threads that may be requested: each has a stack.
pub const WORKERS_MAX: usize = 1_024;

/// How long work in progress may continue after SIGTERM, by default: half of the time after which containers are
/// killed.
pub const GRACE_DEFAULT: std::time::Duration = std::time::Duration::from_secs(5);

/// Finished handlers that are retained in memory, by default.
pub const KEEP_FINISHED_DEFAULT: usize = 1_000;

/// Bytes of memory that the results, states and events of finished handlers may take, by default.
pub const FINISHED_BYTES_MAX_DEFAULT: usize = 64 << 20;

/// The default memory limit of the server in bytes, and the largest share of all memory that it may be: the rest is
/// for what steps hold while they run, and for other processes.
pub const MEMORY_MAX_DEFAULT: usize = 1 << 30;

/// See [`MEMORY_MAX_DEFAULT`].
pub const MEMORY_PART_DEFAULT: usize = 2;

/// The smallest memory limit that may be set: room for some requests and runs.
pub const MEMORY_MAX_MIN: usize = 4 << 20;

/// The share of all memory that requests may hold, and the share that they always may, so that small ones are served
/// when there is room for nothing else.
pub const REQUESTS_PART: usize = 4;

/// See [`REQUESTS_PART`].
pub const REQUESTS_RESERVED_PART: usize = 32;

/// The share of all memory that events for runs may take beyond the limit, so that runs that wait for them can end when
/// there is no room for new ones.
pub const EVENTS_PART: usize = 16;

/// The share of all memory that replies may hold.
pub const REPLIES_PART: usize = 4;

/// The share of all memory that finished handlers may hold, which leaves room for runs.
pub const FINISHED_PART: usize = 4;

/// Unused memory that the process must have before it is released to the system, and how often that is checked under
/// load.
pub const TRIM_BYTES_MIN: usize = 8 << 20;

/// See [`TRIM_BYTES_MIN`].
pub const TRIM_PAUSE_US: u64 = 2_000_000;

/// The percentage of its memory at which the server frees what it can: with a store, runs that only wait.
pub const PRESSURE_PERCENT: usize = 75;

/// Concurrent runs, by default: some 1 KB each while they wait.
pub const RUNS_MAX_DEFAULT: usize = 100_000;

/// Runs that are only in the store, each with its timers and half a KB of memory; with more, no run starts. They do not
/// count against concurrent runs, and may exceed that limit when many are loaded at once, as they were accepted before.
pub const PARKED_MAX: usize = 1_000_000;

/// Rounds of serving and flushing in one turn. Pipelined requests, and streams that are read as fast as they are
/// written, continue in the next turn.
pub const TURN_ROUNDS_MAX: usize = 16;

/// Bytes of a pass's events and writes that take as long as another report, so that they count towards
/// [`TURN_REPORTS_MAX`].
pub const REPORT_BYTES: usize = 1 << 10;

/// While commits are in progress, notes are taken at most this often: a reader sees no difference below it, and each
/// batch costs a record.
pub const NOTES_PAUSE_US: u64 = 50_000;

/// How long the end of the program waits for its last log lines to be read.
pub const LOG_FLUSH_WAIT: std::time::Duration = std::time::Duration::from_millis(500);

/// How long a full pipe for the log that does not block is left alone.
pub const FULL_PIPE_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Texts that replies and streams share at a time: each is looked at once a turn. Further ones are copied.
pub const SHARED_TEXTS_MAX: usize = 256;

/// Random bytes that are drawn from the system at a time: a call for each run would cost more than the rest of a start.
pub const ENTROPY_BLOCK_BYTES: usize = 2_400;

/// How long the ready line may take before the server serves without it being read.
pub const READY_LINE_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// How long jobs may wait in the queue before more workers are woken. Most passes are shorter.
pub const WORKER_TICK_US: u64 = 1_000;

/// Effects whose room is retained for the next reduction.
pub const EFFECTS_KEPT_MAX: usize = 4_096;
