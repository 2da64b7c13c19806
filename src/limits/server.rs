//! Of the server as a whole: handlers, turns of the loop, workers, memory, its log.

use super::ERROR_BYTES_MAX;

/// Bytes of a `handler_id` that a client chooses.
pub const HANDLER_ID_BYTES_MAX: usize = 64;

/// Handlers that one step of writing a list looks at: a filter that few pass must not hold the loop up.
pub const LIST_SCAN_HANDLERS_MAX: usize = 512;

/// Bytes of an error's message: a step's whole error text, and what stands before it.
pub const MESSAGE_BYTES_MAX: usize = ERROR_BYTES_MAX + (1 << 10);

/// Bytes of a name or number from a client that an error quotes; the rest is cut, so that what was expected is told.
pub const QUOTED_BYTES_MAX: usize = 256;

/// Bytes of a misspelt word for which the one that was meant is looked for: comparing takes the product of both
/// lengths.
pub const SPELLING_BYTES_MAX: usize = 64;

/// Values of one kind that the log is told of, each once: what clients send must not fill a log, nor memory.
pub const TOLD_VALUES_MAX: usize = 64;

/// How long after the last of them a further one is told, so that names sent at random hide no real mistake for good.
pub const TOLD_PAUSE_US: u64 = 60_000_000;

/// Bytes that the log shows of a value from a client.
pub const TOLD_BYTES_MAX: usize = 128;

/// Bytes of a log line's message; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes of log lines that wait for stderr to be read; more are dropped and counted. As many again may be in writing.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 << 10;

/// After how long a client that was turned away with 503 may try again.
pub const RETRY_AFTER_S: u32 = 1;

/// How long a browser may keep the answer to a CORS preflight.
pub const PREFLIGHT_AGE_S: u32 = 600;

/// Passes that are with the workers or in their queue. A queue saves a wake-up per pass under load; bounded, because
/// what stands in it has its snapshot of the state already.
pub const HANDED_PASSES_MAX: usize = 256;

/// Notes and ends of passes that one turn of the loop takes from the workers: streams at full speed would keep it from
/// all else. A few milliseconds' worth.
pub const TURN_REPORTS_MAX: usize = 4_096;

/// Timers that one turn of the loop gives to their runs: when very many are due at once, as after a suspend, clients
/// are served between them. About a millisecond's worth.
pub const TURN_TIMERS_MAX: usize = 512;

/// Microseconds that a pass may take to return once it was told to stop, because its run has ended or its step has
/// timed out, before its thread is replaced.
pub const STRAGGLER_GRACE_US: u64 = 1_000_000;

/// Finished handlers that one turn of the loop looks at for removal, beside twice as many as have ended in it: what is
/// over the bound becomes less, however many end at a time, and a bound that was passed for long costs no turn much.
pub const RETIRED_PER_TURN_MIN: usize = 64;

/// Bytes of a feed that are read from the store at a time for one reader: what a socket takes at once.
pub const PAGE_BYTES_MAX: usize = 64 << 10;

/// How long a worker thread waits for work before it ends.
pub const WORKER_IDLE: std::time::Duration = std::time::Duration::from_secs(10);

/// Worker threads, unless told.
pub const WORKERS_DEFAULT: usize = 8;

/// Worker threads that may be asked for: each has a stack.
pub const WORKERS_MAX: usize = 1_024;

/// How long work in progress may go on after SIGTERM, unless told: half of what containers have before they are killed.
pub const GRACE_DEFAULT: std::time::Duration = std::time::Duration::from_secs(5);

/// Finished handlers that are kept in memory, unless told.
pub const KEEP_FINISHED_DEFAULT: usize = 1_000;

/// Bytes of memory that the results, states and events of finished handlers may cost, unless told.
pub const FINISHED_BYTES_MAX_DEFAULT: usize = 64 << 20;

/// Bytes that the server holds at most, unless told, and the part of what there is that this is at most: the rest is
/// for what steps hold while they run, and for others.
pub const MEMORY_MAX_DEFAULT: usize = 1 << 30;

/// See [`MEMORY_MAX_DEFAULT`].
pub const MEMORY_PART_DEFAULT: usize = 2;

/// The least that the server may be told to hold: room for some requests and runs.
pub const MEMORY_MAX_MIN: usize = 4 << 20;

/// The part of all memory that requests may hold, and the part that they always may, so that small ones are served
/// when there is room for nothing else.
pub const REQUESTS_PART: usize = 4;

/// See [`REQUESTS_PART`].
pub const REQUESTS_RESERVED_PART: usize = 32;

/// The part of all memory that events for runs may take beyond the bound, so that runs which wait for them can end when
/// there is no room for new ones.
pub const EVENTS_PART: usize = 16;

/// The part of all memory that replies may hold.
pub const REPLIES_PART: usize = 4;

/// The part of all memory that finished handlers may hold: room has to be left for runs.
pub const FINISHED_PART: usize = 4;

/// What the process has to have beyond what it needs before it is given back to the system, and how often that is
/// looked at while something happens.
pub const TRIM_BYTES_MIN: usize = 8 << 20;

/// See [`TRIM_BYTES_MIN`].
pub const TRIM_PAUSE_US: u64 = 2_000_000;

/// So much of its memory is in use when the server frees what it can: with a store, runs that only wait.
pub const PRESSURE_PERCENT: usize = 75;

/// Runs at a time, unless told: some 1 KB each while they wait.
pub const RUNS_MAX_DEFAULT: usize = 100_000;

/// Runs that wait in the store alone, with their timers and half a KB of memory each; beyond it no run starts. They do
/// not count against the runs at a time, and go beyond these when many come back at once: what was accepted goes on.
pub const PARKED_MAX: usize = 1_000_000;
