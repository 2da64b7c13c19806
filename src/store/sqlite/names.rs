//! Ids: those that clients chose, in `names`, and those that follow from keys. No two handlers have one id.

use rusqlite::{Connection, OptionalExtension};

use super::{fault::SqliteFault, rows};
use crate::engine::{
    ids::HandlerIds,
    keys::{HandlerKey, Issued},
};

/// The row of `keys`: see [`VERSION_6`](super::schema).
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    counted: u64,
    first: Option<u64>,
    ahead: i64,
}

impl Names {
    pub(super) fn load(connection: &Connection) -> Result<Self, SqliteFault> {
        let mut statement = connection.prepare("SELECT counted, first, ahead FROM keys")?;
        let mut found = statement.query([])?;
        let row = found.next()?.ok_or_else(|| SqliteFault::Damaged("the row of its keys is gone".into()))?;
        let first = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
        Ok(Self { counted: rows::unsigned(row, 0)?, first, ahead: row.get(2)? })
    }

    /// The keys that handlers have had, all of which are less than `next`.
    pub(super) fn issued(&self, next: u64) -> Issued {
        Issued { counted: self.counted, first: self.first.unwrap_or(next), next }
    }

    /// New handlers have these keys, none of which is a counted one.
    pub(super) fn note_opened(
        &mut self,
        connection: &Connection,
        mut opened: impl Iterator<Item = HandlerKey>,
    ) -> Result<(), SqliteFault> {
        if self.first.is_none()
            && let Some(HandlerKey(first)) = opened.next()
        {
            connection.execute("UPDATE keys SET first = ?1", [rows::signed(first)])?;
            self.first = Some(first);
        }
        Ok(())
    }

    /// A client has chosen the id of a new handler; `meant` is the key that this id stands for, if it does.
    pub(super) fn note_chosen(
        &mut self,
        connection: &Connection,
        handler: i64,
        meant: Option<HandlerKey>,
    ) -> Result<(), SqliteFault> {
        let meant = meant.map_or(-1, |key| rows::signed(key.0));
        if meant > handler && meant > self.ahead {
            connection.execute("UPDATE keys SET ahead = ?1", [meant])?;
            self.ahead = meant;
        }
        Ok(())
    }

    /// Refuses a new handler whose id follows from its key if a client has chosen that id. No client can know which ids
    /// are to come, so it happens by chance alone, to one of 5 × 10^17 handlers for each such name.
    pub(super) fn check_made(
        &self,
        connection: &Connection,
        handler: i64,
        ids: &HandlerIds,
    ) -> Result<(), SqliteFault> {
        if handler > self.ahead {
            return Ok(());
        }
        let id = ids.spell(HandlerKey(handler.cast_unsigned()));
        match chosen(connection, &String::from_utf8_lossy(&id))? {
            Some(_) => Err(SqliteFault::Damaged("a client has chosen its id for another".into())),
            None => Ok(()),
        }
    }
}

/// The handler for which a client chose this id.
pub(super) fn chosen(connection: &Connection, id: &str) -> Result<Option<HandlerKey>, SqliteFault> {
    let mut statement = connection.prepare_cached("SELECT handler FROM names WHERE id = ?1")?;
    let found = statement.query_row([id], |row| row.get::<_, i64>(0)).optional()?;
    Ok(found.map(|key| HandlerKey(key.cast_unsigned())))
}

/// Whether there is a handler of this key, and no client chose its id.
pub(super) fn is_made(connection: &Connection, key: HandlerKey) -> Result<bool, SqliteFault> {
    let mut statement = connection.prepare_cached("SELECT id IS NULL FROM handlers WHERE key = ?1")?;
    Ok(statement.query_row([rows::signed(key.0)], |row| row.get(0)).optional()?.unwrap_or(false))
}
