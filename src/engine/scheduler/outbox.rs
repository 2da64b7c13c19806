//! What the scheduler hands out, in order: notices, troubles, and memory that is no longer needed.

use std::collections::VecDeque;

use super::{notice::Notice, troubles::Trouble, waste::Waste};
use crate::limits::WASTE_BYTES_MIN;

/// What is to be handed out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    notices: VecDeque<Notice>,
    troubles: VecDeque<Trouble>,
    waste: Vec<Waste>,
}

impl Outbox {
    /// Adds a notice.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    /// Adds notices.
    pub(super) fn notify_all(&mut self, notices: impl IntoIterator<Item = Notice>) {
        self.notices.extend(notices);
    }

    /// Reports troubles whose causes are committed, or need not be.
    pub(super) fn report(&mut self, troubles: impl IntoIterator<Item = Trouble>) {
        self.troubles.extend(troubles);
    }

    /// Drops a value of this many bytes, at once if they are few.
    pub(super) fn discard(&mut self, bytes: usize, unneeded: impl Send + 'static) {
        if bytes >= WASTE_BYTES_MIN {
            self.waste.push(Waste::new(bytes, unneeded));
        }
    }

    pub(super) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(super) fn poll_trouble(&mut self) -> Option<Trouble> {
        self.troubles.pop_front()
    }

    pub(super) fn poll_waste(&mut self) -> Option<Waste> {
        self.waste.pop()
    }
}
