//! Limits of connections, requests and replies.

/// Concurrent connections, by default; more get 503. Each costs under 1 KB when idle, and one file descriptor: if the
/// process's limit on those is lower, accepting pauses when it is reached.
pub const CONNECTIONS_MAX_DEFAULT: usize = 20_000;

/// Connections at a time that may be asked for. The numbers of file descriptors are positive 32-bit integers, and
/// `DESCRIPTORS_BESIDE` are for others.
pub const CONNECTIONS_MAX: usize = 1 << 30;

/// Bytes of a request line without its CRLF; a longer one is 414. RFC 9112 section 3 asks for 8,000.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 << 10;

/// Bytes of a request's head, from the request line to the empty line; a longer one is 431.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// Header fields of a request; more are 431. The parser's table of them is on the stack, 32 bytes each.
pub const HEAD_FIELDS_MAX: usize = 128;

/// Empty lines that are skipped before a request line. RFC 9112 section 2.2 asks for one.
pub const EMPTY_LINES_MAX: u8 = 8;

/// Bytes of a request's decoded body, by default; more are 413.
pub const BODY_BYTES_MAX_DEFAULT: usize = 4 << 20;

/// Bytes of a body that may be asked for: it is held in memory whole, and so is what is made of it.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// Bytes of a body, or of a run's journal, up to which the loop parses it itself, in half a millisecond; a thread
/// parses larger ones.
pub const LOOP_PARSE_BYTES_MAX: usize = 64 << 10;

/// Bytes of bodies parsed and journals folded by that thread that one turn of the loop takes, but at least one.
pub const TURN_HELPED_BYTES_MAX: usize = 1 << 20;

/// Bytes of memory from which that thread also frees what is no longer needed: if it consists of small parts, freeing
/// takes the loop up to a millisecond per megabyte.
pub const WASTE_BYTES_MIN: usize = 256 << 10;

/// Bytes of all chunk extensions of a body: signed uploads send some 85 for each chunk, nothing needs more.
pub const CHUNK_EXTENSION_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a chunked body's trailer section, which is read and ignored.
pub const TRAILER_BYTES_MAX: u32 = 16 << 10;

/// Bytes of requests that all connections together hold before they are served, if the server sets no other value.
/// Beyond, the slowest of those that are still arriving get 503.
pub const REQUESTS_BYTES_MAX: usize = 256 << 20;

/// Bytes of requests from which a connection may be refused when there is no room; usual heads are far smaller.
pub const VICTIM_BYTES_MIN: usize = 4 << 10;

/// Idle connections that are found at a time when there is no room for another one: scanning all of them takes a
/// millisecond or two.
pub const SPARE_CONNECTIONS: usize = 64;

/// Bytes of requests that wait in a connection while an earlier one is answered; reading stops beyond.
pub const PIPELINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a result from which a reply shares it with its run instead of copying it.
pub const SHARED_BYTES_MIN: usize = 32 << 10;

/// Bytes of output of one connection above which neither streams nor further requests add to it: enough to fill a
/// socket's send buffer in one call.
pub const OUTPUT_HIGH_WATER_BYTES: usize = 64 << 10;

/// How long a request's head may take from its first byte; longer is 408.
pub const HEAD_TIMEOUT_US: u64 = 30_000_000;

/// How long a request's body may bring nothing; longer is 408.
pub const BODY_TIMEOUT_US: u64 = 30_000_000;

/// What a body must bring in each [`BODY_TIMEOUT_US`], so that an occasional byte does not occupy a connection forever.
/// The slowest links in use (a modem, a radio) bring ten times as much.
pub const BODY_RATE_MIN_BYTES_PER_S: u64 = 100;

/// How long a connection may wait between requests before it is closed; the same as nginx's `keepalive_timeout`.
pub const IDLE_TIMEOUT_US: u64 = 75_000_000;

/// How long pending output may make no progress before its reader counts as lost. A write is tried before that: a
/// socket reports that it is writable only when a third of its send buffer is free again, and a client's system does so
/// when much of its own is.
pub const OUTPUT_TIMEOUT_US: u64 = 300_000_000;

/// How long a connection is read after an error reply, so that the reply is not lost to a reset (RFC 9112 section
/// 9.6).
pub const LINGER_TIMEOUT_US: u64 = 30_000_000;

/// Like [`LINGER_TIMEOUT_US`], while the server stops: enough for a reply to be delivered.
pub const LINGER_STOPPING_US: u64 = 500_000;

/// Like [`LINGER_TIMEOUT_US`], when nothing more arrives.
pub const LINGER_IDLE_TIMEOUT_US: u64 = 5_000_000;

/// Bytes that are read and dropped after an error reply: a client that sends twice what is allowed still learns it.
pub const LINGER_BYTES_MAX: usize = 32 << 20;

