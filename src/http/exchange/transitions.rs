//! The transition table of the exchange: the state changes that need nothing from outside.

use std::mem;

use super::{DEFAULT_LINES, Exchange, Stage, State, pace::Pace};
use crate::{
    http::{
        Refusal, Response,
        body::{Decoder, Progress},
        request::{self, Found, Head, Scan},
        response::{self, Ending, Persistence},
    },
    limits::EMPTY_LINES_MAX,
    now::Now,
};

/// Whether the state may change again at once.
enum Step {
    Next(State),
    Stay(State),
}

impl Exchange {
    /// Changes the state until it waits for something from outside.
    pub(super) fn advance(&mut self, now: Now) {
        loop {
            let step = match mem::replace(&mut self.state, State::Closed) {
                State::Idle { since_us, empty_lines } => self.leave_idle(since_us, empty_lines, now),
                State::Head { since_us, empty_lines, scan } => self.leave_head(since_us, empty_lines, scan, now),
                State::Body { head, decoder, pace, stage } => match stage {
                    Stage::Offered => self.leave_offered(head, decoder, pace),
                    Stage::Taken => self.leave_body(head, decoder, pace, now),
                },
                State::Closing { linger, dropped } if self.output.is_empty() && self.rest.is_none() => {
                    let linger = linger && !self.input_ended && dropped <= self.limits.linger_bytes_max;
                    if !linger {
                        return self.close();
                    }
                    Step::Stay(State::Lingering { since_us: now.alive_us, moved_us: now.alive_us, dropped })
                }
                state => Step::Stay(state),
            };
            match step {
                Step::Next(state) => self.state = state,
                Step::Stay(state) => {
                    self.state = state;
                    return;
                }
            }
        }
    }

    fn leave_idle(&mut self, since_us: u64, empty_lines: u8, now: Now) -> Step {
        if self.draining || (self.input.is_empty() && self.input_ended) {
            let linger = !self.input.is_empty();
            self.input.clear();
            return Step::Next(State::Closing { linger, dropped: 0 });
        }
        // A client that does not read its replies gets no further ones.
        if self.input.is_empty() || !self.is_output_low() {
            return Step::Stay(State::Idle { since_us, empty_lines });
        }
        Step::Next(State::Head { since_us: now.alive_us, empty_lines, scan: Scan::default() })
    }

    fn leave_head(&mut self, since_us: u64, empty_lines: u8, mut scan: Scan, now: Now) -> Step {
        let bytes = match request::find_end(self.input.as_slice(), &mut scan, &self.limits) {
            Ok(Found::Nothing) if self.input_ended => {
                return Step::Next(self.refuse(Refusal::new(400, "The connection ended within a request's head"), now));
            }
            Ok(Found::Nothing) => return Step::Stay(State::Head { since_us, empty_lines, scan }),
            Ok(Found::EmptyLine) if empty_lines == EMPTY_LINES_MAX => {
                return Step::Next(
                    self.refuse(Refusal::new(400, "Expected a request line, got empty lines only"), now),
                );
            }
            Ok(Found::EmptyLine) => {
                self.input.consume(2);
                return Step::Next(State::Idle { since_us, empty_lines: empty_lines + 1 });
            }
            Ok(Found::End(bytes)) => bytes,
            Err(refusal) => return Step::Next(self.refuse(refusal, now)),
        };
        let head = match request::parse_head(&self.input.as_slice()[..bytes], &self.limits) {
            Ok(head) => head,
            Err(refusal) => return Step::Next(self.refuse(refusal, now)),
        };
        let decoder = match Decoder::new(head.framing, self.limits.body_bytes_max) {
            Ok(decoder) => decoder,
            Err(refusal) => return Step::Stay(State::Refused { head, refusal, now }),
        };
        if !matches!(decoder, Decoder::Length(0))
            && let Err(refusal) = head.check_coding(self.input.as_slice())
        {
            return Step::Stay(State::Refused { head, refusal, now });
        }
        let received = self.input.len() - bytes;
        Step::Next(State::Body { head, decoder, pace: Pace::new(received, now), stage: Stage::Offered })
    }

    /// A body that arrived with its head needs no decision: the connection can continue whatever the answer is.
    fn leave_offered(&mut self, head: Head, decoder: Decoder, pace: Pace) -> Step {
        if matches!(decoder, Decoder::Length(bytes) if bytes <= self.input.len() - head.bytes) {
            Step::Next(State::Body { head, decoder, pace, stage: Stage::Taken })
        } else {
            Step::Stay(State::Body { head, decoder, pace, stage: Stage::Offered })
        }
    }

    fn leave_body(&mut self, head: Head, mut decoder: Decoder, pace: Pace, now: Now) -> Step {
        let start = head.bytes;
        match decoder.decode(&mut self.input.as_mut_slice()[start..], self.limits.body_bytes_max) {
            Ok(Progress::Done { decoded, read }) => {
                Step::Next(State::Ready { head, body: start..start + decoded, end: start + read })
            }
            Ok(Progress::More { .. }) if self.input_ended => {
                Step::Next(self.refuse(Refusal::new(400, "The connection ended within a request's body"), now))
            }
            Ok(Progress::More { decoded, read }) => {
                self.input.cut(start + decoded, start + read);
                decoder.was_cut();
                Step::Stay(State::Body { head, decoder, pace, stage: Stage::Taken })
            }
            Err(refusal) => Step::Stay(State::Refused { head, refusal, now }),
        }
    }

    /// Sends the reply to a faulty request, and closes the exchange after it.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Now) -> State {
        let head_only = self.input.as_slice().starts_with(b"HEAD ");
        self.refuse_with(&response::refusal(refusal), DEFAULT_LINES, head_only, now)
    }

    pub(super) fn refuse_with(&mut self, response: &Response, lines: &[u8], head_only: bool, now: Now) -> State {
        self.input.clear();
        self.append_output(now, |out| {
            let ending = match response.status {
                status if response::has_no_body(status) => Ending::NoBody,
                _ => Ending::Length(response.body.len()),
            };
            response::encode_head(out, response, lines, ending, Persistence::Close, now.wall_us);
            if !head_only {
                out.extend_from_slice(&response.body);
            }
        });
        State::Closing { linger: true, dropped: 0 }
    }
}
