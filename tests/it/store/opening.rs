//! What a data directory may contain, and the errors if it contains something else.

use std::{collections::BTreeMap, fs, path::PathBuf};

use steprill::store::sqlite::{Inspector, backup};

use super::*;

/// Returns every file with its bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(directory).expect("a directory").flatten();
    files.map(|file| (file.path(), fs::read(file.path()).unwrap_or_default())).collect()
}

/// Checks that opening, inspection and backup are refused with a line that has all these words, and change nothing.
#[track_caller]
fn check_refused(directory: &Path, words: &[&str]) {
    let before = contents(directory);
    let Err(error) = Kit::open_with(directory, &[graph()]) else { panic!("it was opened") };
    let lines = [
        error.to_string(),
        Inspector::open(directory).map_or_else(|error| error.to_string(), |_| panic!("it was opened")),
        backup(directory, &directory.join("copy")).map_or_else(|error| error.to_string(), |()| panic!("it was copied")),
    ];
    for line in lines {
        assert!(words.iter().all(|word| line.contains(word)), "expected {words:?} in: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    assert_eq!(contents(directory), before, "something was touched");
}

fn with_file(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join(name), bytes).expect("a file");
    directory
}

#[test]
fn what_is_no_database_is_refused_and_not_touched() {
    for bytes in [&b"hello"[..], &[0; 4_096], b"", b"SQLite format 3\0 and no more"] {
        check_refused(with_file("steprill.db", bytes).path(), &["steprill.db is not a database", "another directory"]);
    }
}

#[test]
fn another_programs_database_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    other.execute_batch("CREATE TABLE theirs (id INTEGER); PRAGMA application_id = 7").expect("a table");
    other.close().expect("it closes");
    check_refused(directory.path(), &["the database of another program"]);
}

/// A data directory that says it has this version.
fn of_version(version: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    Kit::open(directory.path()).complete_one();
    let database = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    let change = format!("PRAGMA user_version = {version}; PRAGMA wal_checkpoint(TRUNCATE)");
    database.execute_batch(&change).expect("a version");
    database.close().expect("it closes");
    directory
}

#[test]
fn a_newer_database_is_refused_and_not_touched() {
    let directory = of_version(1_000);
    check_refused(directory.path(), &["has version 1000", "knows versions up to 6", "use a newer steprill"]);
}

#[test]
fn an_older_database_is_not_called_damaged() {
    let directory = of_version(3);
    let error = Inspector::open(directory.path()).map_or_else(|error| error.to_string(), |_| String::new());
    assert!(error.contains("has version 3") && error.contains("start this server on it once"), "{error}");
}

#[test]
fn a_log_without_its_database_is_refused_and_not_touched() {
    check_refused(with_file("steprill.db-wal", b"a log").path(), &["it is missing, and its log", "is there"]);
}

#[test]
fn a_database_without_its_tables_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    Kit::open(directory.path()).complete_one();
    let other = rusqlite::Connection::open(directory.path().join("steprill.db")).expect("a database");
    other.execute_batch("DROP TABLE places").expect("a table less");
    other.close().expect("it closes");
    let Err(error) = Kit::open_with(directory.path(), &[graph()]) else { panic!("it was opened") };
    assert!(error.to_string().contains("is damaged (no such table: places"), "{error}");
}

#[test]
fn a_second_server_is_refused_and_the_first_continues() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    kit.complete_one();
    let before = contents(directory.path());
    let Err(error) = Kit::open_with(directory.path(), &[graph()]) else { panic!("it was opened twice") };
    assert!(error.to_string().contains("is in use by another server: stop that one"), "{error}");
    assert_eq!(contents(directory.path()), before);
    kit.complete_one();
    drop(kit);
    assert_eq!(Kit::open(directory.path()).beginning.finished, 2);
}

#[test]
fn a_directory_that_cannot_be_created_is_reported() {
    let file = with_file("file", b"");
    let Err(error) = Kit::open_with(&file.path().join("file").join("data"), &[graph()]) else {
        panic!("it was opened")
    };
    let line = error.to_string();
    assert!(line.contains("file/data") && line.contains("cannot be used") && line.contains("permissions"), "{line}");
}

#[test]
fn a_new_directory_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("some").join("data");
    let mut kit = Kit::open(&data);
    kit.complete_one();
    for name in ["", "lock", "steprill.db", "steprill.db-wal"] {
        let mode = fs::metadata(data.join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn remains_of_an_interrupted_start_are_no_obstacle() {
    let directory = with_file("steprill.db.new", b"half a database");
    Kit::open(directory.path()).complete_one();
    let kit = Kit::open(directory.path());
    assert_eq!((kit.beginning.secret, kit.beginning.finished), (SECRET, 1));
    assert!(!directory.path().join("steprill.db.new").exists());
}

#[test]
fn graphs_that_are_no_longer_registered_come_after_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let graphs = ["a: S -> T ~ E", "a: S -> T ~ D|E", "b: S -> T ~ E"].map(graph_of);
    let stored_of = |graph: &Arc<Graph>| graph.to_stored();
    let names = |kit: &Kit| kit.graphs.iter().map(stored_of).collect::<Vec<_>>();
    let stored = graphs.each_ref().map(stored_of);
    let mut kit = Kit::open_with(directory.path(), &graphs[..1]).expect("a store");
    assert_eq!(names(&kit), stored[..1]);
    let done = kit.complete_one();
    drop(kit);
    let mut kit = Kit::open_with(directory.path(), &graphs[1..2]).expect("a store");
    assert_eq!(names(&kit), [stored[1].clone(), stored[0].clone()]);
    assert_eq!(kit.handler(0).expect("a handler").handler.workflow, WorkflowId(1));
    assert_eq!(kit.page(done, 0, 9, 1_000).1, Some(1));
    drop(kit);
    let kit = Kit::open_with(directory.path(), &graphs[2..]).expect("a store");
    assert_eq!(names(&kit), [stored[2].clone(), stored[0].clone(), stored[1].clone()]);
    drop(kit);
    let mut kit = Kit::open_with(directory.path(), &graphs[..1]).expect("a store");
    assert_eq!(names(&kit), [stored[0].clone(), stored[1].clone(), stored[2].clone()]);
    assert_eq!(kit.page(done, 0, 9, 1_000).1, Some(0));
}

#[test]
fn many_graphs_with_no_stored_runs_are_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    for number in 0..80 {
        let mut kit =
            Kit::open_with(directory.path(), &[graph_of(&format!("a{number}: S -> T ~ E"))]).expect("a store");
        if number == 3 {
            kit.complete_one();
        }
        assert!(kit.graphs.len() <= 2 + steprill::limits::VERSIONS_UNUSED_MAX, "{}", kit.graphs.len());
    }
    let mut kit = Kit::open(directory.path());
    let stored = kit.handler(0).expect("the handler").handler;
    assert_eq!(*kit.graphs[usize::from(stored.workflow.0)].steps[0].name, *"a3");
}

#[test]
fn durabilities_have_names() {
    let names = ["full", "normal", "off"].map(str::parse::<Durability>);
    assert_eq!(names, [Ok(Durability::Full), Ok(Durability::Normal), Ok(Durability::Off)]);
    let error = "fast".parse::<Durability>().expect_err("there is none");
    assert_eq!(error.to_string(), "expected full, normal or off, got \"fast\"");
}
