//! The command line: flags and `STEPRILL_*` variables to a [`Config`].

use std::{
    ffi::OsString,
    fmt::{self, Write as _},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use lexopt::{Arg, ValueExt};

use crate::{engine::window::FeedKeep, limits, net::Address, server::log::Format, store::Durability, text::nearest};

/// How a server is to run. [`Config::default`] is what a program gets without flags.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Where it listens. Default: `127.0.0.1:8080`.
    pub listen: Vec<Address>,
    /// Worker threads at most. Default: 8.
    pub workers: usize,
    /// Origins whose pages may call; `*` names all. Default: none but its own and loopback pages.
    pub cors_origins: Vec<String>,
    /// Names that the Host header may have on TCP, beside loopback names and, on a network address, IP addresses.
    pub allow_hosts: Vec<String>,
    /// Mode of the files of unix sockets, whatever the umask. Default: 0600.
    pub socket_mode: u32,
    /// Listen beyond loopback though anybody who reaches the port may call.
    pub allow_anonymous: bool,
    /// How log lines look. Default: text, on stderr.
    pub log: Format,
    /// How long work in progress may go on after SIGTERM. Default: 5 s.
    pub grace: Duration,
    /// Where everything is kept. Default: nowhere, in memory.
    pub data: Option<PathBuf>,
    /// When something counts as kept there. Default: when it is on the disk.
    pub durability: Durability,
    /// Finished handlers that are kept. Default: 10,000 with `data`, else 1,000.
    pub keep_finished: Option<usize>,
    /// How long they are kept. Default: as long as their number allows.
    pub keep_for: Option<Duration>,
    /// With `data`: events, and bytes of them, that are kept of one run's feed. Default: 1,000,000 and 64 MiB.
    pub feed_keep: FeedKeep,
    /// With `data`: bytes that it may have on the disk; the longest finished runs go first, and with none left new runs
    /// are refused with 507. Default: as many as there is room for.
    pub data_bytes_max: Option<u64>,
    /// With `data`: how long a run that only waits stays in memory. Default: 60 s.
    pub idle_after: Duration,
    /// Bytes of results, states and events that are kept of them. Default: 64 MiB.
    pub finished_bytes_max: usize,
    /// Bytes that the server holds at most; beyond them new work is refused with 503. Default: half of what the machine
    /// or the control group has, at most 1 GiB.
    pub memory_max: Option<usize>,
    /// Runs at a time; more are refused with 503. Default: 100,000.
    pub runs_max: usize,
    /// Connections at a time; more are refused with 503. Default: 20,000.
    pub connections_max: usize,
    /// Bytes of a request's body; larger ones are refused with 413. Default: 4 MiB.
    pub body_bytes_max: usize,
}

/// What a command line asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Config>),
    /// Print the usage.
    Help,
    /// Print the version.
    Version,
}

/// A command line that is not understood: what was expected, what came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageError(pub String);

/// One flag, as `--help` and the README show it. Its variable is `STEPRILL_` and the name in capitals.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// `--workers`.
    pub name: &'static str,
    /// `N`; empty if it takes no value.
    pub value: &'static str,
    /// What it does, with its default.
    pub help: &'static str,
}

