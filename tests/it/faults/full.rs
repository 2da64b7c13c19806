//! No room to write: requests are refused, nothing is acknowledged or lost, and the server continues once there is
//! room.

use std::time::Instant;

use super::*;

/// Keeps a program from writing, and lets it write again.
trait Wall {
    fn raise(&self, program: &Program);
    fn lower(&self, program: &Program);
}

/// A limit on the size of files, as set by `ulimit -f`: with 0, no file can grow.
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
    /// Returns nothing where mounting is not allowed.
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

#[test]
fn a_caller_whose_run_can_no_longer_be_stored_learns_where_its_result_will_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = start(directory.path(), &[]);
    let mut caller = program.connect();
    let body = json!({ "handler_id": "chosen", "context": { "version": 1 }, "start_event": { "delay_ms": 500 } });
    caller.send("POST", "/workflows/sleepy/run", &[], Some(body.to_string().as_bytes()));
    while listed(&program).is_empty() {}
    FileSize.raise(&program);
    let told = caller.head();
    let text = String::from_utf8(caller.rest()).expect("UTF-8");
    assert_eq!((told.status, told.header("location")), (503, Some("/handlers/chosen")), "{text}");
    assert!(told.header("retry-after").is_some());
    assert!(text.contains("GET /handlers/chosen tells the result"), "{text}");
    assert_eq!(program.get("/handlers/chosen").status, 202);
    let refused = caller.request("POST", "/workflows/sleepy/run", &[], Some(b""));
    assert_eq!(refused.status, 500, "the connection continues, and this run has not begun: {}", refused.text());
    FileSize.lower(&program);
    assert_eq!(result(&program, "chosen"), "slept 500");
}

/// Uses a program on a disk that is full for a while. `status` is that of refused requests.
fn check(directory: &Path, wall: &impl Wall, status: u16) {
    let program = start(directory, &[]);
    let mut day = Day::begin(&program);
    wall.raise(&program);
    day.use_rests_up(&program);
    // Long enough for running work to end and to be retried a few times.
    let begun = Instant::now();
    while begun.elapsed().as_secs() < 3 {
        // The store frees room now and then, and a run that fits waits for room for its end.
        day.use_rests_up(&program);
        day.check_full(&program, status);
    }
    wall.lower(&program);
    day.go_on(&program);
    assert_eq!(program.get("/health").json()["status"], "healthy");
    day.check_ends(&program);
    let log = program.kill();
    // The retried steps are logged, too.
    let complains =
        |line: &&str| line.contains(" ERROR ") || (line.contains(" WARN ") && !line.contains("attempt failed"));
    let complaints = log.lines().filter(complains).count();
    assert_eq!(complaints, 1, "logged once, not repeatedly: {log}");
    let again = log.lines().filter(|line| line.contains(" INFO the store works again")).count();
    assert_eq!(again, 1, "{log}");
    day.check_ends(&start(directory, &[]));
}

/// The handlers of a test: all that were acknowledged, and some of them by what happens to them.
struct Day {
    waiting: String,
    cancelled: String,
    finished: String,
    streaming: String,
    flaky: String,
    fan_out: String,
    /// Runs with open questions, and how many of them are answered.
    spare: Vec<String>,
    answered: usize,
    acknowledged: Vec<String>,
}

impl Day {
    fn begin(program: &Program) -> Self {
        let mut day = Self {
            waiting: begin(program, "interactive", &json!({})),
            cancelled: begin(program, "sleepy", &json!({})),
            finished: echo(program),
            streaming: begin(program, "streaming", &json!({ "count": 8, "delay_ms": 100 })),
            flaky: begin(program, "flaky", &json!({ "failures": 2 })),
            fan_out: begin(program, "fan_out", &json!({ "items": [1, 2, 3, 4, 5, 6], "delay_ms": 150 })),
            spare: (0..16).map(|_| begin(program, "interactive", &json!({}))).collect(),
            answered: 0,
            acknowledged: Vec::new(),
        };
        let begun = [&day.waiting, &day.cancelled, &day.finished, &day.streaming, &day.flaky, &day.fan_out];
        day.acknowledged = [&begun.map(String::clone)[..], &day.spare].concat();
        assert_eq!(listed(program), day.acknowledged);
        day
    }

