//! The numbered list of events that a handler's run has published, stored compactly and rendered when read.
//!
//! All events are in one string, one after the other, each a tag and its fields. Numbers are written as ASCII
//! characters of 7 bits each, so that texts can be borrowed from the string without another check:
//! | tag | fields |
//! |---|---|
//! | `E` | type (2), JSON text |
//! | `O` | kind (1), bytes of the name (5), bytes of the qualified name (5), name, qualified name, JSON text |
//! | `p` `r` `n` | preparing, running, not running: step (2), slot (3), input type (2), output (2) |
//! | `F` | step (2), attempts (5), text |
//! | `f` | as `F`, always with a step |
//! | `R` | step (2), attempt (5), microseconds (10), text |
//! | `T` | seconds (10), nanoseconds (5), steps (2 each) |
//! | `C` `.` | cancelled, ended by that: nothing |
//! | `!` | ended by a failure: step (2), text |
//!
//! The JSON text of a large event is stored separately and shared with its other holders ([`Feed::shared`]).
//!
//! [`Feed::encode_events`] writes the length of each event, as seven bits per byte from the lowest, and then its text.

mod code;
mod large;

use std::fmt;

use crate::{
    engine::published::{Item, Published},
    graph::Graph,
    json::Json,
    limits::PAGE_BYTES_MAX,
    pass::EventRef,
};
use code::{STEP_BYTES, decode, encode, fits, put_length, take_length};
use large::{Large, is_large, value_bytes};

/// The feed of one run.
///
/// It has no limit of its own: the run that publishes into it stays under
/// [`FEED_BYTES_MAX`](crate::limits::FEED_BYTES_MAX).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Feed {
    first: u64,
    text: String,
    ends: Vec<u32>,
    large: Large,
}

impl Feed {
    /// Creates an empty feed whose first event gets the number `first`.
    pub fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Appends an event and returns its number.
    ///
    /// # Panics
    /// If the feed would exceed 4 GiB, 64 times what a run publishes.
    pub fn push(&mut self, event: &Published) -> u64 {
        let sequence = self.next();
        if self.ends.is_empty() {
            // Enough for a run of one step; the feeds of others grow from here.
            self.text.reserve(64);
            self.ends.reserve(4);
        }
        let large = match event {
            Published::Event(_, value) if is_large(value.as_str().len()) => Some(value),
            _ => None,
        };
        encode(&mut self.text, event, large.is_none());
        if let Some(value) = large {
            self.large.insert(sequence, value);
        }
        self.ends.push(u32::try_from(self.text.len()).expect("a run publishes at most FEED_BYTES_MAX"));
        sequence
    }

    /// Returns the number of the first event, or of the next one if there is none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number that the next event will get.
    pub fn next(&self) -> u64 {
        self.first.wrapping_add(self.ends.len() as u64)
    }

