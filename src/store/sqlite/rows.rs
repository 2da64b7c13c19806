//! Decodes rows of the database. What was never written is an error that names its handler.

use std::sync::Arc;

use rusqlite::{Row, types::ValueRef};
use uuid::Uuid;

use super::fault::SqliteFault;
use crate::{
    engine::{
        feed::Feed,
        input::Outcome,
        keys::HandlerKey,
        published::Item,
        stored::{StoredEnd, StoredHandler, StoredJournal},
        window::Mark,
    },
    graph::Graph,
    json::Json,
    store::{list, versions::Versions},
    values::Values,
};

/// The columns of `handlers h` that [`handler`] reads. While a run has not ended, its tail has its first events, and
/// the rows of `feed` after it have the others.
pub(super) const HANDLER_COLUMNS: &str = "h.key, h.version, h.run, h.run_id, h.started_us, h.updated_us, h.first,
    h.cursor, h.ended, h.outcome, h.id, h.error, h.next, CASE WHEN h.outcome = 0 THEN h.tail END,
    (SELECT f.next FROM feed f WHERE f.handler = h.key AND f.first >= h.next ORDER BY f.first DESC LIMIT 1),
    h.kept_from, h.kept_from_bytes";

/// The number of those columns.
pub(super) const JOURNAL: usize = 17;
pub(super) const STATE: usize = 18;

/// Outcomes as numbers.
pub(super) const COMPLETED: i64 = 0;
pub(super) const FAILED: i64 = 1;
pub(super) const CANCELLED: i64 = 2;

/// Decodes a handler, without its state.
pub(super) fn handler(row: &Row<'_>, versions: &Versions) -> Result<StoredHandler, SqliteFault> {
    let key = unsigned(row, 0)?;
    read(row, key, versions).map_err(|fault| fault.of(key))
}

fn read(row: &Row<'_>, key: u64, versions: &Versions) -> Result<StoredHandler, SqliteFault> {
    let (workflow, graph) = versions.workflow(row.get(1)?)?;
    let run_id = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
    let run_id = Uuid::from_slice(run_id).map_err(|error| SqliteFault::Damaged(error.to_string()))?;
    let next = unsigned(row, 12)?;
    let end = match row.get::<_, Option<i64>>(8)? {
        None => None,
        Some(_) => Some(StoredEnd { outcome: outcome(row, graph, next)?, state: Values::default() }),
    };
    Ok(StoredHandler {
        key: HandlerKey(key),
        id: row.get::<_, Option<String>>(10)?.map(Arc::from),
        workflow,
        run: row.get(2)?,
        run_id,
        started_us: row.get(4)?,
        updated_us: row.get(5)?,
        first_sequence: unsigned(row, 6)?,
        next_sequence: if row.get_ref(14)? == ValueRef::Null { next } else { unsigned(row, 14)? },
        window: match row.get_ref(15)? {
            ValueRef::Null => None,
            _ => Some(Mark { sequence: unsigned(row, 15)?, bytes: unsigned(row, 16)? }),
        },
        cursor: unsigned(row, 7)?,
        end,
    })
}

/// Decodes the outcome of a run that has ended; the value of a completed one is that of its last event.
fn outcome(row: &Row<'_>, graph: &Graph, next: u64) -> Result<Outcome, SqliteFault> {
    let damaged = |text: &str| SqliteFault::Damaged(text.into());
    match row.get(9)? {
        COMPLETED => {
            let tail = row.get_ref(13)?.as_blob().map_err(rusqlite::Error::from)?;
            let start = list::last_start(tail).ok_or_else(|| damaged("its last event is not there"))?;
            let feed = Feed::decode_events(next.saturating_sub(1), &tail[start..], graph);
            let feed = feed.map_err(|error| damaged(&error.to_string()))?;
            match feed.get(feed.first()) {
                Some(Item::Event(_, value) | Item::Other { value, .. }) => {
                    let value = Json::parse(value).map_err(|error| damaged(&format!("its result: {error}")))?;
                    Ok(Outcome::Completed(value))
                }
                _ => Err(damaged("it completed, and its last event is no result")),
            }
        }
        FAILED => Ok(Outcome::Failed(row.get(11)?)),
        CANCELLED => Ok(Outcome::Cancelled),
        other => Err(SqliteFault::Damaged(format!("it ended in way {other}, which there is not"))),
    }
}

/// Adds the contents of a row to the journal that precedes it.
pub(super) fn add_records(
    journal: &mut StoredJournal,
    bytes: ValueRef<'_>,
    is_snapshot: bool,
    key: i64,
) -> Result<(), SqliteFault> {
    let fault = || SqliteFault::Damaged(format!("the journal of handler {key} cannot be read"));
    let bytes = bytes.as_blob_or_null().map_err(|_| fault())?.unwrap_or_default();
    if is_snapshot {
        journal.snapshot = Some(bytes.to_vec());
        journal.records.clear();
    } else {
        journal.records.extend(list::strings(bytes).ok_or_else(fault)?.into_iter().map(<[u8]>::to_vec));
    }
    Ok(())
}

/// Decodes a number, none of which is negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, SqliteFault> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| SqliteFault::Damaged(format!("{number} stands where no number is negative")))
}

/// Encodes a number; one out of range exceeds everything that is counted.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
