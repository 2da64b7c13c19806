//! Reads pages of feeds, handlers, and at the start the journals of runs that have not ended.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};

use super::{
    fault::SqliteFault,
    names::{chosen, is_made},
    rows::{self, HANDLER_COLUMNS},
    schema::{CLOCK_PLACE, LIVE_PLACE},
    states,
};
use crate::{
    engine::{
        feed::Feed,
        ids::HandlerIds,
        input::Outcome,
        keys::{HandlerKey, RunKey},
        stored::{Recovered, Stored, StoredEnd, StoredHandler, StoredJournal},
    },
    store::{Answer, HandlerAddress, Query, list, versions::Versions},
};

/// A connection that only reads.
pub(super) struct Reading {
    pub(super) connection: Connection,
    pub(super) versions: Arc<Versions>,
    pub(super) ids: HandlerIds,
}

/// A page of the list of all handlers.
#[derive(Default)]
pub(super) struct Listed {
    /// Without their states.
    pub(super) handlers: Vec<StoredHandler>,
    /// Handlers that would be among them but cannot be read, and why.
    pub(super) damaged: Vec<(HandlerKey, Box<str>)>,
    /// Whether there are no more.
    pub(super) is_complete: bool,
}

impl Reading {
    /// Answers a query from one state of the database.
    pub(super) fn answer(&self, query: &Query) -> Result<Answer, SqliteFault> {
        // It is rolled back: after a row that could not be read SQLite refuses to commit even what only reads.
        let _transaction = self.connection.unchecked_transaction()?;
        Ok(match query {
            Query::Page { run, from, until, bytes_max } => {
                self.page(*run, *from, *until, *bytes_max).map_err(|fault| fault.of(run.handler.0))?
            }
            Query::Handler(address) => match self.handler(address, false) {
                Ok(stored) => Answer::Handler(stored.map(Box::new)),
                Err(SqliteFault::Handler(key, cause)) => match self.head(HandlerKey(key)) {
                    Some(handler) => Answer::Damaged { handler: Box::new(handler), cause },
                    None => return Err(SqliteFault::Handler(key, cause)),
                },
                Err(fault) => return Err(fault),
            },
            Query::List { after, count, bytes_max } => {
                let Listed { handlers, damaged, is_complete } = self.list(*after, *count, *bytes_max)?;
                Answer::List { handlers, damaged, is_complete }
            }
            Query::Running { after, count } => {
                let Listed { handlers, damaged, is_complete } = self.running(*after, *count)?;
                Answer::List { handlers, damaged, is_complete }
            }
            Query::Oldest { count } => Answer::Oldest(self.oldest(*count)?),
        })
    }

    /// Returns events of one version, from rows of `feed` and the tail.
    fn page(&self, run: RunKey, from: u64, until: u64, bytes_max: usize) -> Result<Answer, SqliteFault> {
        let (key, wanted) = (run.handler.0.cast_signed(), [from, until].map(rows::signed));
        let mut statement = self.connection.prepare_cached(
            "SELECT version, tail_first, next, CASE WHEN next > ?2 AND tail_first < ?3 THEN tail END
             FROM handlers WHERE key = ?1",
        )?;
        let mut found = statement.query((key, wanted[0], wanted[1]))?;
        let mut page = Page { from, until, bytes_max, version: None, next: from, events: Vec::new() };
        let Some(handler) = found.next()? else { return Ok(Answer::Page { feed: Feed::new(from), workflow: None }) };
        let tail = Piece {
            version: handler.get(0)?,
            first: rows::unsigned(handler, 1)?,
            next: rows::unsigned(handler, 2)?,
            events: handler.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default(),
        };
        let damaged = |_| SqliteFault::Damaged(format!("its feed is damaged from event {from} on"));
        let added = page.add(&tail);
        if added.map_err(damaged)? {
            let mut statement = self.connection.prepare_cached(
                "SELECT version, first, next, ifnull(events, (SELECT bytes FROM blobs WHERE id = blob)) FROM feed
                 WHERE handler = ?1 AND first < ?3
                 AND first >= ifnull((SELECT max(first) FROM feed WHERE handler = ?1 AND first <= ?2), ?2)
                 ORDER BY first",
            )?;
            let mut found = statement.query((key, rows::signed(page.next), wanted[1]))?;
            let mut goes_on = true;
            while let Some(row) = found.next()?.filter(|_| goes_on) {
                let events = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
                let (first, next) = (rows::unsigned(row, 1)?, rows::unsigned(row, 2)?);
                goes_on = page.add(&Piece { version: row.get(0)?, first, next, events }).map_err(damaged)?;
            }
            if goes_on {
                page.add(&tail).map_err(damaged)?;
            }
        }
        let Some(version) = page.version else {
            // Events that have left the window are skipped.
            return match self.first_behind(run, from)? {
                // After a run without a next one there are no other events.
                Some(first) => self.page(run, first, i64::MAX.cast_unsigned(), bytes_max),
                None => Ok(Answer::Page { feed: Feed::new(from), workflow: None }),
            };
        };
        let (workflow, graph) = self.versions.workflow(version)?;
        let feed = Feed::decode_events(from, &page.events, graph);
        let feed = feed.map_err(|error| SqliteFault::Damaged(error.to_string()))?;
        Ok(Answer::Page { feed, workflow: Some(workflow) })
    }