/// Every flag, in the order in which they are shown.
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "--listen",
        value: "ADDR:PORT|unix:PATH",
        help: "where to listen; repeatable; port 0 takes a free one (127.0.0.1:8080)",
    },
    Flag { name: "--data", value: "DIR", help: "where everything is kept; survives a restart (nowhere: in memory)" },
    Flag {
        name: "--durability",
        value: "full|normal|off",
        help: "what a crash of the machine may cost (full: nothing)",
    },
    Flag { name: "--workers", value: "N", help: "threads that run steps, at most (8)" },
    Flag {
        name: "--cors-origin",
        value: "ORIGIN|*",
        help: "origin whose pages may call; repeatable (own and loopback pages)",
    },
    Flag {
        name: "--allow-host",
        value: "NAME",
        help: "name that Host may have; repeatable (loopback names; beyond loopback IP addresses, too)",
    },
    Flag {
        name: "--socket-mode",
        value: "MODE",
        help: "who may use unix sockets, such as 0660 (0600: the user alone)",
    },
    Flag { name: "--allow-anonymous", value: "", help: "listen beyond loopback although anybody may call" },
    Flag { name: "--log", value: "text|json|off", help: "form of the log on stderr (text)" },
    Flag { name: "--grace", value: "SECONDS", help: "time for work in progress after SIGTERM (5)" },
    Flag { name: "--keep-finished", value: "N", help: "finished runs that are kept (10000 with --data, else 1000)" },
    Flag { name: "--keep-for", value: "DURATION", help: "how long they are kept: 90s, 15m, 12h, 30d (no end)" },
    Flag {
        name: "--feed-keep",
        value: "EVENTS[,BYTES]",
        help: "events kept of a run's feed, the newest, with --data (1000000,64M)",
    },
    Flag {
        name: "--data-bytes-max",
        value: "SIZE",
        help: "bytes of --data; the longest finished runs go, then new ones get 507 (no bound)",
    },
    Flag {
        name: "--idle-after",
        value: "DURATION",
        help: "when a run that only waits leaves memory, with --data (60s)",
    },
    Flag { name: "--finished-bytes-max", value: "SIZE", help: "bytes of finished runs that stay in memory (64M)" },
    Flag {
        name: "--memory-max",
        value: "SIZE",
        help: "bytes that the server holds; beyond it new work gets 503 (half of what there is, at most 1G)",
    },
    Flag { name: "--runs-max", value: "N", help: "runs in memory at a time; more get 503 (100000)" },
    Flag { name: "--connections-max", value: "N", help: "connections at a time; more get 503 (20000)" },
    Flag { name: "--body-bytes-max", value: "SIZE", help: "bytes of a request's body; more get 413 (4M)" },
    Flag { name: "--help", value: "", help: "print this" },
    Flag { name: "--version", value: "", help: "print the version" },
];

/// Flags of the design that this version does not have.
pub(super) const LATER: &[(&str, &str)] =
    &[("token-file", "tokens come with a later version; listen on loopback, or say --allow-anonymous")];

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Address::Tcp(([127, 0, 0, 1], 8080).into())],
            workers: limits::WORKERS_DEFAULT,
            cors_origins: Vec::new(),
            allow_hosts: Vec::new(),
            socket_mode: limits::SOCKET_MODE_DEFAULT,
            allow_anonymous: false,
            log: Format::Text,
            grace: Duration::from_secs(5),
            data: None,
            durability: Durability::Full,
            keep_finished: None,
            keep_for: None,
            feed_keep: FeedKeep::default(),
            data_bytes_max: None,
            idle_after: limits::IDLE_AFTER_DEFAULT,
            finished_bytes_max: limits::FINISHED_BYTES_MAX_DEFAULT,
            memory_max: None,
            runs_max: limits::RUNS_MAX_DEFAULT,
            connections_max: limits::CONNECTIONS_MAX_DEFAULT,
            body_bytes_max: limits::BODY_BYTES_MAX_DEFAULT,
        }
    }
}

