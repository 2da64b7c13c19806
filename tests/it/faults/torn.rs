//! A log whose tail did not reach the disk: only what was not synced is lost.

use super::*;

#[test]
fn a_torn_log_loses_its_tail_at_most() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = start(directory.path(), &[]);
    let acknowledged: Vec<String> = (0..30).map(|_| echo(&program)).collect();
    program.kill();
    let log = fs::read(directory.path().join("steprill.db-wal")).expect("a log");
    let length = log.len();
    assert!(length > 20_000, "the log has the runs: {length} bytes");
    let cut = |bytes: usize| log[..length - bytes].to_vec();
    let flipped = |place: usize| {
        let mut log = log.clone();
        log[place] ^= 0x40;
        log
    };
    let behind = [&log[..], &[0x5A; 3_000]].concat();
    let mut fewest = acknowledged.len();
    for (torn, may_lose) in [
        (behind, false),
        (cut(1), true),
        (cut(700), true),
        (cut(5_000), true),
        (cut(length / 2), true),
        (flipped(length - 1), true),
        (flipped(length - 1_100), true),
        (flipped(length / 3), true),
    ] {
        let copied = tempfile::tempdir().expect("a directory");
        copy(directory.path(), copied.path());
        // The memory shared by processes is created anew after a loss of power.
        let _ = fs::remove_file(copied.path().join("steprill.db-shm"));
        fs::write(copied.path().join("steprill.db-wal"), torn).expect("there is room");
        let program = start(copied.path(), &[]);
        let left = listed(&program);
        assert_eq!(left, acknowledged[..left.len()], "what is left is what was first");
        assert!(may_lose || left == acknowledged);
        fewest = fewest.min(left.len());
        for id in &left {
            let result = program.get(&format!("/results/{id}"));
            // The end of the last run may be lost; it is then reached again.
            assert!(matches!(result.status, 200 | 202), "{}", result.text());
            assert_eq!(program.get(&format!("/events/{id}?after_sequence=-1")).status, 200);
            assert_eq!(program.get(&format!("/results/{id}")).json()["result"], "processed: default");
        }
        let next = echo(&program);
        assert!(!acknowledged[..left.len()].contains(&next));
        program.kill();
        assert_eq!(listed(&start(copied.path(), &[])), [&left[..], &[next]].concat());
    }
    assert!(fewest < acknowledged.len(), "some of these have torn something");
}
