//! Simulations of the real engine. One seed decides everything that happens; a failure prints it.
//!
//! | module | what it simulates |
//! |---|---|
//! | `run` | one run: passes complete in any order, timers fire, people answer, the server crashes |
//! | `server` | the whole server except for its sockets: calls, core, scheduler, runs, over a store that may fail |
//! | `memory` | the same without a data directory: nothing is recorded, and the store is in memory |

pub(crate) mod memory;
pub(crate) mod random;
pub(crate) mod run;
pub(crate) mod server;
