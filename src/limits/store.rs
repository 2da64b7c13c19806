//! Limits of what is stored: journals, retention, the database, and its clock.

use super::PAGE_BYTES_MAX;

/// Bytes of records after which a long run gets its first snapshot: replaying them takes a few milliseconds.
pub const SNAPSHOT_BYTES_MIN: usize = 64 << 10;

/// Bytes of a failed run's journal that is retained with its error; a longer one is removed.
pub const FAILED_JOURNAL_BYTES_MAX: usize = 256 << 10;

/// How long the server backs off before it retries what could not be committed.
pub const BACK_OFF_US: u64 = 1_000_000;

/// How far a queue's stored cursor may be behind what its reader has taken: after a crash this much may be repeated.
pub const CURSOR_AGE_US: u64 = 1_000_000;

/// Waits shorter than this last as long as requested while the server is up. Longer ones also follow the wall clock:
/// they end on time although the machine was suspended in the meantime, and early if the wall clock is set forward.
pub const CALENDAR_WAIT_MIN: std::time::Duration = std::time::Duration::from_secs(10);

/// How often the wall clock is checked while it may end a wait: after a suspend or a step forward nothing else wakes
/// the server.
pub const WALL_LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// How far the stored alive clock may be behind while a time-out is pending.
pub const CLOCK_AGE_US: u64 = 30_000_000;

/// Finished handlers that stay in memory besides being stored: whoever starts a run soon asks for its result.
pub const RESIDENT_FINISHED_MAX: usize = 256;
/// Bytes of their results and states.
pub const RESIDENT_FINISHED_BYTES_MAX: usize = 1 << 20;

/// Finished handlers that one step of retention removes, at least: the next step follows once that is committed.
pub const RETENTION_SLICE: usize = 256;
/// Finished handlers that one step of retention removes from the store, at most. A step removes twice as many as have
/// ended since the previous one, so that it keeps up; more than this would delay later commits.
pub const RETENTION_SLICE_MAX: usize = 4_096;

/// Ids chosen by clients that still determine a position in lists although their handlers were removed; at most 64
/// bytes each, and as much again for the index. More pages of 100 than anybody requests while as many handlers are
/// removed.
pub const GONE_NAMES_MAX: usize = 4_096;

/// Handlers that are read from the store at a time for a list.
pub const LIST_PAGE_HANDLERS: usize = 256;

/// How often the ages of handlers are checked when none is known to be due.
pub const RETENTION_PAUSE_US: u64 = 60_000_000;
/// How often they are checked at most, if retained for less than [`RETENTION_PAUSE_US`].
pub const RETENTION_PAUSE_MIN_US: u64 = 100_000;

/// Finished handlers retained with a store, by default.
pub const KEEP_FINISHED_STORE_DEFAULT: usize = 10_000;

/// The least to which a data directory may be limited: an empty database has some 30 KB, and its log as much again.
pub const DATA_BYTES_MIN: usize = 256 << 10;

/// How long a run that only waits stays in memory besides being stored, by default.
pub const IDLE_AFTER_DEFAULT: std::time::Duration = std::time::Duration::from_mins(1);

/// Handlers that one turn of the loop examines for those that only wait.
pub const PARKING_SLICE: usize = 1_024;

/// Bytes of events in the row of a handler: the complete feed of a short run. That row is rewritten when a queue's
/// cursor moves.
pub const TAIL_BYTES_MAX: usize = 4 << 10;

/// Bytes of events in one row of the database, but at least one event: those of one page.
pub const FEED_ROW_BYTES_MAX: usize = PAGE_BYTES_MAX;

/// Bytes of a large feed that are deleted in one transaction: some milliseconds' worth.
pub const TRASH_SLICE_BYTES: usize = 1 << 20;

/// Bytes of free pages that stay in the database for later use, if [`FREE_PART`] of it is less.
pub const FREE_BYTES_MAX: u32 = 1 << 20;

/// The share of the database that may be free pages: it fills and empties as runs come and go, and is not truncated and
/// grown again each time.
pub const FREE_PART: u32 = 8;

/// Bytes of free pages that are released to the system in one transaction: some milliseconds' worth.
pub const VACUUM_SLICE_BYTES: u32 = 1 << 20;

