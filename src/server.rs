//! The program around the engine: one loop that owns every socket, run and timer, and is alone in reading the clocks.
//!
//! One turn of the loop: poll, clock, inputs, commit, effects, flush (`server/turn.rs`). [`Server`] runs it for clients
//! on sockets, [`Runtime`] for a single run without any.

mod answers;
mod balance;
mod clients;
mod clock;
mod config;
mod descriptors;
mod error;
mod helped;
mod helper;
mod ids;
mod keeping;
mod log;
mod memory;
mod notes;
mod panics;
mod print;
mod reader;
mod readers;
mod shares;
mod sharing;
mod site;
mod stop;
mod stopping;
mod tools;
mod trial;
mod trimming;
mod turn;
mod variables;

use std::{env, fmt, process::ExitCode};

pub use config::{Command, Config, FLAGS, Flag, UsageError, ValueError, usage};
pub use error::ServeError;
pub use log::LogFormat;
pub use stop::Stopper;
pub use trial::{TestRun, WorkflowTest};

use crate::{
    engine::input::Outcome,
    limits::{LOG_LINE_BYTES_MAX, READY_LINE_WAIT},
    text::OneLine,
    workflow::{Event, Workflow},
};
use clock::SystemClock;
use print::{print, print_within};
use turn::{Flow, Loop};

/// Serves workflows over the Workflows API.
///
/// ```no_run
/// use steprill::{Ctx, Result, Server, StartEvent, StopEvent, Workflow};
///
/// fn greet(_: &Ctx, start: StartEvent) -> Result<StopEvent> {
///     let name: String = start.get_or("name", "world".into())?;
///     Ok(StopEvent::new(format!("hello {name}")))
/// }
///
/// fn main() -> std::process::ExitCode {
///     let greet = Workflow::new::<StartEvent, StopEvent>("greet").step("greet", greet).build();
///     Server::new().add(greet.expect("the graph is whole")).run()
/// }
/// ```
#[derive(Debug, Default)]
pub struct Server {
    workflows: Vec<Workflow>,
    greeting: String,
}

/// A server that is bound to its addresses but does not serve yet.
pub struct Bound {
    turns: Loop,
}

/// Runs one workflow without a server.
#[derive(Debug)]
pub struct Runtime;

