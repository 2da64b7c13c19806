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

/// Attempts of a retry policy that does not say how many; the field's policies have three.
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 3;

/// The longest delay of an exponential retry policy that does not say: a device that is back is tried within a minute.
pub const RETRY_DELAY_MAX_DEFAULT: std::time::Duration = std::time::Duration::from_secs(60);
