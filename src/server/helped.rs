//! The loop's use of the helper: bodies and journals that take long, and their results.

use super::{
    helper::{Done, Given},
    turn::Loop,
};
use crate::{
    api::{ErrorFormat, Form, Parsed},
    client_id::ClientId,
    limits::TURN_HELPED_BYTES_MAX,
};

impl Loop {
    /// Has the request's body parsed, after which the call of this connection is repeated.
    pub(super) fn begin_parsing(&mut self, id: ClientId, form: Form) {
        let Some(connection) = self.reactor.connection(id) else { return };
        let body = connection.exchange().detach_body();
        self.helper.parse(id, form, body);
    }

    /// Takes what the helper has done, as much as one turn may.
    pub(super) fn handle_helped(&mut self) {
        let mut left_bytes = TURN_HELPED_BYTES_MAX;
        while left_bytes > 0
            && let Some(Done { bytes, given }) = self.helper.poll()
        {
            left_bytes = left_bytes.saturating_sub(bytes);
            match given {
                Given::Parsed(id, parsed) => self.handle_parsed(id, parsed),
                Given::Folded(loaded, folded) => {
                    self.core.handle_folded(loaded, *folded, self.now);
                    self.carry_out_all();
                }
            }
        }
    }

    /// Makes the call whose body is parsed.
    fn handle_parsed(&mut self, id: ClientId, parsed: Option<Parsed>) {
        if !self.core.resume_call(id) {
            return;
        }
        match parsed {
            Some(parsed) => {
                self.helper.keep(id, parsed);
                self.answer_parsed(id);
            }
            None => self.answer_with(id, |errors: ErrorFormat| errors.error(500, "The body could not be parsed")),
        }
    }
}
