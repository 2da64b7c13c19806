//! The table of flags. An entry says everything about one flag: its member of [`Config`], its default, its name, its
//! help, and how it is set. `--help`, the variables and the README's table follow from it.

use std::{path::PathBuf, time::Duration};

use super::{
    error::ValueError,
    values::{directory, duration, feed_keep, mode, number, seconds, size},
};
use crate::{engine::window::FeedKeep, limits, net::Address, server::log::LogFormat, store::Durability};

/// One flag, as `--help` and the README show it.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// `--workers`.
    pub name: &'static str,
    /// `N`; empty if it takes no value.
    pub value: &'static str,
    /// What it does.
    help: &'static str,
    /// The value that stands for its default; empty if there is none.
    pub(super) default: &'static str,
    /// What the default means, or how it is found.
    note: &'static str,
    pub(super) set: Set,
}

/// What a flag does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Set {
    /// Takes no value. Its variable says yes or no.
    Switch(fn(&mut Config, bool)),
    /// Takes one value; the last one counts.
    One(fn(&mut Config, &str) -> Result<(), ValueError>),
    /// May be repeated. `clear` removes the default, or the values of the variable.
    Many { clear: fn(&mut Config), push: fn(&mut Config, &str) -> Result<(), ValueError> },
    /// Prints the usage instead.
    Help,
    /// Prints the version instead.
    Version,
}

