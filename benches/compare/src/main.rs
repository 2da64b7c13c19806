//! Prints the tables of the README's section "Speed and size": steprill beside other servers, all figures of a row
//! measured in one run.
//!
//! ```text
//! cd benches/compare
//! cargo run --release                                     # three minutes; about five with the Python reference
//! cargo run --release -- --rounds 1 --seconds 1           # a quick look
//!
//! python3 -m venv target/python && target/python/bin/pip install --requirement peers/requirements.txt
//! cargo run --release -- --reference target/python/bin/python
//! ```
//!
//! The peers, in `peers/`:
//!
//! | peer | what it is |
//! |---|---|
//! | floor | a bare loop on mio that fakes the API without any engine: what the machine itself costs |
//! | axum | the same fake on axum and tokio: what a Rust user would write by hand |
//! | reference | the Python server of the Workflows API; only with `--reference` |
//!
//! Absolute figures change from machine to machine and from hour to hour. Compare ratios, and processor time (which
//! other load disturbs least) rather than throughput.

mod client;
mod load;
mod memory;
mod server;
mod store;
mod table;

use std::{
    env,
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};
use server::Peer;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const HELP: &str = "\
Usage: compare [OPTIONS]
  --reference PYTHON   measure the Python server, too: an interpreter with peers/requirements.txt installed
  --table memory|store print only this table (both)
  --rounds N           rounds over all servers (5)
  --seconds N          length of a round of requests (3)
  --data DIR           where the stores are; should be on a real disk (target/ of this crate)";

/// What to measure, and for how long.
struct Plan {
    rounds: usize,
    seconds: u64,
    data: PathBuf,
    steprill: Peer,
    /// The program `steprill`, whose size is that of a release.
    program: PathBuf,
    floor: Peer,
    axum: Peer,
    reference: Option<Peer>,
}

impl Plan {
    fn round(&self) -> load::Until {
        load::Until::Time(Duration::from_secs(self.seconds))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut reference, mut tables, mut rounds, mut seconds) = (None, None, 5, 3);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut data = here.join("target/data");
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("reference") => reference = Some(parser.value()?),
            Arg::Long("table") => tables = Some(parser.value()?.string()?),
            Arg::Long("rounds") => rounds = parser.value()?.parse()?,
            Arg::Long("seconds") => seconds = parser.value()?.parse()?,
            Arg::Long("data") => data = parser.value()?.into(),
            Arg::Long("help") | Arg::Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    allow_many_connections()?;
    std::fs::create_dir_all(&data)?;
    let plan = plan(here, reference, rounds, seconds, data)?;
    let wanted = |table: &str| tables.as_deref().is_none_or(|wanted| wanted == table);
    if wanted("memory") {
        memory::measure(&plan)?;
    }
    if wanted("store") {
        store::measure(&plan)?;
    }
    Ok(())
}

/// Builds the servers.
fn plan(here: &Path, reference: Option<OsString>, rounds: usize, seconds: u64, data: PathBuf) -> Result<Plan> {
    let repository = here.join("../..").canonicalize()?;
    build(here, &["--bins"])?;
    build(&repository, &["--bin", "steprill", "--example", "conformance"])?;
    let target = |directory: &Path| {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| directory.join("target"), PathBuf::from);
        target.join("release")
    };
    let peer = |name, program: PathBuf, arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Peer { name, program: program.into(), arguments }
    };
    let (ours, theirs) = (target(&repository), target(here));
    let script = here.join("peers/reference.py");
    let script = script.to_str().ok_or("the path of this crate is not UTF-8")?;
    Ok(Plan {
        rounds,
        seconds,
        data,
        steprill: peer(
            "steprill",
            ours.join("examples/conformance"),
            &["--log", "off", "--listen", "127.0.0.1:{port}"],
        ),
        program: ours.join("steprill"),
        floor: peer("floor", theirs.join("floor"), &["{port}"]),
        axum: peer("axum", theirs.join("axum-peer"), &["{port}"]),
        reference: reference.map(|python| peer("reference", python.into(), &[script, "{port}"])),
    })
}

/// Builds in a directory, with the flags in its `.cargo/config.toml`.
fn build(directory: &Path, what: &[&str]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(["build", "--release", "--locked"]).args(what).current_dir(directory).status()?;
    if status.success() { Ok(()) } else { Err(format!("{what:?} does not build in {}", directory.display()).into()) }
}

/// Raises the limit on open files as far as possible, for this process and the servers that it starts.
fn allow_many_connections() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