impl Server {
    /// The lines of the usage about `inspect` and `backup`, which [`Server::run`] has: for [`Server::run_with`].
    pub const TOOLS: [&'static str; 2] = ["inspect DIR [HANDLER]", "backup DIR FILE"];

    /// Creates a server without workflows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow. `GET /workflows` lists them in this order.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it adds a workflow to a server, as builders do")]
    pub fn add(mut self, workflow: Workflow) -> Self {
        self.workflows.push(workflow);
        self
    }

    /// Prints this on stdout after the ready line; `{url}` is replaced by the address of the first TCP listener.
    #[must_use]
    pub fn greeting(mut self, text: impl Into<String>) -> Self {
        self.greeting = text.into();
        self
    }

    /// Serves according to the program's command line and the `STEPRILL_*` variables, until SIGTERM or SIGINT; `--help`
    /// lists the flags. With `inspect DIR [HANDLER]` or `backup DIR FILE` the program shows or copies a data directory
    /// instead. Returns the program's exit code: 0 success, 1 failure, 2 usage error.
    pub fn run(self) -> ExitCode {
        let mut arguments = env::args_os();
        let path = arguments.next().map(std::path::PathBuf::from).unwrap_or_default();
        let program = path.file_name().map_or("steprill".into(), |name| name.to_string_lossy().into_owned());
        let (commands, arguments) = (["[OPTIONS]", Self::TOOLS[0], Self::TOOLS[1]], arguments.collect::<Vec<_>>());
        match tools::run_tool(&program, &arguments) {
            Some(Ok(code)) => code,
            Some(Err(error)) => error.report(&program),
            None => self.run_with(&program, &commands, arguments),
        }
    }

    /// As [`Server::run`], but on these arguments, and without `inspect` and `backup`: for a program with commands of
    /// its own. Each of `commands` is a line of the usage, without the program's name.
    pub fn run_with(
        self,
        program: &str,
        commands: &[&str],
        arguments: impl IntoIterator<Item = std::ffi::OsString>,
    ) -> ExitCode {
        let variables = variables::of_environment();
        let parsed = variables.and_then(|known| Command::parse(arguments, |key| known.get(key).cloned()));
        self.execute(program, commands, parsed)
    }

    /// As [`Server::run_with`], and serves the workflow files that stand among the arguments, and those in the
    /// directories among them, besides its own workflows. If there is a fault in one of them, it serves nothing, and
    /// prints all faults on stderr: `order.toml:3:1: …`.
    #[cfg(feature = "files")]
    pub fn run_files(
        mut self,
        program: &str,
        commands: &[&str],
        arguments: impl IntoIterator<Item = std::ffi::OsString>,
    ) -> ExitCode {
        let variables = variables::of_environment();
        let parsed = variables.and_then(|known| Command::parse_with_operands(arguments, |key| known.get(key).cloned()));
        let parsed = match parsed {
            Ok((command @ Command::Serve(_), paths)) => match tools::files::load(&paths) {
                Ok(Some(workflows)) => {
                    self.workflows.extend(workflows);
                    Ok(command)
                }
                Ok(None) => return ExitCode::from(2),
                Err(error) => Err(error),
            },
            Ok((command, _)) => Ok(command),
            Err(error) => Err(error),
        };
        self.execute(program, commands, parsed)
    }

    /// Runs the command `check`: checks the workflow files that the arguments name and the programs of their steps, and
    /// prints their graphs on stdout, all faults on stderr. Returns the exit code: 0 no fault, 1 faults, 2 usage error.
    #[cfg(feature = "files")]
    pub fn check_files(program: &str, arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
        tools::files::check(program, arguments).unwrap_or_else(|error| error.report(program))
    }

    /// Does what a command line asks for.
    fn execute(self, program: &str, commands: &[&str], parsed: Result<Command, UsageError>) -> ExitCode {
        match parsed {
            Ok(Command::Help) => print(&usage(program, commands)),
            Ok(Command::Version) => print(&version(program)),
            Err(error) => error.report(program),
            Ok(Command::Serve(config)) => match self.serve_noting(&config, &variables::unknown(env::vars_os())) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => error.report(program),
            },
        }
    }

    /// Serves until SIGTERM or SIGINT. Prints one line on stdout when it is ready.
    ///
    /// # Errors
    /// If it cannot start, or the system's poll fails.
    pub fn serve(self, config: &Config) -> Result<(), ServeError> {
        self.serve_noting(config, &[])
    }

    /// Like [`Server::serve`], after logging `faults`.
    fn serve_noting(self, config: &Config, faults: &[String]) -> Result<(), ServeError> {
        steprill_trim::join_at_once();
        log::install(config.log);
        panics::install();
        let greeting = self.greeting.clone();
        let no_signals = |error| ServeError::Io("cannot listen to signals", error);
        let signals = stop::signals().map_err(no_signals)?;
        let _second = stop::SecondSignal::install().map_err(no_signals)?;
        descriptors::raise(config.connections_max);
        let mut bound = self.bind(config)?;
        bound.turns.listen_to_signals(signals).map_err(no_signals)?;
        for fault in faults {
            ::log::warn!("{fault}");
        }
        if config.data.is_none() {
            ::log::info!("everything is kept in memory: nothing survives the end of this process");
        }
        let addresses = bound.addresses().join(" and ");
        let url = addresses.split(' ').find(|address| address.starts_with("http")).unwrap_or("http://localhost");
        let greeting = greeting.replace("{url}", url);
        if !print_within(format!("steprill listening on {addresses}\n{greeting}"), READY_LINE_WAIT) {
            ::log::warn!("nobody reads the ready line; listening on {addresses}");
        }
        let served = bound.serve();
        log::flush();
        served
    }