/// Defines [`Config`], its default and [`FLAGS`] from one entry for each flag.
///
/// An entry begins with the member, its type and its default. After `flag` come the name and the value that it takes,
/// then its help, its default as a value that it takes, and a note on the default. The end says what it does: `switch`
/// sets a `bool`, `one` and `optional` set what a function makes of the text, `many` adds that to a `Vec`.
macro_rules! settings {
    (
        $(#[$config_doc:meta])*
        Config;
        $(
            $(#[$doc:meta])*
            $member:ident: $type:ty = $initial:expr;
            flag $name:literal $value:literal, $help:literal, $default:literal, $note:literal,
            $kind:ident $(($parse:expr))?;
        )*
    ) => {
        $(#[$config_doc])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct Config {
            $($(#[$doc])* pub $member: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($member: $initial,)* }
            }
        }

        /// Every flag, in the order in which they are shown.
        pub const FLAGS: &[Flag] = &[
            $(Flag {
                name: $name,
                value: $value,
                help: $help,
                default: $default,
                note: $note,
                set: settings!(@ $kind $member $($parse)?),
            },)*
            Flag { name: "--help", value: "", help: "print this", default: "", note: "", set: Set::Help },
            Flag {
                name: "--version", value: "", help: "print the version", default: "", note: "", set: Set::Version,
            },
        ];
    };
    (@ switch $member:ident) => { Set::Switch(|config, is_on| config.$member = is_on) };
    (@ one $member:ident $parse:expr) => {
        Set::One(|config, text| {
            let parse: fn(&str) -> Result<_, ValueError> = $parse;
            config.$member = parse(text)?;
            Ok(())
        })
    };
    (@ optional $member:ident $parse:expr) => {
        Set::One(|config, text| {
            let parse: fn(&str) -> Result<_, ValueError> = $parse;
            config.$member = Some(parse(text)?);
            Ok(())
        })
    };
    (@ many $member:ident $parse:expr) => {
        Set::Many {
            clear: |config| config.$member.clear(),
            push: |config, text| {
                let parse: fn(&str) -> Result<_, ValueError> = $parse;
                config.$member.push(parse(text)?);
                Ok(())
            },
        }
    };
}

settings! {
    /// How a server is to run. [`Config::default`] is what a program gets without flags.
    Config;

    /// Where it listens. Default: `127.0.0.1:8080`.
    listen: Vec<Address> = vec![Address::Tcp(([127, 0, 0, 1], 8080).into())];
    flag "--listen" "ADDR:PORT|unix:PATH", "where to listen; repeatable; port 0 takes a free one", "127.0.0.1:8080", "",
    many(|text| Ok(text.parse()?));

    /// The directory in which everything is stored. Default: none; everything is in memory.
    data: Option<PathBuf> = None;
    flag "--data" "DIR", "where everything is stored; survives a restart", "", "nowhere: in memory",
    optional(directory);

    /// When a change counts as committed there. Default: once it is on the disk.
    durability: Durability = Durability::Full;
    flag "--durability" "full|normal|off", "what a crash of the machine may cost", "full", "nothing",
    one(|text| Ok(text.parse()?));

    /// The largest number of worker threads. Default: 8.
    workers: usize = limits::WORKERS_DEFAULT;
    flag "--workers" "N", "threads that run steps, at most", "8", "",
    one(|text| number(text, 1, limits::WORKERS_MAX));

    /// How many programs of workflow files run at a time; further steps wait. Default: 64.
    programs_max: usize = limits::PROGRAMS_DEFAULT;
    flag "--programs-max" "N", "programs that run steps at a time, at most", "64", "",
    one(|text| number(text, 1, limits::PROGRAMS_MAX));

    /// Origins whose pages may call; `*` allows all. Default: only its own and loopback pages.
    cors_origins: Vec<String> = Vec::new();
    flag "--cors-origin" "ORIGIN|*", "origin whose pages may call; repeatable", "", "own and loopback pages",
    many(|text| Ok(text.to_owned()));

    /// Names that the Host header may have on TCP, beside loopback names and, on a network address, IP addresses.
    allow_hosts: Vec<String> = Vec::new();
    flag "--allow-host" "NAME", "name that Host may have; repeatable",
    "", "loopback names; beyond loopback IP addresses, too",
    many(|text| Ok(text.to_owned()));

    /// Mode of the files of unix sockets, whatever the umask. Default: 0600.
    socket_mode: u32 = limits::SOCKET_MODE_DEFAULT;
    flag "--socket-mode" "MODE", "who may use unix sockets, such as 0660", "0600", "the user alone",
    one(mode);

    /// Whether to listen beyond loopback although anybody who reaches the port may call.
    allow_anonymous: bool = false;
    flag "--allow-anonymous" "", "listen beyond loopback although anybody may call", "", "",
    switch;

    /// The format of log lines. Default: text, on stderr.
    log: LogFormat = LogFormat::Text;
    flag "--log" "text|json|off", "form of the log on stderr", "text", "",
    one(|text| Ok(text.parse()?));

    /// How long work in progress may continue after SIGTERM. Default: 5 s.
    grace: Duration = limits::GRACE_DEFAULT;
    flag "--grace" "SECONDS", "time for work in progress after SIGTERM", "5", "",
    one(seconds);

    /// How many finished handlers to retain. Default: 10,000 with `data`, else 1,000.
    keep_finished: Option<usize> = None;
    flag "--keep-finished" "N", "finished runs to keep", "", "10000 with --data, else 1000",
    optional(|text| number(text, 0, usize::MAX));

    /// How long to retain them. Default: as long as their number allows.
    keep_for: Option<Duration> = None;
    flag "--keep-for" "DURATION", "how long to keep them: 90s, 15m, 12h, 30d", "", "no end",
    optional(duration);

    /// With `data`: how many of the newest events of a run's feed to retain, and how many bytes of them. Default:
    /// 1,000,000 and 64 MiB.
    feed_keep: FeedKeep = FeedKeep::default();
    flag "--feed-keep" "EVENTS[,BYTES]", "newest events of a run's feed to keep, with --data", "1000000,64M", "",
    one(feed_keep);

    /// With `data`: the most bytes that it may take on the disk; the longest finished runs are removed first, and with
    /// none left new runs are refused with 507. Default: no limit.
    data_bytes_max: Option<u64> = None;
    flag "--data-bytes-max" "SIZE", "bytes of --data; the longest finished runs go, then new ones get 507",
    "", "no bound",
    optional(|text| Ok(size(text, limits::DATA_BYTES_MIN, usize::MAX)? as u64));

    /// With `data`: how long a run that only waits stays in memory. Default: 60 s.
    idle_after: Duration = limits::IDLE_AFTER_DEFAULT;
    flag "--idle-after" "DURATION", "when a run that only waits leaves memory, with --data", "60s", "",
    one(duration);

    /// How many bytes of finished runs (results, states and events) stay in memory. Default: 64 MiB.
    finished_bytes_max: usize = limits::FINISHED_BYTES_MAX_DEFAULT;
    flag "--finished-bytes-max" "SIZE", "bytes of finished runs that stay in memory", "64M", "",
    one(|text| size(text, 0, usize::MAX));

    /// The most bytes that the server holds; beyond them new work is refused with 503. Default: half of what the
    /// machine or the control group has, at most 1 GiB.
    memory_max: Option<usize> = None;
    flag "--memory-max" "SIZE", "bytes that the server holds; beyond it new work gets 503",
    "", "half of what there is, at most 1G",
    optional(|text| size(text, limits::MEMORY_MAX_MIN, usize::MAX));

    /// Runs at a time; more are refused with 503. Default: 100,000.
    runs_max: usize = limits::RUNS_MAX_DEFAULT;
    flag "--runs-max" "N", "runs in memory at a time; more get 503", "100000", "",
    one(|text| number(text, 1, usize::MAX));

    /// Connections at a time; more are refused with 503. Default: 20,000.
    connections_max: usize = limits::CONNECTIONS_MAX_DEFAULT;
    flag "--connections-max" "N", "connections at a time; more get 503", "20000", "",
    one(|text| number(text, 1, limits::CONNECTIONS_MAX));

    /// Bytes of a request's body; larger ones are refused with 413. Default: 4 MiB.
    body_bytes_max: usize = limits::BODY_BYTES_MAX_DEFAULT;
    flag "--body-bytes-max" "SIZE", "bytes of a request's body; more get 413", "4M", "",
    one(|text| size(text, 1, limits::BODY_BYTES_MAX));
}

/// Flags of the design that this version does not have, and what to do instead. Nobody may count on them.
pub(super) const LATER: &[(&str, &str)] =
    &[("--token-file", "tokens come with a later version; listen on loopback, or say --allow-anonymous")];

/// What the variables of all flags begin with.
pub(crate) const PREFIX: &str = "STEPRILL_";

impl Flag {
    /// Its name and the value that it takes: `--workers N`.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.value).trim_end().to_owned()
    }

    /// What it does, with its default: `threads that run steps, at most (8)`.
    pub fn description(&self) -> String {
        let parts: Vec<&str> = [self.default, self.note].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { self.help.to_owned() } else { format!("{} ({})", self.help, parts.join(": ")) }
    }

    /// The variable that sets it too, if there is one.
    pub fn variable(&self) -> Option<String> {
        (!matches!(self.set, Set::Help | Set::Version)).then(|| variable(self.name))
    }

    /// Its row in the README's table.
    pub fn row(&self) -> String {
        format!("| `{}` | {} |", self.label().replace('|', "\\|"), self.description())
    }
}

/// The variable that sets a flag: `STEPRILL_KEEP_FOR` for `--keep-for`.
pub(super) fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.trim_start_matches('-').to_uppercase().replace('-', "_"))
}