    /// Uses up the little room that the last page of a file may have.
    fn use_rests_up(&mut self, program: &Program) {
        loop {
            let event = answer("spare");
            let is_answered = program.post(&format!("/events/{}", self.spare[self.answered]), &event).status == 200;
            self.answered += usize::from(is_answered);
            let begun = program.post("/workflows/echo/run-nowait", &json!({}));
            if begun.status == 200 {
                self.acknowledged.push(begun.json()["handler_id"].as_str().expect("an id").to_owned());
            } else if !is_answered {
                return;
            }
        }
    }

    /// Checks that everything that needs room is refused, and everything else continues.
    fn check_full(&self, program: &Program, status: u16) {
        let Self { waiting, cancelled, finished, .. } = self;
        let named = json!({ "handler_id": "chosen", "context": { "version": 1 }, "start_event": {} });
        refused(&program.post("/workflows/echo/run", &json!({})), status);
        let health = program.get("/health");
        let reason = health.json()["reasons"][0].as_str().unwrap_or_default().to_owned();
        assert!(reason.starts_with("the last commit failed, and what cannot be stored is refused: "), "{health:?}");
        assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
        refused(&program.post("/workflows/echo/run-nowait", &json!({})), status);
        refused(&program.post("/workflows/echo/run-nowait", &named), status);
        refused(&program.post(&format!("/events/{waiting}"), &answer("lost")), status);
        refused(&program.post_text(&format!("/handlers/{cancelled}/cancel"), ""), status);
        refused(&program.post_text(&format!("/handlers/{finished}/cancel?purge=true"), ""), status);
        assert_eq!(program.get(&format!("/results/{finished}")).json()["result"], "processed: default");
        assert_eq!(program.get(&format!("/events/{finished}?after_sequence=-1")).status, 200);
        assert_eq!(program.get(&format!("/handlers/{waiting}")).status, 202);
        assert_eq!(program.get(&format!("/handlers/{cancelled}")).status, 202);
        assert_eq!(listed(program), self.acknowledged);
    }

    /// Repeats what was refused until it is accepted: a run that was rolled back backs off for a moment.
    fn go_on(&mut self, program: &Program) {
        let retry = |ask: &dyn Fn() -> Response| {
            let begun = Instant::now();
            loop {
                let reply = ask();
                if reply.status == 200 {
                    return reply;
                }
                assert!(begun.elapsed() < PATIENCE, "it does not recover: {reply:?}");
            }
        };
        let begun = retry(&|| program.post("/workflows/echo/run", &json!({})));
        self.acknowledged.push(begun.json()["handler_id"].as_str().expect("an id").to_owned());
        retry(&|| program.post(&format!("/events/{}", self.waiting), &answer("found")));
        retry(&|| program.post_text(&format!("/handlers/{}/cancel", self.cancelled), ""));
    }

    fn check_ends(&self, program: &Program) {
        assert_eq!(result(program, &self.waiting), "received: found");
        assert_eq!(result(program, &self.streaming), "completed_8_events");
        assert_eq!(result(program, &self.flaky), 3);
        assert_eq!(result(program, &self.fan_out), json!([1, 4, 9, 16, 25, 36]));
        let events = |id: &str, name: &str| feed(program, id).iter().filter(|event| event["type"] == *name).count();
        assert_eq!(events(&self.streaming, "StreamEvent"), 8, "what was shown is shown once");
        assert_eq!(events(&self.fan_out, "ItemDone"), 6);
        let changes = feed(program, &self.flaky);
        let attempts = changes.iter().filter(|event| event["value"]["step_state"] == "running").count();
        assert_eq!(attempts, 3, "no attempt is made twice");
        assert_eq!(program.get(&format!("/handlers/{}", self.cancelled)).json()["status"], "cancelled");
        assert_eq!(program.get("/handlers/chosen").status, 404);
        for id in &self.spare[..self.answered] {
            assert_eq!(result(program, id), "received: spare");
        }
        for id in &self.spare[self.answered..] {
            assert_eq!(program.get(&format!("/handlers/{id}")).status, 202, "its answer was refused");
        }
        for id in &self.acknowledged[22..] {
            assert_eq!(result(program, id), "processed: default");
        }
        assert_eq!(listed(program), self.acknowledged);
    }
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
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.text().starts_with("The server cannot store this now"), "{}", reply.text());
}

/// Returns the complete feed of a run that ends.
#[track_caller]
fn feed(program: &Program, id: &str) -> Vec<Value> {
    let reply = program.get(&format!("/events/{id}?sse=false&include_internal=true&after_sequence=-1"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.events()
}

/// Returns the result of a run after its end.
#[track_caller]
fn result(program: &Program, id: &str) -> Value {
    feed(program, id);
    program.get(&format!("/results/{id}")).json()["result"].clone()
}
