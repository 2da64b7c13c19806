//! What the loop knows about each connection whose reply is not complete.

use super::reader::Reader;
use crate::api::{ErrorFormat, List};

/// The state of a reply. A connection whose request waits to be judged has none yet.
#[derive(Debug)]
pub(super) enum Client {
    /// The core produces the reply; errors have this form.
    Answering(ErrorFormat),
    /// GET /events: waits for the lock, or for events.
    Reading(Box<Reader>),
    /// GET /handlers: waits to write more of the list.
    Listing(Box<List>),
}
