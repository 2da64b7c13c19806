//! Writes the changes of one transaction to handlers and their runs.

use std::ops::Range;

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::{
    fault::SqliteFault,
    known::{Blamed, Known},
    rows::{CANCELLED, COMPLETED, FAILED, signed, unsigned},
    schema::{CLOCK_PLACE, INLINE_BYTES_MAX, LIVE_PLACE},
};
use crate::{
    engine::{
        ids,
        input::Outcome,
        keys::{HandlerKey, SHARD_BITS, WorkflowId},
        storage::Ended,
    },
    limits::{FEED_ROW_BYTES_MAX, TAIL_BYTES_MAX},
    now::Now,
    store::{
        fold::{Beginning, Change, Live, NoHead, Transaction},
        list,
        versions::Versions,
    },
};

/// A transaction in progress.
pub(super) struct Writing<'a> {
    connection: &'a Connection,
    versions: &'a Versions,
    pub(super) known: &'a mut Known,
    /// The statements that it has used, by the addresses of their texts: fetching each from the connection's cache
    /// takes as long as executing it.
    statements: Vec<(&'static str, CachedStatement<'a>)>,
}

impl Transaction for Writing<'_> {
    type Fault = SqliteFault;

    fn blame(&mut self, handler: HandlerKey) {
        self.blame(handler);
    }

    fn contradiction(found: NoHead) -> SqliteFault {
        SqliteFault::Damaged(found.to_string())
    }

    fn version(&self, workflow: WorkflowId) -> Result<i64, SqliteFault> {
        Ok(self.versions.number(workflow)?)
    }

    fn live(&mut self, handler: HandlerKey) -> Result<Option<Live>, SqliteFault> {
        self.live(handler)
    }

    fn next_ended(&mut self) -> i64 {
        self.known.ended_next += 1;
        self.known.ended_next - 1
    }

    fn write(&mut self, change: Change<'_>) -> Result<(), SqliteFault> {
        self.write(change)
    }

    fn remove_feed(&mut self, handler: HandlerKey, range: Range<u64>) -> Result<(), SqliteFault> {
        self.remove_feed(handler, range)
    }

    fn purge(&mut self, handler: HandlerKey) -> Result<(), SqliteFault> {
        self.purge(handler)
    }
}

impl<'a> Writing<'a> {
    pub(super) fn new(connection: &'a Connection, versions: &'a Versions, known: &'a mut Known) -> Self {
        Self { connection, versions, known, statements: Vec::new() }
    }

