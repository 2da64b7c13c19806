//! The start of a program: where it is, what its environment has, and why it cannot be started.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, ErrorKind},
    os::unix::process::CommandExt as _,
    path::{self, Path, PathBuf},
    process::{Child, Stdio},
};

use mio::unix::pipe::{Receiver, Sender};
use rustix::io::Errno;

use crate::{
    command::{Launch, Program},
    executable::{self, NotFound},
    limits::{SECRET_BYTES_MAX, SECRET_LINE_BYTES_MIN},
};

/// How the program of a step is started: what does not depend on the pass.
#[derive(Debug)]
pub(super) struct Plan {
    directory: PathBuf,
    variables: Vec<(OsString, OsString)>,
    /// Where programs without a slash are searched.
    path: OsString,
    secrets: Vec<(OsString, PathBuf)>,
    /// Sets limits, for a shell.
    limits: Option<String>,
    /// Whether failures are retried under the step's policy.
    pub(super) has_retry: bool,
}

/// A program that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdin: Sender,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
    /// Texts that no log and no error may show.
    pub(super) secrets: Vec<String>,
}

/// Why a program was not started.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// The attempt fails with this text.
    Fault(String),
    /// The system is short of processes, descriptors or memory: to be tried again later.
    Short(io::Error),
}

impl Plan {
    pub(super) fn new(program: &Program) -> Self {
        let passed =
            BASE_VARIABLES.iter().map(OsStr::new).chain(program.pass_env.iter().map(|name| OsStr::new(&**name)));
        let mut variables: Vec<(OsString, OsString)> =
            passed.filter_map(|name| Some((name.to_owned(), env::var_os(name)?))).collect();
        variables.extend(program.env.iter().map(|(name, value)| (OsString::from(&**name), OsString::from(&**value))));
        let path = executable::search_path(program);
        if variables.iter().all(|(name, _)| name != "PATH") {
            variables.push(("PATH".into(), path.clone()));
        }
        let secrets = program.secrets.iter().map(|(name, file)| (OsString::from(&**name), file.clone()));
        Self {
            directory: path::absolute(&program.directory).unwrap_or_else(|_| program.directory.clone()),
            variables,
            path,
            secrets: secrets.collect(),
            limits: limits(program),
            has_retry: program.has_retry,
        }
    }

    /// Starts the program in a process group of its own.
    ///
    /// # Errors
    /// If it cannot be started now, or not at all.
    pub(super) fn start(&self, launch: &Launch, state: &Path) -> Result<Started, NotStarted> {
        let (name, arguments) = launch.argv.split_first().ok_or_else(|| fault("`run` names no program"))?;
        if !self.directory.is_dir() {
            return Err(fault(format!("its directory {} is gone", self.directory.display())));
        }
        let program = self.find(name)?;
        let mut command = match &self.limits {
            None => std::process::Command::new(&program),
            Some(limits) => {
                let mut shell = std::process::Command::new("/bin/sh");
                shell.arg("-c").arg(limits).arg(&program);
                shell
            }
        };
        command.args(arguments).current_dir(&self.directory).process_group(0).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut secrets = Vec::new();
        for (name, file) in &self.secrets {
            let value = secret(name, file)?;
            let lines = value.lines().filter(|line| line.len() >= SECRET_LINE_BYTES_MIN);
            secrets.extend(lines.map(str::to_owned));
            command.env(name, value);
        }
        command.envs(launch.variables.iter().map(|(name, value)| (name, value))).env("STEPRILL_STATE", state);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| explain(error, &program))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            unreachable!("all three are piped")
        };
        let (stdin, stdout, stderr) = (Sender::from(stdin), Receiver::from(stdout), Receiver::from(stderr));
        let started = Started { child, stdin, stdout, stderr, secrets };
        Ok(started)
    }

    /// Finds the program.
    fn find(&self, name: &str) -> Result<PathBuf, NotStarted> {
        executable::find(name, &self.directory, &self.path).map_err(|not_found| {
            fault(match not_found {
                NotFound::Directory(program) => format!("{} is a directory", program.display()),
                NotFound::NotExecutable(program) => format!(
                    "{} is not executable: chmod +x it, or name its interpreter first, as in [\"python3\", \"{name}\"]",
                    program.display()
                ),
                NotFound::Unknown(program, error) => format!("{} cannot be started: {error}", program.display()),
                NotFound::NotInPath { is_beside } => {
                    let hint = if is_beside {
                        format!("; for the one beside its workflow file write ./{name}")
                    } else {
                        String::new()
                    };
                    let path = self.path.display();
                    format!("no program {name} in PATH ({path}): install it, or write its path{hint}")
                }
            })
        })
    }
}

/// Reads a secret, without the line end at its end. No error tells what is in it.
fn secret(name: &OsStr, file: &Path) -> Result<String, NotStarted> {
    let (name, shown) = (name.display(), file.display());
    let error = |error: io::Error| short(error, |error| format!("secret {name}: {shown}: {error}"));
    let metadata = fs::metadata(file).map_err(error)?;
    if !metadata.is_file() {
        return Err(fault(format!("secret {name}: {shown} is no regular file")));
    }
    if metadata.len() > SECRET_BYTES_MAX as u64 {
        return Err(fault(format!("secret {name}: {shown} has more than {SECRET_BYTES_MAX} bytes")));
    }
    let value = fs::read(file).map_err(error)?;
    let value = String::from_utf8(value).map_err(|_| fault(format!("secret {name}: {shown} is not UTF-8 text")))?;
    if value.contains('\0') {
        return Err(fault(format!("secret {name}: {shown} has a NUL character, which no variable can have")));
    }
    let value = value.strip_suffix('\n').map_or(&*value, |value| value.strip_suffix('\r').unwrap_or(value));
    Ok(value.to_owned())
}

/// Returns the command that sets the limits, if there are any. The shell sets them before the program begins.
fn limits(program: &Program) -> Option<String> {
    let memory = program.memory_bytes_max.map(|bytes| format!("ulimit -v {} && ", bytes.div_ceil(1 << 10)));
    let seconds = |cpu: std::time::Duration| cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
    let cpu = program.cpu_max.map(|cpu| format!("ulimit -t {} && ", seconds(cpu).max(1)));
    let all: String = [memory, cpu].into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("{all}exec \"$0\" \"$@\""))
}

fn fault(text: impl Into<String>) -> NotStarted {
    NotStarted::Fault(text.into())
}

/// Sorts an error of the system; `text` describes it if no later try can succeed.
pub(super) fn short(error: io::Error, text: impl FnOnce(&io::Error) -> String) -> NotStarted {
    match Errno::from_io_error(&error) {
        Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => NotStarted::Short(error),
        _ => NotStarted::Fault(text(&error)),
    }
}

fn explain(error: io::Error, program: &Path) -> NotStarted {
    let program = program.display();
    short(error, |error| match error.kind() {
        ErrorKind::NotFound => {
            format!("{program} cannot be started: the interpreter that its first line names is not there")
        }
        _ if Errno::from_io_error(error) == Some(Errno::NOEXEC) => {
            format!("{program} is no program: begin a script with a line such as #!/bin/sh")
        }
        _ => format!("{program} cannot be started: {error}"),
    })
}

/// What every program gets of the server's environment.
const BASE_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
