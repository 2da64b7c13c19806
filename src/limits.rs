//! Every bound of the server, its unit in its name and its reason beside it. Reaching one is an answer, never a crash.

/// How deep JSON may nest, at every door and on every output of a step. Python's parser gives up near 1,000; no event
/// needs 100.
pub const JSON_DEPTH_MAX: usize = 100;

/// What a request body may nest beyond the event in it: the body, its `start_event` envelope, its `_data`.
pub const BODY_DEPTH_MAX: usize = JSON_DEPTH_MAX + 8;

/// Early answers a run keeps before a question asks for them; more are refused with 409.
pub const EARLY_ANSWERS_MAX: usize = 16;

/// Questions that steps returned of which a run remembers that nobody has replied to them by number; the oldest are
/// forgotten beyond.
pub const SHOWN_QUESTIONS_MAX: usize = 64;

/// Open questions that a refused answer is told of; the others are only counted.
pub const OPEN_QUESTIONS_LISTED_MAX: usize = 8;

/// Bytes of each value that such a question wants of its answer; the rest is cut.
pub const VALUE_BYTES_LISTED_MAX: usize = 64;

/// Answers that an inbox of a step may be declared for: they are looked through at each question, and their bytes count
/// towards [`RUN_EVENT_BYTES_MAX`].
pub const INBOX_ANSWERS_MAX: usize = 1_000;

/// Works (event, step pairs) that one run may have at once; a step that would pass it fails the run. Some 300 bytes
/// each.
pub const RUN_WORKS_MAX: usize = 100_000;

/// Bytes of memory that a run's works, with their events and what they remember, and its early answers may cost (see
/// [`cost`](crate::cost)) and still take more from outside; then who posts gets 503. What its own steps give out is
/// bounded by [`PASS_OUTPUT_BYTES_MAX`] and [`RUN_WORKS_MAX`] alone. As many bytes of answers may its works remember
/// and still be answered: what else it holds must not keep it from an answer that it waits for.
pub const RUN_EVENT_BYTES_MAX: usize = 64 << 20;

/// Bytes of the events that one pass may return and send together.
pub const PASS_OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Bytes of memory that one run's state may cost (see [`cost`](crate::cost)): an entry takes at least 116, whatever
/// the length of its key and value.
pub const STATE_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that a state may cost that is written with each run, in the handler's row: the rows of its own that
/// a larger one gets would take more pages.
pub const ROW_STATE_BYTES_MAX: usize = 4 << 10;

/// Bytes of events that one run's feed holds in memory; then `ctx.stream` fails. With a store old events leave instead.
pub const FEED_BYTES_MAX: usize = 64 << 20;

/// Events that a store keeps of one run's feed, unless told: those of eleven days of a run that publishes one a second.
/// A client that reads a log of 100,000 events afterwards gets all of it.
pub const FEED_KEEP_EVENTS_DEFAULT: u64 = 1_000_000;

/// Bytes of them, unless told: as much as a feed in memory may hold.
pub const FEED_KEEP_BYTES_DEFAULT: u64 = 64 << 20;

/// Events that one work may stream: of each a hash of 16 bytes is held until the work ends, so that a body that runs
/// again publishes none twice. As many as a feed in memory may hold of events of 16 bytes.
pub const WORK_STREAMS_MAX: usize = FEED_BYTES_MAX / 16;

/// Bytes of the feed that only the events of a run's end may use.
pub const FEED_BYTES_RESERVED: usize = 64 << 10;

/// Bytes of notes (stream writes, `once` values) that a running pass may be ahead of the loop; then its `ctx` calls
/// wait.
pub const NOTES_BYTES_MAX: usize = 256 << 10;

/// Inputs of a run in a test (passes, answers, timers): more is a run that goes on for ever.
pub const TEST_INPUTS_MAX: usize = 100_000;

/// Bytes of a step's error or panic text that are kept; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 16 << 10;

