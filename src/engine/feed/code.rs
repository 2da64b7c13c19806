//! Events as text, in the layout described in the header of the feed's module.

use std::time::Duration;

use crate::{
    engine::published::{Item, Published, StepOutput, StepState},
    graph::{EventId, EventKind, Graph, StepId},
    pass::EventRef,
};

/// Appends an event. `with_value` includes the JSON text at its end, if it has one.
pub(super) fn encode(text: &mut String, event: &Published, with_value: bool) {
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
            text.push_str(if with_value { value.as_str() } else { "" });
        }
        Published::Event(EventRef::Other(other), value) => {
            text.push('O');
            put::<1>(text, KINDS.iter().position(|kind| *kind == other.kind).unwrap_or(0) as u64);
            put::<5>(text, other.name.len() as u64);
            put::<5>(text, other.qualified_name.len() as u64);
            text.push_str(&other.name);
            text.push_str(&other.qualified_name);
            text.push_str(if with_value { value.as_str() } else { "" });
        }
        Published::Failed { step, error, attempts } => {
            text.push('F');
            put::<2>(text, step.map_or(NONE, |step| u64::from(step.0)));
            put::<5>(text, u64::from(*attempts));
            text.push_str(error);
        }
        Published::Retried { step, error, attempt, next_us } => {
            text.push('R');
            put::<2>(text, u64::from(step.0));
            put::<5>(text, u64::from(*attempt));
            put::<10>(text, *next_us);
            text.push_str(error);
        }
        Published::StepFailed { step, error, attempts } => {
            text.push('f');
            put::<2>(text, u64::from(step.0));
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
        Published::Ended { error: None, .. } => text.push('.'),
        Published::Ended { step, error: Some(error) } => {
            text.push('!');
            put::<2>(text, step.map_or(NONE, |step| u64::from(step.0)));
            text.push_str(error);
        }
    }
}

/// Decodes what [`encode`] wrote. Any other text yields nothing, or an event that [`encode`] writes as that text.
pub(super) fn decode(text: &str) -> Option<Item<'_>> {
    let (tag, mut rest) = text.split_at_checked(1)?;
    Some(match tag {
        "E" => Item::Event(EventId(take::<2, _>(&mut rest)?), rest),
        "p" => decode_step(StepState::Preparing, rest)?,
        "r" => decode_step(StepState::Running, rest)?,
        "n" => decode_step(StepState::NotRunning, rest)?,
        "O" => {
            let kind = *KINDS.get(take::<1, usize>(&mut rest)?)?;
            let (name_bytes, qualified_bytes) = (take::<5, usize>(&mut rest)?, take::<5, usize>(&mut rest)?);
            let (name, rest) = rest.split_at_checked(name_bytes)?;
            let (qualified_name, value) = rest.split_at_checked(qualified_bytes)?;
            Item::Other { name, qualified_name, kind, value }
        }
        "F" => {
            let (step, attempts) = (some_step(take::<2, _>(&mut rest)?), take::<5, _>(&mut rest)?);
            Item::Failed { step, error: rest, attempts }
        }
        "f" => {
            let (step, attempts) = (StepId(take::<2, _>(&mut rest)?), take::<5, _>(&mut rest)?);
            Item::StepFailed { step, error: rest, attempts }
        }
        "R" => {
            let (step, attempt) = (StepId(take::<2, _>(&mut rest)?), take::<5, _>(&mut rest)?);
            Item::Retried { step, attempt, next_us: take::<10, _>(&mut rest)?, error: rest }
        }
        "T" => {
            let (seconds, nanoseconds) = (take::<10, _>(&mut rest)?, take::<5, _>(&mut rest)?);
            let timeout = (nanoseconds < NANOSECONDS_PER_SECOND).then(|| Duration::new(seconds, nanoseconds))?;
            let mut active = Vec::with_capacity(rest.len() / 2);
            while !rest.is_empty() {
                active.push(StepId(take::<2, _>(&mut rest)?));
            }
            Item::TimedOut { timeout, active }
        }
        "C" if rest.is_empty() => Item::Cancelled,
        "." if rest.is_empty() => Item::Ended { step: None, error: None },
        "!" => Item::Ended { step: some_step(take::<2, _>(&mut rest)?), error: Some(rest) },
        _ => return None,
    })
}

