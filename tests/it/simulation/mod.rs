//! The real engine in worlds of chance. One seed decides all that happens; a failure prints it.
//!
//! | module | what it plays |
//! |---|---|
//! | `run` | one run: passes complete in any order, timers fire, people answer, the server crashes |
//! | `server` | the whole server but for its sockets: calls, core, scheduler, runs, over a store that may fail |

pub(crate) mod random;
pub(crate) mod run;
pub(crate) mod server;
