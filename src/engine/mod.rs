//! The engine: pure machines that decide what a run does. Inputs and `now` go in, effects come out; no socket, thread,
//! file, clock, random number or hash-map order is in here, so that a journal always replays to the same state.
//!
//! | module | what it knows |
//! |---|---|
//! | [`run`] | the reducer: the semantics of one run |
//! | [`input`] | what goes into a run and what comes out of it |
//! | [`record`] | inputs as bytes of a journal, and under a workflow that has changed since |
//! | [`describe`] | a journal in lines for people to read |
//! | [`scheduler`] | all handlers and their runs: admission, passes that are ready, batches, the write-ahead rule |
//! | [`keys`] | what handlers, runs and workflows are known by |
//! | [`ids`] | ids of handlers, made from their keys |
//! | [`stored`] | what a store returns of all that |
//! | [`storage`] | what it asks of a store, and what a store answers |
//! | [`timers`] | what is due when, for all of them |
//! | [`published`] | what a run publishes |
//! | [`feed`] | the numbered list of that |
//! | [`channel`] | who reads it: the queue's lock and cursor, the readers of the log |

mod armed;
pub mod channel;
pub mod describe;
pub mod feed;
pub mod ids;
pub mod input;
pub mod keys;
mod notes;
pub mod published;
pub mod record;
pub mod run;
pub mod scheduler;
pub mod storage;
pub mod stored;
pub mod timers;
pub mod window;
