//! The log: lines on stderr, as text or as JSON.

use std::{
    io::Write as _,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use log::{LevelFilter, Log, Metadata, Record};

use crate::api::Timestamp;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `2026-11-24T15:19:41.245592+00:00 INFO message`.
    Text,
    /// `{"time":…,"level":…,"message":…}`.
    Json,
    /// None.
    Off,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "off" => Ok(Self::Off),
            other => Err(format!("expected text, json or off, got {other:?}")),
        }
    }
}

/// Installs the log. A program that has a logger of its own keeps it.
pub(super) fn install(format: Format) {
    if format != Format::Off && log::set_boxed_logger(Box::new(Lines { format })).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Tells the log what time it is.
pub(super) fn set_time(wall_us: i64) {
    NOW_US.store(wall_us, Ordering::Relaxed);
}

/// The loop's clock as of this turn: the log reads none of its own.
static NOW_US: AtomicI64 = AtomicI64::new(0);

struct Lines {
    format: Format,
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let time = Timestamp(NOW_US.load(Ordering::Relaxed));
        let line = match self.format {
            Format::Json => {
                let message = serde_json::Value::from(record.args().to_string());
                format!("{{\"time\":\"{time}\",\"level\":\"{}\",\"message\":{message}}}", record.level())
            }
            _ => format!("{time} {} {}", record.level(), record.args()),
        };
        // A log that nobody can read stops nothing.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn flush(&self) {}
}
