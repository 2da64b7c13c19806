//! The graphs that the store has seen, and which workflow of the server each is.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rusqlite::Connection;

use super::fault::Fault;
use crate::{engine::scheduler::WorkflowId, graph::Graph, limits::VERSIONS_UNUSED_MAX};

/// Graphs by the number that the database has for each, and by the workflow id that the server has. Fixed when the
/// store is opened.
#[derive(Debug)]
pub(super) struct Versions {
    /// The registered ones first, then earlier versions and those that are no longer registered.
    graphs: Vec<Arc<Graph>>,
    /// The database's number of each.
    numbers: Vec<i64>,
    /// For lookup only.
    workflows: HashMap<i64, WorkflowId>,
}

impl Versions {
    /// Reads the graphs of the database; those of `registered` that it does not have yet are added if `may_write`.
    pub(super) fn load(connection: &mut Connection, registered: &[Arc<Graph>], may_write: bool) -> Result<Self, Fault> {
        let mut stored = stored(connection)?;
        if may_write && stored.len() > registered.len() + VERSIONS_UNUSED_MAX {
            stored = drop_unused(connection, registered)?;
        }
        let mut versions = Self { graphs: Vec::new(), numbers: Vec::new(), workflows: HashMap::new() };
        let mut fresh = stored.iter().map(|(number, _)| *number).max().unwrap_or(0);
        let mut added = Vec::new();
        for graph in registered {
            let bytes = graph.to_stored();
            let place = stored.iter().position(|(_, stored)| *stored == bytes);
            let number = if let Some(place) = place {
                stored.swap_remove(place).0
            } else {
                fresh += 1;
                added.push((fresh, bytes));
                fresh
            };
            versions.push(number, Arc::clone(graph))?;
        }
        stored.sort_unstable_by_key(|(number, _)| *number);
        for (number, bytes) in stored {
            let graph = Graph::from_stored(&bytes)
                .map_err(|error| Fault::Damaged(format!("version {number} of its workflows: {error}")))?;
            versions.push(number, Arc::new(graph))?;
        }
        if may_write && !added.is_empty() {
            let transaction = connection.transaction()?;
            for (number, bytes) in added {
                transaction.execute("INSERT INTO versions VALUES (?1, ?2)", (number, bytes))?;
            }
            transaction.commit()?;
        }
        Ok(versions)
    }

    fn push(&mut self, number: i64, graph: Arc<Graph>) -> Result<(), Fault> {
        let index = u16::try_from(self.graphs.len());
        let index = index.map_err(|_| Fault::Damaged("it has more versions of workflows than are possible".into()))?;
        self.graphs.push(graph);
        self.numbers.push(number);
        self.workflows.insert(number, WorkflowId(index));
        Ok(())
    }

    pub(super) fn graphs(&self) -> &[Arc<Graph>] {
        &self.graphs
    }

    /// The database's number of a workflow.
    pub(super) fn number(&self, workflow: WorkflowId) -> Result<i64, Fault> {
        let number = self.numbers.get(usize::from(workflow.0)).copied();
        number.ok_or_else(|| Fault::Damaged(format!("a batch names workflow {}, which nobody has", workflow.0)))
    }

    /// The workflow and graph of one of the database's numbers.
    pub(super) fn workflow(&self, number: i64) -> Result<(WorkflowId, &Arc<Graph>), Fault> {
        let known = self.workflows.get(&number);
        let known = known.and_then(|&id| Some((id, self.graphs.get(usize::from(id.0))?)));
        known.ok_or_else(|| Fault::Damaged(format!("a row names version {number} of a workflow, which is not there")))
    }
}

/// Deletes graphs that nothing was written under any more. That looks at every handler, so it is done when there are
/// many graphs only.
fn drop_unused(connection: &mut Connection, registered: &[Arc<Graph>]) -> Result<Vec<(i64, Vec<u8>)>, Fault> {
    let registered: Vec<Vec<u8>> = registered.iter().map(|graph| graph.to_stored()).collect();
    let transaction = connection.transaction()?;
    let mut statement = transaction.prepare("SELECT version FROM handlers UNION SELECT version FROM feed")?;
    let used: HashSet<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    drop(statement);
    for (number, graph) in stored(&transaction)? {
        if !used.contains(&number) && !registered.contains(&graph) {
            transaction.execute("DELETE FROM versions WHERE id = ?1", [number])?;
        }
    }
    transaction.commit()?;
    stored(connection)
}

/// Numbers and bytes of all graphs in the database.
fn stored(connection: &Connection) -> Result<Vec<(i64, Vec<u8>)>, Fault> {
    let mut statement = connection.prepare("SELECT id, graph FROM versions")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
