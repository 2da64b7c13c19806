//! The numbered list of what a handler's run has published, held compactly and rendered when read.
//!
//! All events lie in one string, one behind the other, each a tag and its fields. Numbers are written in ASCII
//! characters of 7 bits each, so that texts are borrowed from the string as they are, without another check:
//!
//! | tag | fields |
//! |---|---|
//! | `E` | type (2), JSON text |
//! | `O` | kind (1), bytes of the name (5), bytes of the qualified name (5), name, qualified name, JSON text |
//! | `p` `r` `n` | preparing, running, not running: step (2), slot (3), input type (2), output (2) |
//! | `F` | step (2), attempts (5), text |
//! | `T` | seconds (10), nanoseconds (5), steps (2 each) |
//! | `C` `.` | cancelled, ended: nothing |

use std::time::Duration;

use crate::{
    engine::input::{Published, StepOutput, StepState},
    graph::{EventId, EventKind, StepId},
    pass::EventRef,
};

/// The feed of one run.
///
/// It does not bound itself: the run that publishes into it stays under
/// [`FEED_BYTES_MAX`](crate::limits::FEED_BYTES_MAX).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Feed {
    first: u64,
    text: String,
    ends: Vec<u32>,
}

impl Feed {
    /// An empty feed whose first event gets the number `first`.
    pub fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Appends an event and gives its number.
    ///
    /// # Panics
    /// When the feed would pass 4 GiB, 64 times what a run publishes.
    pub fn push(&mut self, event: &Published) -> u64 {
        let sequence = self.next();
        if self.ends.is_empty() {
            // A run of one step takes no more; others grow from here.
            self.text.reserve(64);
            self.ends.reserve(4);
        }
        encode(&mut self.text, event);
        self.ends.push(u32::try_from(self.text.len()).expect("a run publishes at most FEED_BYTES_MAX"));
        sequence
    }

    /// The number of the first event, or of the next one if there is none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next event will get.
    pub fn next(&self) -> u64 {
        self.first.wrapping_add(self.ends.len() as u64)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * END_BYTES
    }

    /// Bytes that [`Feed::push`] would add for `event`.
    pub fn cost_bytes(event: &Published) -> usize {
        let text_bytes = match event {
            Published::Step { .. } => STEP_BYTES,
            Published::Event(EventRef::Known(_), value) => 3 + value.as_str().len(),
            Published::Event(EventRef::Other(other), value) => {
                12 + other.name.len() + other.qualified_name.len() + value.as_str().len()
            }
            Published::Failed { error, .. } => 8 + error.len(),
            Published::TimedOut { active, .. } => 16 + 2 * active.len(),
            Published::Cancelled | Published::Ended => 1,
        };
        text_bytes + END_BYTES
    }

    /// The event with that number.
    pub fn get(&self, sequence: u64) -> Option<Item<'_>> {
        let index = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(decode(&self.text[start..end]))
    }

    /// The events of that range, as far as they are there and up to about `bytes_max` bytes, but one at least.
    #[must_use]
    pub fn page(&self, range: std::ops::Range<u64>, bytes_max: usize) -> Self {
        let place = |sequence: u64| (sequence.max(self.first) - self.first).min(self.ends.len() as u64) as usize;
        let (start, end) = (place(range.start), place(range.end));
        let base = start.checked_sub(1).map_or(0, |before| self.ends[before]);
        let ends = self.ends.get(start..end).unwrap_or_default();
        let size = |count: usize, end: u32| (end - base) as usize + count * END_BYTES;
        let fits = |(index, end): &(usize, &u32)| *index == 0 || size(index + 1, **end) <= bytes_max;
        let ends: Vec<u32> = ends.iter().enumerate().take_while(fits).map(|(_, end)| end - base).collect();
        let text = ends.last().map_or("", |last| &self.text[base as usize..(base + last) as usize]);
        Self { first: self.first + start as u64, text: text.to_owned(), ends }
    }
}

/// One event of the feed, borrowed from it.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    /// As [`Published::Step`].
    Step {
        /// The step.
        step: StepId,
        /// Its state.
        state: StepState,
        /// Its slot.
        slot: Option<u16>,
        /// The input's type.
        input: EventId,
        /// The output.
        output: StepOutput,
    },
    /// As [`Published::Event`] with a known type: type and JSON text.
    Event(EventId, &'a str),
    /// As [`Published::Event`] with a type that no step declares.
    Other {
        /// Its wire name.
        name: &'a str,
        /// Its qualified name.
        qualified_name: &'a str,
        /// Its kind.
        kind: EventKind,
        /// Its JSON text.
        value: &'a str,
    },
    /// As [`Published::Failed`].
    Failed {
        /// The step.
        step: Option<StepId>,
        /// The error.
        error: &'a str,
        /// Attempts.
        attempts: u32,
    },
    /// As [`Published::TimedOut`].
    TimedOut {
        /// The time-out.
        timeout: Duration,
        /// Active steps.
        active: Vec<StepId>,
    },
    /// As [`Published::Cancelled`].
    Cancelled,
    /// As [`Published::Ended`].
    Ended,
}

