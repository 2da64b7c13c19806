//! Large states: a complete one, followed by the changes of each run, so that a run does not write again what it does
//! not change.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    fault::SqliteFault,
    rows::STATE,
    write::{STATE_BLOBS, Writing},
};
use crate::{
    engine::{
        run::Changed,
        storage::{Ended, StartState},
    },
    json::Json,
    limits::{ROW_STATE_BYTES_MAX, STATE_PART_BYTES},
    store::list,
    values::Values,
};

/// What the row of a handler contains if its state is in `states`.
const APART: &[u8] = &[];

impl Writing<'_> {
    /// Stores the state that a run begins with separately if requested; `earlier` was in the row of the previous run.
    /// Returns what the row of this run contains.
    pub(super) fn begin_state(
        &mut self,
        handler: i64,
        state: &StartState,
        earlier: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, SqliteFault> {
        match (state, earlier) {
            (StartState::Inherited, Some(earlier)) if earlier == APART => {}
            (StartState::Inherited, Some(earlier)) => self.put_whole(handler, &earlier)?,
            (StartState::Inherited, None) => {
                return Err(SqliteFault::Damaged(format!("the state of handler {handler} is gone")));
            }
            (StartState::Given(state), _) => self.put_whole(handler, &encode(state))?,
            (StartState::Recorded, earlier) => {
                if earlier.is_some_and(|earlier| earlier == APART) {
                    self.delete_state(handler)?;
                }
                return Ok(None);
            }
        }
        Ok(Some(APART.to_vec()))
    }

    /// Stores the state that a run has ended with. Returns what the handler's row contains.
    pub(super) fn end_state(&mut self, handler: i64, ended: &Ended) -> Result<Option<Vec<u8>>, SqliteFault> {
        let Ended { state, changed, .. } = ended;
        if state.cost_bytes() <= ROW_STATE_BYTES_MAX {
            if changed.is_some() {
                self.delete_state(handler)?;
            }
            return Ok((!state.is_empty()).then(|| encode(state)));
        }
        let is_added = match changed {
            Some(Changed::Keys(keys)) => self.add_changes(handler, &encode_some(state, keys))?,
            Some(Changed::Much) | None => false,
        };
        if !is_added {
            self.put_whole(handler, &encode(state))?;
        }
        Ok(Some(APART.to_vec()))
    }

    /// Deletes what is stored of a handler's state beside its row.
    pub(super) fn delete_state(&mut self, handler: i64) -> Result<(), SqliteFault> {
        let statement = self.statement("DELETE FROM states WHERE handler = ?1 RETURNING blob")?;
        let blobs: Vec<Option<i64>> = statement.query_map([handler], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if !blobs.is_empty() {
            self.known.has_freed = true;
        }
        self.delete_blobs(&blobs)
    }

    fn put_whole(&mut self, handler: i64, bytes: &[u8]) -> Result<(), SqliteFault> {
        self.delete_state(handler)?;
        self.put_part(handler, 0, 0, bytes)
    }

    /// Adds the changes of a run, unless all changes exceed the complete state. Returns whether it did.
    fn add_changes(&mut self, handler: i64, bytes: &[u8]) -> Result<bool, SqliteFault> {
        if bytes.is_empty() {
            return Ok(true);
        }
        let statement = self.statement(
            "SELECT ifnull(length(s.bytes), (SELECT length(b.bytes) FROM blobs b WHERE b.id = s.blob)),
                 (SELECT number FROM states WHERE handler = ?1 ORDER BY number DESC LIMIT 1),
                 (SELECT cost FROM states WHERE handler = ?1 ORDER BY number DESC LIMIT 1)
             FROM states s WHERE handler = ?1 AND number = 0",
        )?;
        let found = statement.query_row([handler], |row| {
            Ok((row.get::<_, Option<i64>>(0)?.unwrap_or(0), row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let Some((whole, last, cost)) = found.optional()? else { return Ok(false) };
        let cost = cost.saturating_add(STATE_PART_BYTES + bytes.len().cast_signed() as i64);
        if cost > whole {
            return Ok(false);
        }
        self.put_part(handler, last + 1, cost, bytes)?;
        Ok(true)
    }

    fn put_part(&mut self, handler: i64, number: i64, cost: i64, bytes: &[u8]) -> Result<(), SqliteFault> {
        let (bytes, blob) = self.place(handler, STATE_BLOBS, number, bytes)?;
        let statement = self.statement("INSERT INTO states VALUES (?1, ?2, ?3, ?4, ?5)")?;
        statement.execute((handler, number, cost, bytes, blob))?;
        Ok(())
    }
}

/// Returns the state of the handler in this row, wherever it is stored.
pub(super) fn state(connection: &Connection, row: &Row<'_>, key: i64) -> Result<Values, SqliteFault> {
    let damaged = || SqliteFault::Damaged(format!("the state of handler {key} cannot be read"));
    let mut state = Values::default();
    match row.get_ref(STATE)?.as_blob_or_null().map_err(|_| damaged())? {
        None => return Ok(state),
        Some(APART) => {}
        Some(bytes) => {
            apply(&mut state, bytes).ok_or_else(damaged)?;
            return Ok(state);
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT number, ifnull(bytes, (SELECT b.bytes FROM blobs b WHERE b.id = blob)) FROM states
         WHERE handler = ?1 ORDER BY number",
    )?;
    let mut found = statement.query([key])?;
    let mut next = 0;
    while let Some(row) = found.next()? {
        let bytes = row.get_ref(1)?.as_blob_or_null().map_err(|_| damaged())?;
        let is_next = row.get::<_, i64>(0)? == next;
        bytes.filter(|_| is_next).and_then(|bytes| apply(&mut state, bytes)).ok_or_else(damaged)?;
        next += 1;
    }
    if next == 0 { Err(damaged()) } else { Ok(state) }
}

/// Applies encoded changes; `None` if they are damaged.
fn apply(state: &mut Values, bytes: &[u8]) -> Option<()> {
    let strings = list::strings(bytes)?;
    let (pairs, []) = strings.as_chunks::<2>() else { return None };
    for [name, value] in pairs {
        let (name, value) = (str::from_utf8(name).ok()?, str::from_utf8(value).ok()?);
        if value.is_empty() {
            state.remove(name);
        } else {
            state.insert(Arc::from(name), Json::parse(value).ok()?);
        }
    }
    Some(())
}

fn encode(state: &Values) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, value) in state.iter() {
        list::put(&mut list, name.as_bytes());
        list::put(&mut list, value.json().as_str().as_bytes());
    }
    list
}

/// Encodes what the state has under these keys.
fn encode_some<'a>(state: &Values, keys: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<u8> {
    let mut list = Vec::new();
    for key in keys {
        let value = state.get(key);
        list::put(&mut list, key.as_bytes());
        list::put(&mut list, value.as_ref().map_or("", |value| value.as_str()).as_bytes());
    }
    list
}