impl Command {
    /// Reads a command line, without the program's name; `variable` gives an environment variable. Flags win.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UsageError> {
        let mut config = Config::default();
        let variable = |name: &str| {
            let key = format!("STEPRILL_{}", name.to_uppercase().replace('-', "_"));
            variable(&key).filter(|value| !value.is_empty()).map(|value| (key, value))
        };
        // Not to be passed over in silence: somebody counts on it.
        for (name, why) in LATER {
            if let Some((key, _)) = variable(name) {
                return Err(UsageError(format!("{key}: {why}")));
            }
        }
        for flag in FLAGS {
            let name = flag.name.trim_start_matches('-');
            let Some((key, value)) = variable(name) else { continue };
            let many = if is_repeatable(name) { value.split(',').collect() } else { vec![&*value] };
            clear(&mut config, name);
            for value in many {
                set(&mut config, name, value).map_err(|error| UsageError(format!("{key}: {}", error.0)))?;
            }
        }
        let mut given: Vec<String> = Vec::new();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let name = match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help),
                Arg::Long("version") | Arg::Short('V') => return Ok(Self::Version),
                Arg::Long(name) => name.to_owned(),
                other => return Err(other.unexpected().into()),
            };
            if let Some((_, why)) = LATER.iter().find(|(later, _)| *later == name) {
                return Err(UsageError(format!("--{name}: {why}")));
            }
            let Some(flag) = FLAGS.iter().find(|flag| flag.name.trim_start_matches('-') == name) else {
                let names = FLAGS.iter().map(|flag| flag.name.trim_start_matches('-'));
                let meant = nearest(&name, names).map_or(String::new(), |meant| format!(" (did you mean --{meant}?)"));
                return Err(UsageError(format!("unknown option --{name}{meant}")));
            };
            let value = if flag.value.is_empty() { String::new() } else { parser.value()?.string()? };
            if !given.contains(&name) {
                clear(&mut config, &name);
                given.push(name.clone());
            }
            set(&mut config, &name, &value).map_err(|error| UsageError(format!("--{name}: {}", error.0)))?;
        }
        config.check()?;
        Ok(Self::Serve(Box::new(config)))
    }
}

impl Config {
    fn check(&self) -> Result<(), UsageError> {
        if let Some(memory_max) = self.memory_max.filter(|memory_max| self.body_bytes_max > memory_max / 2) {
            return Err(UsageError(format!(
                "--memory-max {memory_max}: a body of --body-bytes-max {} takes more than half of it; raise the one or \
                 lower the other",
                self.body_bytes_max
            )));
        }
        let open = self.listen.iter().find(|address| !address.is_local());
        match open {
            Some(address) if !self.allow_anonymous => Err(UsageError(format!(
                "--listen {address}: beyond loopback anybody who reaches the port may call; say --allow-anonymous if \
                 that is meant"
            ))),
            _ => Ok(()),
        }
    }
}

/// The text of `--help`. Each of `commands` is what may stand behind the program's name.
pub fn usage(program: &str, commands: &[&str]) -> String {
    let mut text = String::new();
    for (index, command) in commands.iter().enumerate() {
        let _ = writeln!(text, "{} {program} {command}", if index == 0 { "Usage:" } else { "      " });
    }
    text.push_str("\nServes workflows over HTTP until SIGTERM or SIGINT.\n\nOptions:\n");
    for flag in FLAGS {
        let left = format!("{} {}", flag.name, flag.value);
        let _ = writeln!(text, "  {left:<30} {}", flag.help);
    }
    text.push_str("\nA variable STEPRILL_NAME sets --name (lists: separated by commas); flags win.\n");
    text
}

fn is_repeatable(name: &str) -> bool {
    matches!(name, "listen" | "cors-origin" | "allow-host")
}

/// A repeatable flag replaces what a variable or the default said.
fn clear(config: &mut Config, name: &str) {
    match name {
        "listen" => config.listen.clear(),
        "cors-origin" => config.cors_origins.clear(),
        "allow-host" => config.allow_hosts.clear(),
        _ => {}
    }
}

