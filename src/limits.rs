//! Every bound of the server, its unit in its name and its reason beside it. Reaching one is an answer, never a crash.

mod http;
mod runs;
mod server;
mod store;

pub use http::*;
pub use runs::*;
pub use server::*;
pub use store::*;
