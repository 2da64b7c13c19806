//! Of what is kept: journals, retention, the database, and the clock that is kept with them.

use super::PAGE_BYTES_MAX;

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

/// A loss of power may take the handlers of so many milliseconds, those since the last sync: the system itself syncs
/// every half a minute. Each start passes over their keys.
pub const KEYS_LOST_MS: u64 = 60_000;

/// How long a commit may take and streams still go on: a disk that stands still for longer holds them up, rather than
/// that memory fills.
pub const STORE_BEHIND_US_MAX: u64 = 1_000_000;