fn set(config: &mut Config, name: &str, value: &str) -> Result<(), UsageError> {
    match name {
        "listen" => config.listen.push(value.parse().map_err(|error| UsageError(format!("{error}")))?),
        "workers" => config.workers = number(value, 1, limits::WORKERS_MAX)?,
        "cors-origin" => config.cors_origins.push(value.to_owned()),
        "allow-host" => config.allow_hosts.push(value.to_owned()),
        "socket-mode" => config.socket_mode = mode(value)?,
        "allow-anonymous" => config.allow_anonymous = switch(value)?,
        "log" => config.log = value.parse().map_err(UsageError)?,
        "grace" => config.grace = seconds(value)?,
        "data" if value.is_empty() => return Err(UsageError("expected a directory".to_owned())),
        "data" => config.data = Some(value.into()),
        "durability" => config.durability = value.parse().map_err(UsageError)?,
        "keep-finished" => config.keep_finished = Some(number(value, 0, usize::MAX)?),
        "keep-for" => config.keep_for = Some(duration(value)?),
        "feed-keep" => config.feed_keep = feed_keep(value)?,
        "data-bytes-max" => config.data_bytes_max = Some(size(value, limits::DATA_BYTES_MIN, usize::MAX)? as u64),
        "idle-after" => config.idle_after = duration(value)?,
        "finished-bytes-max" => config.finished_bytes_max = size(value, 0, usize::MAX)?,
        "memory-max" => config.memory_max = Some(size(value, limits::MEMORY_MAX_MIN, usize::MAX)?),
        "runs-max" => config.runs_max = number(value, 1, usize::MAX)?,
        "connections-max" => config.connections_max = number(value, 1, 1 << 30)?,
        "body-bytes-max" => config.body_bytes_max = size(value, 1, 1 << 30)?,
        _ => {}
    }
    Ok(())
}

/// A flag without a value says yes; its variable says which.
fn switch(value: &str) -> Result<bool, UsageError> {
    match value {
        "" | "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        other => Err(UsageError(format!("expected true or false, got {other:?}"))),
    }
}

fn number(value: &str, min: usize, max: usize) -> Result<usize, UsageError> {
    let expected = || match max {
        usize::MAX => format!("expected a whole number from {min}, got {value:?}"),
        _ => format!("expected a whole number from {min} to {max}, got {value:?}"),
    };
    let in_range = usize::from_str(value).ok().filter(|number| (min..=max).contains(number));
    in_range.ok_or_else(|| UsageError(expected()))
}

