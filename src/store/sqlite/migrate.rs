//! Updates a database of an earlier version of this program.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    fault::SqliteFault,
    schema::{APPLICATION_ID, MIGRATIONS},
};

/// Updates a database to the version that this program writes, in one transaction. Returns its previous version.
pub(super) fn migrate(connection: &mut Connection) -> Result<u32, SqliteFault> {
    migrate_with(connection, &MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[&str]) -> Result<u32, SqliteFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(due) = migrations.get(found as usize..) else {
        return Err(SqliteFault::Newer(found));
    };
    if !due.is_empty() {
        for migration in due {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", migrations.len() as u32)?;
    }
    transaction.commit()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{
        super::schema::{SCHEMA_VERSION, VERSION_1},
        *,
    };

    fn version(connection: &Connection) -> u32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a header")
    }

    #[test]
    fn a_database_of_an_earlier_version_is_brought_up_to_date_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().expect("a database");
        assert_eq!(migrate_with(&mut connection, &[VERSION_1]).expect("version 1"), 0);
        connection.execute("INSERT INTO names VALUES ('mine', 7)", []).expect("a row");
        let later = [VERSION_1, "ALTER TABLE names ADD COLUMN given_us INTEGER NOT NULL DEFAULT 5"];
        assert_eq!(migrate_with(&mut connection, &later).expect("version 2"), 1);
        assert_eq!(version(&connection), 2);
        let row = connection.query_row("SELECT id, handler, given_us FROM names", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        assert_eq!(row.expect("the row"), ("mine".into(), 7, 5));
        assert_eq!(migrate_with(&mut connection, &later).expect("nothing to do"), 2);
    }

    #[test]
    fn what_is_long_moves_out_of_the_rows_that_a_search_reads() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate_with(&mut connection, &MIGRATIONS[..3]).expect("version 3");
        let fill = "
            INSERT INTO versions VALUES (1, x'07');
            INSERT INTO handlers (key, version, run, run_id, started_us, updated_us, first, cursor, ended, outcome, id,
                error, tail_first, next, tail, journal, state, kept_from, kept_from_bytes)
            VALUES (5, 1, 0, x'05', 1, 2, 3, 4, NULL, 1, 'five', 'wrong', 6, 7, x'08', x'09', x'0a', 11, 12);
            INSERT INTO journal VALUES (5, 0, 1, zeroblob(161)), (5, 1, 0, zeroblob(160)), (6, 0, 0, x'aabb');
            INSERT INTO feed VALUES (5, 7, 9, 1, zeroblob(3000)), (5, 9, 10, 1, x'cc'), (6, 0, 2, 1, zeroblob(4000));";
        connection.execute_batch(fill).expect("rows");
        assert_eq!(migrate(&mut connection).expect("this version"), 3);
        let texts = |sql: &str| {
            let mut statement = connection.prepare(sql).expect("a statement");
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
            rows.map(|row| row.expect("a row")).collect::<Vec<_>>().join("; ")
        };
        let journal = "SELECT format('%d %d %d %d %d', handler, seq, is_snapshot, ifnull(length(bytes), -1),
            ifnull((SELECT length(b.bytes) FROM blobs b WHERE b.id = blob), -1)) FROM journal ORDER BY handler, seq";
        assert_eq!(texts(journal), "5 0 1 -1 161; 5 1 0 160 -1; 6 0 0 2 -1");
        let feed = "SELECT format('%d %d %d %d %d %d', handler, first, next, version, ifnull(length(events), -1),
            ifnull((SELECT length(bytes) FROM blobs WHERE id = blob), -1)) FROM feed ORDER BY handler, first";
        assert_eq!(texts(feed), "5 7 9 1 -1 3000; 5 9 10 1 1 -1; 6 0 2 1 -1 4000");
        let handler = "SELECT format('%s %s %s %s %s %d %d %d', id, error, hex(tail), hex(journal), hex(state),
            kept_from, kept_from_bytes, next) FROM handlers WHERE key = 5";
        assert_eq!(texts(handler), "five wrong 08 09 0A 11 12 7");
        assert_eq!(texts("SELECT format('%d %s', id, hex(graph)) FROM versions"), "1 07");
        assert_eq!(texts("SELECT format('%d', count(*)) FROM blobs"), "3");
    }

    #[test]
    fn a_large_state_stays_in_its_row_until_its_handler_is_continued() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate_with(&mut connection, &MIGRATIONS[..4]).expect("version 4");
        let row = "INSERT INTO handlers (key, version, run, run_id, started_us, updated_us, first, cursor, tail_first,
            next, tail, state) VALUES (5, 1, 0, x'05', 1, 2, 3, 4, 6, 7, x'08', zeroblob(9000))";
        connection.execute(row, []).expect("a row");
        assert_eq!(migrate(&mut connection).expect("this version"), 4);
        let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
        assert_eq!(count("SELECT length(state) FROM handlers WHERE key = 5"), 9_000);
        assert_eq!(count("SELECT count(*) FROM states"), 0);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate_with(&mut connection, &[VERSION_1]).expect("version 1");
        let bad = [VERSION_1, "DROP TABLE names; ALTER TABLE nothing ADD COLUMN more"];
        assert!(migrate_with(&mut connection, &bad).is_err());
        assert_eq!(version(&connection), 1);
        connection.execute("INSERT INTO names VALUES ('mine', 7)", []).expect("the table is still there");
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).expect("a header");
        assert!(matches!(migrate(&mut connection), Err(SqliteFault::Newer(version)) if version == SCHEMA_VERSION + 1));
        assert_eq!(version(&connection), SCHEMA_VERSION + 1);
    }
}