impl Item<'_> {
    /// Whether it shows only with `include_internal`.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::Event(..) | Self::Other { .. } | Self::Ended)
    }
}

fn encode(text: &mut String, event: &Published) {
    match event {
        Published::Step { step, state, slot, input, output } => {
            let tag = match state {
                StepState::Preparing => 'p',
                StepState::Running => 'r',
                StepState::NotRunning => 'n',
            };
            let output = match output {
                StepOutput::None => NONE,
                StepOutput::Nothing => NOTHING,
                StepOutput::Event(event) => u64::from(event.0),
            };
            text.push(tag);
            put::<2>(text, u64::from(step.0));
            put::<3>(text, slot.map_or(SLOT_NONE, u64::from));
            put::<2>(text, u64::from(input.0));
            put::<2>(text, output);
        }
        Published::Event(EventRef::Known(event), value) => {
            text.push('E');
            put::<2>(text, u64::from(event.0));
            text.push_str(value.as_str());
        }
        Published::Event(EventRef::Other(other), value) => {
            text.push('O');
            put::<1>(text, KINDS.iter().position(|kind| *kind == other.kind).unwrap_or(0) as u64);
            put::<5>(text, other.name.len() as u64);
            put::<5>(text, other.qualified_name.len() as u64);
            text.push_str(&other.name);
            text.push_str(&other.qualified_name);
            text.push_str(value.as_str());
        }
        Published::Failed { step, error, attempts } => {
            text.push('F');
            put::<2>(text, step.map_or(NONE, |step| u64::from(step.0)));
            put::<5>(text, u64::from(*attempts));
            text.push_str(error);
        }
        Published::TimedOut { timeout, active } => {
            text.push('T');
            put::<10>(text, timeout.as_secs());
            put::<5>(text, u64::from(timeout.subsec_nanos()));
            for step in active {
                put::<2>(text, u64::from(step.0));
            }
        }
        Published::Cancelled => text.push('C'),
        Published::Ended => text.push('.'),
    }
}

/// Reads what [`encode`] wrote; nothing else is ever given to it.
fn decode(text: &str) -> Item<'_> {
    let (tag, mut rest) = text.split_at(1);
    match tag {
        "E" => Item::Event(EventId(take::<2>(&mut rest) as u16), rest),
        "p" | "r" | "n" => decode_step(tag, rest),
        "O" => {
            let kind = KINDS[take::<1>(&mut rest) as usize];
            let (name_bytes, qualified_bytes) = (take::<5>(&mut rest), take::<5>(&mut rest));
            let (name, rest) = rest.split_at(name_bytes as usize);
            let (qualified_name, value) = rest.split_at(qualified_bytes as usize);
            Item::Other { name, qualified_name, kind, value }
        }
        "F" => {
            let (step, attempts) = (take::<2>(&mut rest), take::<5>(&mut rest) as u32);
            Item::Failed { step: (step != NONE).then_some(StepId(step as u16)), error: rest, attempts }
        }
        "T" => {
            let timeout = Duration::new(take::<10>(&mut rest), take::<5>(&mut rest) as u32);
            let active = (0..rest.len() / 2).map(|_| StepId(take::<2>(&mut rest) as u16)).collect();
            Item::TimedOut { timeout, active }
        }
        "C" => Item::Cancelled,
        _ => Item::Ended,
    }
}

fn decode_step<'a>(tag: &str, mut rest: &str) -> Item<'a> {
    let state = match tag {
        "p" => StepState::Preparing,
        "r" => StepState::Running,
        _ => StepState::NotRunning,
    };
    let step = StepId(take::<2>(&mut rest) as u16);
    let slot = take::<3>(&mut rest);
    let input = EventId(take::<2>(&mut rest) as u16);
    let output = match take::<2>(&mut rest) {
        NONE => StepOutput::None,
        NOTHING => StepOutput::Nothing,
        event => StepOutput::Event(EventId(event as u16)),
    };
    Item::Step { step, state, slot: (slot != SLOT_NONE).then_some(slot as u16), input, output }
}

/// Appends the low `7 * N` bits of `number` as N ASCII characters.
fn put<const N: usize>(text: &mut String, number: u64) {
    for place in (0..N).rev() {
        text.push(char::from((number >> (7 * place)) as u8 & 0x7F));
    }
}

/// Takes back what [`put`] appended.
fn take<const N: usize>(text: &mut &str) -> u64 {
    let (digits, rest) = text.split_at(N);
    *text = rest;
    digits.bytes().fold(0, |number, digit| number << 7 | u64::from(digit))
}

/// What a [`Published::Step`] takes of the text.
const STEP_BYTES: usize = 10;

/// What the place of each event takes.
const END_BYTES: usize = size_of::<u32>();

