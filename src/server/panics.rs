//! Handles panics: one in a step is a failure of the step, any other is a line of the log.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    sync::Once,
    thread,
};

use super::log;
use crate::executors::threads;

/// Sends the panics of this thread, of workers and of the server's other threads to the log, which no pipe can block.
/// Panics of threads that are not the server's are reported as before.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (report, serving) = (panic::take_hook(), thread::current().id());
        panic::set_hook(Box::new(move |info| {
            let current = thread::current();
            match current.name() {
                Some(threads::THREAD_NAME) => threads::note_panic(describe(info)),
                Some(name) if name.starts_with("steprill-") || name.starts_with("store ") => tell(name, info),
                name if current.id() == serving => tell(name.unwrap_or("of the server"), info),
                _ => report(info),
            }
        }));
    });
}

/// Describes where the panic was, and its message.
fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    info.location().map_or_else(|| message.to_owned(), |location| format!("{location}: {message}"))
}

fn tell(thread: &str, info: &PanicHookInfo<'_>) {
    let line = format!("thread {thread} panicked at {}", describe(info));
    if ::log::max_level() == ::log::LevelFilter::Off {
        log::write_bare(line);
    } else {
        ::log::error!("{line}");
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        log::write_bare(backtrace.to_string());
    }
    log::flush();
}