/// Bytes of the error's text in the feed's events of failed attempts: a step may be retried for weeks.
pub const EVENT_ERROR_BYTES_MAX: usize = 1 << 10;

/// Waits that one work may make. The body runs again from its top after each, so that the time they take together grows
/// with their square. A step that goes on for longer returns an event of its own type for each round.
pub const WORK_WAITS_MAX: usize = 10_000;

/// `once` calls that one work may make: each is remembered until the work ends.
pub const WORK_NOTES_MAX: usize = 100_000;

/// Conflicts after which a work runs alone.
pub const CONFLICTS_MAX: u32 = 3;

/// Steps of a workflow and event types of a workflow: their ids are 16 bits, 0xFFF0 and up have other meanings in the
/// feed.
pub const GRAPH_NAMES_MAX: usize = 4_096;

/// Passes of one step at a time in one run, where a step does not say.
pub const STEP_WORKERS_DEFAULT: u16 = 4;

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

/// Microseconds that a pass may run on after its run has ended, before its thread is given up.
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

/// Connections at a time, unless told; more get 503. Each costs under 1 KB when idle, and one file descriptor: the
/// process's limit on those may be lower, and is met with a pause in accepting.
pub const CONNECTIONS_MAX_DEFAULT: usize = 20_000;

/// Bytes of a request line without its CRLF; a longer one is 414. RFC 9112 section 3 asks for 8,000.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 << 10;

/// Bytes of a request's head, from the request line to the empty line; a longer one is 431.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// Header fields of a request; more are 431. The parser's table of them is on the stack, 32 bytes each.
pub const HEAD_FIELDS_MAX: usize = 128;

/// Empty lines that are skipped before a request line. RFC 9112 section 2.2 asks for one.
pub const EMPTY_LINES_MAX: u8 = 8;

/// Bytes of a request's body, decoded, unless told; more are 413.
pub const BODY_BYTES_MAX_DEFAULT: usize = 4 << 20;

/// Bytes of a body, or of a run's journal, up to which the loop parses it itself, in half a millisecond; a thread
/// parses larger ones.
pub const LOOP_PARSE_BYTES_MAX: usize = 64 << 10;

/// Bytes of bodies parsed and journals folded by that thread which one turn of the loop takes, one of them at least.
pub const TURN_HELPED_BYTES_MAX: usize = 1 << 20;

/// Bytes of memory from which on what is no longer needed is freed by that thread too: of small parts it takes the loop
/// up to a millisecond for each megabyte.
pub const WASTE_BYTES_MIN: usize = 256 << 10;

/// Bytes of all chunk extensions of a body: signed uploads send some 85 for each chunk, nothing needs more.
pub const CHUNK_EXTENSION_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a chunked body's trailer section: it is read and ignored, so it only has to be passed over.
pub const TRAILER_BYTES_MAX: u32 = 16 << 10;

/// Bytes of requests that all connections together hold before they are served, where the server does not say. Beyond,
/// the slowest of those that are still coming get 503.
pub const REQUESTS_BYTES_MAX: usize = 256 << 20;

/// Bytes of requests from which on a connection is refused when there is no room for more; usual heads are far smaller.
pub const VICTIM_BYTES_MIN: usize = 4 << 10;

/// Idle connections that are looked for at a time when there is no room for another: to look at all of them takes a
/// millisecond or two.
pub const SPARE_CONNECTIONS: usize = 64;

/// Bytes of requests that wait in a connection while an earlier one is answered; reading stops beyond.
pub const PIPELINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a result from which on a reply shares it with its run instead of copying it.
pub const SHARED_BYTES_MIN: usize = 32 << 10;

/// Bytes of output of one connection above which neither streams nor further requests add to it: enough to fill a
/// socket's send buffer in one call.
pub const OUTPUT_HIGH_WATER_BYTES: usize = 64 << 10;

/// How long a request's head may take from its first byte; then 408.
pub const HEAD_TIMEOUT_US: u64 = 30_000_000;

