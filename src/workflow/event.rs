//! The traits of events, and the macros that declare them.

use std::{any::TypeId, borrow::Cow};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use super::{names, schema};
use crate::graph::{EventKind, EventType, Shape};

/// A typed record that passes between steps, or to and from clients: a JSON object with a name.
///
/// [`event!`](crate::event) declares events. Any type with named fields that derives the traits of serde and schemars
/// becomes an event by `impl Event for Mine {}`.
///
/// ```
/// use steprill::{Event, schemars::JsonSchema, serde::{Deserialize, Serialize}};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// #[serde(crate = "steprill::serde")]
/// #[schemars(crate = "steprill::schemars")]
/// struct Order { item: String }
///
/// impl Event for Order {}
///
/// assert_eq!(Order::name(), "Order");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "declare it inside `event! {{ pub struct {Self} {{ .. }} }}`",
    note = "or, with serde's and schemars' derives, write `impl steprill::Event for {Self} {{}}`"
)]
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// The role of the event, where its use in a workflow does not determine it. The start event, the stop event,
    /// questions and their answers need not set this.
    const KIND: EventKind = EventKind::Plain;

    /// The module in the qualified name. Defaults to that of the workflow.
    const MODULE: Option<&'static str> = None;

    /// Whether clients may send it although it answers no question. [`event!`](crate::event) sets this for `External`.
    const EXTERNAL: bool = false;

    /// Whether it is one of the two events of this library.
    #[doc(hidden)]
    const BUILTIN: bool = false;

    /// Returns the name on the wire: that of the type, or of its `rename` attribute.
    fn name() -> Cow<'static, str> {
        Self::schema_name()
    }

    /// Returns the type that answers it, if it is a [`Question`].
    #[doc(hidden)]
    fn answer() -> Option<EventEntry> {
        None
    }
}

/// An event that asks somebody outside, and the type of the event that answers it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a question",
    label = "no event answers it",
    note = "declare it as `struct {Self}: Asks<TheAnswer> {{ .. }}` inside `event! {{ .. }}`"
)]
pub trait Question: Event {
    /// The type of the answer.
    type Answer: Event;
}

/// An event type as a step or a workflow refers to it.
#[doc(hidden)]
#[derive(Clone)]
pub struct EventEntry {
    pub(super) type_id: TypeId,
    pub(super) name: Cow<'static, str>,
    describe: fn(module: &str) -> EventType,
    pub(super) answer: fn() -> Option<EventEntry>,
}

impl EventEntry {
    /// Returns the entry of `E`.
    pub fn of<E: Event>() -> Self {
        Self { type_id: TypeId::of::<E>(), name: E::name(), describe: describe::<E>, answer: E::answer }
    }

    /// Returns its event type in a workflow of this module.
    pub fn describe(&self, module: &str) -> EventType {
        (self.describe)(module)
    }
}

pub(super) fn qualified_name<E: Event>(module: &str) -> String {
    format!("{}.{}", E::MODULE.unwrap_or(module), E::name())
}

fn describe<E: Event>(module: &str) -> EventType {
    EventType {
        name: E::name().into(),
        qualified_name: qualified_name::<E>(module).into(),
        kind: E::KIND,
        builtin: E::BUILTIN,
        external: E::EXTERNAL,
        shape: Shape::compile(&schema::raw::<E>(), &names::of::<E>),
        schema: schema::of::<E>(&E::name()),
    }
}

