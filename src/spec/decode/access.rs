//! What the decoder hands to serde piece by piece: fields, names, items, choices.

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Decoder, Refusal};
use crate::spec::faults::{Faults, quoted};
use crate::spec::text::Span;
use crate::spec::tree::Node;

/// A key that is left out: an optional one reads as none, any other is told as missing.
#[derive(Clone, Copy)]
struct Missing<'a> {
    field: &'static str,
    owner: Decoder<'a>,
}

impl Missing<'_> {
    fn refusal(&self) -> Refusal {
        let place = match self.owner.key {
            None => String::new(),
            Some(key) if self.owner.item => format!(" in this entry of {}", quoted(key.text())),
            Some(key) => format!(" in {}", quoted(key.text())),
        };
        self.owner
            .fault(format!("the key `{}` is missing{place}", self.field), format!("add `{}: …`", self.field))
    }
}

impl<'de> Deserializer<'de> for Missing<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(self.refusal())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let site = self.owner.site();
        visitor.visit_seq(Parts {
            places: places(site, site),
            faults: self.owner.faults,
            content: Some(self),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The parts of a [`Placed`] value: four offsets, then its content or, where that is wrong, nothing.
pub(super) struct Parts<'a, D> {
    pub(super) places: std::vec::IntoIter<u64>,
    pub(super) faults: &'a Faults<'a>,
    pub(super) content: Option<D>,
}

pub(super) fn places(site: Span, key: Span) -> std::vec::IntoIter<u64> {
    vec![site.start as u64, site.end as u64, key.start as u64, key.end as u64].into_iter()
}

impl<'de, D: Deserializer<'de, Error = Refusal> + Sited> SeqAccess<'de> for Parts<'de, D> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        if let Some(offset) = self.places.next() {
            let offset: U64Deserializer<Refusal> = offset.into_deserializer();
            return seed.deserialize(offset).map(Some);
        }
        let Some(content) = self.content.take() else { return Ok(None) };
        let site = content.site();
        match seed.deserialize(content) {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Told) => Ok(None),
            Err(refusal) => {
                self.faults.push(refusal.at(site));
                Ok(None)
            }
        }
    }
}

/// Something with a place.
pub(super) trait Sited {
    fn site(&self) -> Span;
}

impl Sited for Decoder<'_> {
    fn site(&self) -> Span {
        Decoder::site(self)
    }
}

impl Sited for Missing<'_> {
    fn site(&self) -> Span {
        self.owner.site()
    }
}

/// The items of a list.
pub(super) struct Items<'a> {
    pub(super) owner: Decoder<'a>,
    pub(super) items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(Decoder { node, item: true, ..self.owner }).map(Some)
    }
}

/// The entries of a mapping whose keys are names.
pub(super) struct Names<'a> {
    pub(super) owner: Decoder<'a>,
    pub(super) entries: std::slice::Iter<'a, (Node, Node)>,
    pub(super) value: Option<Decoder<'a>>,
}

impl<'de> MapAccess<'de> for Names<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(self.owner.child(key, value));
        // A name is text, whatever it looks like.
        let name = Name { key, faults: self.owner.faults };
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        seed.deserialize(self.value.take().ok_or(Refusal::Told)?)
    }
}

/// A key that is a name.
struct Name<'a> {
    key: &'a Node,
    faults: &'a Faults<'a>,
}

impl Sited for Name<'_> {
    fn site(&self) -> Span {
        self.key.span
    }
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.key.text())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let places = places(self.key.span, self.key.span);
        visitor.visit_seq(Parts { places, faults: self.faults, content: Some(self) })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A field of a struct, with its key and value where it is given.
type Field<'a> = (&'static str, Option<(&'a Node, &'a Node)>);

/// The fields of a struct: those given, then those left out.
pub(super) struct Fields<'a> {
    pub(super) owner: Decoder<'a>,
    pub(super) fields: std::vec::IntoIter<Field<'a>>,
    pub(super) value: Option<Field<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.value = Some(field);
        let name: StrDeserializer<'_, Refusal> = field.0.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        match self.value.take().ok_or(Refusal::Told)? {
            (_, Some((key, node))) => seed.deserialize(self.owner.child(key, node)),
            (field, None) => seed.deserialize(Missing { field, owner: self.owner }),
        }
    }
}

/// One of several possibilities.
pub(super) struct Choice<'a> {
    pub(super) variant: &'static str,
    pub(super) content: Decoder<'a>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Refusal;
    type Variant = Decoder<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Refusal> {
        let name: StrDeserializer<'_, Refusal> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Decoder<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        for (key, value) in self.entries(&[])? {
            self.unknown_key(key, value, &[]);
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::Told)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_struct("", fields, visitor)
    }
}
