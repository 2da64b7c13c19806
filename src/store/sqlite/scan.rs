//! Lists handlers in order of creation, skipping those that cannot be read.

use super::{
    fault::SqliteFault,
    read::{Listed, Reading},
    rows::{self, HANDLER_COLUMNS},
    schema::{CLOCK_PLACE, LIVE_PLACE},
};
use crate::{
    engine::{keys::HandlerKey, stored::StoredHandler},
    limits::DAMAGED_NOTED_MAX,
};

impl Reading {
    /// Lists up to `count` handlers after this one, with about `bytes_max` of results and errors, but at least one.
    pub(super) fn list(
        &self,
        after: Option<HandlerKey>,
        count: usize,
        bytes_max: usize,
    ) -> Result<Listed, SqliteFault> {
        let (mut listed, mut after) = (Listed::default(), after.map_or(-1, |key| key.0.cast_signed()));
        loop {
            match self.list_sound(&mut listed, &mut after, count, bytes_max) {
                Err(fault) if fault.is_lasting() => {
                    let Some(last) = self.skip(after, fault, &mut listed.damaged)? else {
                        listed.is_complete = true;
                        return Ok(listed);
                    };
                    after = last;
                    if listed.damaged.len() >= DAMAGED_NOTED_MAX && !listed.handlers.is_empty() {
                        return Ok(listed);
                    }
                }
                Err(fault) => return Err(fault),
                Ok(()) => return Ok(listed),
            }
        }
    }

    /// Lists until the page is full, there are no more, or one cannot be read: that is the next one after `after`.
    fn list_sound(
        &self,
        listed: &mut Listed,
        after: &mut i64,
        count: usize,
        bytes_max: usize,
    ) -> Result<(), SqliteFault> {
        let sql = format!("SELECT {HANDLER_COLUMNS} FROM handlers h WHERE key >= ?1 ORDER BY key LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let left = count - listed.handlers.len();
        let mut found = statement.query((after.saturating_add(1), rows::signed(left as u64)))?;
        let mut bytes: usize = listed.handlers.iter().map(bytes_of).sum();
        while let Some(row) = found.next()? {
            let handler = rows::handler(row, &self.versions)?;
            let key = handler.key.0.cast_signed();
            if key <= *after {
                return Err(SqliteFault::Damaged(format!("handler {key} stands behind handler {after}")));
            }
            *after = key;
            bytes += bytes_of(&handler);
            listed.handlers.push(handler);
            if bytes >= bytes_max {
                return Ok(());
            }
        }
        listed.is_complete = listed.handlers.len() < count;
        Ok(())
    }

    /// Returns the last of consecutive keys after `after` that cannot be read; `None` if no later one can be. The fault
    /// is that of the first of them.
    fn skip(
        &self,
        after: i64,
        fault: SqliteFault,
        damaged: &mut Vec<(HandlerKey, Box<str>)>,
    ) -> Result<Option<i64>, SqliteFault> {
        let cause: Box<str> = fault.text().into();
        match self.next_key(after) {
            // A damaged page may contain any key; one before `after` cannot be used.
            Ok(Some(key)) if key > after => {
                damaged.push((HandlerKey(key.cast_unsigned()), cause));
                return Ok(Some(key));
            }
            Ok(None) => return Err(fault),
            Err(fault) if !fault.is_lasting() => return Err(fault),
            Ok(Some(_)) | Err(_) => {}
        }
        // The page with the next key, or one above it, is damaged: the search continues after it, wherever that is.
        let (mut unread, mut step) = (after, 1_i64);
        let read = loop {
            let Some(from) = after.checked_add(step).filter(|from| *from < LIVE_PLACE) else { break None };
            if self.can_go_on(from) {
                break Some(from);
            }
            (unread, step) = (from, step.saturating_mul(2));
        };
        let Some(mut read) = read else {
            damaged.extend(self.keys_between(after, LIVE_PLACE - 1)?.into_iter().map(|key| (key, cause.clone())));
            return Ok(None);
        };
        while read - unread > 1 {
            let middle = unread + (read - unread) / 2;
            *(if self.can_go_on(middle) { &mut read } else { &mut unread }) = middle;
        }
        damaged.extend(self.keys_between(after, read)?.into_iter().map(|key| (key, cause.clone())));
        Ok(Some(read))
    }

    fn can_go_on(&self, after: i64) -> bool {
        self.next_key(after).is_ok_and(|next| next.is_none_or(|key| key > after))
    }

    /// Returns the next key after this one, without reading its row.
    fn next_key(&self, after: i64) -> Result<Option<i64>, SqliteFault> {
        let sql = "SELECT key FROM handlers WHERE key >= ?1 ORDER BY key LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query([after.saturating_add(1)])?;
        Ok(found.next()?.map(|row| row.get(0)).transpose()?)
    }

    /// Returns the handlers after `after` up to `last`, according to their positions.
    fn keys_between(&self, after: i64, last: i64) -> Result<Vec<HandlerKey>, SqliteFault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT handler FROM places WHERE place < ?3 AND handler > ?1 AND handler <= ?2
             UNION SELECT place - ?3 FROM places WHERE place > ?3 + ?1 AND place <= ?3 + ?2 AND place < ?4
             LIMIT ?5",
        )?;
        let mut found =
            statement.query((after, last, LIVE_PLACE, CLOCK_PLACE, rows::signed(DAMAGED_NOTED_MAX as u64)))?;
        let mut keys = Vec::new();
        while let Some(row) = found.next()? {
            keys.push(HandlerKey(rows::unsigned(row, 0)?));
        }
        Ok(keys)
    }
}

fn bytes_of(handler: &StoredHandler) -> usize {
    handler.end.as_ref().map_or(0, |end| end.outcome.cost_bytes())
}
