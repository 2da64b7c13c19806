//! The arguments of a command: options of the table, and operands.

use std::ffi::OsString;

use lexopt::Arg;

use super::failure::{Exit, Failure, Result};

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What follows the name and the options.
    pub(super) operands: &'static str,
    /// How many operands it takes.
    pub(super) least: usize,
    pub(super) most: usize,
    /// What it does, as a sentence without its subject.
    pub(super) about: &'static str,
    /// What else to know.
    pub(super) details: &'static str,
    pub(super) flags: &'static [Flag],
    /// Whether it calls no server.
    pub(super) is_local: bool,
    pub(super) run: fn(&Arguments) -> Result<Exit>,
}

/// An option.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// The word for its value; empty if it takes none.
    pub(super) value: &'static str,
    /// The only values, if there are few.
    pub(super) choices: &'static [&'static str],
    pub(super) help: &'static str,
}

pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, value: "", choices: &[], help }
}

pub(super) const fn option(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value, choices: &[], help }
}

/// Options of all commands; the first of those that call a server.
pub(super) const COMMON: &[Flag] = &[
    option("--server", "URL|unix:PATH", "the server to call (STEPRILL_SERVER, else http://127.0.0.1:8080)"),
    switch("--help", "print this"),
];

/// What follows a command's name.
#[derive(Default, Debug)]
pub(super) struct Arguments {
    /// The options that were given, in order; a switch has an empty value.
    options: Vec<(&'static str, String)>,
    operands: Vec<String>,
}

impl Arguments {
    /// Reads them according to the command's entry in the table.
    pub(super) fn parse(command: &'static Command, arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let wrong = |text: String| Failure::usage(format!("{text}; see {} {} --help", crate::PROGRAM, command.name));
        let mut parsed = Self::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| wrong(error.to_string()))? {
            let name = match argument {
                Arg::Value(value) => {
                    let got = |value: OsString| wrong(format!("expected UTF-8, got '{}'", value.to_string_lossy()));
                    parsed.operands.push(value.into_string().map_err(got)?);
                    continue;
                }
                Arg::Short('h') => "--help".to_owned(),
                Arg::Short(letter) => return Err(wrong(format!("there is no option -{letter}"))),
                Arg::Long(name) => format!("--{name}"),
            };
            let Some(flag) = flags(command).find(|flag| flag.name == name) else {
                return Err(wrong(format!("{} has no option {name}", command.name)));
            };
            let value = match flag.value {
                "" => String::new(),
                _ => parser.value().map_err(|error| wrong(error.to_string()))?.to_string_lossy().into_owned(),
            };
            if !flag.choices.is_empty() && !flag.choices.contains(&&*value) {
                let choices = flag.choices.join(", ");
                return Err(wrong(format!("{name}: expected one of {choices}, got '{value}'")));
            }
            parsed.options.push((flag.name, value));
        }
        let count = parsed.operands.len();
        if !parsed.has("--help") && (count < command.least || (count > command.most)) {
            let form = command.operands;
            return Err(wrong(match count {
                0 => format!("{} needs {form}", command.name),
                _ => format!(
                    "{} takes {}, got '{}'",
                    command.name,
                    if form.is_empty() { "nothing" } else { form },
                    parsed.operands.join(" ")
                ),
            }));
        }
        Ok(parsed)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Returns the value of an option; of several, the last.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns an option's number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
            number
                .ok_or_else(|| Failure::usage(format!("{name}: expected the number of an event, from 0, got '{text}'")))
        };
        self.value(name).map(parse).transpose()
    }

    /// Returns the first operand, which the command needs.
    pub(super) fn first(&self) -> &str {
        &self.operands[0]
    }

    pub(super) fn operands(&self) -> &[String] {
        &self.operands
    }
}

/// Returns the options of a command, its own first.
pub(super) fn flags(command: &'static Command) -> impl Iterator<Item = &'static Flag> {
    let common = if command.is_local { &COMMON[1..] } else { COMMON };
    command.flags.iter().chain(common)
}
