//! Limits of runs: values, states, feeds, works, retries.

/// How deep JSON may nest, in everything from outside and every output of a step. Python's parser fails near 1,000; no
/// event needs 100.
pub const JSON_DEPTH_MAX: usize = 100;

/// How deep a request body may nest around the event in it: the body, its `start_event` envelope, its `_data`.
pub const BODY_DEPTH_MAX: usize = JSON_DEPTH_MAX + 8;

/// Early answers that a run stores before a question asks for them; more are refused with 409.
pub const EARLY_ANSWERS_MAX: usize = 16;

/// Questions returned by steps that a run remembers while no reply by number has arrived; beyond that, the oldest are
/// forgotten.
pub const SHOWN_QUESTIONS_MAX: usize = 64;

/// Open questions that the refusal of an answer lists; the others are only counted.
pub const OPEN_QUESTIONS_LISTED_MAX: usize = 8;

/// Bytes of each value that such a question wants in its answer; the rest is cut.
pub const VALUE_BYTES_LISTED_MAX: usize = 64;

/// Bytes of the members, with their names, that an answer must have: they are compared with every answer that arrives
/// while the question is open.
pub const MATCHING_BYTES_MAX: usize = 4 << 10;

/// Answers for which an inbox of a step may be declared: they are scanned at each question, and their bytes count
/// towards [`RUN_EVENT_BYTES_MAX`].
pub const INBOX_ANSWERS_MAX: usize = 1_000;

/// Works (event, step pairs) that one run may have at a time; a step that would exceed this fails the run. Some 300
/// bytes each.
pub const RUN_WORKS_MAX: usize = 100_000;

/// Events of one pass that one input turns into works, and events that a fan-in gets with one; the others are deferred,
/// so that the loop serves others in between. About half a millisecond's worth.
pub const EVENTS_AT_ONCE: u32 = 500;

/// Bytes of the events and writes of a pass's end from which a worker makes their record.
pub const WORKER_RECORD_BYTES_MIN: usize = 64 << 10;

/// The memory of a run from which its snapshots are made outside the loop: about a millisecond's worth.
pub const COMPACTED_COST_BYTES_MIN: usize = 1 << 20;

/// Bytes of memory, including the allocator's overhead, that a run's works (with their events and what they remember)
/// and its early answers may cost before events from outside are refused with 503. Events of its own steps are limited
/// only by [`PASS_OUTPUT_BYTES_MAX`] and [`RUN_WORKS_MAX`]. An answer that the run waits for is accepted whatever else
/// the run holds, unless the answers that its works remember exceed this limit.
pub const RUN_EVENT_BYTES_MAX: usize = 64 << 20;

/// Bytes of the events that one pass may return and send together.
pub const PASS_OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Bytes of memory that one run's state may cost, the allocator's share included: an entry takes at least 116, whatever
/// the length of its key and value.
pub const STATE_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that a state may take to be written with each run in the handler's row: a larger one gets rows of
/// its own, which take more pages.
pub const ROW_STATE_BYTES_MAX: usize = 4 << 10;

/// Bytes of events that one run's feed holds in memory; then `ctx.stream` fails. With a store old events leave instead.
pub const FEED_BYTES_MAX: usize = 64 << 20;

/// Events that a store retains of one run's feed, by default: eleven days of a run that publishes one per second. A
/// client that afterwards reads a log of 100,000 events gets all of it.
pub const FEED_KEEP_EVENTS_DEFAULT: u64 = 1_000_000;

/// Bytes of these events, by default: as much as a feed in memory may hold.
pub const FEED_KEEP_BYTES_DEFAULT: u64 = 64 << 20;

/// Events that one work may stream: a hash of 16 bytes is held for each until the work ends, so that a body that runs
/// again publishes none twice. As many events of 16 bytes as a feed in memory may hold.
pub const WORK_STREAMS_MAX: usize = FEED_BYTES_MAX / 16;

/// Bytes of the feed that only the events of a run's end may use.
pub const FEED_BYTES_RESERVED: usize = 64 << 10;

/// Bytes of a pass, of an order or of a report on the way between the loop and an executor that shares no memory with
/// it: more than a work, what it remembers, and its run's state come to.
pub const PASS_WIRE_BYTES_MAX: usize = 256 << 20;