/// Declares events: structs with the traits of serde and schemars, `Clone`, `Debug`, and a name on the wire.
///
/// - `struct Approve: Asks<Verdict> { .. }` is a question for `ctx.ask`, answered by a `Verdict`.
/// - `struct Wanted: InputRequired { .. }` asks somebody outside when a step returns it; the step does not wait.
///   `struct Given: HumanResponse { .. }` comes from outside to the step that takes it.
/// - `struct Tick: External { .. }` is a plain event that clients, too, may send to the step that takes it. Every other
///   type that is neither an answer nor a `HumanResponse` is refused from outside, so nobody can skip a step by sending
///   what it would have returned.
/// - `struct Token as "token" { .. }` has another name on the wire; `struct Token in "shop" { .. }` is in another
///   module than that of the workflow. If both are given, `as` comes first.
///
/// Doc comments become descriptions in the schema, with which the server checks values from outside. Attributes are
/// passed through, such as `#[serde(default)]` on a field or `#[derive(PartialEq)]` on the struct.
///
/// The types of fields must derive the traits of serde and schemars, which this crate re-exports. Tell the derives
/// where these crates are, as here; they accept all their other attributes, too:
///
/// ```
/// use steprill::{event, schemars::JsonSchema, serde::{Deserialize, Serialize}};
///
/// #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// #[serde(crate = "steprill::serde", rename_all = "snake_case")]
/// #[schemars(crate = "steprill::schemars")]
/// enum Urgency { NextWeek, Today }
///
/// event! { struct Order { item: String, urgency: Urgency } }
///
/// let order = Order { item: "tea".into(), urgency: Urgency::NextWeek };
/// assert_eq!(steprill::Json::from_value(&order)?.as_str(), r#"{"item":"tea","urgency":"next_week"}"#);
/// # Ok::<(), steprill::StepError>(())
/// ```
///
/// ```
/// use steprill::{Event, event};
///
/// event! {
///     /// Asks whether a text may go out.
///     pub struct Approve: Asks<Verdict> {
///         /// The text.
///         pub text: String,
///     }
///     pub struct Verdict { pub good: bool, #[serde(default)] pub remark: String }
///     struct Progress as "progress" in "shop" { percent: u8 }
/// }
///
/// event! { struct Tick: External { at: u64 } }
///
/// assert_eq!(Approve::name(), "Approve");
/// assert!(Tick::EXTERNAL && !Verdict::EXTERNAL);
/// assert_eq!(Progress::name(), "progress");
/// assert_eq!(Progress::MODULE, Some("shop"));
/// ```
#[macro_export]
macro_rules! event {
    () => {};
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(as $wire:literal)? $(in $module:literal)?
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__event!([$(#[$meta])*] [$vis] $name [$($wire)?] [$($module)?] [] { $($body)* });
        $crate::event! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(as $wire:literal)? $(in $module:literal)? : InputRequired
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__event!([$(#[$meta])*] [$vis] $name [$($wire)?] [$($module)?]
            [const KIND: $crate::__macros::EventKind = $crate::__macros::EventKind::InputRequired;] { $($body)* });
        $crate::event! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(as $wire:literal)? $(in $module:literal)? : HumanResponse
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__event!([$(#[$meta])*] [$vis] $name [$($wire)?] [$($module)?]
            [const KIND: $crate::__macros::EventKind = $crate::__macros::EventKind::HumanResponse;] { $($body)* });
        $crate::event! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(as $wire:literal)? $(in $module:literal)? : External
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__event!([$(#[$meta])*] [$vis] $name [$($wire)?] [$($module)?]
            [const EXTERNAL: bool = true;] { $($body)* });
        $crate::event! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(as $wire:literal)? $(in $module:literal)? : Asks<$answer:ty>
        { $($body:tt)* } $($rest:tt)*) => {
        $crate::__event!([$(#[$meta])*] [$vis] $name [$($wire)?] [$($module)?]
            [const KIND: $crate::__macros::EventKind = $crate::__macros::EventKind::InputRequired;
             fn answer() -> ::core::option::Option<$crate::__macros::EventEntry> {
                 ::core::option::Option::Some($crate::__macros::EventEntry::of::<$answer>())
             }] { $($body)* });
        impl $crate::Question for $name {
            type Answer = $answer;
        }
        $crate::event! { $($rest)* }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "an event is declared as `pub struct Name { field: Type, .. }`; before the brace may stand \
             `as \"wire name\"`, `in \"module\"`, and one of `: Asks<Answer>`, `: InputRequired`, \
             `: HumanResponse`, `: External`"
        );
    };
}

/// Declares one event of [`event!`]. Its attributes name the crate, because `$crate` does not work in their strings.
#[doc(hidden)]
#[macro_export]
macro_rules! __event {
    ([$($meta:tt)*] [$vis:vis] $name:ident [$($wire:literal)?] [$($module:literal)?] [$($items:tt)*]
        { $($body:tt)* }) => {
        #[derive(
            ::core::clone::Clone,
            ::core::fmt::Debug,
            $crate::serde::Serialize,
            $crate::serde::Deserialize,
            $crate::schemars::JsonSchema,
        )]
        $($meta)*
        #[serde(crate = "steprill::serde")]
        #[schemars(crate = "steprill::schemars")]
        $vis struct $name { $($body)* }

        impl $crate::Event for $name {
            fn name() -> ::std::borrow::Cow<'static, str> {
                #[allow(unused_variables)]
                let name = ::core::stringify!($name);
                $(let name = $wire;)?
                ::std::borrow::Cow::Borrowed(name)
            }
            $(const MODULE: ::core::option::Option<&'static str> = ::core::option::Option::Some($module);)?
            $($items)*
        }
    };
}

/// Declares enums of events with one variant per event, of the same name: for steps that take or return one of several.
///
/// Each event converts into the enum with `.into()`.
///
/// ```
/// use steprill::{Ctx, Result, event, one_of};
///
/// event! {
///     struct Draft { text: String }
///     struct Rejected { reason: String }
///     struct Accepted { text: String }
/// }
/// one_of! { enum Judged { Rejected, Accepted } }
///
/// fn judge(_: &Ctx, draft: Draft) -> Result<Judged> {
///     if draft.text.is_empty() {
///         return Ok(Rejected { reason: "empty".into() }.into());
///     }
///     Ok(Accepted { text: draft.text }.into())
/// }
/// ```
#[macro_export]
macro_rules! one_of {
    ($($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$event_meta:meta])* $event:ident),+ $(,)? })*) => { $(
        $(#[$meta])*
        $vis enum $name { $($(#[$event_meta])* #[allow(missing_docs)] $event($event)),+ }

        $(impl ::core::convert::From<$event> for $name {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        })+

        impl $crate::__macros::OneEvent for $name {
            fn entries() -> ::std::vec::Vec<$crate::__macros::EventEntry> {
                ::std::vec![$($crate::__macros::EventEntry::of::<$event>()),+]
            }

            fn emit(self, to: &mut $crate::__macros::Emitter<'_>) -> $crate::Result<()> {
                match self {
                    $(Self::$event(event) => to.push(&event),)+
                }
            }
        }

        impl $crate::__macros::OneInput for $name {
            fn entries() -> ::std::vec::Vec<$crate::__macros::EventEntry> {
                ::std::vec![$($crate::__macros::EventEntry::of::<$event>()),+]
            }

            fn decode(place: usize, text: &$crate::__macros::Json) -> $crate::Result<Self> {
                let mut places = 0..;
                $(if places.next() == ::core::option::Option::Some(place) {
                    return <$event as $crate::__macros::OneInput>::decode(0, text).map(Self::$event);
                })+
                ::core::result::Result::Err("no such event".into())
            }
        }
    )* };
    ($($other:tt)*) => {
        ::core::compile_error!("a choice of events is declared by their names: `pub enum Name { Event, OtherEvent }`");
    };
}
