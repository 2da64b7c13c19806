//! What may block without blocking the server: a stderr or stdout that nobody reads, a disk that hangs.

use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter, Write},
    os::unix::net::UnixStream,
    process::{Child, ExitStatus},
    thread,
};

use super::*;
use crate::support::within;

/// Returns a full pipe that nobody reads while its first end exists.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("one more end");
    thread::spawn(move || while filler.write_all(&[b'x'; 4_096]).is_ok() {});
    (reader, writer)
}

#[track_caller]
fn ends(mut child: Child) -> ExitStatus {
    within(move || child.wait().expect("it is our child"))
}

fn signal(child: &Child) {
    let status = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
}

#[test]
fn a_log_that_nobody_reads_blocks_neither_requests_nor_the_stop() {
    let (_reader, stderr) = full_pipe();
    let mut command = Program::command(&[]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(stderr).spawn().expect("it starts");
    drop(command);
    let mut ready = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut ready).expect("the ready line");
    let host = ready.trim().strip_prefix("steprill listening on http://").expect("TCP").to_owned();
    let connect = || Connection::tcp(TcpStream::connect(&host).expect("the port is open"), &host);
    // More lines than fit into the queue.
    let mut connection = connect();
    for _ in 0..50 {
        let run = connection.request("POST", "/workflows/error/run", &[], Some(b"{}"));
        assert_eq!(run.status, 500);
    }
    assert_eq!(connect().request("GET", "/health", &[], None).text(), r#"{"status":"healthy"}"#);
    signal(&child);
    assert_eq!(ends(child).code(), Some(0));
}

#[test]
fn a_ready_line_that_nobody_reads_does_not_block_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("steprill.sock");
    let (_reader, stdout) = full_pipe();
    let mut command = Program::command(&["--listen", &format!("unix:{}", path.display())]);
    let child = command.stdout(stdout).spawn().expect("it starts");
    drop(command);
    let begun = Instant::now();
    let socket = loop {
        match UnixStream::connect(&path) {
            Ok(socket) => break socket,
            Err(_) => assert!(begun.elapsed() < PATIENCE, "it does not listen"),
        }
    };
    assert_eq!(Connection::unix(socket).request("GET", "/health", &[], None).status, 200);
    signal(&child);
    assert_eq!(ends(child).code(), Some(0));
}

#[cfg(all(target_os = "linux", feature = "sqlite"))]
#[test]
fn a_second_signal_ends_a_server_whose_disk_hangs() {
    use crate::support::Disk;

    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("a path of characters");
    let mut command = Program::command(&["--data", data, "--grace", "0"]);
    let disk = Disk::under(&mut command);
    let program = Program::spawned(&mut command);
    assert!(!program.finish("echo", json!({})).is_empty());
    disk.hang();
    let mut caller = program.connect();
    caller.send("POST", "/workflows/echo/run", &[], Some(b"{}"));
    assert_eq!(program.get("/health").status, 200, "the disk blocks only requests that need it");
    program.signal("TERM");
    // The first signal has been handled once the server no longer listens. Without grace, the loop then waits for the
    // store.
    let begun = Instant::now();
    while TcpStream::connect(program.host()).is_ok() {
        assert!(begun.elapsed() < PATIENCE);
    }
    program.signal("TERM");
    let (status, text) = program.wait();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(begun.elapsed().as_secs() < 4, "at once, and not when the store is given up");
}

/// Returns the milliseconds of CPU time that a process has used.
#[cfg(all(target_os = "linux", feature = "sqlite"))]
fn cpu_ms(program: &Program) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid())).expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("the name in brackets");
    // The 14th and 15th field, in hundredths of a second.
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number") * 10).sum()
}

#[cfg(all(target_os = "linux", feature = "sqlite"))]
#[test]
fn a_request_that_waits_for_a_commit_takes_no_cpu() {
    use crate::support::Disk;

    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Program::command(&["--data", directory.path().to_str().expect("a path of characters")]);
    let disk = Disk::under(&mut command);
    let program = Program::spawned(&mut command);
    let handler = program.begin("interactive", json!({}));
    disk.hang();
    let (mut canceller, mut waiting) = (program.connect(), program.connect());
    canceller.send("POST", &format!("/handlers/{handler}/cancel"), &[], Some(b"{}"));
    assert_eq!(program.get("/health").status, 200, "the cancel was read");
    // Whether it is too late for this is known once the cancel is committed or has failed.
    let answer = json!({"event": {"type": "ExternalEvent", "value": {"response": "late"}}}).to_string();
    waiting.send("POST", &format!("/events/{handler}"), &[], Some(answer.as_bytes()));
    assert_eq!(program.get("/health").status, 200, "the event was read");
    let before = cpu_ms(&program);
    thread::sleep(std::time::Duration::from_millis(500));
    let used = cpu_ms(&program) - before;
    assert!(used < 200, "{used} ms of CPU in half a second");
    program.kill();
}
