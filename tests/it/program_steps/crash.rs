//! A server that is killed, or stopped, while its programs run: none of them is left, and their passes run again.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Fifo, Opened};
use crate::support::{Program, STEPRILL, within};

/// A workflow whose first program hangs in its first pass, after it has printed an event.
struct Hanging {
    directory: TempDir,
    fifo: Fifo,
}

impl Hanging {
    fn new(hang: &str) -> Self {
        let hanging = Self { directory: tempfile::tempdir().expect("a directory"), fifo: Fifo::new() };
        let (fifo, log) = (hanging.fifo.path(), hanging.log());
        let script = format!(
            r#"exec 9>'{}'
echo "$$ $STEPRILL_WORK_ID $STEPRILL_ATTEMPT" >> '{log}'
n=$(wc -l < '{log}')
echo '{{{{"type":"Item","value":{{{{"n":'$n'}}}}}}}}'
echo ready >&9
[ $n -gt 1 ] || {{{{ {hang}; }}}}"#,
            fifo.display(),
            log = log.display(),
        );
        let file = format!(
            "[events.Item]\nn = \"integer\"\n[steps.work]\naccepts = \"StartEvent\"\nemits = \"Item\"\n\
             output = \"events\"\nrun = [\"sh\", \"-c\", '''{script}''']\n\
             [steps.end]\naccepts = \"Item\"\nemits = \"StopEvent\"\nemit = {{ result = \"{{n}}\" }}\n"
        );
        fs::write(hanging.file(), file).expect("it is written");
        hanging
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("hanging.toml")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn start(&self) -> Program {
        let (file, data) = (self.file(), self.directory.path().join("data"));
        let [file, data] = [&file, &data].map(|path| path.to_str().expect("UTF-8"));
        Program::of(STEPRILL.as_ref(), &["serve", file, "--data", data, "--grace", "0"])
    }

    /// Starts a run, and waits until its program hangs.
    fn hang(&self) -> (Program, String, Opened) {
        let program = self.start();
        let handler = program.begin("hanging", json!({}));
        let opened = self.fifo.opened();
        (program, handler, opened)
    }

    /// Returns the words of each line of the log.
    fn passes(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.log()).expect("it ran");
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    /// Starts the server again, and checks that the run ends as it should and no process is left.
    #[track_caller]
    fn goes_on(&self, handler: &str, opened: Opened) -> Program {
        let program = self.start();
        let result = within({
            let mut reader = program.connect();
            let path = format!("/events/{handler}?sse=false&after_sequence=-1");
            move || {
                reader.send("GET", &path, &[], None);
                reader.head();
                std::iter::from_fn(|| reader.event()).last()
            }
        });
        assert_eq!(result.expect("an event")["value"], json!({ "result": 2 }), "what the first pass printed is unused");
        assert_eq!(opened.all_ended(), "ready\n", "no process of the first pass is left");
        let passes = self.passes();
        assert_eq!((passes.len(), &passes[0][1..]), (2, &passes[1][1..]), "the same work and attempt");
        let health: Value = program.get("/health").json();
        assert_eq!(health["status"], "healthy", "{health}");
        program
    }
}

#[test]
fn after_sigkill_programs_are_ended_and_their_passes_run_again() {
    let hanging = Hanging::new("sleep 100 & sleep 100");
    let (program, handler, opened) = hanging.hang();
    program.kill();
    let log = hanging.goes_on(&handler, opened).kill();
    assert!(log.contains("WARN 1 programs of an earlier server were still running"), "{log}");
}

#[test]
fn a_group_whose_first_process_has_ended_is_found_after_sigkill() {
    let hanging = Hanging::new("sleep 100 & sleep 100");
    let (program, handler, opened) = hanging.hang();
    program.kill();
    let first = &hanging.passes()[0][0];
    assert!(Command::new("kill").args(["-9", first]).status().expect("kill is there").success());
    hanging.goes_on(&handler, opened);
}

#[test]
fn after_an_orderly_stop_passes_run_again() {
    let hanging = Hanging::new("trap '' TERM; while :; do sleep 1; done");
    let (program, handler, opened) = hanging.hang();
    program.signal("TERM");
    let (status, log) = program.wait();
    assert!(status.success(), "{log}");
    hanging.goes_on(&handler, opened);
}