/// Passes of one attempt that may be lost in a row, each with its executor, before the attempt fails: perhaps the step
/// itself ends its executor, and would do so each time.
pub const PASS_LOSSES_MAX: u32 = 3;

/// Bytes of a feed in memory that a pass is granted when it starts: enough for most passes, and a small part of the
/// feed even if very many passes of one run hold a grant.
pub const GRANT_BYTES_FIRST: usize = 64 << 10;

/// Bytes that a streaming pass is granted in advance: twice what it may be ahead of the loop, so that it waits for a
/// grant only when the feed is nearly full.
pub const GRANT_BYTES: usize = 2 * NOTES_BYTES_MAX;

/// Bytes of notes (stream writes, `once` values) by which a running pass may be ahead of the loop; then its `ctx` calls
/// wait.
pub const NOTES_BYTES_MAX: usize = 256 << 10;

/// Inputs of a run in a test (passes, answers, timers): a run with more is considered endless.
pub const TEST_INPUTS_MAX: usize = 100_000;

/// Bytes of a step's error or panic text that are stored; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 16 << 10;

/// Bytes of the error's text in the feed's events of failed attempts: a step may be retried for weeks.
pub const EVENT_ERROR_BYTES_MAX: usize = 1 << 10;

/// Waits that one work may make. The body runs again from its top after each, so that their total time grows with their
/// square. A step that continues for longer returns an event of its own type for each round.
pub const WORK_WAITS_MAX: usize = 10_000;

/// `once` calls that one work may make: each is remembered until the work ends.
pub const WORK_NOTES_MAX: usize = 100_000;

/// Conflicts after which a work runs alone.
pub const CONFLICTS_MAX: u32 = 3;

/// Steps, and event types, of a workflow: their ids have 16 bits, and 0xFFF0 and up have other meanings in the feed.
pub const GRAPH_NAMES_MAX: usize = 4_096;

/// Concurrent passes of one step in one run, by default.
pub const STEP_WORKERS_DEFAULT: u16 = 4;

/// Attempts of a retry policy that sets no number; most comparable policies have three.
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 3;

/// The longest delay of an exponential retry policy, by default: a device that is back is tried within a minute.
pub const RETRY_DELAY_MAX_DEFAULT: std::time::Duration = std::time::Duration::from_mins(1);

/// The most entries in a chunk of a state, which a write beside a clone has to copy.
pub const CHUNK_ENTRIES_MAX: usize = 32;

/// Steps per byte of text in the check of an event from outside, where one node at one value is a step. Enough to check
/// values with a few alternatives fully.
pub const SHAPE_STEPS_PER_BYTE: usize = 16;

/// Steps that a short text may take in any case.
pub const SHAPE_STEPS_MIN: usize = 4_096;

/// The most nested nodes of that check: values nest up to 100 deep, with a reference and an alternative at each level.
pub const SHAPE_DEPTH_MAX: usize = 512;

/// Values in a part of a list: this many are copied to append one beside a copy.
pub const LIST_PART_LEN: usize = 1_024;

/// Bytes of the scratch buffer for JSON that a thread retains between values.
pub const SCRATCH_BYTES_KEPT: usize = 64 << 10;

/// Timers of a run that are scanned: up to this many, scanning costs less than keeping them in order.
pub const ARMED_FEW_MAX: usize = 8;

/// The number of steps in a full window of a feed, which leave it one after the other.
pub const WINDOW_STEPS: u64 = 16;

/// With no more open questions than this there is no index: scanning them costs less than its memory.
pub const INDEXED_QUESTIONS_MIN: usize = 32;

/// Elements of spare capacity that are not worth freeing.
pub const SPARE_CAPACITY_MIN: usize = 64;

/// The names of changed keys may take this part of the state's cost, or [`STATE_NAMES_BYTES_MIN`] if that is more;
/// beyond, the state is stored as a whole.
pub const STATE_NAMES_PART: usize = 4;

/// See [`STATE_NAMES_PART`].
pub const STATE_NAMES_BYTES_MIN: usize = 1 << 10;

/// How many bytes of a value that an answer must have are hashed: more would block the loop, and a run has no room for
/// many questions that want longer values.
pub const HASHED_BYTES_MAX: usize = 64 << 10;
