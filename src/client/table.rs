//! The commands and their options: one table, from which parsing and help follow.

use std::fmt::Write as _;

use super::{
    answers,
    arguments::{Command, Flag, flags, option, switch},
    feeds, handlers, run,
};

const JSON: Flag = switch("--json", "print what the server replies, as JSON");

const STATUSES: &[&str] = &["running", "completed", "failed", "cancelled"];

const FIELDS: &str = "FIELD=VALUE is read as the schema of the event says: integers, numbers, true and false, JSON for \
    arrays and objects, else text. Where there is no schema, whatever is JSON counts as such. FIELD:=JSON is always \
    JSON.";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        operands: "NAME [FIELD=VALUE...]",
        least: 1,
        most: usize::MAX,
        about: "Starts a run of a workflow, follows it, and prints its result.",
        details: "Its events are printed as they come, one line each, and the result as the last line. A lost \
            connection is opened again, and no event is printed twice. If the run asks something and stdin is a \
            terminal, the questions are asked there. Ctrl-C asks whether to cancel the run or to leave it. Exit code: \
            0 the run has completed, 1 it has failed, 2 usage error, 3 it was cancelled, 4 it has timed out, 130 left.",
        flags: &[
            option("--json", "FILE|-", "an object with fields of the start event, from a file or stdin"),
            switch("--no-wait", "print the handler's id and leave the run alone"),
            switch("--ndjson", "print each event as the server sends it, as JSON"),
            switch("--quiet", "print only the result"),
        ],
        is_local: false,
        run: run::run,
    },
    Command {
        name: "list",
        operands: "",
        least: 0,
        most: 0,
        about: "Lists handlers: runs with their status.",
        details: "",
        flags: &[
            Flag { name: "--status", value: "STATUS", choices: STATUSES, help: "only with this status; repeatable" },
            option("--workflow", "NAME", "only of this workflow; repeatable"),
            switch("--json", "print each handler as JSON, one per line"),
        ],
        is_local: false,
        run: handlers::list,
    },
    Command {
        name: "events",
        operands: "ID",
        least: 1,
        most: 1,
        about: "Prints the events of a handler's newest run.",
        details: "With --follow, a lost connection is opened again, and no event is printed twice.",
        flags: &[
            switch("--follow", "wait for further events until the run has ended"),
            option("--from", "N", "begin with the event of this number (0)"),
            switch("--internal", "events about steps, too"),
            switch("--json", "print each event as JSON, one per line"),
        ],
        is_local: false,
        run: feeds::events,
    },
    Command {
        name: "result",
        operands: "ID",
        least: 1,
        most: 1,
        about: "Prints the result of a run.",
        details: "Exit code: 0 the run has completed, 1 it has failed or not ended, 2 usage error, 3 it was cancelled, \
            4 it has timed out.",
        flags: &[switch("--json", "print the handler as JSON; its result is the stop event")],
        is_local: false,
        run: handlers::result,
    },
    Command {
        name: "send",
        operands: "ID TYPE [FIELD=VALUE...]",
        least: 2,
        most: usize::MAX,
        about: "Sends an event to a run.",
        details: FIELDS,
        flags: &[option("--step", "NAME", "only to this step"), JSON],
        is_local: false,
        run: handlers::send,
    },
    Command {
        name: "answer",
        operands: "ID [FIELD=VALUE...]",
        least: 1,
        most: usize::MAX,
        about: "Answers the question that a run asks.",
        details: "Without fields it shows the question and asks for the answer at the terminal. FIELD=VALUE is read as \
            for `steprill send`.",
        flags: &[option("--question", "N", "the number of the question in the feed (the oldest open one)"), JSON],
        is_local: false,
        run: answers::answer,
    },
    Command {
        name: "cancel",
        operands: "ID",
        least: 1,
        most: 1,
        about: "Cancels a run.",
        details: "",
        flags: &[switch("--purge", "remove the handler as well, in whatever state it is"), JSON],
        is_local: false,
        run: handlers::cancel,
    },
    Command {
        name: "workflows",
        operands: "",
        least: 0,
        most: 0,
        about: "Lists the workflows of a server.",
        details: "",
        flags: &[JSON],
        is_local: false,
        run: handlers::workflows,
    },
    Command {
        name: "schema",
        operands: "NAME",
        least: 1,
        most: 1,
        about: "Prints the fields of a workflow's start and stop event.",
        details: "",
        flags: &[switch("--json", "print their JSON Schemas")],
        is_local: false,
        run: handlers::schema,
    },
];

pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Returns whether there is a command of this name.
pub(crate) fn is_command(name: &str) -> bool {
    find(name).is_some()
}

/// Returns the names of all commands.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.name)
}

/// Returns the forms of all commands: `run NAME [FIELD=VALUE...] [OPTIONS]`.
pub(crate) fn forms() -> impl Iterator<Item = String> {
    COMMANDS.iter().map(form)
}

fn form(command: &Command) -> String {
    let operands = if command.operands.is_empty() { String::new() } else { format!(" {}", command.operands) };
    format!("{}{operands} [OPTIONS]", command.name)
}

/// Returns the text of a command's `--help`.
pub(super) fn help(command: &'static Command) -> String {
    let mut text = format!("Usage: {} {}\n\n{}\n", crate::PROGRAM, form(command), command.about);
    if !command.details.is_empty() {
        let _ = write!(text, "\n{}", wrapped(command.details));
    }
    text.push_str("\nOptions:\n");
    for flag in flags(command) {
        let label = if flag.value.is_empty() { flag.name.to_owned() } else { format!("{} {}", flag.name, flag.value) };
        let choices = if flag.choices.is_empty() { String::new() } else { format!(": {}", flag.choices.join(", ")) };
        let _ = writeln!(text, "  {label:<24} {}{choices}", flag.help);
    }
    text
}

/// Breaks a text into lines.
fn wrapped(text: &str) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split_whitespace() {
        if length > 0 && length + 1 + word.len() > COLUMNS {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word.len();
    }
    lines.push('\n');
    lines
}

/// The width of help, as terminals have at least.
const COLUMNS: usize = 78;
