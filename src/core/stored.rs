//! Handles what the store has completed: batches, and answers to queries.

use super::{Core, Loaded, Output, Refused, queries::PendingQuery};
use crate::{
    client_id::ClientId,
    engine::{
        scheduler::{Folded, JournalError},
        storage::{Answer, Completed, StoreError, Ticket},
        stored::{Aside, HandlerAddress},
    },
    limits::LOOP_PARSE_BYTES_MAX,
    now::Now,
};

impl Core {
    /// The store has completed something. Call [`Core::poll_output`] until it returns nothing, before passing the next.
    pub fn handle_completed(&mut self, completed: Completed, now: Now) {
        match completed {
            Completed::Batch { number } => {
                self.note_committed(number);
                self.scheduler.handle_committed(number);
            }
            Completed::Gone(gone) => self.scheduler.handle_gone(&gone),
            Completed::Size(bytes) => self.scheduler.handle_size(bytes),
            Completed::Failed { number, error } => self.handle_failed(number, &error, now),
            Completed::Aside(aside) => self.handle_aside(aside, now),
            Completed::Died(thread) => self.outputs.push_back(Output::StoreDied(thread)),
            Completed::Answer { ticket, answer } => self.handle_answer(ticket, answer, now),
        }
    }

    /// The journal of an [`Output::Fold`] is folded. Call [`Core::poll_output`] until it returns nothing.
    pub fn handle_folded(&mut self, loaded: Loaded, folded: Result<Folded, JournalError>, now: Now) {
        let Loaded { address, asked, stored } = loaded;
        if !self.scheduler.end_read(asked) {
            return self.load(address);
        }
        self.scheduler.handle_folded(&stored, folded, now);
        self.scheduler.discard(stored.journal.bytes(), stored);
        self.resume_loaded(&address);
    }

    fn note_committed(&mut self, number: u64) {
        if let Some(was_told) = self.failures.handle_committed(number) {
            self.scheduler.note_store_fault(None);
            self.outputs.extend(was_told.then_some(Output::StoreWorks));
        }
    }

    /// Nothing of this batch and those after it is committed.
    fn handle_failed(&mut self, number: u64, error: &StoreError, now: Now) {
        if self.failures.handle_failed(now) {
            self.outputs.push_back(Output::StoreFails(error.clone()));
        }
        self.scheduler.note_store_fault(Some(error.clone()));
        self.scheduler.handle_failed(number, now);
        let refused = self.replies.take_from(number);
        self.refuse(refused, error);
    }

    /// The next batches to be committed contain nothing of this handler.
    fn handle_aside(&mut self, aside: Aside, now: Now) {
        self.scheduler.handle_aside(&aside, now);
        let refused = self.replies.take_of(aside.handler);
        let error = StoreError::Damaged { handler: aside.handler, cause: aside.cause };
        self.refuse(refused, &error);
    }

    fn refuse(&mut self, clients: impl Iterator<Item = ClientId>, error: &StoreError) {
        for client in clients {
            if self.stop_waiting_for_commit(client) {
                self.outputs.push_back(Output::Refuse(client, Refused::NotStored(error.clone())));
            }
        }
    }

    fn handle_answer(&mut self, ticket: Ticket, answer: Result<Answer, StoreError>, now: Now) {
        let Some(question) = self.queries.take(ticket) else { return };
        match &answer {
            Err(StoreError::Damaged { handler, cause }) => self.scheduler.note_damaged(*handler, cause),
            Err(error) if self.failures.complain(now) => self.outputs.push_back(Output::StoreFails(error.clone())),
            Err(_) | Ok(_) => {}
        }
        match (question, answer) {
            (PendingQuery::Page(client), answer) => {
                let page = match answer {
                    Ok(Answer::Page { feed, workflow }) => Ok((feed, workflow)),
                    Ok(_) => Err(StoreError::Failed { cause: Box::default() }),
                    Err(error) => Err(error),
                };
                self.outputs.push_back(Output::Page(client, ticket, page));
            }
            (PendingQuery::List(client), Ok(Answer::List { handlers, damaged, is_complete })) => {
                for (key, cause) in &damaged {
                    self.scheduler.note_damaged(*key, cause);
                }
                self.outputs.push_back(Output::ListPage(client, Some((handlers, is_complete))));
            }
            (PendingQuery::List(client), _) => self.outputs.push_back(Output::ListPage(client, None)),
            (PendingQuery::Handler(address, asked), Ok(Answer::Handler(Some(stored))))
                if stored.journal.bytes() > LOOP_PARSE_BYTES_MAX =>
            {
                let fold = self.scheduler.fold_of(&stored);
                self.outputs.push_back(Output::Fold(Loaded { address, asked, stored }, fold));
            }
            (PendingQuery::Handler(address, asked), answer) => {
                if self.scheduler.end_read(asked) {
                    self.handle_handler(&address, answer, now);
                } else {
                    self.load(address);
                }
            }
            (PendingQuery::Oldest(count, asked), answer) => match (self.scheduler.end_read(asked), answer) {
                (false, _) => self.ask_oldest(count),
                (true, Ok(Answer::Oldest(oldest))) => self.scheduler.handle_oldest(&oldest, now),
                (true, _) => self.scheduler.handle_oldest_unread(now),
            },
        }
    }

    /// Handles what the store has at this address.
    fn handle_handler(&mut self, address: &HandlerAddress, answer: Result<Answer, StoreError>, now: Now) {
        match answer {
            Ok(Answer::Damaged { handler, cause }) => {
                self.scheduler.handle_head(&handler, &cause, now);
                self.resume_loaded(address);
            }
            Ok(Answer::Handler(Some(stored))) => {
                self.scheduler.handle_loaded(&stored, now);
                self.resume_loaded(address);
            }
            Ok(_) => {
                if let HandlerAddress::Key(key) = address {
                    self.scheduler.handle_absent(*key, now);
                }
                self.resume_absent(address);
            }
            Err(error) => {
                match (address, &error) {
                    (HandlerAddress::Key(key), StoreError::Damaged { cause, .. }) => {
                        self.scheduler.handle_damaged(*key, cause, now);
                    }
                    (HandlerAddress::Key(key), _) => self.scheduler.handle_unread(*key, now),
                    (HandlerAddress::Id(_), _) => {}
                }
                self.fail_loads(address, &error);
            }
        }
    }

    /// Resumes the calls that wait for this handler, which is resident now.
    fn resume_loaded(&mut self, address: &HandlerAddress) {
        for (client, _) in self.queries.end_load(address) {
            self.resume_held(client, Output::Call { client, is_read: true });
        }
    }

    /// Resumes the calls that wait for this handler, which did not exist at the time of the query. For calls that came
    /// later this is inconclusive: they query again.
    fn resume_absent(&mut self, address: &HandlerAddress) {
        for (client, came_before) in self.queries.end_load(address) {
            self.resume_held(client, Output::Call { client, is_read: came_before });
        }
    }

    /// Refuses the calls that wait for this handler, which cannot be read.
    fn fail_loads(&mut self, address: &HandlerAddress, error: &StoreError) {
        for (client, _) in self.queries.end_load(address) {
            self.resume_held(client, Output::CallFailed(client, error.clone()));
        }
    }

    fn resume_held(&mut self, client: ClientId, output: Output) {
        if self.resume_call(client) {
            self.loaded.push_back(output);
        }
    }
}
