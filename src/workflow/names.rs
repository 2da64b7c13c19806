//! The names that a type's fields and variants may have, including aliases. No schema shows aliases, but a derived
//! `Deserialize` passes them to its deserializer.
//!
//! Each type is asked once, when its workflow is built. Its `Deserialize` is led to the path in question by names alone
//! and never gets a value.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer},
};

use crate::graph::PathStep;

type Names = &'static [&'static str];

/// Returns the names at a path inside `T`, or `None` if they cannot be determined.
pub(super) fn of<T: DeserializeOwned>(path: &[PathStep<'_>]) -> Option<Names> {
    let found = Cell::new(None);
    // A hand-written `Deserialize` may do anything.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        T::deserialize(Probe { path, found: &found }).is_ok()
    }));
    found.get()
}

#[derive(Clone, Copy)]
struct Probe<'p> {
    path: &'p [PathStep<'p>],
    found: &'p Cell<Option<Names>>,
}

impl Probe<'_> {
    /// Enters the next field or variant of the path, or records the names at its end.
    fn enter(self, names: Names) -> Result<(&'static str, Self), Stopped> {
        match self.path {
            [] => {
                self.found.set(Some(names));
                Err(Stopped)
            }
            [PathStep::Field(name), path @ ..] => {
                let name = names.iter().find(|known| *known == name).ok_or(Stopped)?;
                Ok((name, Self { path, ..self }))
            }
            [PathStep::Element, ..] => Err(Stopped),
        }
    }

    fn enter_element(self) -> Result<Self, Stopped> {
        match self.path {
            [PathStep::Element, path @ ..] => Ok(Self { path, ..self }),
            _ => Err(Stopped),
        }
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stopped;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stopped> {
        Err(Stopped)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let (name, inner) = self.enter(fields)?;
        visitor.visit_map(One { name: Some(name), inner })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: Names,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        let (name, inner) = self.enter(variants)?;
        visitor.visit_enum(One { name: Some(name), inner })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_seq(One { name: None, inner: self.enter_element()? })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_map(One { name: Some("0"), inner: self.enter_element()? })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// One field, variant or element.
struct One<'p> {
    name: Option<&'static str>,
    inner: Probe<'p>,
}

impl<'de> de::MapAccess<'de> for One<'_> {
    type Error = Stopped;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stopped> {
        let name = self.name.take().ok_or(Stopped)?;
        let name: StrDeserializer<'_, Stopped> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stopped> {
        seed.deserialize(self.inner)
    }
}

impl<'de> de::SeqAccess<'de> for One<'_> {
    type Error = Stopped;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stopped> {
        seed.deserialize(self.inner).map(Some)
    }
}

impl<'de, 'p> de::EnumAccess<'de> for One<'p> {
    type Error = Stopped;
    type Variant = Probe<'p>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'p>), Stopped> {
        let name: StrDeserializer<'_, Stopped> = self.name.unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(name)?, self.inner))
    }
}

impl<'de> de::VariantAccess<'de> for Probe<'_> {
    type Error = Stopped;

    fn unit_variant(self) -> Result<(), Stopped> {
        Err(Stopped)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stopped> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Stopped> {
        Err(Stopped)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: Names, visitor: V) -> Result<V::Value, Stopped> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// The path ends here.
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("only names are asked for")
    }
}

impl std::error::Error for Stopped {}

impl de::Error for Stopped {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
