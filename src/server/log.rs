//! The log: lines on stderr, as text or as JSON.
//!
//! Logging never blocks on stderr. Lines go into a bounded queue, and a thread writes them in order. When the queue is
//! full, further lines are dropped until the thread takes what is there; then it logs how many.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    str::FromStr,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::{
    api::Timestamp,
    engine::scheduler::{Trouble, TroubleKind},
    limits::{FULL_PIPE_PAUSE, LOG_FLUSH_WAIT, LOG_LINE_BYTES_MAX, LOG_QUEUE_BYTES_MAX},
    text::{InvalidValue, OneLine},
};

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// `2026-11-24T15:19:41.245592+00:00 INFO message`.
    Text,
    /// `{"time":…,"level":…,"message":…}`.
    Json,
    /// No log.
    Off,
}

impl FromStr for LogFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "off" => Ok(Self::Off),
            other => Err(InvalidValue::new("text, json or off", other)),
        }
    }
}

/// Installs the log, unless the program has a logger of its own.
pub(super) fn install(format: LogFormat) {
    if format != LogFormat::Off && log::set_boxed_logger(Box::new(Lines { format })).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Writes a line to stderr after those of the log, whatever their form.
pub(super) fn write_bare(line: String) {
    stderr().push(line, LogFormat::Off);
}

/// Logs a warning about a run.
pub(super) fn warn_of(trouble: &Trouble) {
    let what = match trouble.kind {
        TroubleKind::RunFailed => "run failed",
        TroubleKind::AttemptFailed => "attempt failed and is tried again",
        TroubleKind::StepFailed => "step failed and emits its on_failure event",
        TroubleKind::Panicked => "step panicked",
        TroubleKind::Abandoned => "pass abandoned",
        TroubleKind::Lost => "pass lost",
    };
    let Trouble { handler, run_id, graph, step, attempt, error, .. } = trouble;
    let step = step.map(|step| format!(" step={} attempt={attempt}", graph.step(step).name)).unwrap_or_default();
    log::warn!("{what}: handler={handler} run={run_id} workflow={}{step} error={error}", graph.name);
}

/// Waits until every line so far is written, but not for long: perhaps nobody reads stderr.
pub(super) fn flush() {
    if let Some(queue) = STDERR.get() {
        queue.flush(LOG_FLUSH_WAIT);
    }
}

static STDERR: OnceLock<Arc<Queue>> = OnceLock::new();

/// Returns the queue to stderr, whose thread begins with the first line.
fn stderr() -> &'static Arc<Queue> {
    STDERR.get_or_init(|| {
        let queue = Arc::new(Queue::default());
        let taken = Arc::clone(&queue);
        // Without a thread the queue fills and drops lines, as if nobody read.
        let _ = thread::Builder::new().name("steprill-log".into()).spawn(move || taken.write_all_to(io::stderr()));
        queue
    })
}

struct Lines {
    format: LogFormat,
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        stderr().push(line(self.format, record.level(), &record.args().to_string()), self.format);
    }

    fn flush(&self) {
        flush();
    }
}

/// Formats a line without its end.
fn line(format: LogFormat, level: Level, message: &str) -> String {
    let time = Timestamp(super::clock::system_us());
    let message = OneLine::new(message, LOG_LINE_BYTES_MAX);
    match format {
        LogFormat::Json => {
            let message = serde_json::Value::from(message.to_string());
            format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":{message}}}")
        }
        _ => format!("{time} {level} {message}"),
    }
}

/// Lines that wait for a thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    /// Lines dropped after the waiting ones. Until that is reported, no further line is accepted, to preserve the
    /// order.
    dropped: u64,
    /// The form of the line that says so.
    format: Option<LogFormat>,
    /// Whether the thread is writing what it took.
    is_writing: bool,
}

impl Queue {
    fn push(&self, line: String, format: LogFormat) {
        let mut waiting = self.lock();
        if waiting.dropped > 0 || waiting.bytes + line.len() > LOG_QUEUE_BYTES_MAX {
            waiting.dropped += 1;
            waiting.format = Some(format);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        drop(waiting);
        self.changed.notify_all();
    }

    /// The thread's main function.
    fn write_all_to(&self, mut out: impl Write) {
        loop {
            let waiting = self.lock();
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty();
            let mut waiting = self.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
            let lines = std::mem::take(&mut waiting.lines);
            let dropped = std::mem::take(&mut waiting.dropped);
            let format = waiting.format.take().unwrap_or(LogFormat::Text);
            waiting.bytes = 0;
            waiting.is_writing = true;
            drop(waiting);
            for line in lines {
                write_line(&mut out, line);
            }
            if dropped > 0 {
                write_line(&mut out, self::line(format, Level::Warn, &format!("{dropped} log lines dropped")));
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn flush(&self, at_most: Duration) {
        let busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        drop(self.changed.wait_timeout_while(self.lock(), at_most, busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// No code under this lock panics in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one complete line. A line that nobody can read is lost.
fn write_line(out: &mut impl Write, mut line: String) {
    line.push('\n');
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The parent process may have made the pipe non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE_PAUSE),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Accepts a write only when the other end reads.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (Arc<Queue>, Receiver<Vec<u8>>) {
        let (pipe, read) = sync_channel(0);
        let queue = Arc::new(Queue::default());
        let taken = Arc::clone(&queue);
        thread::spawn(move || taken.write_all_to(Pipe(pipe)));
        (queue, read)
    }

    fn read(read: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.recv_timeout(Duration::from_secs(30)).expect("a line")).expect("text")
    }

    #[test]
    fn a_log_that_nobody_reads_drops_lines_and_reports_how_many_in_their_place() {
        let (queue, written) = queue();
        queue.push("first".into(), LogFormat::Text);
        // The thread has taken the first line and blocks in writing it.
        while !queue.lock().is_writing {
            thread::yield_now();
        }
        let long = "x".repeat(LOG_QUEUE_BYTES_MAX - 10);
        queue.push(long.clone(), LogFormat::Text);
        queue.push("y".repeat(11), LogFormat::Text);
        queue.push("would have room".into(), LogFormat::Text);
        queue.push("z".into(), LogFormat::Text);
        queue.flush(Duration::from_millis(1));
        assert_eq!(read(&written), "first\n");
        assert_eq!(read(&written), format!("{long}\n"));
        let notice = read(&written);
        assert!(notice.ends_with(" WARN 3 log lines dropped\n"), "{notice}");
        queue.push("after".into(), LogFormat::Text);
        assert_eq!(read(&written), "after\n");
        queue.flush(Duration::from_secs(30));
        assert!(!queue.lock().is_writing, "all is written");
    }

    #[test]
    fn a_line_is_one_line_in_either_form() {
        let text = line(LogFormat::Text, Level::Warn, "two\nlines \u{1b}[0m");
        assert!(text.ends_with(r" WARN two\nlines \u{1b}[0m"), "{text}");
        let json = line(LogFormat::Json, Level::Warn, "a \"quoted\"\nword");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&json["level"], &json["message"]), (&"WARN".into(), &r#"a "quoted"\nword"#.into()));
        let long = line(LogFormat::Text, Level::Info, &"x".repeat(LOG_LINE_BYTES_MAX + 1));
        assert!(long.ends_with("x…") && long.len() < LOG_LINE_BYTES_MAX + 64);
    }
}