    pub(super) fn statement(&mut self, sql: &'static str) -> Result<&mut CachedStatement<'a>, SqliteFault> {
        let known = self.statements.iter().position(|(text, _)| std::ptr::eq(*text, sql));
        let place = if let Some(place) = known {
            place
        } else {
            self.statements.push((sql, self.connection.prepare_cached(sql)?));
            self.statements.len() - 1
        };
        Ok(&mut self.statements[place].1)
    }

    /// Attributes later faults to this handler's rows.
    pub(super) fn blame(&mut self, handler: HandlerKey) {
        self.known.blamed = Blamed::Handler(handler);
    }

    /// Returns the position of a handler's newest run; `None` if there is no such handler.
    pub(super) fn live(&mut self, handler: HandlerKey) -> Result<Option<Live>, SqliteFault> {
        if let Some(live) = self.known.live.get(&handler) {
            return Ok(Some(*live));
        }
        self.blame(handler);
        let statement = self.statement(
            "SELECT run, version, next, length(tail),
                 (SELECT f.next FROM feed f WHERE f.handler = h.key AND f.first >= h.next
                  ORDER BY f.first DESC LIMIT 1),
                 (SELECT max(seq) + 1 FROM journal j WHERE j.handler = h.key)
             FROM handlers h WHERE key = ?1",
        )?;
        let mut found = statement.query([signed(handler.0)])?;
        let Some(row) = found.next()? else { return Ok(None) };
        let next: Option<i64> = row.get(4)?;
        Ok(Some(Live {
            run: row.get(0)?,
            version: row.get(1)?,
            next: if next.is_some() { unsigned(row, 4)? } else { unsigned(row, 2)? },
            tail_bytes: row.get::<_, u32>(3)? as usize,
            has_feed: next.is_some(),
            journal_next: row.get::<_, Option<i64>>(5)?.unwrap_or(0),
        }))
    }

    /// The time of the newest record, and a key greater than every handler's.
    pub(super) fn set_clock(&mut self, now: Now, next_handler: u64) -> Result<(), SqliteFault> {
        self.known.blamed = Blamed::Database;
        self.statement(
            "UPDATE places SET wall_us = max(wall_us, ?1), alive_us = max(alive_us, ?2),
                 next_handler = max(next_handler, ?3)
             WHERE place = ?4",
        )?
        .execute((now.wall_us, signed(now.alive_us), signed(next_handler), CLOCK_PLACE))?;
        Ok(())
    }

    /// New handlers have these keys.
    pub(super) fn note_opened(&mut self, opened: impl Iterator<Item = HandlerKey>) -> Result<(), SqliteFault> {
        self.known.blamed = Blamed::Database;
        self.known.names.note_opened(self.connection, opened)
    }

    /// Writes the changes of one run.
    pub(super) fn write(&mut self, change: Change<'_>) -> Result<(), SqliteFault> {
        self.blame(change.handler);
        let Change { handler: key, mut live, opened, version, feed, snapshot, mut records, ended, cursor, left } =
            change;
        let handler = signed(key.0);
        let (mut events, next) = (feed.encode_events(), feed.next());
        if let Some(beginning) = opened {
            // The first commit of most runs is this one row.
            let in_one = snapshot.is_none() && ended.is_none() && events.len() <= TAIL_BYTES_MAX;
            if in_one {
                self.open(handler, &live, &beginning, next, &records, &events)?;
                (live.next, live.tail_bytes) = (next, events.len());
                (records, events) = (Vec::new(), Vec::new());
            } else {
                self.open(handler, &live, &beginning, live.next, &[], &[])?;
            }
        }
        if version != live.version {
            self.move_tail(handler, &mut live)?;
            self.statement("UPDATE handlers SET version = ?2 WHERE key = ?1")?.execute((handler, version))?;
            live.version = version;
        }
        if let Some((updated_us, snapshot)) = snapshot {
            self.snapshot(handler, &mut live, updated_us, snapshot)?;
        }
        if let Some((seq, ended)) = ended {
            self.end(handler, &mut live, seq, ended, &records, &events, next)?;
            self.known.forget_one(key);
        } else {
            self.add_events(handler, &mut live, &events)?;
            self.add_records(handler, &mut live, false, &records)?;
            self.known.remember(key, live);
        }
        if let Some(first) = left {
            self.leave(handler, first)?;
        }
        if let Some(cursor) = cursor {
            let statement = self.statement("UPDATE handlers SET cursor = ?2 WHERE key = ?1")?;
            statement.execute((handler, signed(cursor)))?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        handler: i64,
        live: &Live,
        beginning: &Beginning<'_>,
        next: u64,
        records: &[u8],
        events: &[u8],
    ) -> Result<(), SqliteFault> {
        let head = beginning.head;
        let mut earlier_state = None;
        if live.run > 0 {
            earlier_state = self.close_earlier(handler, beginning.drops_earlier)?;
        } else if let Some(id) = head.id.as_deref() {
            let meant = self.known.ids.key(id);
            self.known.names.note_chosen(self.connection, handler, meant)?;
            self.statement("INSERT OR REPLACE INTO names VALUES (?1, ?2)")?.execute((id, handler))?;
        } else {
            self.known.names.check_made(self.connection, handler, &self.known.ids)?;
        }
        let state = self.begin_state(handler, &head.state, earlier_state)?;
        let statement = self.statement(
            "INSERT INTO handlers (key, version, run, run_id, started_us, updated_us, first, cursor, id, tail_first,
                 next, tail, journal, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6, ?7, ?6, ?8, ?9, ?10, ?11)",
        )?;
        let journal = (!records.is_empty()).then_some(records);
        let (run_id, id) = (&head.run_id.as_bytes()[..], head.id.as_deref());
        let (first, next) = (signed(live.next), signed(next));
        statement.execute((
            handler,
            live.version,
            live.run,
            run_id,
            head.started_us,
            first,
            id,
            next,
            events,
            journal,
            state,
        ))?;
        self.statement("INSERT OR IGNORE INTO places (place) VALUES (?1)")?.execute([LIVE_PLACE + handler])?;
        Ok(())
    }

    /// A run replaces the previous run of its handler: at most events and what is in `states` are retained of that.
    /// Returns the state in its row.
    fn close_earlier(&mut self, handler: i64, drops_events: bool) -> Result<Option<Vec<u8>>, SqliteFault> {
        if !drops_events {
            self.insert_tail(handler)?;
        }
        self.delete_journal(handler)?;
        let statement = self.statement("DELETE FROM handlers WHERE key = ?1 RETURNING ended, state")?;
        let found = statement.query_row([handler], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (ended, state): (Option<i64>, _) = found.unwrap_or_default();
        self.delete_ended(ended)?;
        Ok(state)
    }

    pub(super) fn delete_ended(&mut self, place: Option<i64>) -> Result<(), SqliteFault> {
        place.map_or(Ok(()), |place| self.delete_place(place))
    }

    pub(super) fn delete_live(&mut self, handler: i64) -> Result<(), SqliteFault> {
        self.delete_place(LIVE_PLACE + handler)
    }

    fn delete_place(&mut self, place: i64) -> Result<(), SqliteFault> {
        self.statement("DELETE FROM places WHERE place = ?1")?.execute([place])?;
        Ok(())
    }

    fn insert_tail(&mut self, handler: i64) -> Result<(), SqliteFault> {
        let statement = self
            .statement("SELECT tail_first, next, version, tail FROM handlers WHERE key = ?1 AND next > tail_first")?;
        let found = statement
            .query_row([handler], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?))
            })
            .optional()?;
        found.map_or(Ok(()), |(first, next, version, tail)| self.insert_events(handler, first, next, version, &tail))
    }

    /// Moves the events in the handler's row to a row of their own, so that the tail is free for others.
    fn move_tail(&mut self, handler: i64, live: &mut Live) -> Result<(), SqliteFault> {
        if live.tail_bytes > 0 {
            self.insert_tail(handler)?;
            let sql = "UPDATE handlers SET tail_first = next, tail = x'' WHERE key = ?1";
            self.statement(sql)?.execute([handler])?;
            live.tail_bytes = 0;
            live.has_feed = true;
        }
        Ok(())
    }

    fn snapshot(&mut self, handler: i64, live: &mut Live, updated_us: i64, snapshot: &[u8]) -> Result<(), SqliteFault> {
        self.delete_journal(handler)?;
        self.statement("UPDATE handlers SET journal = NULL, updated_us = ?2 WHERE key = ?1")?
            .execute((handler, updated_us))?;
        live.journal_next = 0;
        self.add_records(handler, live, true, snapshot)
    }

    fn add_records(
        &mut self,
        handler: i64,
        live: &mut Live,
        is_snapshot: bool,
        bytes: &[u8],
    ) -> Result<(), SqliteFault> {
        if !bytes.is_empty() {
            let (bytes, blob) = self.place(handler, JOURNAL_BLOBS, live.journal_next, bytes)?;
            let statement = self.statement("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)")?;
            statement.execute((handler, live.journal_next, is_snapshot, bytes, blob))?;
            live.journal_next += 1;
        }
        Ok(())
    }

    /// Stores bytes of a row of `journal`, `feed` or `states`: in the row, or in one of `blobs`, whose id this returns.
    pub(super) fn place<'b>(
        &mut self,
        handler: i64,
        kind: i64,
        number: i64,
        bytes: &'b [u8],
    ) -> Result<(Option<&'b [u8]>, Option<i64>), SqliteFault> {
        if bytes.len() <= INLINE_BYTES_MAX {
            return Ok((Some(bytes), None));
        }
        // Those of one handler are close together. If an id is taken, any other one will do.
        let id = (handler >> SHARD_BITS << BLOB_NUMBER_BITS | number & (JOURNAL_BLOBS - 1) | kind) & i64::MAX;
        if self.statement("INSERT OR IGNORE INTO blobs VALUES (?1, ?2)")?.execute((id, bytes))? > 0 {
            return Ok((None, Some(id)));
        }
        let id = self.statement("INSERT INTO blobs (bytes) VALUES (?1)")?.insert([bytes])?;
        Ok((None, Some(id)))
    }

    pub(super) fn delete_journal(&mut self, handler: i64) -> Result<(), SqliteFault> {
        let statement = self.statement("DELETE FROM journal WHERE handler = ?1 RETURNING blob")?;
        let blobs: Vec<Option<i64>> = statement.query_map([handler], |row| row.get(0))?.collect::<Result<_, _>>()?;
        self.delete_blobs(&blobs)
    }

    pub(super) fn delete_blobs(&mut self, ids: &[Option<i64>]) -> Result<(), SqliteFault> {
        for id in ids.iter().flatten() {
            self.statement("DELETE FROM blobs WHERE id = ?1")?.execute([id])?;
        }
        Ok(())
    }

    fn insert_events(
        &mut self,
        handler: i64,
        first: i64,
        next: i64,
        version: i64,
        events: &[u8],
    ) -> Result<(), SqliteFault> {
        let (events, blob) = self.place(handler, FEED_BLOBS, first, events)?;
        let statement = self.statement("INSERT INTO feed VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        statement.execute((handler, first, next, version, events, blob))?;
        Ok(())
    }

    fn add_events(&mut self, handler: i64, live: &mut Live, mut events: &[u8]) -> Result<(), SqliteFault> {
        while !events.is_empty() {
            let damaged = || SqliteFault::Damaged(format!("the new events of handler {handler} are no list"));
            let (count, bytes) = list::prefix(events, FEED_ROW_BYTES_MAX, u64::MAX).ok_or_else(damaged)?;
            let next = live.next + count;
            self.insert_events(handler, signed(live.next), signed(next), live.version, &events[..bytes])?;
            (live.next, live.has_feed) = (next, true);
            events = &events[bytes..];
        }
        Ok(())
    }

    /// The run has ended. Its last events go to the tail, which has at least the last one.
    #[expect(clippy::too_many_arguments, reason = "they are what ends it")]
    fn end(
        &mut self,
        handler: i64,
        live: &mut Live,
        seq: i64,
        ended: &Ended,
        records: &[u8],
        events: &[u8],
        next: u64,
    ) -> Result<(), SqliteFault> {
        let mut tail = events;
        if !events.is_empty() && (live.has_feed || live.tail_bytes + events.len() > TAIL_BYTES_MAX) {
            self.move_tail(handler, live)?;
            if events.len() > TAIL_BYTES_MAX {
                let start = list::last_start(events).unwrap_or(0);
                self.add_events(handler, live, &events[..start])?;
                tail = &events[start..];
            }
        }
        let (outcome, error) = match &ended.outcome {
            Outcome::Completed(_) => (COMPLETED, None),
            Outcome::Failed(error) => (FAILED, Some(error.as_str())),
            Outcome::Cancelled => (CANCELLED, None),
        };
        // If the journal is retained to show why the run failed, its state is, too.
        let keeps = ended.keeps_journal;
        let state = if keeps { None } else { self.end_state(handler, ended)? };
        let statement = self.statement(
            "UPDATE handlers SET ended = ?2, outcome = ?3, error = ?4, updated_us = ?5,
                 tail_first = CASE WHEN tail = x'' THEN ?6 ELSE tail_first END, next = ?7,
                 tail = CAST(tail || ?8 AS BLOB), state = CASE WHEN ?10 THEN state ELSE ?9 END,
                 journal = CASE WHEN ?10 THEN journal END
             WHERE key = ?1",
        )?;
        let (first, next, updated_us) = (signed(live.next), signed(next), ended.updated_us);
        statement.execute((handler, seq, outcome, error, updated_us, first, next, tail, state, keeps))?;
        if ended.keeps_journal {
            self.add_records(handler, live, false, records)?;
        } else if live.journal_next > 0 {
            self.delete_journal(handler)?;
        }
        self.delete_live(handler)?;
        let sql = "INSERT INTO places (place, handler, wall_us) VALUES (?1, ?2, ?3)";
        self.statement(sql)?.execute((seq, handler, updated_us))?;
        Ok(())
    }
}

/// Bits of a blob's id that tell those of one handler apart; the others are the handler's key without the shard, which
/// is another one for each handler.
const BLOB_NUMBER_BITS: i64 = 12;

/// What sets the ids of a handler's blobs of `feed`, of `journal` and of `states` apart.
const FEED_BLOBS: i64 = 0;
const JOURNAL_BLOBS: i64 = 1 << (BLOB_NUMBER_BITS - 1);
pub(super) const STATE_BLOBS: i64 = JOURNAL_BLOBS | 1 << (BLOB_NUMBER_BITS - 2);

/// Reads the clock of the database: [`Writing::set_clock`].
pub(super) fn clock(connection: &Connection) -> Result<(Now, u64), SqliteFault> {
    let sql = "SELECT wall_us, alive_us, next_handler FROM places WHERE place = ?1";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([CLOCK_PLACE])?;
    let row = found.next()?.ok_or_else(|| SqliteFault::Damaged("its clock is gone".into()))?;
    let next = unsigned(row, 2)?;
    if next > ids::COUNT {
        return Err(SqliteFault::Damaged(format!("{next} stands where keys of handlers do")));
    }
    Ok((Now { wall_us: row.get(0)?, alive_us: unsigned(row, 1)? }, next))
}
