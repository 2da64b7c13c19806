//! The engine: pure machines that decide what a run does. Inputs and `now` go in, effects come out; no socket, thread,
//! file, clock, random number or hash-map order in here, so that a journal replays to the same state, always.

pub mod channel;
pub mod feed;
mod handler;
pub mod input;
pub mod record;
pub mod run;
pub mod scheduler;
pub mod timers;