/// How long a request's body may stand still; then 408.
pub const BODY_TIMEOUT_US: u64 = 30_000_000;

/// What a body must bring in each [`BODY_TIMEOUT_US`], so that a byte now and then does not hold a connection for ever.
/// The slowest links in use (a modem, a radio) bring ten times as much.
pub const BODY_RATE_MIN_BYTES_PER_S: u64 = 100;

/// How long a connection may wait between requests; then it is closed. As nginx's `keepalive_timeout`.
pub const IDLE_TIMEOUT_US: u64 = 75_000_000;

/// How long pending output may stand still before its reader counts as gone. Before it does, a write is tried: a socket
/// says that it takes more only when a third of its send buffer is free again, and a client's system that it does when
/// much of its own is.
pub const OUTPUT_TIMEOUT_US: u64 = 300_000_000;

/// How long a connection is read on after an error reply, so that the reply is not lost to a reset (RFC 9112 section
/// 9.6).
pub const LINGER_TIMEOUT_US: u64 = 30_000_000;

/// As [`LINGER_TIMEOUT_US`], while the server stops: a reply is on its way in that time, and the stop goes on.
pub const LINGER_STOPPING_US: u64 = 500_000;

/// As [`LINGER_TIMEOUT_US`], when nothing more comes.
pub const LINGER_IDLE_TIMEOUT_US: u64 = 5_000_000;

/// Bytes that are read and dropped after an error reply: a body twice as large as allowed still learns so.
pub const LINGER_BYTES_MAX: usize = 32 << 20;

/// Connections that a listener's system keeps until they are accepted: what comes in some turns of the loop.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// Bytes of output that the system holds for one connection; it doubles this for its own bookkeeping. Left to itself it
/// holds 4 MiB for a client that does not read.
pub const SEND_BUFFER_BYTES: usize = 128 << 10;

/// How long nothing may come from a connection before its peer is probed; with [`KEEPALIVE_INTERVAL`] and
/// [`KEEPALIVE_PROBES`], one that is gone is noticed after 90 s.
pub const KEEPALIVE_IDLE: std::time::Duration = std::time::Duration::from_mins(1);

/// How long a probe waits for its answer.
pub const KEEPALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// Probes without an answer after which the peer counts as gone.
pub const KEEPALIVE_PROBES: u32 = 3;

/// As [`KEEPALIVE_IDLE`], of a client that has sent its last byte and waits for a reply, or has closed: the system of
/// one that has closed says so to the first probe after a minute.
pub const HALF_CLOSED_PROBE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long what was sent may stay unacknowledged before the peer counts as gone. A heartbeat that nobody gets is sent
/// within [`HEARTBEAT_US`], so that a reader that vanished is noticed after 90 s.
pub const UNACKNOWLEDGED_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(75);

/// Connections beyond the bound that are held just long enough to be told 503; beyond these, the 503 is best effort.
pub const CONNECTIONS_REFUSED_MAX: usize = 64;

/// Bytes that one connection may bring, or take, in one turn of the loop before the others have their turn.
pub const TURN_BYTES_MAX: usize = 256 << 10;

/// Bytes that streams and lists, all together, may write in one turn of the loop: about two milliseconds' worth. The
/// others go on in the next turn, behind the requests that have come meanwhile.
pub const TURN_OUTPUT_BYTES_MAX: usize = 512 << 10;

/// Bytes that are read in one turn of the loop from connections that bring much, all together.
pub const TURN_READ_BYTES_MAX: usize = 1 << 20;

/// Bytes that are read from a connection before it counts as one that brings much.
pub const SMALL_READ_BYTES: usize = 16 << 10;

/// Bytes that are written in one turn of the loop to connections that take much, all together.
pub const TURN_WRITE_BYTES_MAX: usize = 2 << 20;

/// Bytes of output up to which a connection counts as one that takes little.
pub const SMALL_WRITE_BYTES: usize = 16 << 10;