/// Permissions of a file, as `chmod` takes them in octal.
fn mode(value: &str) -> Result<u32, UsageError> {
    let is_octal = (3..=4).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let parsed = u32::from_str_radix(value, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    parsed.ok_or_else(|| UsageError(format!("expected permissions in octal, such as 0600 or 0660, got {value:?}")))
}

/// Bytes: a whole number, alone or with a binary unit such as `64M`, `64MiB` or `1g`.
fn size(value: &str, min: usize, max: usize) -> Result<usize, UsageError> {
    let digits = value.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match value[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        _ => None,
    };
    let bytes = shift.zip(usize::from_str(digits).ok()).and_then(|(shift, count)| count.checked_mul(1 << shift));
    bytes.filter(|bytes| (min..=max).contains(bytes)).ok_or_else(|| {
        let above = if max == usize::MAX { String::new() } else { format!(" to {max}") };
        UsageError(format!("expected bytes from {min}{above}, such as 65536, 64K or 16M, got {value:?}"))
    })
}

/// Events, and bytes of them if that is not the default.
fn feed_keep(value: &str) -> Result<FeedKeep, UsageError> {
    let (events, bytes) = value.split_once(',').map_or((value, None), |(events, bytes)| (events, Some(bytes)));
    let mut keep = FeedKeep { events: number(events, 1, usize::MAX)? as u64, ..FeedKeep::default() };
    if let Some(bytes) = bytes {
        keep.bytes = size(bytes, 1, usize::MAX)? as u64;
    }
    Ok(keep)
}

/// A number and its unit; without one, seconds.
fn duration(value: &str) -> Result<Duration, UsageError> {
    let digits = value.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit_s = match &value[digits.len()..] {
        "" | "s" => Some(1.0),
        "ms" => Some(0.001),
        "m" => Some(60.0),
        "h" => Some(3_600.0),
        "d" => Some(86_400.0),
        _ => None,
    };
    let parsed = unit_s.zip(f64::from_str(digits).ok()).map(|(unit_s, number)| unit_s * number);
    let parsed = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.ok_or_else(|| UsageError(format!("expected a duration such as 90s, 15m, 12h or 30d, got {value:?}")))
}

fn seconds(value: &str) -> Result<Duration, UsageError> {
    let parsed = f64::from_str(value).ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.ok_or_else(|| UsageError(format!("expected seconds, 0 or more, got {value:?}")))
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, String> {
        let variable = |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).into());
        Command::parse(arguments.iter().map(OsString::from), variable).map_err(|error| error.0)
    }

    #[track_caller]
    fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Config {
        match parse(arguments, variables) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_win_over_variables() {
        let variables = [("STEPRILL_WORKERS", "3"), ("STEPRILL_ALLOW_HOST", "a,b"), ("STEPRILL_GRACE", "0.5")];
        let from_variables = config(&[], &variables);
        assert_eq!(from_variables.workers, 3);
        assert_eq!(from_variables.allow_hosts, ["a", "b"]);
        assert_eq!(from_variables.grace, Duration::from_millis(500));
        let both = config(&["--workers=4", "--allow-host", "c"], &variables);
        assert_eq!(both.workers, 4);
        assert_eq!(both.allow_hosts, ["c"]);
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (value, bytes) in [("65536", 65_536), ("64K", 65_536), ("1MiB", 1 << 20), ("1g", 1 << 30)] {
            assert_eq!(config(&["--body-bytes-max", value], &[]).body_bytes_max, bytes, "{value}");
        }
        for value in ["", "M", "0", "1T", "1.5M", "-1", "2G", "99999999999999999999G"] {
            let error = parse(&["--body-bytes-max", value], &[]).unwrap_err();
            assert!(error.contains("such as 65536"), "{value}: {error}");
        }
    }

    #[test]
    fn feed_keep_is_events_and_bytes() {
        assert_eq!(config(&["--feed-keep", "5,64K"], &[]).feed_keep, FeedKeep { events: 5, bytes: 64 << 10 });
        assert_eq!(config(&["--feed-keep", "7"], &[]).feed_keep, FeedKeep { events: 7, ..FeedKeep::default() });
    }

    #[test]
    fn listen_is_repeatable_and_replaces_the_default() {
        let config = config(&["--listen", "127.0.0.1:0", "--listen", "unix:/tmp/s"], &[]);
        assert_eq!(config.listen.len(), 2);
    }

    #[test]
    fn beyond_loopback_needs_allow_anonymous() {
        let unclear = parse(&[], &[("STEPRILL_ALLOW_ANONYMOUS", "maybe")]).unwrap_err();
        assert!(unclear.contains("true or false"), "{unclear}");
        let refused = parse(&["--listen", "0.0.0.0:80"], &[]).unwrap_err();
        assert!(refused.contains("--allow-anonymous"), "{refused}");
        assert!(config(&["--listen", "0.0.0.0:80", "--allow-anonymous"], &[]).allow_anonymous);
    }

    #[test]
    fn variable_of_what_comes_later_is_refused_as_its_flag_is() {
        let error = parse(&[], &[("STEPRILL_TOKEN_FILE", "value")]).unwrap_err();
        assert!(error.contains("STEPRILL_TOKEN_FILE") && error.contains("later"), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (arguments, named) in [
            (&["--nope"][..], "--nope"),
            (&["--workers", "0"], "from 1"),
            (&["--workers", "many"], "many"),
            (&["--workers"], "--workers"),
            (&["--log", "xml"], "xml"),
            (&["--grace", "-1"], "seconds"),
            (&["--data", ""], "directory"),
            (&["--durability", "some"], "full, normal or off"),
            (&["--keep-for", "1y"], "1y"),
            (&["--keep-for", "-1s"], "duration"),
            (&["--feed-keep", "0"], "from 1"),
            (&["--feed-keep", "5,many"], "bytes"),
            (&["--socket-mode", "rw"], "0660"),
            (&["--socket-mode", "1777"], "0660"),
            (&["--token-file", "f"], "later"),
            (&["--listen", "here"], "here"),
            (&["--memory-max", "16M", "--body-bytes-max", "9M"], "--body-bytes-max"),
            (&["--memory-max", "1M"], "from 4194304"),
            (&["extra"], "extra"),
        ] {
            let error = parse(arguments, &[]).unwrap_err();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }
}
