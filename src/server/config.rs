//! The command line: parses flags and `STEPRILL_*` variables into a [`Config`].

mod error;
mod table;
mod values;

use std::{ffi::OsString, fmt::Write as _};

use lexopt::{Arg, ValueExt};

use crate::text::nearest;
pub use error::{UsageError, ValueError};
pub(super) use table::PREFIX;
pub use table::{Config, FLAGS, Flag};
use table::{LATER, Set, variable};

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

impl Command {
    /// Parses a command line, without the program's name; `variable` returns an environment variable. Flags take
    /// precedence.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UsageError> {
        let (command, operands) = Self::parse_with_operands(arguments, variable)?;
        match operands.into_iter().next() {
            Some(operand) => Err(Arg::Value(operand).unexpected().into()),
            None => Ok(command),
        }
    }

    /// Like [`Command::parse`], but returns what is no flag as well, in order.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse_with_operands(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<OsString>), UsageError> {
        let mut operands = Vec::new();
        let mut config = Config::default();
        set_variables(&mut config, variable)?;
        let mut cleared: Vec<&str> = Vec::new();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let name = match argument {
                Arg::Short('h') => "--help".to_owned(),
                Arg::Short('V') => "--version".to_owned(),
                Arg::Long(name) => format!("--{name}"),
                Arg::Value(operand) => {
                    operands.push(operand);
                    continue;
                }
                other @ Arg::Short(_) => return Err(other.unexpected().into()),
            };
            let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else { return Err(unknown(name)) };
            match flag.set {
                Set::Help => return Ok((Self::Help, operands)),
                Set::Version => return Ok((Self::Version, operands)),
                Set::Switch(set) => set(&mut config, true),
                Set::One(set) => {
                    set(&mut config, &parser.value()?.string()?)
                        .map_err(|error| UsageError::Value { of: name, error })?;
                }
                Set::Many { clear, push } => {
                    let value = parser.value()?.string()?;
                    if !cleared.contains(&flag.name) {
                        clear(&mut config);
                        cleared.push(flag.name);
                    }
                    push(&mut config, &value).map_err(|error| UsageError::Value { of: name, error })?;
                }
            }
        }
        config.check()?;
        Ok((Self::Serve(Box::new(config)), operands))
    }
}

/// The settings of the environment.
fn set_variables(config: &mut Config, value: impl Fn(&str) -> Option<String>) -> Result<(), UsageError> {
    let value = |key: &str| value(key).filter(|value| !value.is_empty());
    // Not to be ignored silently, as somebody relies on it.
    for (name, why) in LATER {
        let of = variable(name);
        if value(&of).is_some() {
            return Err(UsageError::Later { of, why });
        }
    }
    for flag in FLAGS {
        let Some(of) = flag.variable() else { continue };
        let Some(text) = value(&of) else { continue };
        let set = match flag.set {
            Set::Switch(set) => values::switch(&text).map(|is_on| set(config, is_on)),
            Set::One(set) => set(config, &text),
            Set::Many { clear, push } => {
                clear(config);
                text.split(',').try_for_each(|text| push(config, text))
            }
            Set::Help | Set::Version => Ok(()),
        };
        set.map_err(|error| UsageError::Value { of, error })?;
    }
    Ok(())
}

/// There is no flag of this name.
fn unknown(name: String) -> UsageError {
    if let Some((_, why)) = LATER.iter().find(|(later, _)| *later == name) {
        return UsageError::Later { of: name, why };
    }
    let bare = |name: &'static str| name.trim_start_matches('-');
    let meant = nearest(name.trim_start_matches('-'), FLAGS.iter().map(|flag| bare(flag.name)));
    let meant = meant.and_then(|meant| FLAGS.iter().map(|flag| flag.name).find(|name| bare(name) == meant));
    UsageError::UnknownFlag { name, meant }
}

impl Config {
    fn check(&self) -> Result<(), UsageError> {
        if let Some(memory_max) = self.memory_max.filter(|memory_max| self.body_bytes_max > memory_max / 2) {
            return Err(UsageError::BodyBeyondMemory { memory_max, body_bytes_max: self.body_bytes_max });
        }
        let open = self.listen.iter().find(|address| !address.is_local());
        match open {
            Some(address) if !self.allow_anonymous => Err(UsageError::OpenToAll(address.clone())),
            _ => Ok(()),
        }
    }
}

/// Returns the text of `--help`. Each of `commands` may follow the program's name.
pub fn usage(program: &str, commands: &[&str]) -> String {
    let mut text = String::new();
    for (index, command) in commands.iter().enumerate() {
        let _ = writeln!(text, "{} {program} {command}", if index == 0 { "Usage:" } else { "      " });
    }
    text.push_str("\nServes workflows over HTTP until SIGTERM or SIGINT.\n\nOptions:\n");
    for flag in FLAGS {
        let _ = writeln!(text, "  {:<30} {}", flag.label(), flag.description());
    }
    text.push_str("\nA variable STEPRILL_NAME sets --name (lists: separated by commas); flags win.\n");
    text
}

/// The variables that set something, and those that a later version will have.
pub(super) fn variables() -> impl Iterator<Item = String> {
    FLAGS.iter().filter_map(Flag::variable).chain(LATER.iter().map(|(name, _)| variable(name)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::window::FeedKeep;

    #[track_caller]
    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, String> {
        let variable = |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).into());
        Command::parse(arguments.iter().map(OsString::from), variable).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Config {
        match parse(arguments, variables) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_that_are_shown_are_those_of_the_configuration() {
        let shown: Vec<&Flag> = FLAGS.iter().filter(|flag| !flag.default.is_empty()).collect();
        assert!(shown.len() > 10, "{shown:?}");
        for Flag { name, default, .. } in shown {
            assert_eq!(config(&[name, default], &[]), Config::default(), "{name} {default}");
        }
    }

    #[test]
    fn every_flag_has_a_variable_that_sets_it_too() {
        for (name, value) in [("--log", "json"), ("--keep-for", "7d"), ("--listen", "unix:/tmp/s"), ("--data", "d")] {
            let flag = FLAGS.iter().find(|flag| flag.name == name).expect("the flag");
            let variable = flag.variable().expect("it has one");
            assert_eq!(config(&[name, value], &[]), config(&[], &[(&variable, value)]), "{variable}");
        }
        assert_eq!(config(&[], &[("STEPRILL_ALLOW_ANONYMOUS", "yes")]), config(&["--allow-anonymous"], &[]));
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
