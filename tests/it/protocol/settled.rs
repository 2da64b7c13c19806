//! Nobody is answered from what is not committed: requests wait until it is committed or has failed.

use super::*;
use crate::support::Disk;

/// A program whose disk can be blocked.
struct Held {
    program: Program,
    disk: Disk,
    _data: tempfile::TempDir,
}

impl Held {
    fn start(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut all = vec!["--data", data.path().to_str().expect("a path of characters")];
        all.extend(flags);
        let mut command = Program::command(&all);
        let disk = Disk::under(&mut command);
        Self { program: Program::spawned(&mut command), disk, _data: data }
    }

    /// Sends these requests in order, each on a new connection, while the disk hangs, and checks that none is answered.
    /// Then the disk continues, or fails until all are answered. Returns their statuses.
    #[track_caller]
    fn while_it_hangs(&self, commits: bool, requests: &[(&str, &str, &str)]) -> Vec<u16> {
        self.disk.hang();
        let send = |&(method, path, body): &(&str, &str, &str)| {
            let mut connection = self.program.connect();
            connection.send(method, path, &[], Some(body.as_bytes()));
            settle(&self.program);
            connection
        };
        let mut connections: Vec<Connection> = requests.iter().map(send).collect();
        for (connection, request) in connections.iter_mut().zip(requests) {
            assert!(connection.is_silent(), "{request:?} is answered before anything is committed");
        }
        self.disk.end_hang(commits);
        let statuses = connections.iter_mut().map(|connection| connection.head().status).collect();
        if !commits {
            self.disk.recover();
        }
        statuses
    }

    /// Starts a run of `approval` under this id. It waits for its answer when this returns.
    #[track_caller]
    fn asking(&self, id: &str) {
        let reply = self.program.post_text("/workflows/approval/run-nowait", body_as(id));
        assert_eq!(reply.status, 200, "{}", reply.text());
        follow(&self.program, id, "sse=false").event_of("ApprovalRequested");
        settle(&self.program);
    }
}

/// Returns a body that starts a run under an id chosen by the client.
fn body_as(id: &str) -> String {
    json!({"handler_id": id, "start_event": {"subject": "a"}, "context": {"state": {}}}).to_string()
}

const ANSWER: &str = r#"{"event": {"type": "ApprovalGiven", "value": {"approved": true, "by": "b"}}}"#;

#[test]
fn an_end_that_is_not_committed_refuses_no_request() {
    let held = Held::start(&[]);
    for (id, commits, expected) in [("committed", true, [200, 404, 404]), ("failed", false, [500, 500, 500])] {
        held.asking(id);
        let (cancel, post) = (format!("/handlers/{id}/cancel"), format!("/events/{id}"));
        let requests = [("POST", &*cancel, ""), ("POST", &post, ANSWER), ("POST", &cancel, "")];
        assert_eq!(held.while_it_hangs(commits, &requests), expected, "{id}");
    }
    assert_eq!(held.program.get("/handlers/failed").status, 202);
}

#[test]
fn a_purge_is_not_acknowledged_before_it_is_committed() {
    let held = Held::start(&[]);
    for (id, commits, expected) in [("committed", true, [200, 404, 404]), ("failed", false, [500, 202, 202])] {
        held.asking(id);
        let (purge, get, result) =
            (format!("/handlers/{id}/cancel?purge=true"), format!("/handlers/{id}"), format!("/results/{id}"));
        let requests = [("POST", &*purge, ""), ("GET", &get, ""), ("GET", &result, "")];
        assert_eq!(held.while_it_hangs(commits, &requests), expected, "{id}");
    }
}

#[test]
fn a_start_is_not_acknowledged_before_it_is_committed() {
    let held = Held::start(&[]);
    let start = "/workflows/approval/run-nowait";
    for (id, commits, expected) in [("committed", true, [200, 202, 202, 409]), ("failed", false, [500, 404, 404, 500])]
    {
        let (body, get, result) = (body_as(id), format!("/handlers/{id}"), format!("/results/{id}"));
        let requests = [("POST", start, &*body), ("GET", &get, ""), ("GET", &result, ""), ("POST", start, &body)];
        assert_eq!(held.while_it_hangs(commits, &requests), expected, "{id}");
    }
}

#[test]
fn an_answer_that_is_not_committed_does_not_refuse_the_next() {
    let held = Held::start(&[]);
    for (id, commits, expected) in [("committed", true, [200, 409]), ("failed", false, [500, 500])] {
        held.asking(id);
        let post = format!("/events/{id}");
        let requests = [("POST", &*post, ANSWER), ("POST", &post, ANSWER)];
        assert_eq!(held.while_it_hangs(commits, &requests), expected, "{id}");
    }
}
