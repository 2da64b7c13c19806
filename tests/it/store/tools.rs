//! Looking into a database and copying it, beside a running server and without one.

use std::fs;

use steprill::store::{
    Inspect as _,
    sqlite::{Inspector, backup},
};

use super::*;

#[test]
fn a_backup_beside_a_running_server_is_consistent_and_serves_as_a_database() {
    let (directory, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut kit = Kit::open(directory.path());
    for _ in 0..300 {
        kit.complete_one();
    }
    let mut batch = kit.batch();
    let run = kit.begin(&mut batch);
    kit.commit(batch);
    let file = copy.path().join("steprill.db");
    let (path, target) = (directory.path().to_owned(), file.clone());
    let copying = std::thread::spawn(move || backup(&path, &target));
    while !copying.is_finished() {
        kit.complete_one();
    }
    copying.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    let mut copied = Kit::open(copy.path());
    assert!((300..=kit.next_handler as usize).contains(&copied.beginning.finished), "{:?}", copied.beginning);
    // Each run has begun in one commit and ended in another.
    let running: Vec<HandlerKey> = copied.recover().iter().map(|stored| stored.handler.key).collect();
    assert!(running.contains(&run.handler) && running.len() <= 2, "{running:?}");
    assert_eq!(copied.list(None, 100_000).len(), copied.beginning.finished + running.len());
    copied.now = kit.now;
    copied.complete_one();
}

#[test]
fn a_backup_replaces_nothing_and_leaves_nothing_half_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("copy.db");
    let error = backup(directory.path(), &file).expect_err("there is no database");
    assert!(error.to_string().contains("there is no steprill.db in it"), "{error}");
    assert!(!file.exists());
    Kit::open(directory.path()).complete_one();
    fs::write(&file, "mine").expect("a file");
    let error = backup(directory.path(), &file).expect_err("the file exists");
    assert!(error.to_string().contains("copy.db exists"), "{error}");
    assert_eq!(fs::read(&file).expect("a file"), b"mine");
    fs::remove_file(&file).expect("it goes");
    backup(directory.path(), &file).unwrap_or_else(|error| panic!("{error}"));
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).expect("files").flatten().map(|file| file.file_name()).collect();
    names.sort();
    assert_eq!(names, ["copy.db", "lock", "steprill.db"], "nothing else is left behind");
}

#[test]
fn the_remains_of_a_killed_backup_are_replaced_and_a_copy_that_is_moved_away_stays_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, part) = (directory.path().join("copy.db"), directory.path().join("copy.db.part"));
    let moved = directory.path().join("moved.db");
    Kit::open(directory.path()).complete_one();
    fs::write(&part, "half a copy").expect("a file");
    let other = fs::File::open(&part).expect("a file");
    other.lock().expect("a lock");
    let error = backup(directory.path(), &file).expect_err("another backup is under way");
    assert!(error.to_string().contains("copy.db.part is in use"), "{error}");
    assert!(part.exists() && !file.exists());
    drop(other);
    backup(directory.path(), &file).unwrap_or_else(|error| panic!("{error}"));
    assert!(!part.exists());
    let copied = fs::read(&file).expect("a copy");
    // A backup may be killed when its copy has both names, and the copy be moved then.
    fs::rename(&file, &moved).expect("it moves");
    fs::hard_link(&moved, &part).expect("a second name");
    backup(directory.path(), &file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read(&moved).expect("the moved copy"), copied);
    assert_eq!(fs::read(&file).expect("the new copy").len(), copied.len());
}

#[test]
fn an_inspection_sees_what_is_stored_and_writes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kit = Kit::open(directory.path());
    kit.complete_one();
    let mut batch = kit.batch();
    let failed = kit.begin(&mut batch);
    fail(&mut batch, failed, "it broke");
    kit.commit(batch);
    let files = || {
        let files = fs::read_dir(directory.path()).expect("files").flatten();
        let mut files: Vec<_> = files
            .map(|file| (file.file_name(), fs::read(file.path()).unwrap_or_default()))
            .filter(|(name, _)| !name.to_string_lossy().ends_with("-shm"))
            .collect();
        files.sort();
        files
    };
    let check = |is_running: bool| {
        let before = files();
        let inspector = Inspector::open(directory.path()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(inspector.secret(), SECRET);
        assert_eq!(inspector.graphs().len(), 1);
        assert_eq!(inspector.handlers(None, 1).expect("a list").0.len(), 1);
        assert_eq!(inspector.handlers(Some(HandlerKey(0)), 9).expect("a list").0.len(), 1);
        let stored = inspector.handler(&HandlerAddress::Key(failed.handler)).expect("it is read").expect("it is there");
        assert_eq!(stored.journal.records.len(), 1, "the journal of a failed run is stored");
        assert_eq!(files(), before, "running: {is_running}");
    };
    check(true);
    drop(kit);
    check(false);
    assert!(!directory.path().join("steprill.db-shm").exists());
}

#[test]
fn a_directory_with_any_name_can_be_used_inspected_and_copied() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["100% of what? #1 \u{fc}", "file:data", "file:x?mode=memory", ":memory:", "two\nlines", "a%20b"] {
        let data = directory.path().join(name);
        Kit::open(&data).complete_one();
        let inspector = Inspector::open(&data).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(inspector.handlers(None, 9).expect("a list").0.len(), 1, "{name}");
        assert!(data.join("steprill.db").exists(), "{name}");
        let copy = directory.path().join("copies").join(name);
        fs::create_dir_all(&copy).expect("a directory");
        backup(&data, &copy.join("steprill.db")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Kit::open(&copy).beginning.finished, 1, "{name}");
    }
}
