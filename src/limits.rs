//! The bounds that steps and clients meet. Reaching one is an answer or an error, never a crash.
//!
//! Every bound has its unit in its name and its reason beside it.

#[cfg(feature = "client")]
mod client;
mod files;
mod http;
mod programs;
mod runs;
mod server;
mod store;

#[cfg(not(feature = "internals"))]
pub(crate) use {files::*, http::*, programs::*, runs::*, server::*, store::*};
#[cfg(feature = "internals")]
pub use {files::*, http::*, programs::*, runs::*, server::*, store::*};

#[cfg(feature = "client")]
pub use client::*;
pub use http::{
    BODY_BYTES_MAX, BODY_BYTES_MAX_DEFAULT, CONNECTIONS_MAX, CONNECTIONS_MAX_DEFAULT, HEAD_FIELDS_MAX,
    SOCKET_MODE_DEFAULT,
};
pub use programs::{PROGRAMS_DEFAULT, PROGRAMS_MAX};
pub use runs::{
    EARLY_ANSWERS_MAX, ERROR_BYTES_MAX, FEED_BYTES_MAX, FEED_KEEP_BYTES_DEFAULT, FEED_KEEP_EVENTS_DEFAULT,
    GRAPH_NAMES_MAX, INBOX_ANSWERS_MAX, JSON_DEPTH_MAX, MATCHING_BYTES_MAX, PASS_OUTPUT_BYTES_MAX,
    RETRY_ATTEMPTS_DEFAULT, RETRY_DELAY_MAX_DEFAULT, RUN_EVENT_BYTES_MAX, RUN_WORKS_MAX, STATE_BYTES_MAX,
    STEP_WORKERS_DEFAULT, TEST_INPUTS_MAX, WORK_NOTES_MAX, WORK_STREAMS_MAX, WORK_WAITS_MAX,
};
pub use server::{
    FINISHED_BYTES_MAX_DEFAULT, GRACE_DEFAULT, HANDLER_ID_BYTES_MAX, KEEP_FINISHED_DEFAULT, MEMORY_MAX_DEFAULT,
    MEMORY_MAX_MIN, RUNS_MAX_DEFAULT, WORKERS_DEFAULT, WORKERS_MAX,
};
pub use store::{DATA_BYTES_MIN, IDLE_AFTER_DEFAULT, KEEP_FINISHED_STORE_DEFAULT};
