//! No room to write: refused, not acknowledged, not lost, and over when there is room.

use std::time::Instant;

use super::*;

/// What keeps a program from writing, and lets it again.
trait Wall {
    fn raise(&self, program: &Program);
    fn lower(&self, program: &Program);
}

/// A bound on the size of files, as `ulimit -f` sets it: at 0 no file takes a byte.
struct FileSize;

impl Wall for FileSize {
    fn raise(&self, program: &Program) {
        limit(program, "0:unlimited");
    }

    fn lower(&self, program: &Program) {
        limit(program, "unlimited");
    }
}

fn limit(program: &Program, bytes: &str) {
    let mut command = Command::new("prlimit");
    let status = command.args(["--pid", &program.pid().to_string(), &format!("--fsize={bytes}")]).status();
    assert!(status.expect("prlimit is there").success());
}

/// A small file system, filled to its last byte.
struct Disk {
    directory: TempDir,
}

impl Disk {
    /// Nothing where mounting is not allowed.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=2m", "steprill", text(directory.path())]).stderr(Stdio::null());
        let is_mounted = command.status().is_ok_and(|status| status.success());
        is_mounted.then_some(Self { directory })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", text(self.directory.path())]).status();
    }
}

impl Wall for Disk {
    fn raise(&self, _: &Program) {
        let ballast = fs::File::create(self.directory.path().join("ballast")).expect("a file");
        let full =
            std::iter::repeat_with(|| (&ballast).write_all(&[0; 512])).find_map(Result::err).expect("it is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn lower(&self, _: &Program) {
        fs::remove_file(self.directory.path().join("ballast")).expect("it is there");
    }
}

#[test]
fn what_cannot_be_written_is_refused_until_it_can() {
    let directory = tempfile::tempdir().expect("a directory");
    check(directory.path(), &FileSize, 500);
}

#[test]
fn what_a_full_disk_has_no_room_for_is_refused_until_it_has() {
    match Disk::mount() {
        Some(disk) => check(disk.directory.path(), &disk, 507),
        None => eprintln!("no file system can be mounted here: a bound on files' size stands for it alone"),
    }
}

/// Plays a program's day on a disk that is full for a while. `status`: of what is refused.
fn check(directory: &Path, wall: &impl Wall, status: u16) {
    let program = start(directory, &[]);
    let waiting = begin(&program, "interactive", &json!({}));
    let cancelled = begin(&program, "sleepy", &json!({}));
    let finished = echo(&program);
    let streaming = begin(&program, "streaming", &json!({ "count": 8, "delay_ms": 100 }));
    let flaky = begin(&program, "flaky", &json!({ "failures": 2 }));
    let fan_out = begin(&program, "fan_out", &json!({ "items": [1, 2, 3, 4, 5, 6], "delay_ms": 150 }));
    let acknowledged = listed(&program);
    assert_eq!(acknowledged, [&waiting, &cancelled, &finished, &streaming, &flaky, &fan_out].map(String::clone));

    wall.raise(&program);
    let begun = Instant::now();
    // Long enough for what is under way to end and to be offered again a few times.
    while begun.elapsed().as_secs() < 3 {
        let named = json!({ "handler_id": "chosen", "context": { "version": 1 }, "start_event": {} });
        refused(&program.post("/workflows/echo/run", &json!({})), status);
        refused(&program.post("/workflows/echo/run-nowait", &json!({})), status);
        refused(&program.post("/workflows/echo/run-nowait", &named), status);
        refused(&program.post(&format!("/events/{waiting}"), &answer("lost")), status);
        refused(&program.post_text(&format!("/handlers/{cancelled}/cancel"), ""), status);
        refused(&program.post_text(&format!("/handlers/{finished}/cancel?purge=true"), ""), status);
        assert_eq!(program.get("/health").status, 200);
        assert_eq!(program.get(&format!("/results/{finished}")).json()["result"], "processed: default");
        assert_eq!(program.get(&format!("/events/{finished}?after_sequence=-1")).status, 200);
        assert_eq!(program.get(&format!("/handlers/{waiting}")).status, 202);
        assert_eq!(program.get(&format!("/handlers/{cancelled}")).status, 202);
        assert_eq!(listed(&program), acknowledged);
    }

    wall.lower(&program);
    let lowered = Instant::now();
    while program.post("/workflows/echo/run-nowait", &json!({ "start_event": { "message": "again" } })).status != 200 {
        assert!(lowered.elapsed() < PATIENCE, "it does not recover");
    }
    // A run that went back rests for a moment.
    let retry = |what: &dyn Fn() -> Response| {
        let begun = Instant::now();
        while what().status != 200 {
            assert!(begun.elapsed() < PATIENCE, "{:?}", what());
        }
    };
    retry(&|| program.post(&format!("/events/{waiting}"), &answer("found")));
    retry(&|| program.post_text(&format!("/handlers/{cancelled}/cancel"), ""));
    let ends = |program: &Program| {
        assert_eq!(result(program, &waiting), "received: found");
        assert_eq!(result(program, &streaming), "completed_8_events");
        assert_eq!(result(program, &flaky), 3);
        assert_eq!(result(program, &fan_out), json!([1, 4, 9, 16, 25, 36]));
        let events = |id: &str, name: &str| feed(program, id).iter().filter(|event| event["type"] == *name).count();
        assert_eq!(events(&streaming, "StreamEvent"), 8, "what was shown is shown once");
        assert_eq!(events(&fan_out, "ItemDone"), 6);
        let attempts = feed(program, &flaky).iter().filter(|event| event["value"]["step_state"] == "running").count();
        assert_eq!(attempts, 3, "no attempt is made twice");
        assert_eq!(program.get(&format!("/handlers/{cancelled}")).json()["status"], "cancelled");
        assert_eq!(program.get("/handlers/chosen").status, 404);
        let listed = listed(program);
        assert_eq!((&listed[..6], listed.len()), (&acknowledged[..], 7));
    };
    ends(&program);
    let log = program.kill();
    let complaints = log.lines().filter(|line| line.contains(" ERROR ") || line.contains(" WARN ")).count();
    assert_eq!(complaints, 1, "said, and not again and again: {log}");
    ends(&start(directory, &[]));
}

#[track_caller]
fn begin(program: &Program, workflow: &str, start: &Value) -> String {
    program.begin(workflow, start.clone())
}

fn answer(text: &str) -> Value {
    json!({ "event": { "type": "ExternalEvent", "value": { "response": text } } })
}

#[track_caller]
fn refused(reply: &Response, status: u16) {
    // 507 too for a run that rests, whatever the reason.
    assert!([status, 507].contains(&reply.status), "{reply:?}");
    assert!(reply.text().starts_with("The server cannot store this now"), "{}", reply.text());
}

/// The whole feed of a run that ends.
#[track_caller]
fn feed(program: &Program, id: &str) -> Vec<Value> {
    let reply = program.get(&format!("/events/{id}?sse=false&include_internal=true&after_sequence=-1"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.events()
}

/// The result of a run, when it has ended.
#[track_caller]
fn result(program: &Program, id: &str) -> Value {
    feed(program, id);
    program.get(&format!("/results/{id}")).json()["result"].clone()
}
