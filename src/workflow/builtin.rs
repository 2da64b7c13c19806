//! The built-in events: a start event with any fields and a plain stop event.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
    ser::{Error as _, SerializeStruct},
};
use serde_json::value::{RawValue, to_raw_value};

use super::{Event, Result, StepError, explain};

const MODULE: &str = "workflows.events";

/// A start event that accepts any fields.
///
/// ```
/// use steprill::StartEvent;
///
/// let start = StartEvent::new().with("message", "hello");
/// assert_eq!(start.get::<String>("message")?, Some("hello".into()));
/// assert_eq!(start.get_or("count", 3)?, 3);
/// let error = start.get::<u32>("message").unwrap_err();
/// assert_eq!(error.to_string(), "field message: expected integer, got string");
/// # Ok::<(), steprill::StepError>(())
/// ```
#[derive(Clone)]
pub struct StartEvent {
    /// The text of an object.
    text: Box<RawValue>,
}

/// A stop event with any JSON as its result.
///
/// ```
/// use steprill::StopEvent;
///
/// let stop = StopEvent::new("done");
/// assert_eq!(stop.result::<String>()?, "done");
/// # Ok::<(), steprill::StepError>(())
/// ```
#[derive(Clone)]
pub struct StopEvent {
    /// The text of the result, or the reason for which returning the event fails.
    result: std::result::Result<Box<RawValue>, String>,
}

impl StartEvent {
    /// Creates a start event without fields.
    pub fn new() -> Self {
        Self { text: to_raw_value(&serde_json::Map::new()).unwrap_or_default() }
    }

    /// Sets a field, replacing one with the same name. A value that does not serialize becomes null.
    #[must_use]
    pub fn with(self, name: &str, value: impl Serialize) -> Self {
        let Fields(mut fields) = serde_json::from_str(self.text.get()).unwrap_or_default();
        let value = to_raw_value(&value).unwrap_or_default();
        match fields.iter_mut().rfind(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => fields.push((name.to_owned(), value)),
        }
        Self { text: to_raw_value(&Fields(fields)).unwrap_or_default() }
    }

    /// Returns the field with this name, or `None` if it is absent.
    ///
    /// # Errors
    /// If the field has another type: `field message: expected string, got number`. Such a failure is not retried.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let mut deserializer = serde_json::Deserializer::from_str(self.text.get());
        let text = Find { name }.deserialize(&mut deserializer)?;
        let decode = |text: &RawValue| explain::decode_field(name, text.get()).map_err(StepError::hopeless);
        text.map(decode).transpose()
    }

    /// Returns the field with this name, or `default` if it is absent.
    ///
    /// # Errors
    /// See [`StartEvent::get`].
    pub fn get_or<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.get(name)?.unwrap_or(default))
    }

    /// Decodes all fields into a type of your own.
    ///
    /// # Errors
    /// If a field is missing or has another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        explain::decode(self.text.get()).map_err(StepError::hopeless)
    }
}

impl StopEvent {
    /// Creates a stop event with this result. If that does not serialize, returning the event fails with the reason.
    pub fn new(result: impl Serialize) -> Self {
        Self { result: to_raw_value(&result).map_err(|error| error.to_string()) }
    }

    /// Decodes the result.
    ///
    /// # Errors
    /// If the result has another type.
    pub fn result<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.result.as_ref().map_err(|error| StepError::hopeless(error.as_str()))?;
        explain::decode_field("result", text.get()).map_err(StepError::hopeless)
    }
}

impl Default for StartEvent {
    fn default() -> Self {
        Self::new()
    }
}

/// The result is null.
impl Default for StopEvent {
    fn default() -> Self {
        Self::new(())
    }
}

impl fmt::Debug for StartEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StartEvent {}", self.text.get())
    }
}

impl fmt::Debug for StopEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.result.as_ref().map_or_else(String::as_str, |text| text.get());
        write!(formatter, "StopEvent {{ result: {result} }}")
    }
}

impl Event for StartEvent {
    const MODULE: Option<&'static str> = Some(MODULE);
    const BUILTIN: bool = true;
}

impl Event for StopEvent {
    const MODULE: Option<&'static str> = Some(MODULE);
    const BUILTIN: bool = true;
}

impl JsonSchema for StartEvent {
    fn schema_name() -> Cow<'static, str> {
        "StartEvent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "Starts a run; takes any fields." })
    }
}

impl JsonSchema for StopEvent {
    fn schema_name() -> Cow<'static, str> {
        "StopEvent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "Ends a run with its result." })
    }
}

impl Serialize for StartEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StartEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().starts_with('{') { Ok(Self { text }) } else { Err(D::Error::custom("expected object")) }
    }
}

/// Writes `{"result": x}`, or `{}` if the result is null.
impl Serialize for StopEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let result = self.result.as_ref().map_err(S::Error::custom)?;
        let fields = usize::from(result.get() != "null");
        let mut object = serializer.serialize_struct("StopEvent", fields)?;
        if fields == 1 {
            object.serialize_field("result", result)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for StopEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            result: Box<RawValue>,
        }
        Ok(Self { result: Ok(Fields::deserialize(deserializer)?.result) })
    }
}

/// Finds the text of a member in one pass; the last of several with one name.
struct Find<'a> {
    name: &'a str,
}

/// The fields of a start event, each value as text, as a number may have more digits than 64 bits can hold.
#[derive(Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ReadFields)
    }
}

struct ReadFields;

impl<'de> Visitor<'de> for ReadFields {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(field) = members.next_entry()? {
            fields.0.push(field);
        }
        Ok(fields)
    }
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if name == self.name {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
