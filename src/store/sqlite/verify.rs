//! Checks whether a handler's own rows are readable. Only if not is it at fault: a damaged page may just as well belong
//! to its neighbour.

use rusqlite::{Connection, OptionalExtension};

use super::{
    fault::SqliteFault,
    rows::{self, HANDLER_COLUMNS, JOURNAL},
    schema::LIVE_PLACE,
    states,
};
use crate::{
    engine::{keys::HandlerKey, stored::StoredJournal},
    store::versions::Versions,
};

/// Reads all rows of a handler, and nothing else. Returns whether there are any.
pub(super) fn verify(connection: &Connection, versions: &Versions, key: HandlerKey) -> Result<bool, SqliteFault> {
    let handler = rows::signed(key.0);
    let sql = format!("SELECT {HANDLER_COLUMNS}, h.journal, h.state, h.tail FROM handlers h WHERE key = ?1");
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([handler])?;
    let Some(row) = found.next()? else { return Ok(false) };
    rows::handler(row, versions)?;
    let mut journal = StoredJournal::default();
    rows::add_records(&mut journal, row.get_ref(JOURNAL)?, false, handler)?;
    states::state(connection, row, handler)?;
    let mut statement = connection.prepare(
        "SELECT ifnull(bytes, (SELECT b.bytes FROM blobs b WHERE b.id = blob)) FROM journal WHERE handler = ?1
         UNION ALL SELECT ifnull(events, (SELECT bytes FROM blobs WHERE id = blob)) FROM feed WHERE handler = ?1",
    )?;
    let mut found = statement.query([handler])?;
    while let Some(row) = found.next()? {
        row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
    }
    Ok(true)
}

/// Restores the positions of handlers that were set aside and whose rows can be read: a damaged disk was repaired, or
/// the damaged page belonged to another.
pub(super) fn restore(
    connection: &mut Connection,
    versions: &Versions,
    aside: &[HandlerKey],
) -> Result<(), SqliteFault> {
    for &key in aside {
        let restored = verify(connection, versions, key).and_then(|is_there| {
            let transaction = connection.transaction()?;
            let handler = rows::signed(key.0);
            transaction.execute("DELETE FROM aside WHERE handler = ?1", [handler])?;
            let sql = "SELECT ended, updated_us FROM handlers WHERE key = ?1";
            let found = transaction.query_row(sql, [handler], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            match found {
                Some((Some(place), ended_us)) => restore_ended(&transaction, handler, place, ended_us)?,
                Some((None, _)) => {
                    let sql = "INSERT OR IGNORE INTO places (place) VALUES (?1)";
                    transaction.execute(sql, [LIVE_PLACE + handler])?;
                }
                None => debug_assert!(!is_there, "what was just read is there"),
            }
            Ok(transaction.commit()?)
        });
        match restored {
            Err(fault) if !fault.is_lasting() => return Err(fault),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// If its position belongs to another handler by now, it counts as ended last.
fn restore_ended(connection: &Connection, handler: i64, place: i64, ended_us: i64) -> Result<(), SqliteFault> {
    let insert = "INSERT OR IGNORE INTO places (place, handler, wall_us) VALUES (?1, ?2, ?3)";
    if connection.execute(insert, (place, handler, ended_us))? == 0 {
        let sql = "SELECT max(place) + 1 FROM places WHERE place < ?1";
        let last: i64 = connection.query_row(sql, [LIVE_PLACE], |row| row.get(0))?;
        connection.execute("UPDATE handlers SET ended = ?2 WHERE key = ?1", (handler, last))?;
        connection.execute(insert, (last, handler, ended_us))?;
    }
    Ok(())
}