fn decode_step<'a>(state: StepState, mut rest: &str) -> Option<Item<'a>> {
    let step = StepId(take::<2, _>(&mut rest)?);
    let slot = match take::<3, u64>(&mut rest)? {
        SLOT_NONE => None,
        slot => Some(u16::try_from(slot).ok()?),
    };
    let input = EventId(take::<2, _>(&mut rest)?);
    let output = match take::<2, u64>(&mut rest)? {
        NONE => StepOutput::None,
        NOTHING => StepOutput::Nothing,
        event => StepOutput::Event(EventId(event as u16)),
    };
    rest.is_empty().then_some(Item::Step { step, state, slot, input, output })
}

/// Returns the step that a number stands for, if any.
fn some_step(number: u64) -> Option<StepId> {
    (number != NONE).then_some(StepId(number as u16))
}

/// Returns whether the graph has everything that the event refers to.
pub(super) fn fits(item: &Item<'_>, graph: &Graph) -> bool {
    let event = |event: EventId| usize::from(event.0) < graph.events.len();
    let step = |step: StepId| usize::from(step.0) < graph.steps.len();
    match item {
        Item::Step { step: of, input, output, .. } => {
            let gives = match output {
                StepOutput::Event(output) => event(*output),
                StepOutput::None | StepOutput::Nothing => true,
            };
            step(*of) && event(*input) && gives
        }
        Item::Event(of, _) => event(*of),
        Item::Retried { step: of, .. } | Item::StepFailed { step: of, .. } => step(*of),
        Item::Failed { step: of, .. } | Item::Ended { step: of, .. } => of.is_none_or(step),
        Item::TimedOut { active, .. } => active.iter().copied().all(step),
        Item::Other { .. } | Item::Cancelled => true,
    }
}

/// Appends the low `7 * N` bits of `number` as N ASCII characters.
fn put<const N: usize>(text: &mut String, number: u64) {
    for place in (0..N).rev() {
        text.push(char::from((number >> (7 * place)) as u8 & 0x7F));
    }
}

/// Removes and returns what [`put`] appended, if the text begins with that and the number fits.
fn take<const N: usize, T: TryFrom<u64>>(text: &mut &str) -> Option<T> {
    let (digits, rest) = text.split_at_checked(N)?;
    *text = rest;
    let mut number = 0_u64;
    for digit in digits.bytes() {
        if !digit.is_ascii() || number >> (u64::BITS - 7) != 0 {
            return None;
        }
        number = number << 7 | u64::from(digit);
    }
    T::try_from(number).ok()
}

/// Appends a length: seven bits per byte from the lowest, with the highest bit set on all bytes but the last.
pub(super) fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7F {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

/// Removes and returns what [`put_length`] appended.
pub(super) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0_u64;
    for place in 0..LENGTH_BYTES_MAX {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= u64::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            // Refuse all but the shortest form of a number.
            return if byte == 0 && place > 0 { None } else { usize::try_from(length).ok() };
        }
    }
    None
}

/// The size of a [`Published::Step`] in the text.
pub(super) const STEP_BYTES: usize = 10;

/// A feed stays under 4 GiB.
const LENGTH_BYTES_MAX: u32 = 5;

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

/// Ids are far smaller than this: [`GRAPH_NAMES_MAX`](crate::limits::GRAPH_NAMES_MAX).
const NONE: u64 = 0x3FFF;
const NOTHING: u64 = 0x3FFE;
const SLOT_NONE: u64 = 0x1F_FFFF;

const KINDS: [EventKind; 5] =
    [EventKind::Plain, EventKind::Start, EventKind::Stop, EventKind::InputRequired, EventKind::HumanResponse];
