//! The tables of the database, version by version.

/// In the file's header at byte 68: marks a database of this program. `rill`, in ASCII.
pub(super) const APPLICATION_ID: u32 = 0x7269_6c6c;

/// In the file's header at byte 60: the version of the schema that this program writes.
pub(super) const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Bytes of a page. Most commits touch two or three pages, one row in each: with 4,096 bytes a run at one connection
/// writes 21 KB instead of 5.6.
pub(super) const PAGE_BYTES: u32 = 1024;

/// The position of the first handler whose run has not ended; those that have are below.
pub(super) const LIVE_PLACE: i64 = 1 << 62;

/// The position of the clock, after all handlers.
pub(super) const CLOCK_PLACE: i64 = i64::MAX;

/// The steps from each version to the next, beginning with 0, an empty database. Released ones never change.
pub(super) const MIGRATIONS: [&str; 6] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6];

/// A short run is one row of `handlers`, with its journal, and its events in `tail`. Everything else that a run writes
/// goes to `journal` and `feed`, one row per transaction. [`VERSION_4`] says where long values are since then.
///
/// - `store`: one row with the secret for the ids of handlers.
/// - `versions`: graphs that handlers, journals and events were written under.
/// - `handlers`: `version` is that of journal, outcome and tail; `ended` is the handler's position in `places`, null
///   while the run has not ended; `outcome` is 0 completed (its value is that of the tail's last event), 1 failed, 2
///   cancelled. `tail` has the events from `tail_first` to `next`: the run's first ones until it ends, its last ones
///   afterwards.
/// - `journal`: the newest snapshot and the records after it, those in the row of `handlers` coming first.
/// - `places`: handlers that have ended, at positions from 1 in the order of ending; after them those whose run has not
///   ended, at 2^62 plus their keys; the last row is the clock. What changes here is close together: while few runs
///   have not ended, a commit writes one page of it.
/// - `names`: ids that clients chose.
/// - `trash`: parts of feeds that are deleted in small parts.
///
/// Events and records are lists: each element is a length and as many bytes.
pub(super) const VERSION_1: &str = "
CREATE TABLE store (id INTEGER PRIMARY KEY, secret BLOB NOT NULL);
CREATE TABLE versions (id INTEGER PRIMARY KEY, graph BLOB NOT NULL);
CREATE TABLE handlers (
    key INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    run INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    started_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    first INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    ended INTEGER,
    outcome INTEGER,
    id TEXT,
    error TEXT,
    tail_first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    tail BLOB NOT NULL,
    journal BLOB,
    state BLOB
);
CREATE TABLE journal (
    handler INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_snapshot INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (handler, seq)
) WITHOUT ROWID;
CREATE TABLE feed (
    handler INTEGER NOT NULL,
    first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    version INTEGER NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (handler, first)
) WITHOUT ROWID;
CREATE TABLE places (
    place INTEGER PRIMARY KEY,
    handler INTEGER,
    wall_us INTEGER,
    alive_us INTEGER,
    next_handler INTEGER
);
CREATE TABLE names (id TEXT PRIMARY KEY, handler INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE trash (id INTEGER PRIMARY KEY, handler INTEGER NOT NULL, first INTEGER NOT NULL, below INTEGER NOT NULL);
INSERT INTO places VALUES (9223372036854775807, NULL, 0, 0, 0);
";

/// - `handlers`: `kept_from` is the number of the first event that has not left the window of the run's feed, null if
///   none has; `kept_from_bytes` are the bytes that the run had published before it.
/// - `gone`: ids chosen by clients, of removed handlers, with their keys: the newest ones.
const VERSION_2: &str = "
ALTER TABLE handlers ADD COLUMN kept_from INTEGER;
ALTER TABLE handlers ADD COLUMN kept_from_bytes INTEGER;
CREATE TABLE gone (place INTEGER PRIMARY KEY, id TEXT NOT NULL, handler INTEGER NOT NULL);
";

/// Damaged rows of one handler do not affect others.
///
/// - `aside`: handlers whose rows cannot be changed, and why. They have no place in `places`.
/// - `places`: `wall_us` of a handler that has ended is the time of that, so that retention reads no row of `handlers`.
const VERSION_3: &str = "
CREATE TABLE aside (handler INTEGER PRIMARY KEY, cause TEXT NOT NULL);
UPDATE places SET wall_us = (SELECT updated_us FROM handlers WHERE key = handler) WHERE place < 4611686018427387904;
";

/// A damaged overflow page affects only its owner.
///
/// A search in a table `WITHOUT ROWID` reads every row that it compares with as a whole, and fails if one of them
/// cannot be read. So rows of such a table are short enough to need no overflow page; a search by an integer key reads
/// none.
///
/// - `blobs`: what is too long for a row of `journal` or `feed`, whose `blob` is its id here. Its `bytes` or `events`
///   is null then.
/// - `handlers`: what may be long comes last, so that the rest is read without it.
/// - `versions`: `digest` is the hash of `graph`, null of what was there before. A graph that the program has
///   registered is found by it.
const VERSION_4: &str = "
CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE moved AS SELECT * FROM journal;
DROP TABLE journal;
CREATE TABLE journal (
    handler INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_snapshot INTEGER NOT NULL,
    bytes BLOB,
    blob INTEGER,
    PRIMARY KEY (handler, seq)
) WITHOUT ROWID;
INSERT INTO blobs SELECT rowid, bytes FROM moved WHERE length(bytes) > 160;
INSERT INTO journal SELECT handler, seq, is_snapshot, CASE WHEN length(bytes) <= 160 THEN bytes END,
    CASE WHEN length(bytes) > 160 THEN rowid END FROM moved ORDER BY handler, seq;
DROP TABLE moved;
CREATE TABLE moved AS SELECT (SELECT ifnull(max(id), 0) FROM blobs) AS taken, feed.* FROM feed;
DROP TABLE feed;
CREATE TABLE feed (
    handler INTEGER NOT NULL,
    first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    version INTEGER NOT NULL,
    events BLOB,
    blob INTEGER,
    PRIMARY KEY (handler, first)
) WITHOUT ROWID;
INSERT INTO blobs SELECT taken + rowid, events FROM moved WHERE length(events) > 160;
INSERT INTO feed SELECT handler, first, next, version, CASE WHEN length(events) <= 160 THEN events END,
    CASE WHEN length(events) > 160 THEN taken + rowid END FROM moved ORDER BY handler, first;
DROP TABLE moved;
CREATE TABLE moved AS SELECT * FROM handlers;
DROP TABLE handlers;
CREATE TABLE handlers (
    key INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    run INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    started_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    first INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    ended INTEGER,
    outcome INTEGER,
    id TEXT,
    tail_first INTEGER NOT NULL,
    next INTEGER NOT NULL,
    kept_from INTEGER,
    kept_from_bytes INTEGER,
    error TEXT,
    tail BLOB NOT NULL,
    journal BLOB,
    state BLOB
);
INSERT INTO handlers SELECT key, version, run, run_id, started_us, updated_us, first, cursor, ended, outcome, id,
    tail_first, next, kept_from, kept_from_bytes, error, tail, journal, state FROM moved;
DROP TABLE moved;
CREATE TABLE moved AS SELECT * FROM versions;
DROP TABLE versions;
CREATE TABLE versions (id INTEGER PRIMARY KEY, digest BLOB, graph BLOB NOT NULL);
INSERT INTO versions SELECT id, NULL, graph FROM moved;
DROP TABLE moved;
";

/// A run that continues a handler does not write the complete state again.
///
/// - `states`: large states. The row of number 0 has the whole of one, those behind it what has changed since, each the
///   changes of one run: names and JSON texts by turns, an empty text for what was removed. `cost` is what is written
///   of those rows up to this one, the first left out. As in `journal`, what is long is in `blobs`.
/// - `handlers`: `state` is empty, not null, if it is there. While a run goes on, that is the state that it began with.
const VERSION_5: &str = "
CREATE TABLE states (
    handler INTEGER NOT NULL,
    number INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    bytes BLOB,
    blob INTEGER,
    PRIMARY KEY (handler, number)
) WITHOUT ROWID;
";

/// Keys of handlers begin with the time; earlier ones were counted. Handlers keep the keys, and so the ids, that they
/// have. Where a client had chosen the id, the counted key is not of the id's shard.
///
/// - `keys`: one row. Keys below `counted` were counted, including those of a million handlers that a loss of power may
///   have taken; `first` is the first of the other keys, null while there is none. `ahead` is the greatest key that an
///   id stands for which a client chose before that key was reached; -1 if there is none.
const VERSION_6: &str = "
CREATE TABLE keys (id INTEGER PRIMARY KEY, counted INTEGER NOT NULL, first INTEGER, ahead INTEGER NOT NULL);
UPDATE places SET next_handler = next_handler + 1048576
    WHERE place = 9223372036854775807 AND EXISTS (SELECT 1 FROM store);
INSERT INTO keys SELECT 1, next_handler, NULL,
    CASE WHEN EXISTS (SELECT 1 FROM names WHERE length(id) = 10) THEN 9223372036854775807 ELSE -1 END
    FROM places WHERE place = 9223372036854775807;
";

/// Bytes of a blob in a row of `journal`, `feed` or `states`: with the longest numbers beside it, such a row still has
/// the 230 bytes at most that a page of [`PAGE_BYTES`] holds of it. As in [`VERSION_4`].
pub(super) const INLINE_BYTES_MAX: usize = 160;
