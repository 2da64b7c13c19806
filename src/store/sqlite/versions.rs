//! The graphs in the database: reading them, adding those that are new, dropping those that nothing needs.

use std::{collections::HashSet, sync::Arc};

use rusqlite::Connection;

use super::fault::SqliteFault;
use crate::{graph::Graph, hash::hash128, limits::VERSIONS_UNUSED_MAX, store::versions::Versions};

/// Reads the graphs of the database, and adds missing ones of `registered` if `may_write`. A graph that cannot be read
/// is omitted unless it is registered: what was written under it is damaged.
pub(super) fn load(
    connection: &mut Connection,
    registered: &[Arc<Graph>],
    may_write: bool,
) -> Result<Versions, SqliteFault> {
    let mut stored = stored(connection)?;
    if may_write && stored.len() > registered.len() + VERSIONS_UNUSED_MAX {
        stored = drop_unused(connection, registered, stored)?;
    }
    let mut versions = Versions::default();
    let mut fresh = stored.iter().map(|stored| stored.number).max().unwrap_or(0);
    let mut added = Vec::new();
    for graph in registered {
        let bytes = graph.to_stored();
        let digest = digest(&bytes);
        let number = if let Some(place) = stored.iter().position(|stored| stored.digest == digest) {
            stored.swap_remove(place).number
        } else {
            fresh += 1;
            added.push((fresh, digest, bytes));
            fresh
        };
        versions.push(number, Arc::clone(graph))?;
    }
    stored.sort_unstable_by_key(|stored| stored.number);
    for Stored { number, digest: expected, .. } in stored {
        match read(connection, number) {
            Ok(bytes) if digest(&bytes) == expected => {
                let graph = Graph::from_stored(&bytes)
                    .map_err(|error| SqliteFault::Damaged(format!("version {number} of its workflows: {error}")))?;
                versions.push(number, Arc::new(graph))?;
            }
            Err(fault) if !fault.is_lasting() => return Err(fault),
            _ => log::warn!("version {number} of the workflows cannot be read, nor the handlers that need it"),
        }
    }
    if may_write && !added.is_empty() {
        let transaction = connection.transaction()?;
        for (number, digest, bytes) in added {
            transaction.execute("INSERT INTO versions VALUES (?1, ?2, ?3)", (number, digest, bytes))?;
        }
        transaction.commit()?;
    }
    Ok(versions)
}

/// A graph in the database.
struct Stored {
    number: i64,
    digest: [u8; 16],
}

/// Deletes graphs under which nothing is stored any longer. This reads every handler, so it is done only if there are
/// many graphs, and not while some handlers cannot be read.
fn drop_unused(
    connection: &mut Connection,
    registered: &[Arc<Graph>],
    all: Vec<Stored>,
) -> Result<Vec<Stored>, SqliteFault> {
    let registered: Vec<[u8; 16]> = registered.iter().map(|graph| digest(&graph.to_stored())).collect();
    let dropped = connection.transaction().map_err(SqliteFault::from).and_then(|transaction| {
        let mut statement = transaction.prepare("SELECT version FROM handlers UNION SELECT version FROM feed")?;
        let used: HashSet<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        drop(statement);
        for stored in &all {
            if !used.contains(&stored.number) && !registered.contains(&stored.digest) {
                transaction.execute("DELETE FROM versions WHERE id = ?1", [stored.number])?;
            }
        }
        Ok(transaction.commit()?)
    });
    match dropped {
        Ok(()) => stored(connection),
        Err(fault) if fault.is_lasting() => Ok(all),
        Err(fault) => Err(fault),
    }
}

/// Returns all graphs in the database.
fn stored(connection: &Connection) -> Result<Vec<Stored>, SqliteFault> {
    let mut statement = connection.prepare("SELECT id, digest FROM versions")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (number, known): (i64, Option<[u8; 16]>) = row?;
        // One written by an earlier version of this program has none.
        let digest = known.map_or_else(|| read(connection, number).map(|bytes| digest(&bytes)), Ok)?;
        all.push(Stored { number, digest });
    }
    Ok(all)
}

fn read(connection: &Connection, number: i64) -> Result<Vec<u8>, SqliteFault> {
    Ok(connection.query_row("SELECT graph FROM versions WHERE id = ?1", [number], |row| row.get(0))?)
}

/// Returns the hash by which a graph is found, and checked to be what was written.
fn digest(bytes: &[u8]) -> [u8; 16] {
    hash128(&[bytes]).to_le_bytes()
}
