//! The traits by which the types of a step's function declare what it takes, returns, sends and asks.

use std::marker::PhantomData;

use super::{EventEntry, Result, StepError, emitter::Emitter, event::Event, event::Question, explain};
use crate::json::Json;

/// What a step can take: an event, a [`one_of!`](crate::one_of) enum, or a `Vec` of either (a fan-in).
#[diagnostic::on_unimplemented(
    message = "a step cannot take `{Self}`",
    label = "not an event, a `one_of!` enum or a `Vec` of either",
    note = "declare an event inside `event! {{ pub struct Name {{ .. }} }}`",
    note = "or, with serde's and schemars' derives, write `impl steprill::Event for Name {{}}`"
)]
pub trait StepInput: Sized {
    /// Whether it collects the events of a scope.
    #[doc(hidden)]
    const FAN_IN: bool = false;

    /// Returns the event types, in order of declaration.
    #[doc(hidden)]
    fn entries() -> Vec<EventEntry>;

    /// Decodes the events, each with the index of its type among the entries.
    #[doc(hidden)]
    fn decode(events: &[(usize, &Json)]) -> Result<Self>;
}

/// One event that a step takes, of a single type or of one of several.
#[diagnostic::on_unimplemented(
    message = "a step cannot take `{Self}`",
    label = "not an event, a `one_of!` enum or a `Vec` of either",
    note = "declare an event inside `event! {{ pub struct Name {{ .. }} }}`",
    note = "or, with serde's and schemars' derives, write `impl steprill::Event for Name {{}}`"
)]
pub trait OneInput: Sized {
    /// Returns the event types, in order of declaration.
    #[doc(hidden)]
    fn entries() -> Vec<EventEntry>;

    /// Decodes an event whose type has index `place` among the entries.
    #[doc(hidden)]
    fn decode(place: usize, text: &Json) -> Result<Self>;
}

/// What a step can return: nothing (`()`), an event, a [`one_of!`](crate::one_of) enum, or an `Option` or a `Vec` of
/// these.
#[diagnostic::on_unimplemented(
    message = "a step cannot return `{Self}`",
    label = "not `()`, an event, a `one_of!` enum, or an `Option` or `Vec` of these",
    note = "declare an event inside `event! {{ pub struct Name {{ .. }} }}`",
    note = "or, with serde's and schemars' derives, write `impl steprill::Event for Name {{}}`"
)]
pub trait StepOutput: Sized {
    /// Whether it emits any number of events.
    #[doc(hidden)]
    const FAN_OUT: bool = false;

    /// Returns the event types, in order of declaration.
    #[doc(hidden)]
    fn entries() -> Vec<EventEntry>;

    /// Emits its events.
    #[doc(hidden)]
    fn emit(self, to: &mut Emitter<'_>) -> Result<()>;
}

/// One event that a step returns, of a single type or of one of several.
#[diagnostic::on_unimplemented(
    message = "a step cannot return `{Self}`",
    label = "not `()`, an event, a `one_of!` enum, or an `Option` or `Vec` of these",
    note = "declare an event inside `event! {{ pub struct Name {{ .. }} }}`",
    note = "or, with serde's and schemars' derives, write `impl steprill::Event for Name {{}}`"
)]
pub trait OneEvent: Sized {
    /// Returns the event types, in order of declaration.
    #[doc(hidden)]
    fn entries() -> Vec<EventEntry>;

    /// Emits the event.
    #[doc(hidden)]
    fn emit(self, to: &mut Emitter<'_>) -> Result<()>;
}

impl<E: Event> OneInput for E {
    fn entries() -> Vec<EventEntry> {
        vec![EventEntry::of::<E>()]
    }

    /// Accepted events were checked against their schema. This fails where the type demands more, and a retry would not
    /// mend that.
    fn decode(_: usize, text: &Json) -> Result<Self> {
        explain::decode_event(text.as_str())
            .map_err(|fault| StepError::hopeless(format!("event {}: {fault}", E::name())))
    }
}

impl<I: OneInput> StepInput for I {
    fn entries() -> Vec<EventEntry> {
        I::entries()
    }

    fn decode(events: &[(usize, &Json)]) -> Result<Self> {
        match events {
            [(place, text), ..] => OneInput::decode(*place, text),
            [] => Err(StepError::hopeless("no event came")),
        }
    }
}

impl<I: OneInput> StepInput for Vec<I> {
    const FAN_IN: bool = true;

    fn entries() -> Vec<EventEntry> {
        I::entries()
    }

    fn decode(events: &[(usize, &Json)]) -> Result<Self> {
        events.iter().map(|(place, text)| I::decode(*place, text)).collect()
    }
}

impl<E: Event> OneEvent for E {
    fn entries() -> Vec<EventEntry> {
        vec![EventEntry::of::<E>()]
    }

    fn emit(self, to: &mut Emitter<'_>) -> Result<()> {
        to.push(&self)
    }
}

impl<O: OneEvent> StepOutput for O {
    fn entries() -> Vec<EventEntry> {
        O::entries()
    }

    fn emit(self, to: &mut Emitter<'_>) -> Result<()> {
        OneEvent::emit(self, to)
    }
}

impl<O: OneEvent> StepOutput for Vec<O> {
    const FAN_OUT: bool = true;

