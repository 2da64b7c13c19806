//! Limits of the commands that are clients of a server.

use std::time::Duration;

/// How long a client tries to connect to one address: longer than two lost packets.
pub const CLIENT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long a connection on which nothing comes counts as lost: four heartbeats of a stream.
pub const CLIENT_SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

/// Bytes of a reply's head: as many as a server accepts of a request's.
pub const CLIENT_HEAD_BYTES_MAX: usize = 64 << 10;

/// Bytes of a reply's body that a client holds: a result may have as many as the output of a step, and a list of
/// handlers is read in pages.
pub const CLIENT_BODY_BYTES_MAX: usize = 128 << 20;

/// Bytes of one event that a client holds: a feed may have as many in memory.
pub const CLIENT_EVENT_BYTES_MAX: usize = 128 << 20;

/// Handlers in one page of a list.
pub const CLIENT_PAGE_HANDLERS: usize = 1_000;

/// The pause before a lost stream is opened again; it doubles from one attempt to the next.
pub const CLIENT_RESUME_DELAY: Duration = Duration::from_millis(100);

/// The longest pause between two attempts: a server is back within seconds of its start.
pub const CLIENT_RESUME_DELAY_MAX: Duration = Duration::from_secs(5);

/// Attempts to open a lost stream again before a client gives up: about two minutes.
pub const CLIENT_RESUME_ATTEMPTS_MAX: u32 = 30;

/// After this long without an event, a client that does not follow has read the whole feed: a server sends what it
/// has at once.
pub const CLIENT_DRAINED_WAIT: Duration = Duration::from_millis(500);

/// How often `answer` waits that long for a question before it reports that none is open.
pub const CLIENT_QUESTION_WAITS_MAX: usize = 4;

/// Questions of a run that a client remembers; of more, the newest.
pub const CLIENT_QUESTIONS_MAX: usize = 1_024;

/// Bytes of a line typed at a terminal: what terminals pass on at once.
pub const CLIENT_LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes that a client shows of an error: what servers write, at most.
pub const CLIENT_ERROR_BYTES_MAX: usize = 32 << 10;

/// Columns of a table where no terminal tells its width.
pub const CLIENT_COLUMNS_DEFAULT: usize = 80;

/// How many references of a schema are followed to find a type: more are a circle.
pub const CLIENT_REFERENCES_MAX: usize = 16;
