//! Data directories that cannot be used: one clear line, exit code 1, and nothing is touched.

use std::os::unix::{
    fs::{MetadataExt, PermissionsExt},
    process::CommandExt,
};

use super::*;

/// Returns a directory that a program has used and left in an orderly way.
fn used() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let program = start(directory.path(), &[]);
    echo(&program);
    program.signal("TERM");
    assert_eq!(program.wait().0.code(), Some(0));
    directory
}

/// Checks that the program refuses the directory and leaves it unchanged.
#[track_caller]
fn check(directory: &Path, names: &[&str]) {
    let before = contents(directory);
    let mut command = Program::command(&["--listen", "127.0.0.1:0", "--data", text(directory)]);
    refuses(&mut command, names);
    let after = contents(directory);
    assert!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
    assert!(before == after, "a file was changed");
}

/// Changes a big-endian number in the header of the directory's database.
fn set_header(directory: &Path, place: usize, number: u32) {
    let path = directory.join("steprill.db");
    let mut bytes = fs::read(&path).expect("a database");
    bytes[place..place + 4].copy_from_slice(&number.to_be_bytes());
    fs::write(path, bytes).expect("there is room");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let directory = used();
    set_header(directory.path(), 60, 1_000);
    check(directory.path(), &["steprill.db", "1000", "newer"]);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let directory = used();
    set_header(directory.path(), 68, 7);
    check(directory.path(), &["steprill.db", "another program"]);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    for bytes in [&b""[..], b"notes", &[b'x'; 5_000]] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("steprill.db"), bytes).expect("there is room");
        check(directory.path(), &["steprill.db", "not a database"]);
    }
}

#[test]
fn a_log_without_its_database_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("steprill.db-wal"), b"what was not copied yet").expect("there is room");
    check(directory.path(), &["steprill.db", "missing"]);
}

#[test]
fn a_file_in_place_of_the_directory_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    fs::write(&path, b"notes").expect("there is room");
    refuses(&mut Program::command(&["--listen", "127.0.0.1:0", "--data", text(&path)]), &["data"]);
    assert_eq!(fs::read(&path).expect("it is there"), b"notes");
}

#[test]
fn a_directory_that_another_server_uses_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = start(directory.path(), &[]);
    let before = echo(&first);
    let names: Vec<String> = contents(directory.path()).into_keys().collect();
    let mut second = Program::command(&["--listen", "127.0.0.1:0", "--data", text(directory.path())]);
    refuses(&mut second, &[text(directory.path()), "in use"]);
    assert!(contents(directory.path()).into_keys().eq(names));
    let after = echo(&first);
    assert_eq!(listed(&first), [before, after]);
    first.kill();
    // The lock was that of the process, not a file that stays.
    assert_eq!(listed(&start(directory.path(), &[])).len(), 2);
}

#[test]
fn a_directory_without_room_for_a_database_ends_the_program_with_a_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("prlimit");
    command.arg("--fsize=1000").arg(Program::path());
    command.args(["--listen", "127.0.0.1:0", "--data", text(directory.path())]);
    refuses(command.stdin(Stdio::null()).stdout(Stdio::null()), &[text(directory.path())]);
    // An incomplete database does not count.
    echo(&start(directory.path(), &[]));
}

#[test]
fn a_directory_that_cannot_be_written_is_left_alone() {
    let used = used();
    // Permissions do not apply to root, so the program runs as the user `nobody`, from a place that this user can
    // reach.
    let is_root = fs::metadata("/proc/self").expect("a process").uid() == 0;
    let place = tempfile::tempdir().expect("a directory");
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    open(place.path(), 0o755);
    let program = place.path().join("conformance");
    fs::copy(Program::path(), &program).expect("there is room");
    open(&program, 0o755);
    for (name, is_used) in [("empty", false), ("used", true)] {
        let directory = place.path().join(name);
        fs::create_dir(&directory).expect("there is room");
        if is_used {
            copy(used.path(), &directory);
            for file in contents(&directory).into_keys() {
                open(&directory.join(file), 0o444);
            }
        }
        open(&directory, 0o555);
        let before = contents(&directory);
        let mut command = Command::new(&program);
        command.args(["--listen", "127.0.0.1:0", "--data", text(&directory)]);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        refuses(command.stdin(Stdio::null()).stdout(Stdio::null()), &[name, "ermission"]);
        assert!(contents(&directory) == before, "{name} was changed");
        open(&directory, 0o755);
    }
}

const NOBODY: u32 = 65_534;