    fn entries() -> Vec<EventEntry> {
        O::entries()
    }

    fn emit(self, to: &mut Emitter<'_>) -> Result<()> {
        to.reserve(self.len());
        self.into_iter().try_for_each(|event| event.emit(to))
    }
}

impl<O: OneEvent> StepOutput for Option<O> {
    fn entries() -> Vec<EventEntry> {
        O::entries()
    }

    fn emit(self, to: &mut Emitter<'_>) -> Result<()> {
        self.map_or(Ok(()), |event| event.emit(to))
    }
}

impl StepOutput for () {
    fn entries() -> Vec<EventEntry> {
        Vec::new()
    }

    fn emit(self, _: &mut Emitter<'_>) -> Result<()> {
        Ok(())
    }
}

/// Allows a step to send events: `ctx: &Ctx<Sends<Section>>`, or of several types: `Ctx<Sends<(Section, Draft)>>`. Add
/// such a step with `.add(Step::new(name, function))`.
pub struct Sends<T>(PhantomData<fn() -> T>);

/// Allows a step to ask questions: `ctx: &Ctx<Asks<Approve>>`, or of several types: `Ctx<Asks<(Approve, Choose)>>`. Add
/// such a step with `.add(Step::new(name, function))`.
pub struct Asks<T>(PhantomData<fn() -> T>);

/// What a step may do besides returning: nothing (`()`), [`Sends`], [`Asks`], or both as a pair.
#[diagnostic::on_unimplemented(
    message = "`{Self}` grants nothing to a step",
    note = "write `Ctx`, `Ctx<Sends<(A, B)>>`, `Ctx<Asks<Q>>` or `Ctx<(Sends<(A, B)>, Asks<Q>)>`"
)]
pub trait Grants {
    /// The events that it may send.
    type Sends: EventList;
    /// The questions that it may ask.
    type Asks: QuestionList;
}

impl Grants for () {
    type Sends = ();
    type Asks = ();
}

impl<T: EventList> Grants for Sends<T> {
    type Sends = T;
    type Asks = ();
}

impl<T: QuestionList> Grants for Asks<T> {
    type Sends = ();
    type Asks = T;
}

impl<T: EventList, U: QuestionList> Grants for (Sends<T>, Asks<U>) {
    type Sends = T;
    type Asks = U;
}

/// An event, or up to eight as a tuple.
#[diagnostic::on_unimplemented(message = "`{Self}` is no event and no tuple of events")]
pub trait EventList {
    /// Returns their entries.
    #[doc(hidden)]
    fn entries() -> Vec<EventEntry>;
}

/// A question, or up to eight as a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no question and no tuple of questions",
    note = "a question is declared as `struct Q: Asks<TheAnswer> {{ .. }}` inside `event! {{ .. }}`"
)]
pub trait QuestionList {
    /// Returns the entries of the questions and of their answers.
    #[doc(hidden)]
    fn entries() -> Vec<(EventEntry, EventEntry)>;
}

/// `Self` is in the list `L`, at an inferred position.
#[diagnostic::on_unimplemented(
    message = "this step does not declare `{Self}`",
    label = "not declared, so the graph would miss it",
    note = "to send it, name it in the step's context: `ctx: &Ctx<Sends<{Self}>>`",
    note = "to ask it, name it there so: `ctx: &Ctx<Asks<{Self}>>`"
)]
pub trait In<L, StartAs> {}

/// The position in a list of one.
#[doc(hidden)]
pub struct Whole;

/// A position in a tuple.
#[doc(hidden)]
pub struct At<const PLACE: usize>;

impl<E: Event> In<E, Whole> for E {}

impl EventList for () {
    fn entries() -> Vec<EventEntry> {
        Vec::new()
    }
}

impl<E: Event> EventList for E {
    fn entries() -> Vec<EventEntry> {
        vec![EventEntry::of::<E>()]
    }
}

impl QuestionList for () {
    fn entries() -> Vec<(EventEntry, EventEntry)> {
        Vec::new()
    }
}

impl<Q: Question> QuestionList for Q {
    fn entries() -> Vec<(EventEntry, EventEntry)> {
        vec![(EventEntry::of::<Q>(), EventEntry::of::<Q::Answer>())]
    }
}

macro_rules! tuples {
    ($(($($event:ident $place:literal),+))+) => { $(
        impl<$($event: Event),+> EventList for ($($event,)+) {
            fn entries() -> Vec<EventEntry> {
                vec![$(EventEntry::of::<$event>()),+]
            }
        }
        impl<$($event: Question),+> QuestionList for ($($event,)+) {
            fn entries() -> Vec<(EventEntry, EventEntry)> {
                vec![$((EventEntry::of::<$event>(), EventEntry::of::<$event::Answer>())),+]
            }
        }
        tuples!(@places ($($event),+) $($event $place),+);
    )+ };
    (@places $all:tt $($event:ident $place:literal),+) => { $(tuples!(@place $all $event $place);)+ };
    (@place ($($all:ident),+) $event:ident $place:literal) => {
        impl<$($all),+> In<($($all,)+), At<$place>> for $event {}
    };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