/// Bytes of batches that are committed in one transaction, but at least one batch: what comes together under load is
/// far less, and larger batches must not keep others waiting.
pub const COMMIT_BYTES_MAX: usize = 4 << 20;

/// Runs whose positions the store's writer remembers, 56 bytes each; it looks up those of others.
pub const LIVE_CACHED_MAX: usize = 4_096;

/// Handlers that are set aside, each with its cause in memory. With more, the database as a whole is at fault.
pub const ASIDE_MAX: usize = 10_000;

/// Unreadable handlers that are remembered, so that each is counted once.
pub const DAMAGED_NOTED_MAX: usize = 10_000;

/// Bytes of the write-ahead log beyond which it is copied into the database. Each page is copied once however often it
/// was written, so a higher limit costs fewer writes; with a lower one less is read when the server starts.
pub const WAL_BYTES_MAX: usize = 4 << 20;

/// How long the store must be idle before it copies the write-ahead log into the database and frees memory.
pub const STORE_IDLE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a stop waits for each of the store's threads, in case a disk hangs.
pub const STORE_CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// KiB of the database that the store's writer holds in memory.
pub const WRITER_CACHE_KIB: u32 = 1_024;
/// Like [`WRITER_CACHE_KIB`], for the reader.
pub const READER_CACHE_KIB: u32 = 256;

/// How long to wait for another program that writes into the database, as when a person does.
pub const DATABASE_BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Unregistered versions of workflows above which the store checks, when it is opened, under which of them nothing is
/// stored any longer.
pub const VERSIONS_UNUSED_MAX: usize = 64;

/// Finished handlers of the store that may exceed the limit for [`RETENTION_PAUSE_MIN_US`], and the share of the
/// retained ones that they may be: those of a page are removed together, so that less is written.
pub const RETENTION_SLACK_MAX: usize = 64;
/// See [`RETENTION_SLACK_MAX`].
pub const RETENTION_SLACK_PART: usize = 16;

/// A loss of power may take the handlers of this many milliseconds, those since the last sync: the system itself syncs
/// every half a minute. Each start skips their keys.
pub const KEYS_LOST_MS: u64 = 60_000;

/// How long a commit may take while streams still continue: if a disk blocks for longer, they wait, instead of filling
/// memory.
pub const STORE_BEHIND_US_MAX: u64 = 1_000_000;

/// Handlers that `inspect` reads at a time: a few hundred KB.
pub const INSPECT_PAGE_HANDLERS: usize = 256;

/// Bytes of a feed that `inspect` reads at a time.
pub const INSPECT_PAGE_BYTES: usize = 1 << 20;

/// Failures within [`BACK_OFF_US`] after each of which handlers are loaded again at once; after more they wait.
pub const FAILURES_AT_ONCE_MAX: u32 = 8;

/// The least time between two scans of all handlers for those that only wait.
pub const PARKING_PAUSE_MIN_US: u64 = 250_000;

/// The most time between two such scans.
pub const PARKING_PAUSE_MAX_US: u64 = 15_000_000;

/// The time between two parts of one such look.
pub const PARKING_SLICE_PAUSE_US: u64 = 10_000;

/// Handlers that the log names as damaged, a line each; then one line reports that there are more.
pub const DAMAGED_LOGGED_MAX: usize = 32;

/// A snapshot is taken when the records since the last one have this many times its bytes, so that snapshots are a
/// fraction of everything written.
pub const SNAPSHOT_FACTOR: usize = 4;

/// Prepared statements that a connection to the database retains: more than there are.
pub const STATEMENTS_MAX: usize = 64;

/// Handlers of one group that are refused one by one; with more the store checks whether it can commit any.
pub const GROUP_REFUSED_MAX: usize = 8;

/// The part of a bounded data directory that its log may take.
pub const LOG_PART: u64 = 8;

/// The part of a bounded database that is left for free pages.
pub const FREE_PART_BOUNDED: u64 = 16;

/// What a row of changes counts for beside its bytes: about what a commit writes for it. It bounds how many of them are
/// read for one state.
pub const STATE_PART_BYTES: i64 = 4 << 10;

/// Transactions after which the database's size is reported though there is something to delete.
pub const SIZE_UNSAID_MAX: u32 = 64;

/// How long until the log repeats that the store, or one of its chores, keeps failing.
pub const STORE_WARNING_PAUSE_US: u64 = 60_000_000;
