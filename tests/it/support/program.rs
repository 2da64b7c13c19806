//! A server program, most often the conformance program, started for one test and ended with it.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{OnceLock, mpsc},
    thread::{self, JoinHandle},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    PATIENCE,
    client::{Connection, Response},
};

/// Origin that every program of these tests is told to answer.
pub(crate) const ORIGIN: &str = "http://app.example";

/// A running program. Killed on drop; what it wrote to stderr is shown if the test fails.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// The address in its first line on stdout: `http://127.0.0.1:PORT` or `unix:PATH`.
    listening: String,
    /// What it prints behind that line.
    lines: mpsc::Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// What it keeps everything in, if the tests are run on a store.
    data: Option<TempDir>,
}

/// Set to have every program of these tests keep everything in a directory of its own.
const WITH_STORE: &str = "STEPRILL_TEST_WITH_STORE";

impl Program {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it on a free port with further flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0", "--cors-origin", ORIGIN];
        all.extend(flags);
        Self::with_only(&all)
    }

    /// Starts it with exactly these flags and waits until it says that it listens.
    pub(crate) fn with_only(flags: &[&str]) -> Self {
        if env::var_os(WITH_STORE).is_none() || flags.contains(&"--data") {
            return Self::of(conformance(), flags);
        }
        let data = tempfile::tempdir().expect("a directory");
        let path = data.path().to_str().expect("a path of characters").to_owned();
        let flags: Vec<&str> = flags.iter().copied().chain(["--data", &path]).collect();
        let mut program = Self::of(conformance(), &flags);
        program.data = Some(data);
        program
    }

    /// Starts another program in the same way.
    pub(crate) fn of(path: &Path, arguments: &[&str]) -> Self {
        Self::spawned(command(path).args(arguments))
    }

    /// Starts what this command says, and waits until it says that it listens.
    pub(crate) fn spawned(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut errors = child.stderr.take().expect("stderr is piped");
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let (sender, lines) = mpsc::channel();
        // Stays at the pipe, so that a later line of the program does not hit a closed one.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut program = Self { child, listening: String::new(), lines, stderr: Some(stderr), data: None };
        let line = program.line();
        // With several places the first: `http://127.0.0.1:8080 and unix:/run/steprill.sock`.
        let places = line.strip_prefix("steprill listening on ");
        let listening = places.and_then(|places| places.split(" and ").next());
        listening
            .unwrap_or_else(|| panic!("expected `steprill listening on …`, got {line:?}"))
            .clone_into(&mut program.listening);
        program
    }

    /// Runs it to its end, without waiting for it to listen.
    pub(crate) fn output(flags: &[&str]) -> Output {
        command(conformance()).args(flags).output().expect("the conformance program starts")
    }

    /// Where it is.
    pub(crate) fn path() -> &'static Path {
        conformance()
    }

    /// What starts it, silent, with exactly these flags.
    pub(crate) fn command(flags: &[&str]) -> Command {
        let mut command = command(conformance());
        command.args(flags).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The next line that it prints; empty if none comes.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_default()
    }

    /// Whether the tests are run on a store, and it has one.
    pub(crate) fn has_store(&self) -> bool {
        self.data.is_some()
    }

    /// What it says it listens on.
    pub(crate) fn listening(&self) -> &str {
        &self.listening
    }

    /// The TCP address it listens on; also the value of `Host`.
    pub(crate) fn host(&self) -> &str {
        self.listening.strip_prefix("http://").expect("it listens on TCP")
    }

    /// The ids of the handlers that it lists, in order.
    #[track_caller]
    pub(crate) fn listed(&self, query: &str) -> Vec<String> {
        let reply = self.get(&format!("/handlers{query}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let handlers = reply.json()["handlers"].as_array().expect("a list").clone();
        handlers.iter().map(|handler| handler["handler_id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Connection {
        match self.listening.strip_prefix("unix:") {
            Some(path) => Connection::unix(UnixStream::connect(path).expect("the socket is there")),
            None => Connection::tcp(TcpStream::connect(self.host()).expect("the port is open"), self.host()),
        }
    }

    /// `GET path` on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.connect().request("GET", path, &[], None)
    }

    /// `POST path` with a JSON body, on a connection of its own.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.post_text(path, body.to_string())
    }

    /// `POST path` with any body, on a connection of its own.
    pub(crate) fn post_text(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.connect().request("POST", path, &[("Content-Type", "application/json")], Some(body.as_ref()))
    }

    /// Starts a run and does not wait for it; its handler id.
    #[track_caller]
    pub(crate) fn begin(&self, workflow: &str, start_event: Value) -> String {
        let body = Value::Object([("start_event".to_owned(), start_event)].into_iter().collect());
        let response = self.post(&format!("/workflows/{workflow}/run-nowait"), &body);
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["handler_id"].as_str().expect("a handler id").to_owned()
    }

    /// Starts a run, reads its feed to the end, as which its final state is stored; its handler id.
    #[track_caller]
    pub(crate) fn finish(&self, workflow: &str, start_event: Value) -> String {
        let handler = self.begin(workflow, start_event);
        let feed = self.get(&format!("/events/{handler}?sse=false"));
        assert_eq!(feed.status, 200, "{feed:?}");
        handler
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill is there").success(), "kill -{name}");
    }

    /// Kills it at once; what it wrote to stderr.
    #[track_caller]
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("it is our child");
        self.wait().1
    }

    /// Waits for its end; how it ended, and what it wrote to stderr.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        // Its stderr closes at its end, so that waiting for the reader is waiting for the process, within patience.
        let stderr = self.stderr.take().expect("not waited for yet");
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(stderr.join().unwrap_or_default()));
        let text = ended.recv_timeout(PATIENCE).expect("the program ends");
        (self.child.wait().expect("it is our child"), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let (true, Some(stderr)) = (thread::panicking(), self.stderr.take()) {
            eprintln!("--- the program's stderr\n{}---", stderr.join().unwrap_or_default());
        }
    }
}

/// What starts a program the same way on every machine: unless told it listens on a free port, and no variable of the
/// tests' own surroundings sets anything.
pub(crate) fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (key, _) in env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("STEPRILL_")) {
        command.env_remove(key);
    }
    command.env("STEPRILL_LISTEN", "127.0.0.1:0").stdin(Stdio::null());
    command
}

/// An example of the crate that is no server of the conformance workflows: its path.
pub(crate) fn example(name: &str) -> PathBuf {
    build_example(name)
}

/// The program's path. Built here, so that a test binary run on its own never meets an old one; `cargo test` has
/// built it already. `CONFORMANCE_PROGRAM` names another program that answers in its place.
fn conformance() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = env::var_os("CONFORMANCE_PROGRAM") {
            return path.into();
        }
        build_example("conformance")
    })
}

fn build_example(name: &str) -> PathBuf {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from(env!("CARGO"))));
    build.args(["build", "--quiet", "--example", name]).arg("--manifest-path");
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if !cfg!(feature = "sqlite") {
        build.arg("--no-default-features");
    }
    // target/debug/deps/it-0123456789abcdef, this very test, says where the target directory is.
    let test = env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target, profile, deps, test");
    build.arg("--target-dir").arg(profile.parent().expect("target, profile"));
    assert!(build.status().expect("cargo starts").success(), "{name} does not build");
    profile.join("examples").join(name)
}