    /// Returns the size of the feed in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * END_BYTES + self.large.bytes()
    }

    /// Returns how many bytes [`Feed::push`] would add for `event`.
    pub fn cost_bytes(event: &Published) -> usize {
        let text_bytes = match event {
            Published::Step { .. } => STEP_BYTES,
            Published::Event(event, value) => return Self::event_cost_bytes(event, value),
            Published::Failed { error, .. } | Published::StepFailed { error, .. } => 8 + error.len(),
            Published::Retried { error, .. } => 18 + error.len(),
            Published::TimedOut { active, .. } => 16 + 2 * active.len(),
            Published::Ended { error: Some(error), .. } => 3 + error.len(),
            Published::Cancelled | Published::Ended { error: None, .. } => 1,
        };
        text_bytes + END_BYTES
    }

    /// Like [`Feed::cost_bytes`], for a [`Published::Event`].
    pub(super) fn event_cost_bytes(event: &EventRef, value: &Json) -> usize {
        let fields_bytes = match event {
            EventRef::Known(_) => 3,
            EventRef::Other(other) => 12 + other.name.len() + other.qualified_name.len(),
        };
        fields_bytes + value_bytes(value) + END_BYTES
    }

    /// Returns the event with that number.
    pub fn get(&self, sequence: u64) -> Option<Item<'_>> {
        let index = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let item = decode(&self.text[start..end])?;
        let Some(large) = self.shared(sequence) else { return Some(item) };
        Some(match item {
            Item::Event(event, _) => Item::Event(event, large.as_str()),
            Item::Other { name, qualified_name, kind, .. } => {
                Item::Other { name, qualified_name, kind, value: large.as_str() }
            }
            item => item,
        })
    }

    /// Returns the JSON text of the event with that number, with escaped line ends, if the event is large.
    pub fn shared(&self, sequence: u64) -> Option<&Json> {
        self.large.get(sequence)
    }

    /// Iterates over the numbers of its large events.
    pub fn large(&self) -> impl Iterator<Item = u64> {
        self.large.sequences()
    }

    /// Makes the large event with that number share an equal text.
    pub fn share(&mut self, sequence: u64, text: &Json) {
        if self.large.get(sequence) == Some(text) {
            self.large.insert(sequence, text);
        }
    }

    /// Encodes the events. The encodings of two feeds, concatenated, are the encoding of both as one feed.
    #[must_use]
    pub fn encode_events(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.text.len() + 2 * self.ends.len() + self.large.bytes());
        let mut start = 0;
        for (end, sequence) in self.ends.iter().map(|end| *end as usize).zip(self.first..) {
            put_length(&mut bytes, end - start + self.large.bytes_of(sequence));
            bytes.extend_from_slice(&self.text.as_bytes()[start..end]);
            bytes.extend_from_slice(self.shared(sequence).map_or("", Json::as_str).as_bytes());
            start = end;
        }
        bytes
    }

    /// Decodes what [`Feed::encode_events`] returned, under the graph to which the events' ids belong. The first event
    /// gets the number `first`. JSON texts are not checked; everything else is, so that every event can be read and
    /// rendered.
    ///
    /// # Errors
    /// If the bytes are not events, or refer to something that the graph does not have.
    pub fn decode_events(first: u64, mut bytes: &[u8], graph: &Graph) -> Result<Self, FeedError> {
        let mut feed = Self::new(first);
        feed.text.reserve(bytes.len().min(PAGE_BYTES_MAX));
        let error = |feed: &Self, fault| FeedError { sequence: feed.next(), fault };
        while !bytes.is_empty() {
            let text = take_length(&mut bytes).and_then(|length| bytes.split_at_checked(length));
            let Some((text, rest)) = text else { return Err(error(&feed, "its length is damaged, or it is cut off")) };
            let Ok(text) = str::from_utf8(text) else { return Err(error(&feed, "it is not UTF-8")) };
            let Some(item) = decode(text) else { return Err(error(&feed, "its fields are damaged")) };
            if !fits(&item, graph) {
                return Err(error(&feed, "it names a step or a type that the workflow does not have"));
            }
            let large = match item {
                Item::Event(_, value) | Item::Other { value, .. } if is_large(value.len()) => value,
                _ => "",
            };
            feed.text.push_str(&text[..text.len() - large.len()]);
            if !large.is_empty() {
                feed.large.insert(feed.next(), &Json::of_encoded(large));
            }
            let end = u32::try_from(feed.text.len()).ok().filter(|_| feed.next() < u64::MAX);
            let Some(end) = end else { return Err(error(&feed, "so many do not fit")) };
            feed.ends.push(end);
            bytes = rest;
        }
        Ok(feed)
    }

    /// Returns the available events of that range, up to about `bytes_max` bytes but at least one.
    #[must_use]
    pub fn page(&self, range: std::ops::Range<u64>, bytes_max: usize) -> Self {
        let place = |sequence: u64| (sequence.max(self.first) - self.first).min(self.ends.len() as u64) as usize;
        let (start, end) = (place(range.start), place(range.end));
        let base = start.checked_sub(1).map_or(0, |before| self.ends[before]);
        let ends = self.ends.get(start..end).unwrap_or_default();
        let first = self.first + start as u64;
        let mut large_bytes = 0;
        let fits = |(index, end): &(usize, &u32)| {
            large_bytes += self.large.bytes_of(first + *index as u64);
            *index == 0 || (**end - base) as usize + (index + 1) * END_BYTES + large_bytes <= bytes_max
        };
        let ends: Vec<u32> = ends.iter().enumerate().take_while(fits).map(|(_, end)| end - base).collect();
        let text = ends.last().map_or("", |last| &self.text[base as usize..(base + last) as usize]);
        let large = self.large.part(first..first + ends.len() as u64);
        Self { first, text: text.to_owned(), ends, large }
    }
}

/// Why stored events cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedError {
    /// The number of the faulty event.
    pub sequence: u64,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl fmt::Display for FeedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "event {} of the feed cannot be read: {}", self.sequence, self.fault)
    }
}

impl std::error::Error for FeedError {}

/// The size of the entry that says where an event ends.
const END_BYTES: usize = size_of::<u32>();

#[cfg(test)]
mod tests;