    /// Returns the first retained event after `from`. The window of an earlier run of the handler no longer moves.
    fn first_behind(&self, run: RunKey, from: u64) -> Result<Option<u64>, SqliteFault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT ifnull((SELECT min(first) FROM feed WHERE handler = ?1 AND first > ?2),
                 CASE WHEN tail_first > ?2 AND tail_first < next THEN tail_first END)
             FROM handlers WHERE key = ?1 AND run = ?3",
        )?;
        let parameters = (run.handler.0.cast_signed(), rows::signed(from), run.run);
        let first = statement.query_row(parameters, |row| row.get(0));
        Ok(first.optional()?.flatten().map(i64::cast_unsigned))
    }

    /// Returns a handler, with the journal of a run that has not ended, or of a failed one if requested.
    pub(super) fn handler(&self, address: &HandlerAddress, with_failed: bool) -> Result<Option<Stored>, SqliteFault> {
        let key = match address {
            HandlerAddress::Key(key) => Some(*key),
            HandlerAddress::Id(id) => {
                let connection = &self.connection;
                self.ids.try_resolve(id, |id| chosen(connection, id), |key| is_made(connection, key))?
            }
        };
        let Some(HandlerKey(key)) = key else { return Ok(None) };
        self.handler_at(key.cast_signed(), with_failed).map_err(|fault| fault.of(key))
    }

    fn handler_at(&self, key: i64, with_failed: bool) -> Result<Option<Stored>, SqliteFault> {
        let sql = format!("SELECT {HANDLER_COLUMNS}, journal, state FROM handlers h WHERE key = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut found = statement.query([key])?;
        let Some(row) = found.next()? else { return Ok(None) };
        let mut handler = rows::handler(row, &self.versions)?;
        let mut journal = StoredJournal::default();
        if let Some(StoredEnd { outcome: Outcome::Completed(_), state }) = &mut handler.end {
            *state = states::state(&self.connection, row, key)?;
        } else if handler.end.is_none() || with_failed {
            journal.state = states::state(&self.connection, row, key)?;
            rows::add_records(&mut journal, row.get_ref(rows::JOURNAL)?, false, key)?;
            let mut statement = self.connection.prepare_cached(
                "SELECT is_snapshot, ifnull(bytes, (SELECT b.bytes FROM blobs b WHERE b.id = blob))
                 FROM journal WHERE handler = ?1 ORDER BY seq",
            )?;
            let mut found = statement.query([key])?;
            while let Some(row) = found.next()? {
                let bytes = row.get_ref(1)?;
                if bytes == ValueRef::Null {
                    return Err(SqliteFault::Damaged("a part of its journal is gone".into()));
                }
                rows::add_records(&mut journal, bytes, row.get(0)?, key)?;
            }
        }
        Ok(Some(Stored { handler, journal }))
    }

    /// Returns the longest ended handlers.
    fn oldest(&self, count: usize) -> Result<Vec<(HandlerKey, i64)>, SqliteFault> {
        let sql = "SELECT handler, ifnull(wall_us, 0) FROM places WHERE place < ?2 ORDER BY place LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query((rows::signed(count as u64), LIVE_PLACE))?;
        let mut handlers = Vec::new();
        while let Some(row) = found.next()? {
            handlers.push((HandlerKey(rows::unsigned(row, 0)?), row.get(1)?));
        }
        Ok(handlers)
    }

    /// Lists handlers whose runs have not ended, in order of creation, without examining finished ones.
    fn running(&self, after: Option<HandlerKey>, count: usize) -> Result<Listed, SqliteFault> {
        let from = LIVE_PLACE + after.map_or(0, |key| key.0.cast_signed() + 1);
        match self.running_sound(from, count) {
            Err(fault) if fault.is_lasting() => self.running_one_by_one(from, count, &fault),
            listed => listed,
        }
    }

    fn running_sound(&self, from: i64, count: usize) -> Result<Listed, SqliteFault> {
        let sql = format!(
            "SELECT {HANDLER_COLUMNS} FROM places p CROSS JOIN handlers h ON h.key = p.place - {LIVE_PLACE}
             WHERE p.place >= ?1 ORDER BY p.place LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut found = statement.query((from, rows::signed(count as u64)))?;
        let mut listed = Listed::default();
        while let Some(row) = found.next()? {
            listed.handlers.push(rows::handler(row, &self.versions)?);
        }
        listed.is_complete = listed.handlers.len() < count;
        Ok(listed)
    }

    /// Determines which handlers of a page cannot be read, and lists the others. A page with only damaged ones is
    /// skipped, because the next page begins after its last handler.
    fn running_one_by_one(&self, from: i64, count: usize, fault: &SqliteFault) -> Result<Listed, SqliteFault> {
        let sql = "SELECT place - ?1 FROM places WHERE place >= ?2 AND place < ?3 ORDER BY place";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query([LIVE_PLACE, from, CLOCK_PLACE])?;
        let mut listed = Listed { is_complete: true, ..Listed::default() };
        while let Some(row) = found.next()? {
            let key = HandlerKey(row.get::<_, i64>(0)?.cast_unsigned());
            match self.head(key) {
                Some(handler) => listed.handlers.push(handler),
                None => listed.damaged.push((key, fault.text().into())),
            }
            if listed.handlers.len() == count {
                listed.is_complete = false;
                break;
            }
        }
        Ok(listed)
    }

    /// Returns ids chosen by clients of removed handlers, in the order of removal, as far as they can be read.
    pub(super) fn gone(&self) -> Result<Vec<(Arc<str>, HandlerKey)>, SqliteFault> {
        self.all_gone().or_else(|fault| if fault.is_lasting() { Ok(Vec::new()) } else { Err(fault) })
    }

    fn all_gone(&self) -> Result<Vec<(Arc<str>, HandlerKey)>, SqliteFault> {
        let mut statement = self.connection.prepare("SELECT id, handler FROM gone ORDER BY place")?;
        let mut found = statement.query([])?;
        let mut gone = Vec::new();
        while let Some(row) = found.next()? {
            gone.push((row.get::<_, String>(0)?.into(), HandlerKey(rows::unsigned(row, 1)?)));
        }
        Ok(gone)
    }

    /// Passes every handler whose run has not ended to `each`, in order of creation, with its journal.
    pub(super) fn recover(&self, each: &mut dyn FnMut(Recovered)) -> Result<(), SqliteFault> {
        let _transaction = self.connection.unchecked_transaction()?;
        let mut last = -1;
        match self.recover_sound(&mut last, each) {
            // One after the last one is damaged. Reading each separately finds out which.
            Err(fault) if fault.is_lasting() => self.recover_one_by_one(last, each),
            recovered => recovered,
        }
    }

    /// Recovers in one pass over the handlers and one over their journals; `last` is the last handler that was passed
    /// on.
    fn recover_sound(&self, last: &mut i64, each: &mut dyn FnMut(Recovered)) -> Result<(), SqliteFault> {
        let sql = format!(
            "SELECT {HANDLER_COLUMNS}, journal, state FROM places p CROSS JOIN handlers h ON h.key = p.place - ?1
             WHERE p.place BETWEEN ?1 AND ?2 ORDER BY p.place"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut handlers = statement.query([LIVE_PLACE, CLOCK_PLACE - 1])?;
        // In the same order, so that one pass over both suffices.
        let mut statement = self.connection.prepare(
            "SELECT j.handler, j.is_snapshot, ifnull(j.bytes, (SELECT b.bytes FROM blobs b WHERE b.id = j.blob))
             FROM places p CROSS JOIN journal j ON j.handler = p.place - ?1
             WHERE p.place BETWEEN ?1 AND ?2 ORDER BY p.place, j.seq",
        )?;
        let mut records = statement.query([LIVE_PLACE, CLOCK_PLACE - 1])?;
        let mut record = Record::of(records.next()?)?;
        while let Some(row) = handlers.next()? {
            let handler = rows::handler(row, &self.versions)?;
            let key = handler.key.0.cast_signed();
            let state = states::state(&self.connection, row, key)?;
            let mut journal = StoredJournal { state, ..StoredJournal::default() };
            rows::add_records(&mut journal, row.get_ref(rows::JOURNAL)?, false, key)?;
            while let Some(found) = record.take_if(|record| record.handler <= key) {
                if found.handler == key {
                    rows::add_records(&mut journal, found.bytes[..].into(), found.is_snapshot, key)?;
                }
                record = Record::of(records.next()?)?;
            }
            check_runs(&handler)?;
            *last = key;
            each(Recovered::Whole(Stored { handler, journal }));
        }
        Ok(())
    }

    fn recover_one_by_one(&self, last: i64, each: &mut dyn FnMut(Recovered)) -> Result<(), SqliteFault> {
        let sql = "SELECT place - ?1 FROM places WHERE place > ?1 + ?2 AND place < ?3 ORDER BY place";
        let mut statement = self.connection.prepare(sql)?;
        let mut found = statement.query([LIVE_PLACE, last, CLOCK_PLACE])?;
        while let Some(row) = found.next()? {
            let key: i64 = row.get(0)?;
            let stored = self.handler_at(key, false).and_then(|stored| {
                stored.iter().try_for_each(|stored| check_runs(&stored.handler))?;
                Ok(stored)
            });
            match stored {
                Ok(stored) => stored.into_iter().for_each(|stored| each(Recovered::Whole(stored))),
                Err(fault) if fault.is_lasting() => {
                    let (key, cause) = (HandlerKey(key.cast_unsigned()), fault.text().into());
                    each(Recovered::Damaged { key, handler: self.head(key), cause });
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Returns a handler whose run has not ended without its journal, if that can be read.
    fn head(&self, key: HandlerKey) -> Option<StoredHandler> {
        let sql = format!("SELECT {HANDLER_COLUMNS} FROM handlers h WHERE key = ?1");
        let mut statement = self.connection.prepare_cached(&sql).ok()?;
        let mut found = statement.query([key.0.cast_signed()]).ok()?;
        let handler = rows::handler(found.next().ok()??, &self.versions).ok()?;
        check_runs(&handler).is_ok().then_some(handler)
    }
}

fn check_runs(handler: &StoredHandler) -> Result<(), SqliteFault> {
    match handler.end {
        None => Ok(()),
        Some(_) => Err(SqliteFault::Damaged("it has ended and is among those that run".into())),
    }
}

/// A row of `journal`.
struct Record {
    handler: i64,
    is_snapshot: bool,
    bytes: Vec<u8>,
}

impl Record {
    fn of(row: Option<&Row<'_>>) -> Result<Option<Self>, SqliteFault> {
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Self { handler: row.get(0)?, is_snapshot: row.get(1)?, bytes: row.get(2)? }))
    }
}

/// A part of a feed as it is stored.
struct Piece<'a> {
    version: i64,
    first: u64,
    next: u64,
    events: &'a [u8],
}

/// A part of a feed as requested, as far as it was found.
struct Page {
    from: u64,
    until: u64,
    bytes_max: usize,
    version: Option<i64>,
    next: u64,
    events: Vec<u8>,
}

/// A piece that is not what was written.
struct Damaged;

impl Page {
    /// Adds those events of the piece that are still wanted, if it has the next one. Returns whether the page can take
    /// more.
    fn add(&mut self, piece: &Piece<'_>) -> Result<bool, Damaged> {
        if self.next < piece.first || self.next >= piece.next {
            return Ok(self.next < self.until);
        }
        if self.version.is_some_and(|version| version != piece.version) {
            return Ok(false);
        }
        let (skipped, skipped_bytes) =
            list::prefix(piece.events, usize::MAX, self.next - piece.first).ok_or(Damaged)?;
        let events = piece.events.get(skipped_bytes..).ok_or(Damaged)?;
        let room = self.bytes_max.saturating_sub(self.events.len());
        let (mut count, mut bytes) = list::prefix(events, room, self.until.saturating_sub(self.next)).ok_or(Damaged)?;
        if bytes > room && self.next > self.from {
            (count, bytes) = (0, 0);
        }
        let is_whole = piece.first + skipped + count == piece.next;
        self.version = Some(piece.version);
        self.events.extend_from_slice(&events[..bytes]);
        self.next += count;
        if bytes == events.len() && !is_whole {
            return Err(Damaged);
        }
        Ok(is_whole && self.next < self.until)
    }
}
