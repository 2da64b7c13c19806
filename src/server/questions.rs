//! What the loop asks the store, and what becomes of the answers.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    answers::Client,
    helper::Answered,
    turn::{Loop, Unkept},
};
use crate::{
    engine::{
        kept::{Address, Aside, Kept, KeptHandler},
        keys::HandlerKey,
        scheduler::{Asked, Batch, Folded},
    },
    limits::{LIST_PAGE_HANDLERS, LOOP_PARSE_BYTES_MAX, PAGE_BYTES_MAX},
    net::ConnectionId,
    store::{Answer, Query, StoreError, Ticket},
};

/// Questions that the store works on.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// For lookup only.
    asked: HashMap<Ticket, Question>,
    /// Who waits for a handler, by where it is. A handler is asked for once, however many wait.
    loads: BTreeMap<Address, Vec<ConnectionId>>,
}

#[derive(Debug)]
enum Question {
    /// A reader's next events.
    Page(ConnectionId),
    /// A list's next handlers.
    List(ConnectionId),
    /// A handler.
    Handler(Address, Asked),
    /// The longest ended ones, so many.
    Oldest(usize, Asked),
}

impl Loop {
    /// A reader wants events.
    pub(super) fn ask_page(&mut self, id: ConnectionId, query: Query) -> Ticket {
        self.ask(query, Question::Page(id))
    }

    /// The reader wants them no more.
    pub(super) fn forget_page(&mut self, ticket: Ticket) {
        self.questions.asked.remove(&ticket);
    }

    /// A list wants handlers.
    pub(super) fn ask_list(&mut self, id: ConnectionId, after: Option<HandlerKey>, only_running: bool) {
        let count = LIST_PAGE_HANDLERS;
        let query = if only_running {
            Query::Running { after, count }
        } else {
            Query::List { after, count, bytes_max: PAGE_BYTES_MAX }
        };
        self.ask(query, Question::List(id));
    }

    /// Retention wants the longest ended handlers.
    pub(super) fn ask_oldest(&mut self, count: usize) {
        let asked = self.scheduler.begin_read();
        self.ask(Query::Oldest { count }, Question::Oldest(count, asked));
    }

    /// A run, or a request of this connection, wants a handler.
    pub(super) fn ask_handler(&mut self, address: Address, waiting: Option<ConnectionId>) {
        if let Some(others) = self.questions.loads.get_mut(&address) {
            return others.extend(waiting);
        }
        self.questions.loads.insert(address.clone(), waiting.into_iter().collect());
        let asked = self.scheduler.begin_read();
        self.ask(Query::Handler(address.clone()), Question::Handler(address, asked));
    }

    fn ask(&mut self, query: Query, question: Question) -> Ticket {
        let ticket = self.store.read(query);
        self.questions.asked.insert(ticket, question);
        ticket
    }

    pub(super) fn handle_answer(&mut self, ticket: Ticket, answer: Result<Answer, StoreError>) {
        let Some(question) = self.questions.asked.remove(&ticket) else { return };
        match &answer {
            Err(StoreError::Damaged(key, cause)) => self.scheduler.note_damaged(*key, cause),
            Err(error) => {
                self.complain(error);
            }
            Ok(_) => {}
        }
        match (question, answer) {
            (Question::Page(id), Ok(Answer::Page { feed, workflow })) => self.give_page(id, ticket, feed, workflow),
            (Question::Page(id), answer) => {
                let cause = answer.err().map_or_else(String::new, |error| error.to_string());
                self.cut_reader(id, ticket, &cause);
            }
            (Question::List(id), Ok(Answer::List { handlers, damaged, is_complete })) => {
                for (key, cause) in &damaged {
                    self.scheduler.note_damaged(*key, cause);
                }
                self.give_list(id, handlers, is_complete);
            }
            (Question::List(id), _) => self.cut_list(id),
            (Question::Handler(address, asked), Ok(Answer::Handler(Some(kept))))
                if kept.journal.bytes() > LOOP_PARSE_BYTES_MAX =>
            {
                let fold = self.scheduler.fold_of(&kept);
                self.helper.fold(Answered { address, asked, kept }, fold);
            }
            (Question::Handler(address, asked), answer) => match (self.scheduler.end_read(asked), answer) {
                (false, _) => self.ask_handler_again(address),
                (true, Ok(Answer::Handler(kept))) => self.give_handler(&address, kept, None),
                (true, Ok(Answer::Damaged { handler, cause })) => {
                    self.scheduler.handle_head(&handler, &cause, self.now);
                    self.answer_waiting(&address, None);
                }
                (true, Ok(_)) => self.give_handler(&address, None, None),
                (true, Err(error)) => self.give_handler(&address, None, Some(&error)),
            },
            (Question::Oldest(count, asked), answer) => match (self.scheduler.end_read(asked), answer) {
                (false, _) => self.ask_oldest(count),
                (true, Ok(Answer::Oldest(oldest))) => self.scheduler.handle_oldest(&oldest, self.now),
                (true, _) => self.scheduler.handle_oldest_unread(self.now),
            },
        }
    }

    /// The journal of a handler that the store gave is folded.
    pub(super) fn handle_folded(&mut self, answered: Answered, folded: Result<Folded, String>) {
        let Answered { address, asked, kept } = answered;
        if !self.scheduler.end_read(asked) {
            return self.ask_handler_again(address);
        }
        self.scheduler.handle_folded(&kept, folded, self.now);
        self.answer_waiting(&address, None);
    }

