//! Decodes every whole number as an integer, however it is written: `2.0` and `2e0` are 2, as in JSON Schema, while
//! `serde_json` recognizes integers by their spelling.
//!
//! Used only for what plain decoding has refused.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{self, Deserialize as _, DeserializeSeed, Visitor},
};
use serde_json::value::RawValue;

use crate::json;

/// Wraps the deserializer of `serde_json`, and those that it passes on for the values inside.
pub(super) struct Whole<T>(pub(super) T);

/// Returns the integer literal of a JSON text that is a whole number.
fn integer(text: &str) -> Option<Cow<'_, str>> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    is_number.then(|| json::whole(text)).flatten()
}

/// Removes the position from an error, as it means nothing to the sender of a value that is part of others.
pub(super) fn plain(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

macro_rules! integers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            // The text is needed: reading it as a float may round it.
            let text = <&'de RawValue>::deserialize(self.0)?.get();
            if let Some(literal) = integer(text) {
                if let Ok(number) = literal.parse() {
                    return visitor.visit_u64(number);
                } else if let Ok(number) = literal.parse() {
                    return visitor.visit_i64(number);
                } else if let Ok(number) = literal.parse() {
                    return visitor.visit_i128(number);
                } else if let Ok(number) = literal.parse() {
                    return visitor.visit_u128(number);
                }
            }
            let mut other = serde_json::Deserializer::from_str(text);
            other.$method(visitor).map_err(|error| de::Error::custom(plain(&error.to_string())))
        }
    )* };
}

macro_rules! forwarded {
    ($($method:ident($($argument:ident: $of:ty),*))*) => { $(
        fn $method<V: Visitor<'de>>(self, $($argument: $of,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Whole(visitor))
        }
    )* };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Whole<D> {
    type Error = D::Error;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    /// Where serde requests no type, in order to examine flattened members or a tag first, a whole number becomes an
    /// integer: whatever later expects a float accepts that, too.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let text = <&'de RawValue>::deserialize(self.0)?.get();
        if let Some(literal) = integer(text) {
            if let Ok(number) = literal.parse::<u64>() {
                return visitor.visit_u64(number);
            }
            if let Ok(number) = literal.parse::<i64>() {
                return visitor.visit_i64(number);
            }
        }
        let mut other = serde_json::Deserializer::from_str(text);
        let decoded = other.deserialize_any(Whole(visitor));
        decoded.map_err(|error| de::Error::custom(plain(&error.to_string())))
    }

    forwarded! {
        deserialize_bool() deserialize_f32() deserialize_f64() deserialize_char() deserialize_str()
        deserialize_string() deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }
}

macro_rules! passed_on {
    ($($method:ident($of:ty))*) => { $(
        fn $method<E: de::Error>(self, value: $of) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )* };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Whole<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.expecting(formatter)
    }

    passed_on! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_f64(f64)
        visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Whole(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Whole(inner))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Whole(elements))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Whole(members))
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Whole(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Whole<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Whole(inner))
    }
}

impl<'de, A: de::SeqAccess<'de>> de::SeqAccess<'de> for Whole<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Whole(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for Whole<A> {
    type Error = A::Error;

    /// Keys are strings, even where they represent integers.
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Whole(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: de::EnumAccess<'de>> de::EnumAccess<'de> for Whole<A> {
    type Error = A::Error;
    type Variant = Whole<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(seed)?;
        Ok((value, Whole(variant)))
    }
}

impl<'de, A: de::VariantAccess<'de>> de::VariantAccess<'de> for Whole<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(Whole(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Whole(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Whole(visitor))
    }
}
