//! Every bound of the server, its unit in its name and its reason beside it. Reaching one is an answer, never a crash.

/// How deep JSON may nest, at every door and on every output of a step. Python's parser gives up near 1,000; no event needs 100.
pub const JSON_DEPTH_MAX: usize = 100;

/// What a request body may nest beyond the event in it: the body, its `start_event` envelope, its `_data`.
pub const BODY_DEPTH_MAX: usize = JSON_DEPTH_MAX + 8;

/// Early answers a run keeps before a question asks for them; more are refused with 409.
pub const EARLY_ANSWERS_MAX: usize = 16;

/// Works (event, step pairs) that one run may have at once; a step that would pass it fails the run. Some 300 bytes each.
pub const RUN_WORKS_MAX: usize = 100_000;

/// Bytes of the events that one pass may return and send together.
pub const PASS_OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Bytes of keys and values that one run's state may hold.
pub const STATE_BYTES_MAX: usize = 16 << 20;

/// Bytes of events that one run's feed holds in memory; then `ctx.stream` fails.
pub const FEED_BYTES_MAX: usize = 64 << 20;

/// Bytes of the feed that only the events of a run's end may use.
pub const FEED_BYTES_RESERVED: usize = 64 << 10;

/// Bytes of notes (stream writes, `once` values) that a running pass may be ahead of the loop; then its `ctx` calls wait.
pub const NOTES_BYTES_MAX: usize = 256 << 10;

/// Bytes of a step's error or panic text that are kept; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 16 << 10;

/// Waits and `once` calls that one work may make: each is remembered until the work ends.
pub const WORK_NOTES_MAX: usize = 100_000;

/// Conflicts after which a work runs alone.
pub const CONFLICTS_MAX: u32 = 3;

/// Steps of a workflow and event types of a workflow: their ids are 16 bits, 0xFFF0 and up have other meanings in the feed.
pub const GRAPH_NAMES_MAX: usize = 4_096;

/// Passes of one step at a time in one run, where a step does not say.
pub const STEP_WORKERS_DEFAULT: u16 = 4;

/// Passes that are with the workers or in their queue. A queue saves a wake-up per pass under load; bounded, because
/// what stands in it has its snapshot of the state already.
pub const HANDED_PASSES_MAX: usize = 256;

/// Microseconds that a pass may run on after its run has ended, before its thread is given up.
pub const STRAGGLER_GRACE_US: u64 = 1_000_000;

/// Finished handlers that one turn of the loop removes: the rest of a burst goes in the next turns.
pub const RETIRED_PER_TURN_MAX: usize = 64;

/// Bytes of a feed that are read from the store at a time for one reader: what a socket takes at once.
pub const PAGE_BYTES_MAX: usize = 64 << 10;

/// How long a worker thread waits for work before it ends.
pub const WORKER_IDLE: std::time::Duration = std::time::Duration::from_secs(10);

/// Worker threads, unless told.
pub const WORKERS_DEFAULT: usize = 8;

/// Worker threads that may be asked for: each has a stack.
pub const WORKERS_MAX: usize = 1_024;

/// Finished handlers that are kept in memory, unless told.
pub const KEEP_FINISHED_DEFAULT: usize = 1_000;

/// Runs at a time, unless told: some 1 KB each while they wait.
pub const RUNS_MAX_DEFAULT: usize = 100_000;

/// Connections at a time, unless told. The process's limit on open files may be lower and is met with a pause in accepting.
pub const CONNECTIONS_MAX_DEFAULT: usize = 20_000;

/// Bytes of a request's body, unless told.
pub const BODY_BYTES_MAX_DEFAULT: usize = 16 << 20;