    /// What the store gave is older than what could not be kept.
    fn ask_handler_again(&mut self, address: Address) {
        let waiting = self.questions.loads.remove(&address).unwrap_or_default();
        self.ask_handler(address.clone(), None);
        self.questions.loads.insert(address, waiting);
    }

    fn give_handler(&mut self, address: &Address, kept: Option<Box<Kept>>, error: Option<&StoreError>) {
        match (kept, address) {
            (Some(kept), _) => self.scheduler.handle_kept(&kept, self.now),
            (None, Address::Key(key)) if error.is_none() => self.scheduler.handle_absent(*key, self.now),
            (None, Address::Key(key)) => match error {
                Some(StoreError::Damaged(_, cause)) => self.scheduler.handle_damaged(*key, cause, self.now),
                _ => self.scheduler.handle_unread(*key, self.now),
            },
            (None, Address::Id(..)) => {}
        }
        self.answer_waiting(address, error);
    }

    /// Who waits for this handler is answered: it is here, or there is none, or it cannot be read.
    fn answer_waiting(&mut self, address: &Address, error: Option<&StoreError>) {
        for id in self.questions.loads.remove(address).unwrap_or_default() {
            if !self.stop_asking(id) {
                continue;
            }
            match error {
                None => self.answer_read(id),
                Some(error) => self.answer_unread(id, error),
            }
        }
    }

    fn give_list(&mut self, id: ConnectionId, handlers: Vec<KeptHandler>, is_complete: bool) {
        if let Client::Listing(listing, list) = self.client_mut(id)
            && *listing == id
        {
            list.page = handlers.into();
            list.is_complete = is_complete;
            list.is_asked = false;
            self.write_list(id);
        }
    }

    /// The store has failed: said in the log, but not at every turn. Whether it was.
    pub(super) fn complain(&mut self, error: &StoreError) -> bool {
        let now_us = self.now.alive_us;
        let is_time = self.complained_us.is_none_or(|last_us| now_us >= last_us + COMPLAINT_PAUSE_US);
        if is_time {
            self.complained_us = Some(now_us);
            ::log::error!("the store fails: {error}; what cannot be stored is refused until it can");
        }
        is_time
    }

    /// The store is given this batch. What a batch without anything to write comes to says nothing of the store.
    pub(super) fn note_submitted(&mut self, batch: &Batch) {
        if let Some(failing) = self.failing.as_mut().filter(|failing| failing.tried.is_none() && !batch.is_empty()) {
            failing.tried = Some(batch.number);
        }
    }

    /// All batches up to this one are kept.
    pub(super) fn note_kept(&mut self, number: u64) {
        let works = |failing: &mut Failing| failing.tried.is_some_and(|tried| tried <= number);
        if let Some(failing) = self.failing.take_if(works) {
            self.scheduler.note_store_fault(None);
            if failing.is_told {
                ::log::info!("the store works again: what is to be stored is stored");
            }
        }
    }

    /// The next batches to be kept hold nothing of this handler: whoever waited for that is told.
    pub(super) fn handle_aside(&mut self, aside: &Aside) {
        let error = StoreError::Damaged(aside.handler, aside.cause.clone());
        self.scheduler.handle_aside(aside, self.now);
        let (gone, kept) =
            std::mem::take(&mut self.unkept).into_iter().partition(|(_, _, key, _)| *key == aside.handler);
        self.unkept = kept;
        self.refuse_unkept(gone, &error);
        self.not_kept = Some(error);
    }

    /// Nothing of this batch and those after it is kept: whoever waited for that is told.
    pub(super) fn handle_not_kept(&mut self, number: u64, error: &StoreError) {
        let was_told = self.failing.take().is_some_and(|failing| failing.is_told);
        let is_told = self.complain(error) || was_told;
        self.failing = Some(Failing { tried: None, is_told });
        self.scheduler.note_store_fault(Some(error.to_string()));
        self.scheduler.handle_failed(number, self.now);
        let first = self.unkept.partition_point(|&(batch, ..)| batch < number);
        let unkept = self.unkept.split_off(first);
        self.refuse_unkept(unkept, error);
        self.not_kept = Some(error.clone());
    }

    fn refuse_unkept(&mut self, unkept: VecDeque<Unkept>, error: &StoreError) {
        for (_, id, ..) in unkept {
            if let Client::Unkept(waiting, errors) = *self.client_mut(id)
                && waiting == id
            {
                self.respond(id, &errors.not_kept(status(error), &error.to_string()));
            }
        }
    }
}

/// The last commit has failed.
#[derive(Debug)]
pub(super) struct Failing {
    /// The first batch since then that has something to write.
    tried: Option<u64>,
    /// Whether the log says that the store fails.
    is_told: bool,
}

/// The status of a reply to a request that could not be stored.
pub(super) fn status(error: &StoreError) -> u16 {
    match error {
        StoreError::Full(_) => 507,
        StoreError::Failed(_) | StoreError::Damaged(..) => 500,
    }
}

/// How long a store that goes on failing is not complained of again.
const COMPLAINT_PAUSE_US: u64 = 60_000_000;