/// Bytes of the loop's one buffer for reading.
pub const READ_BUFFER_BYTES: usize = 64 << 10;

/// Connections accepted from one listener in one turn of the loop.
pub const TURN_ACCEPTS_MAX: usize = 256;

/// How long accepting rests when the system has no more file descriptors, unless a connection closes earlier.
pub const ACCEPT_PAUSE_US: u64 = 100_000;

/// How often at most the log says that there are no more file descriptors.
pub const COMPLAINT_PAUSE_US: u64 = 1_000_000;

/// File descriptors beside those of connections: listeners, the database and its log, the poll, what steps open.
pub const DESCRIPTORS_BESIDE: usize = 256;

/// POST run calls that may wait for their runs at a time are so many of this many connections: some stay for others.
pub const CALLERS_OF_CONNECTIONS: (usize, usize) = (7, 8);

/// Mode of the file of a unix socket, unless told: for the user that runs the server alone.
pub const SOCKET_MODE_DEFAULT: u32 = 0o600;

/// Attempts of a retry policy that does not say how many; the field's policies have three.
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 3;

/// The longest delay of an exponential retry policy that does not say: a device that is back is tried within a minute.
pub const RETRY_DELAY_MAX_DEFAULT: std::time::Duration = std::time::Duration::from_mins(1);

/// Microseconds after which an idle SSE stream gets a heartbeat: below the 30 to 60 seconds of usual proxies.
pub const HEARTBEAT_US: u64 = 15_000_000;

/// Bytes of records after which a long run gets its first snapshot: replaying them takes a few milliseconds.
pub const SNAPSHOT_BYTES_MIN: usize = 64 << 10;

/// Bytes of a failed run's journal that is kept beside its error; a longer one goes.
pub const FAILED_JOURNAL_BYTES_MAX: usize = 256 << 10;

/// How long what could not be kept rests before it is offered to the store again.
pub const REST_US: u64 = 1_000_000;

/// How far a queue's cursor in the store may be behind what its reader has taken: after a crash so much may be read
/// again.
pub const CURSOR_AGE_US: u64 = 1_000_000;

/// Waits shorter than this last as long as they say while the server is up. Longer ones go by the calendar, too: they
/// end at their time although the machine was suspended meanwhile, and early if the wall clock is set forward.
pub const CALENDAR_WAIT_MIN: std::time::Duration = std::time::Duration::from_secs(10);

/// How often the wall clock is looked at while it may end a wait: after a suspend or a step forward nothing else wakes
/// the server.
pub const WALL_LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// How far the alive clock in the store may be behind while a time-out is pending.
pub const CLOCK_AGE_US: u64 = 30_000_000;

/// Finished handlers that stay in memory beside the store that has them: whoever starts a run asks for its result soon.
pub const RESIDENT_FINISHED_MAX: usize = 256;
/// Bytes of their results and states.
pub const RESIDENT_FINISHED_BYTES_MAX: usize = 1 << 20;

/// Finished handlers that one step of retention removes, at least: the next step follows as soon as that is kept.
pub const RETENTION_SLICE: usize = 256;
/// Finished handlers that one step of retention removes from the store, at most. A step removes twice as many as have
/// ended since the one before, so that it keeps up; more than this would hold up the commits behind it.
pub const RETENTION_SLICE_MAX: usize = 4_096;

/// Ids that clients chose which still name a place in lists though their handlers are gone; at most 64 bytes each, and
/// as much again for finding them. More pages of 100 than anybody asks for while as many handlers go.
pub const GONE_NAMES_MAX: usize = 4_096;

/// Handlers of a list that are read from the store at a time.
pub const LIST_PAGE_HANDLERS: usize = 256;

/// How often handlers are looked at for their age, when none of them is known to be due.
pub const RETENTION_PAUSE_US: u64 = 60_000_000;
/// How often at most, where they are kept for less than [`RETENTION_PAUSE_US`].
pub const RETENTION_PAUSE_MIN_US: u64 = 100_000;

