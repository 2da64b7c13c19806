//! A server program, usually the conformance program, that is started for one test and ends with it.

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

/// The origin that all programs of these tests are told to allow.
pub(crate) const ORIGIN: &str = "http://app.example";

/// A running program. Killed on drop; its stderr is shown if the test fails.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// The address in its first line on stdout: `http://127.0.0.1:PORT` or `unix:PATH`.
    listening: String,
    /// What it prints after that line.
    lines: mpsc::Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// The data directory, if the tests are run with a store.
    data: Option<TempDir>,
}

/// Set to give every program of these tests a data directory of its own.
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

    /// Starts it with exactly these flags, and waits until it listens.
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

    /// Starts this command, and waits until it listens.
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
        // Continues to read, so that later lines of the program do not meet a closed pipe.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut program = Self { child, listening: String::new(), lines, stderr: Some(stderr), data: None };
        let line = program.line();
        // The first of several addresses: `http://127.0.0.1:8080 and unix:/run/steprill.sock`.
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

    /// Returns its path.
    pub(crate) fn path() -> &'static Path {
        conformance()
    }

    /// Returns the command that starts it, without a log, with exactly these flags.
    pub(crate) fn command(flags: &[&str]) -> Command {
        let mut command = command(conformance());
        command.args(flags).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns the next line that it prints, or an empty one if none comes.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_default()
    }

    /// Returns whether it has a store because the tests are run with one.
    pub(crate) fn has_store(&self) -> bool {
        self.data.is_some()
    }

    /// Returns the address on which it says that it listens.
    pub(crate) fn listening(&self) -> &str {
        &self.listening
    }

    /// Returns the TCP address on which it listens, which is also the value of `Host`.
    pub(crate) fn host(&self) -> &str {
        self.listening.strip_prefix("http://").expect("it listens on TCP")
    }

    /// Returns the ids of the handlers that it lists, in order.
    #[track_caller]
    pub(crate) fn listed(&self, query: &str) -> Vec<String> {
        let reply = self.get(&format!("/handlers{query}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let handlers = reply.json()["handlers"].as_array().expect("a list").clone();
        handlers.iter().map(|handler| handler["handler_id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Returns its process id.
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

    /// Sends `GET path` on a new connection.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.connect().request("GET", path, &[], None)
    }

    /// Sends `POST path` with a JSON body on a new connection.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.post_text(path, body.to_string())
    }

    /// Sends `POST path` with any body on a new connection.
    pub(crate) fn post_text(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.connect().request("POST", path, &[("Content-Type", "application/json")], Some(body.as_ref()))
    }

    /// Starts a run without waiting for it. Returns the handler id.
    #[track_caller]
    pub(crate) fn begin(&self, workflow: &str, start_event: Value) -> String {
        let body = Value::Object([("start_event".to_owned(), start_event)].into_iter().collect());
        let response = self.post(&format!("/workflows/{workflow}/run-nowait"), &body);
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["handler_id"].as_str().expect("a handler id").to_owned()
    }

    /// Starts a run and reads its feed to the end, when its final state is committed. Returns the handler id.
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

    /// Kills it at once. Returns its stderr.
    #[track_caller]
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("it is our child");
        self.wait().1
    }

    /// Waits for its end. Returns how it ended, and its stderr.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        // Its stderr closes at its end, so waiting for the reader, for a limited time, is waiting for the process.
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

/// Returns a command that starts a program in the same way on every machine: on a free port unless told otherwise, and
/// without variables from the environment of the tests.
pub(crate) fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (key, _) in env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("STEPRILL_")) {
        command.env_remove(key);
    }
    command.env("STEPRILL_LISTEN", "127.0.0.1:0").stdin(Stdio::null());
    command
}

/// Returns the path of an example of this crate.
pub(crate) fn example(name: &str) -> PathBuf {
    build_example(name)
}

/// Returns the program's path. Builds it, so that a test binary that is run directly never uses an old one; `cargo
/// test` has built it already. `CONFORMANCE_PROGRAM` names another program to test in its place.
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
    // The path of this test, target/debug/deps/it-0123456789abcdef, tells where the target directory is.
    let test = env::current_exe().expect("the test has a path");
    let profile = test.ancestors().nth(2).expect("target, profile, deps, test");
    build.arg("--target-dir").arg(profile.parent().expect("target, profile"));
    assert!(build.status().expect("cargo starts").success(), "{name} does not build");
    profile.join("examples").join(name)
}
