//! A person at a terminal.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::{Child, Stdio},
    sync::mpsc,
    thread,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{begin, check, steprill};
use crate::support::{PATIENCE, Program, within};

/// A terminal with a program in its foreground.
struct Terminal {
    child: Child,
    keys: File,
    /// The program's end.
    slave: File,
    screen: mpsc::Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn of(program: &Program, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let slave = OpenOptions::new().read(true).write(true).open(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let slave = slave.expect("the other end");
        let other = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut command = steprill(program, arguments);
        let child = command.stdin(other()).stdout(other()).stderr(other()).env("NO_COLOR", "1").spawn();
        let mut keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        keys.flush().expect("it is open");
        Self { child: child.expect("it starts"), keys, slave, screen, shown: String::new() }
    }

    /// Waits until this is shown, behind what was waited for before.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let Ok(bytes) = self.screen.recv_timeout(PATIENCE) else { panic!("expected {text:?}: {}", self.shown) };
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        let (_, rest) = self.shown.split_once(text).expect("it is shown");
        self.shown = rest.to_owned();
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Presses Enter at a prompt, and waits until the program has read that.
    #[track_caller]
    fn enters(&mut self) {
        self.types("\n");
        self.shows("\r\n");
        let slave = self.slave.try_clone().expect("a descriptor");
        within(move || {
            while rustix::io::ioctl_fionread(&slave).expect("it is open") > 0 {
                thread::yield_now();
            }
        });
    }

    /// Presses Ctrl-C: the terminal is not the program's controlling one, so that the signal is sent by hand.
    fn interrupts(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) {
        let status = within(move || self.child.wait().expect("it is ours"));
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn a_question_is_asked_at_the_terminal() {
    let program = Program::start();
    let mut terminal = Terminal::of(&program, &["run", "approval", "subject=a\u{1b}[2Jb"]);
    terminal.shows(r#"ApprovalRequested subject="a\u001b[2Jb""#);
    terminal.shows("  approved (y/n): ");
    terminal.types("perhaps\n");
    terminal.shows("expected y or n, got 'perhaps'");
    terminal.shows("  approved (y/n): ");
    terminal.types("y\n");
    terminal.shows("  by (string): ");
    terminal.types("Ada\n");
    terminal.shows("\"approved\": true");
    terminal.shows("\"by\": \"Ada\"");
    terminal.ends_with(0);
}

#[test]
fn an_open_question_is_answered_later() {
    let program = Program::start();
    let id = begin(&program, &["approval", "subject=x"]);
    let mut terminal = Terminal::of(&program, &["answer", &id]);
    terminal.shows("ApprovalRequested subject=x");
    terminal.shows("approved (y/n): ");
    terminal.types("no\n");
    terminal.shows("by (string): ");
    terminal.types("me\n");
    terminal.shows("sent");
    terminal.ends_with(0);
    check(
        &program,
        &["events", &id, "--follow", "--from", "3"],
        0,
        "   5 ApprovalResult subject=x approved=false by=me\n",
    );
}

#[test]
fn ctrl_c_asks_whether_to_cancel_or_to_leave() {
    let program = Program::start();
    let mut terminal = Terminal::of(&program, &["run", "sleepy"]);
    terminal.shows("sleepy runs as ");
    terminal.interrupts();
    terminal.shows("Cancel the run (c), leave it running (d), or go on (Enter)? ");
    terminal.enters();
    terminal.interrupts();
    terminal.shows("or go on (Enter)? ");
    terminal.types("c\n");
    terminal.shows("the run was cancelled");
    terminal.ends_with(3);

    let mut terminal = Terminal::of(&program, &["run", "approval", "subject=x"]);
    terminal.shows("approved (y/n): ");
    terminal.interrupts();
    terminal.shows("or go on (Enter)? ");
    terminal.types("\n");
    terminal.shows("approved (y/n): ");
    terminal.interrupts();
    terminal.shows("or go on (Enter)? ");
    terminal.types("c\n");
    terminal.shows("the run was cancelled");
    terminal.ends_with(3);

    for keys in ["d\n", ""] {
        let mut terminal = Terminal::of(&program, &["run", "sleepy"]);
        terminal.shows("sleepy runs as ");
        terminal.interrupts();
        terminal.shows("or go on (Enter)? ");
        // The second Ctrl-C ends it.
        if keys.is_empty() {
            terminal.interrupts();
        } else {
            terminal.types(keys);
        }
        terminal.shows("left the run; `steprill events ");
        terminal.ends_with(130);
    }
    assert_eq!(program.listed("?status=running").len(), 2, "they go on");
}