/// Finished handlers kept with a store, unless told.
pub const KEEP_FINISHED_STORE_DEFAULT: usize = 10_000;

/// Bytes that a data directory may be bounded to, at least: an empty database has some 30 KB, its log as much again.
pub const DATA_BYTES_MIN: usize = 256 << 10;

/// How long a run that only waits stays in memory beside the store, unless told.
pub const IDLE_AFTER_DEFAULT: std::time::Duration = std::time::Duration::from_mins(1);

/// Handlers that one turn of the loop looks at for those that only wait.
pub const PARKING_SLICE: usize = 1_024;

/// Bytes of events that stand in the row of a handler: the whole feed of a short run. That row is written anew when a
/// queue's cursor moves.
pub const TAIL_BYTES_MAX: usize = 4 << 10;

/// Bytes of events in one row of the database, but one event at least: what one page takes.
pub const FEED_ROW_BYTES_MAX: usize = PAGE_BYTES_MAX;

/// Bytes of a large feed that are deleted in one transaction: some milliseconds' worth.
pub const TRASH_SLICE_BYTES: usize = 1 << 20;

/// Bytes of free pages that stay in the database for what comes next, where [`FREE_PART`] of it is less.
pub const FREE_BYTES_MAX: u32 = 1 << 20;

/// The part of the database that may be free pages: it fills and empties as runs come and go, and is not to be cut off
/// and grown again each time.
pub const FREE_PART: u32 = 8;

/// Bytes of free pages that are given back to the system in one transaction: some milliseconds' worth.
pub const VACUUM_SLICE_BYTES: u32 = 1 << 20;

/// Bytes of batches that are kept in one transaction, and one batch at least: what comes together under load is far
/// less, and what is larger is not to keep the others waiting.
pub const COMMIT_BYTES_MAX: usize = 4 << 20;

/// Runs of which the store's writer remembers where they stand, 56 bytes each; of others it looks it up.
pub const LIVE_CACHED_MAX: usize = 4_096;

/// Handlers that are set aside, each with its cause in memory. With more, the database as a whole is to blame.
pub const ASIDE_MAX: usize = 10_000;

/// Handlers found unreadable that are remembered, so that each is counted once.
pub const DAMAGED_NOTED_MAX: usize = 10_000;

/// Bytes of the write-ahead log beyond which it is copied into the database. Each page is copied once however often it
/// was written, so more costs fewer writes; less is read sooner when the server starts.
pub const WAL_BYTES_MAX: usize = 4 << 20;

/// How long the store has nothing to do before it copies the write-ahead log into the database and frees memory.
pub const STORE_IDLE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a stop waits for each of the store's threads: a disk that hangs for longer holds it up no more.
pub const STORE_CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// KiB of the database that the store's writer and its reader hold in memory.
pub const WRITER_CACHE_KIB: u32 = 1_024;
/// As [`WRITER_CACHE_KIB`], of the reader.
pub const READER_CACHE_KIB: u32 = 256;

/// How long another program that writes into the database, as a person may, is waited for.
pub const DATABASE_BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Versions of workflows beside the registered ones above which the store looks when it is opened which of them nothing
/// is kept under any more.
pub const VERSIONS_UNUSED_MAX: usize = 64;

/// Finished handlers of the store that may be too many for [`RETENTION_PAUSE_MIN_US`], and the part of those that are
/// kept that they may be: those of a page go together, so that less is written.
pub const RETENTION_SLACK_MAX: usize = 64;
/// See [`RETENTION_SLACK_MAX`].
pub const RETENTION_SLACK_PART: usize = 16;

/// Handlers that were begun since the last sync, at most: the system itself syncs every half a minute. Their keys are
/// passed over at each start.
pub const HANDLERS_LOST_MAX: u64 = 1 << 20;

/// How long a commit may take and streams still go on: a disk that stands still for longer holds them up, rather than
/// that memory fills.
pub const STORE_BEHIND_US_MAX: u64 = 1_000_000;
