//! Deletes handlers as a whole and feeds of earlier runs. Large feeds are deleted in small parts.

use std::ops::Range;

use rusqlite::OptionalExtension;

use super::{fault::SqliteFault, known::Blamed, rows::signed, schema::LIVE_PLACE, write::Writing};
use crate::{
    engine::{keys::HandlerKey, window::Mark},
    limits::{GONE_NAMES_MAX, TRASH_SLICE_BYTES},
};

/// What a row takes beside its events.
const ROW_BYTES: usize = 64;

impl Writing<'_> {
    /// Deletes events of a handler's earlier run.
    pub(super) fn remove_feed(&mut self, handler: HandlerKey, range: Range<u64>) -> Result<(), SqliteFault> {
        self.blame(handler);
        self.remove_rows(signed(handler.0), &(signed(range.start)..signed(range.end)))
    }

    fn remove_rows(&mut self, handler: i64, range: &Range<i64>) -> Result<(), SqliteFault> {
        if self.delete_slice(handler, range)? {
            self.statement("INSERT INTO trash (handler, first, below) VALUES (?1, ?2, ?3)")?.execute((
                handler,
                range.start,
                range.end,
            ))?;
            self.known.has_trash = true;
        }
        Ok(())
    }

    /// Deletes events of a handler's newest run that have left the window of its feed. A row with the window's first
    /// event is retained as a whole.
    pub(super) fn leave(&mut self, handler: i64, window: Mark) -> Result<(), SqliteFault> {
        let (first, bytes) = (signed(window.sequence), signed(window.bytes));
        // Those in the handler's own row are deleted when all of them have left.
        let statement = self.statement(
            "UPDATE handlers SET kept_from = ?2, kept_from_bytes = ?3,
                 tail_first = CASE WHEN next <= ?2 THEN next ELSE tail_first END,
                 tail = CASE WHEN next <= ?2 THEN x'' ELSE tail END
             WHERE key = ?1 RETURNING first",
        )?;
        let found = statement.query_row((handler, first, bytes), |row| row.get::<_, i64>(0)).optional()?;
        let Some(run_first) = found else { return Ok(()) };
        let sql = "SELECT max(first) FROM feed WHERE handler = ?1 AND first >= ?2 AND first <= ?3";
        let below: Option<i64> = self.statement(sql)?.query_row((handler, run_first, first), |row| row.get(0))?;
        below.map_or(Ok(()), |below| self.remove_rows(handler, &(run_first..below)))
    }

    /// Deletes everything of a handler.
    pub(super) fn purge(&mut self, key: HandlerKey) -> Result<(), SqliteFault> {
        let handler = signed(key.0);
        self.blame(key);
        self.known.forget_one(key);
        self.known.has_freed = true;
        if self.known.aside.contains(&key) {
            self.statement("DELETE FROM aside WHERE handler = ?1")?.execute([handler])?;
        }
        let statement = self.statement("DELETE FROM handlers WHERE key = ?1 RETURNING ended, id, length(state) = 0")?;
        let found = statement.query_row([handler], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let Some(found) = found else { return Ok(()) };
        let (ended, id, has_state): (Option<i64>, Option<String>, Option<bool>) = found;
        self.delete_ended(ended)?;
        if ended.is_none() {
            self.delete_live(handler)?;
        }
        if let Some(id) = id {
            // In the same transaction the id may already belong to another handler.
            self.statement("DELETE FROM names WHERE id = ?1 AND handler = ?2")?.execute((&id, handler))?;
            let sql = "INSERT INTO gone (id, handler) VALUES (?1, ?2) RETURNING place";
            let place: i64 = self.statement(sql)?.query_row((&id, handler), |row| row.get(0))?;
            self.statement("DELETE FROM gone WHERE place <= ?1")?
                .execute([place - GONE_NAMES_MAX.cast_signed() as i64])?;
            self.known.gone.push((id.into(), key));
        }
        self.delete_journal(handler)?;
        // Most have nothing in `states`, and must not fail because a page of it is damaged.
        if has_state == Some(true) {
            self.delete_state(handler)?;
        }
        self.remove_feed(key, 0..u64::MAX)
    }

    /// Deletes a part of what is left of large feeds.
    pub(super) fn empty_trash(&mut self) -> Result<(), SqliteFault> {
        if self.known.leaves_trash {
            self.known.has_trash = false;
            return Ok(());
        }
        self.known.blamed = Blamed::Trash(None);
        let sql = "SELECT id, handler, first, below FROM trash ORDER BY id LIMIT 1";
        let found = self
            .statement(sql)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?..row.get(3)?)));
        match found.optional()? {
            Some((id, handler, range)) => {
                self.known.blamed = Blamed::Trash(Some(id));
                if !self.delete_slice(handler, &range)? {
                    self.statement("DELETE FROM trash WHERE id = ?1")?.execute([id])?;
                }
            }
            None => self.known.has_trash = false,
        }
        Ok(())
    }

    /// What this row of `trash` refers to cannot be deleted, and stays.
    pub(super) fn give_up_trash(&mut self, id: i64) -> Result<(), SqliteFault> {
        self.known.blamed = Blamed::Database;
        self.statement("DELETE FROM trash WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Sets a handler aside: it is no longer among those that run or have ended. Returns whether it was among those
    /// that have ended.
    pub(super) fn set_aside(&mut self, key: HandlerKey, cause: &str) -> Result<bool, SqliteFault> {
        self.known.blamed = Blamed::Aside;
        self.known.forget_one(key);
        let handler = signed(key.0);
        self.delete_live(handler)?;
        // Its row, which has its position, may be what cannot be read.
        let sql = "DELETE FROM places WHERE handler = ?1 AND place < ?2";
        let was_finished = self.statement(sql)?.execute((handler, LIVE_PLACE))? > 0;
        self.statement("INSERT OR REPLACE INTO aside VALUES (?1, ?2)")?.execute((handler, cause))?;
        Ok(was_finished)
    }

    /// Deletes the first rows of a feed in order, about [`TRASH_SLICE_BYTES`] of them. Returns whether some are left.
    fn delete_slice(&mut self, handler: i64, range: &Range<i64>) -> Result<bool, SqliteFault> {
        let statement = self.statement(
            "SELECT first, ifnull(length(events), (SELECT length(bytes) FROM blobs WHERE id = blob))
             FROM feed WHERE handler = ?1 AND first >= ?2 AND first < ?3 ORDER BY first",
        )?;
        let mut found = statement.query((handler, range.start, range.end))?;
        let (mut bytes, mut below, mut is_more) = (0, range.start, false);
        while let Some(row) = found.next()? {
            let first: i64 = row.get(0)?;
            if bytes >= TRASH_SLICE_BYTES {
                is_more = true;
                break;
            }
            bytes += row.get::<_, Option<u32>>(1)?.unwrap_or_default() as usize + ROW_BYTES;
            below = first.saturating_add(1);
        }
        drop(found);
        if bytes > 0 {
            self.known.has_freed = true;
            let statement =
                self.statement("DELETE FROM feed WHERE handler = ?1 AND first >= ?2 AND first < ?3 RETURNING blob")?;
            let deleted = statement.query_map((handler, range.start, below), |row| row.get(0))?;
            let blobs: Vec<Option<i64>> = deleted.collect::<Result<_, _>>()?;
            self.delete_blobs(&blobs)?;
        }
        Ok(is_more)
    }
}