    /// Binds its addresses without serving yet: for a server inside a program that continues with other work, or inside
    /// a test. It handles no signals, writes no log and prints nothing.
    ///
    /// ```
    /// use steprill::{Config, Server, StartEvent, StopEvent, Workflow};
    ///
    /// let hello = Workflow::new::<StartEvent, StopEvent>("hello");
    /// let hello = hello.step("say", |_, _: StartEvent| Ok(StopEvent::new("hi")));
    /// let server = Server::new().add(hello.build()?);
    /// let config = Config { listen: vec!["127.0.0.1:0".parse()?], ..Config::default() };
    /// let bound = server.bind(&config)?;
    /// assert!(bound.addresses()[0].starts_with("http://127.0.0.1:"));
    /// let stopper = bound.stopper();
    /// std::thread::spawn(move || stopper.stop());
    /// bound.serve()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot start.
    pub fn bind(self, config: &Config) -> Result<Bound, ServeError> {
        Ok(Bound { turns: Loop::new(self.workflows, config, SystemClock::start())? })
    }
}

impl Bound {
    /// Returns where it listens, as clients write it, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<String> {
        self.turns.addresses()
    }

    /// Returns a handle that stops it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.turns.stopper()
    }

    /// Serves on this thread until it is stopped.
    ///
    /// # Errors
    /// If the system's poll fails.
    pub fn serve(mut self) -> Result<(), ServeError> {
        let failed = |error| ServeError::Io("the loop has failed", error);
        self.turns.begin();
        while self.turns.turn().map_err(failed)? == Flow::Goes {}
        self.turns.close();
        self.turns.check_store().map_err(failed)
    }
}

impl Runtime {
    /// Runs `workflow` from `start` to its end, on this thread and a few workers, with the same loop as a server. A run
    /// that waits for somebody outside fails, because nobody can answer here; [`Runtime::test`] scripts answers.
    ///
    /// ```
    /// use steprill::{Ctx, Outcome, Result, Runtime, StartEvent, StopEvent, Workflow};
    ///
    /// fn add(_: &Ctx, start: StartEvent) -> Result<StopEvent> {
    ///     Ok(StopEvent::new(start.get_or("a", 0)? + start.get_or("b", 0)?))
    /// }
    ///
    /// let workflow = Workflow::new::<StartEvent, StopEvent>("add").step("add", add).build().unwrap();
    /// let start = StartEvent::new().with("a", 2).with("b", 3);
    /// let Outcome::Completed(stop) = Runtime::run(&workflow, start) else { panic!() };
    /// assert_eq!(stop.as_str(), r#"{"result":5}"#);
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a run uses its start event up")]
    pub fn run<S: Event>(workflow: &Workflow, start: S) -> Outcome {
        let config = Config { listen: Vec::new(), ..Config::default() };
        Loop::new(vec![workflow.clone()], &config, SystemClock::start())
            .and_then(|mut turns| turns.run_one(&start))
            .unwrap_or_else(|error| Outcome::Failed(error.to_string()))
    }

    /// Tests `workflow` with scripted answers and a clock that jumps to the next timer: see [`WorkflowTest`].
    pub fn test(workflow: &Workflow) -> WorkflowTest<'_> {
        WorkflowTest::new(workflow)
    }
}

/// Returns the text of `--version`, which is that of the library.
fn version(program: &str) -> String {
    let own = format!("steprill {}", env!("CARGO_PKG_VERSION"));
    if program == "steprill" { format!("{own}\n") } else { format!("{program} ({own})\n") }
}

impl UsageError {
    /// Prints it on stderr, on one line behind the program's name, and returns the exit code, as [`Server::run`] does:
    /// for a program with commands of its own.
    pub fn report(&self, program: &str) -> ExitCode {
        report(program, &format!("{self}; see --help"), self.exit_code())
    }
}

impl ServeError {
    /// Prints it on stderr, on one line behind the program's name, and returns the exit code, as [`Server::run`] does.
    pub fn report(&self, program: &str) -> ExitCode {
        match self {
            Self::Config(error) => error.report(program),
            _ => report(program, &self.to_string(), self.exit_code()),
        }
    }
}

fn report(program: &str, error: &str, exit_code: u8) -> ExitCode {
    // If nobody reads stderr, only the exit code says it.
    log::write_bare(format!("{program}: {}", OneLine::new(error, LOG_LINE_BYTES_MAX)));
    log::flush();
    ExitCode::from(exit_code)
}

impl fmt::Debug for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bound").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