/// Ids end far below these: [`GRAPH_NAMES_MAX`](crate::limits::GRAPH_NAMES_MAX).
const NONE: u64 = 0x3FFF;
const NOTHING: u64 = 0x3FFE;
const SLOT_NONE: u64 = 0x1F_FFFF;

const KINDS: [EventKind; 5] =
    [EventKind::Plain, EventKind::Start, EventKind::Stop, EventKind::InputRequired, EventKind::HumanResponse];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{json::Json, limits::GRAPH_NAMES_MAX, pass::OtherEvent};

    const LAST: u16 = GRAPH_NAMES_MAX as u16 - 1;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("good JSON")
    }

    fn step(slot: Option<u16>, output: StepOutput) -> Published {
        Published::Step { step: StepId(LAST), state: StepState::NotRunning, slot, input: EventId(129), output }
    }

    fn samples() -> Vec<(Published, Item<'static>)> {
        let of = |slot, output| Item::Step {
            step: StepId(LAST),
            state: StepState::NotRunning,
            slot,
            input: EventId(129),
            output,
        };
        let other =
            OtherEvent { name: "Tick".into(), qualified_name: "µ.Tick".into(), kind: EventKind::HumanResponse };
        vec![
            (step(None, StepOutput::None), of(None, StepOutput::None)),
            (step(Some(u16::MAX), StepOutput::Nothing), of(Some(u16::MAX), StepOutput::Nothing)),
            (step(Some(0), StepOutput::Event(EventId(LAST))), of(Some(0), StepOutput::Event(EventId(LAST)))),
            (
                Published::Event(EventRef::Known(EventId(LAST)), json(r#"{"a":"ü"}"#)),
                Item::Event(EventId(LAST), r#"{"a":"ü"}"#),
            ),
            (
                Published::Event(EventRef::Other(Arc::new(other)), json(r#""é""#)),
                Item::Other {
                    name: "Tick", qualified_name: "µ.Tick", kind: EventKind::HumanResponse, value: r#""é""#
                },
            ),
            (
                Published::Failed { step: Some(StepId(0)), error: "größer".into(), attempts: u32::MAX },
                Item::Failed { step: Some(StepId(0)), error: "größer", attempts: u32::MAX },
            ),
            (
                Published::Failed { step: None, error: String::new(), attempts: 0 },
                Item::Failed { step: None, error: "", attempts: 0 },
            ),
            (
                Published::TimedOut { timeout: Duration::MAX, active: vec![StepId(0), StepId(LAST)] },
                Item::TimedOut { timeout: Duration::MAX, active: vec![StepId(0), StepId(LAST)] },
            ),
            (Published::Cancelled, Item::Cancelled),
            (Published::Ended, Item::Ended),
        ]
    }

    #[test]
    fn what_is_pushed_is_read_back_under_its_number() {
        let mut feed = Feed::new(7);
        assert_eq!((feed.first(), feed.next(), feed.get(7)), (7, 7, None));
        for (index, (event, _)) in samples().iter().enumerate() {
            assert_eq!(feed.push(event), 7 + index as u64);
        }
        for (index, (_, item)) in samples().iter().enumerate() {
            assert_eq!(feed.get(7 + index as u64).as_ref(), Some(item));
        }
        assert_eq!(feed.next(), 7 + samples().len() as u64);
        assert_eq!([6, feed.next(), u64::MAX].map(|sequence| feed.get(sequence)), [None, None, None]);
    }

    #[test]
    fn the_cost_is_what_is_held() {
        let mut feed = Feed::new(0);
        for (event, _) in samples() {
            let before = feed.bytes();
            feed.push(&event);
            assert_eq!(feed.bytes() - before, Feed::cost_bytes(&event), "{event:?}");
        }
    }

    #[test]
    fn a_page_is_a_part_of_the_feed_under_the_same_numbers() {
        let mut feed = Feed::new(7);
        for (event, _) in samples() {
            feed.push(&event);
        }
        for start in 0..20 {
            for end in 0..20 {
                for bytes_max in [0, 40, 1_000] {
                    let page = feed.page(start..end, bytes_max);
                    let numbers = page.first()..page.next();
                    assert!(
                        numbers
                            .clone()
                            .all(|number| feed.get(number).is_some() && page.get(number) == feed.get(number))
                    );
                    let wanted: Vec<u64> = (start.max(7)..end.min(feed.next())).collect();
                    let given: Vec<u64> = numbers.collect();
                    assert!(wanted.starts_with(&given) && given.is_empty() == wanted.is_empty(), "{start} {end}");
                    assert!(page.bytes() <= bytes_max || given.len() <= 1);
                    assert!(bytes_max < 1_000 || given == wanted);
                }
            }
        }
    }

    #[test]
    fn only_program_events_and_the_end_show_without_internal_ones() {
        let shows: Vec<bool> = samples().iter().map(|(_, item)| !item.is_internal()).collect();
        assert_eq!(shows, [false, false, false, true, true, false, false, false, false, true]);
    }
}