/// Connections that the system queues for a listener until they are accepted: those of some turns of the loop.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// Bytes of output that the system buffers for one connection; it doubles this for its own bookkeeping. By default it
/// would buffer 4 MiB for a client that does not read.
pub const SEND_BUFFER_BYTES: usize = 128 << 10;

/// How long a connection may bring nothing before its peer is probed; with [`KEEPALIVE_INTERVAL`] and
/// [`KEEPALIVE_PROBES`], a lost peer is detected after 90 s.
pub const KEEPALIVE_IDLE: std::time::Duration = std::time::Duration::from_mins(1);

/// How long a probe waits for its answer.
pub const KEEPALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// Probes without an answer after which the peer counts as lost.
pub const KEEPALIVE_PROBES: u32 = 3;

/// Like [`KEEPALIVE_IDLE`], for a client that has sent its last byte and waits for a reply, or has closed: its system
/// says so in answer to the first probe after a minute.
pub const HALF_CLOSED_PROBE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long sent data may stay unacknowledged before the peer counts as lost. A heartbeat that nobody receives is sent
/// within [`HEARTBEAT_US`], and the last retransmission comes up to 2 s late, so that a lost reader is detected within
/// 90 s.
pub const UNACKNOWLEDGED_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(70);

/// Connections beyond the limit that are held just long enough for a 503; beyond these, the 503 is best effort.
pub const CONNECTIONS_REFUSED_MAX: usize = 64;

/// Bytes that one connection may bring, or take, in one turn of the loop.
pub const TURN_BYTES_MAX: usize = 256 << 10;

/// Bytes that all streams and lists together may write in one turn of the loop: about two milliseconds' worth. The rest
/// continue in the next turn, after the requests that have arrived in the meantime.
pub const TURN_OUTPUT_BYTES_MAX: usize = 512 << 10;

/// Bytes that are read in one turn of the loop from all connections that bring much.
pub const TURN_READ_BYTES_MAX: usize = 1 << 20;

/// Bytes that a connection may bring in a turn before it counts as one that brings much.
pub const SMALL_READ_BYTES: usize = 16 << 10;

/// Bytes that are written in one turn of the loop to all connections that take much.
pub const TURN_WRITE_BYTES_MAX: usize = 2 << 20;

/// Bytes of output up to which a connection counts as one that takes little.
pub const SMALL_WRITE_BYTES: usize = 16 << 10;

/// Bytes of the loop's only buffer for reading.
pub const READ_BUFFER_BYTES: usize = 64 << 10;

/// Connections accepted from one listener in one turn of the loop.
pub const TURN_ACCEPTS_MAX: usize = 256;

/// How long accepting pauses when there are no more file descriptors, unless a connection closes earlier.
pub const ACCEPT_PAUSE_US: u64 = 100_000;

/// The least time between two log lines about a lack of file descriptors.
pub const COMPLAINT_PAUSE_US: u64 = 1_000_000;

/// File descriptors besides those of connections: listeners, the database and its log, the poll, those of steps.
pub const DESCRIPTORS_BESIDE: usize = 256;

/// The share of connections that POST run calls which wait for their runs may take, so that some stay for others.
pub const CALLERS_OF_CONNECTIONS: (usize, usize) = (7, 8);

/// Mode of the file of a unix socket, by default: only for the user that runs the server.
pub const SOCKET_MODE_DEFAULT: u32 = 0o600;

/// Microseconds after which an idle SSE stream gets a heartbeat: below the 30 to 60 seconds of usual proxies.
pub const HEARTBEAT_US: u64 = 15_000_000;

/// What a step of a list takes beside what it writes, as bytes that are written in the same time: it looks at
/// [`LIST_SCAN_HANDLERS_MAX`](super::LIST_SCAN_HANDLERS_MAX) handlers.
pub const LIST_COST_BYTES: usize = 32 << 10;

/// What one look at a stream takes beside what is written, as bytes that are written in the same time.
pub const PUMP_COST_BYTES: usize = 256;

/// As [`PUMP_COST_BYTES`], of a page from the store.
pub const PAGE_COST_BYTES: usize = 4 << 10;

/// Addresses that a server listens on: far more than anybody names.
pub const LISTENERS_MAX: usize = 64;

/// Ready sockets that one poll returns; the others are returned by the next.
pub const POLL_EVENTS_MAX: usize = 1_024;

/// Capacity up to which a connection's buffer is never shrunk: usual requests and replies fit.
pub const BUFFER_KEPT_BYTES: usize = 16 << 10;

/// Bytes of a line of a head that an error quotes.
pub const EXCERPT_BYTES_MAX: usize = 80;

/// How long a reader waits for the lock of another, by default: as in the reference.
pub const ACQUIRE_TIMEOUT_S_DEFAULT: f64 = 1.0;

/// Names of unknown members that are examined in one body.
pub const FURTHER_NAMES_MAX: usize = 8;

/// Bytes of such a name that are stored.
pub const FURTHER_NAME_BYTES_MAX: usize = 64;
