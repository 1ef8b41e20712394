//! The tree of a document as its raw form, through serde.
//!
//! Deserialization normally ends at the first error. Here a [`Placed`] value takes the error of
//! what it holds: it goes to the faults, and reading goes on beside it. Unknown keys are told and
//! skipped, and a key that is left out reads as [`Missing`], so that each of them is told too.

mod access;

use access::{Choice, Fields, Items, Names, Parts, places};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::faults::{Fault, Faults, listed, nearest, quoted, suggestion};
use super::hidden::Hidden;
use super::raw::placed::{PLACED, Placed};
use super::text::Span;
use super::tree::{Node, Value};

/// Reads a document's tree. What is wrong is told to `faults`.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(root: &Node, faults: &Faults<'_>) -> Placed<T> {
    let decoder = Decoder { node: root, key: None, item: false, faults };
    // A `Placed` value cannot fail; should it, an empty one says the same.
    Placed::deserialize(decoder).unwrap_or_else(|refusal: Refusal| {
        faults.push(refusal.at(root.span));
        Placed::nothing(root.span)
    })
}

/// Why something cannot be read.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A fault with its place.
    Fault(Box<Fault>),
    /// Words without a place, from serde.
    Words(String),
    /// It is reported already.
    Told,
}

impl Refusal {
    fn at(self, span: Span) -> Fault {
        match self {
            Self::Fault(fault) => *fault,
            Self::Words(message) => Fault::new(span, message),
            Self::Told => Fault::new(span, "this cannot be read"),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a document cannot be read")
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Words(message.to_string())
    }

    fn invalid_type(_: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self::Words(format!("this must be {wanted}"))
    }

    fn invalid_value(_: serde::de::Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self::Words(format!("this must be {wanted}"))
    }
}

/// What a variant without content holds.
static NOTHING: Node = Node { span: Span::START, value: Value::Nothing };

/// Reads one node.
#[derive(Clone, Copy)]
struct Decoder<'a> {
    node: &'a Node,
    /// The key it stands under, or the word that stands for it.
    key: Option<&'a Node>,
    /// One item of the list under `key`.
    item: bool,
    faults: &'a Faults<'a>,
}

impl<'a> Decoder<'a> {
    /// Where a fault of this node is shown: one value at itself, anything larger at its key.
    fn site(&self) -> Span {
        match (&self.node.value, self.key) {
            (Value::Nothing, Some(key)) => key.span,
            (Value::Scalar { .. } | Value::Wrong, _) | (_, None) => self.node.span,
            (_, Some(_)) if self.item => self.node.span,
            (_, Some(key)) => key.span,
        }
    }

    fn key_span(&self) -> Span {
        self.key.filter(|_| !self.item).map_or_else(|| self.site(), |key| key.span)
    }

    /// The node as the subject of a sentence.
    fn subject(&self) -> String {
        match self.key {
            Some(key) if self.item => format!("each entry of {}", quoted(key.text())),
            Some(key) => quoted(key.text()),
            None => "the document".to_owned(),
        }
    }

    fn fault(&self, message: String, help: String) -> Refusal {
        Refusal::Fault(Box::new(Fault::new(self.site(), message).help(help)))
    }

    /// The refusal of a node of the wrong type.
    fn wrong_type(&self, wanted: &str) -> Refusal {
        let subject = self.subject();
        match &self.node.value {
            Value::Wrong => Refusal::Told,
            Value::Nothing => self.fault(
                format!("{subject} has no value"),
                format!("write {wanted}, or remove the key if it may be left out"),
            ),
            Value::Scalar { text, plain } => {
                let found = if !plain || Number::of(text).is_none() { "text" } else { "a number" };
                let help = if wanted == "text" || !plain && (Number::of(text).is_some() || is_word(text)) {
                    "quotes make it text; without them it is read as a number, true or false".to_owned()
                } else {
                    format!("write {wanted}")
                };
                let found = if *plain && is_word(text) { "true or false" } else { found };
                self.fault(format!("{subject} must be {wanted}, not {found}"), help)
            }
            Value::Sequence(_) => self.fault(
                format!("{subject} must be {wanted}, not a list"),
                "remove the `-` or the `[ ]`".to_owned(),
            ),
            Value::Mapping(_) => self
                .fault(format!("{subject} must be {wanted}, not a mapping"), format!("write {wanted} here")),
        }
    }

    fn text(&self) -> Result<&'a str, Refusal> {
        match &self.node.value {
            Value::Scalar { text, plain } if !plain || (Number::of(text).is_none() && !is_word(text)) => {
                Ok(text)
            }
            _ => Err(self.wrong_type("text")),
        }
    }

    fn entries(&self) -> Result<&'a [(Node, Node)], Refusal> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            Value::Nothing if self.key.is_some() => Ok(&[]),
            _ => Err(self.wrong_type("a mapping (`key: value`)")),
        }
    }

    fn child(&self, key: &'a Node, node: &'a Node) -> Self {
        Self { node, key: Some(key), item: false, faults: self.faults }
    }

    /// Tells of a key that does not exist. Its value may be a secret under a key we do not know,
    /// so it is not shown unless the key was surely meant to be another.
    fn unknown_key(&self, key: &Node, value: &Node, known: &[&'static str]) {
        let place = self.key.map_or_else(String::new, |owner| format!(" in {}", quoted(owner.text())));
        let message = format!("unknown key {}{place}", quoted(key.text()));
        let help = if known.is_empty() {
            "it takes no options".to_owned()
        } else {
            suggestion(key.text(), known, "keys")
        };
        if nearest(key.text(), known).is_none() && !super::hidden::is_reference(value.text()) {
            if let Value::Scalar { text, .. } = &value.value {
                self.faults.hide([Hidden { span: value.span, text: text.clone() }]);
            }
        }
        self.faults.push(Fault::new(key.span, message).help(help));
    }

    /// The variant that a node names, and its content.
    fn variant(&self, variants: &[&'static str]) -> Result<(&'static str, Self), Refusal> {
        let (word, content) = match &self.node.value {
            Value::Scalar { .. } => (self.node, &NOTHING),
            Value::Mapping(entries) => match entries.as_slice() {
                [(key, content)] => (key, content),
                _ => return Err(self.many_variants(entries, variants)),
            },
            _ => return Err(self.wrong_type(&format!("one of {}", listed(variants)))),
        };
        match variants.iter().find(|variant| **variant == word.text()) {
            Some(variant) => Ok((variant, self.child(word, content))),
            None => {
                let message = match self.key {
                    Some(key) if !self.item => {
                        format!("{} is not a value of {}", quoted(word.text()), quoted(key.text()))
                    }
                    _ => format!("{} is not known here", quoted(word.text())),
                };
                let help = suggestion(word.text(), variants, "values");
                Err(Refusal::Fault(Box::new(Fault::new(word.span, message).help(help))))
            }
        }
    }

    /// A choice that is written with no key or with several.
    fn many_variants(&self, entries: &[(Node, Node)], variants: &[&'static str]) -> Refusal {
        let subject = self.subject();
        let chosen = entries.iter().find(|(key, _)| variants.contains(&key.text()));
        let kind = self.node.get("type").or(self.node.get("kind")).filter(|kind| !kind.text().is_empty());
        let help = match (chosen, kind) {
            (None, Some(kind)) => {
                let near = nearest(kind.text(), variants);
                format!("the kind is the key: write `{{{}: {{…}}}}`", near.unwrap_or("kind"))
            }
            (Some((key, _)), _) => match entries.iter().find(|(other, _)| other.span != key.span) {
                Some((other, _)) if !variants.contains(&other.text()) => format!(
                    "indent {} below {}, or write it inside its braces",
                    quoted(other.text()),
                    quoted(key.text())
                ),
                _ => "keep one of them".to_owned(),
            },
            (None, None) => format!("begin with {}", listed(variants)),
        };
        self.fault(format!("{subject} must hold exactly one of {}", listed(variants)), help)
    }
}

/// A plain scalar that YAML reads as a number.
enum Number {
    Whole(u64),
    Other,
}

impl Number {
    fn of(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self::Whole).ok().or(Some(Self::Other)).filter(|_| !text.is_empty());
        }
        let digits = text.trim_start_matches(['-', '+', '.']);
        let numeric = digits.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok();
        numeric.then_some(Self::Other)
    }
}

/// A plain scalar that YAML reads as true or false.
fn is_word(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::custom("a raw document type asks for something the decoder does not read"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if is_word(text) => {
                visitor.visit_bool(text.eq_ignore_ascii_case("true"))
            }
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => match Number::of(text) {
                Some(Number::Whole(number)) => visitor.visit_u64(number),
                _ => Err(self.wrong_type("a whole number")),
            },
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if name == PLACED {
            let places = places(self.site(), self.key_span());
            return visitor.visit_seq(Parts { places, faults: self.faults, content: Some(self) });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(Items { owner: self, items: items.iter() }),
            _ => Err(self.wrong_type("a list (`[a, b]`)")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Mapping(entries) => {
                visitor.visit_map(Names { owner: self, entries: entries.iter(), value: None })
            }
            _ => Err(self.wrong_type("a mapping (`name: …`)")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let mut given = Vec::new();
        for (key, value) in self.entries()? {
            match fields.iter().find(|field| **field == key.text()) {
                Some(field) => given.push((*field, Some((key, value)))),
                None => self.unknown_key(key, value, fields),
            }
        }
        let absent = fields.iter().filter(|field| !given.iter().any(|(name, _)| name == *field));
        let absent: Vec<_> = absent.map(|field| (*field, None)).collect();
        given.extend(absent);
        visitor.visit_map(Fields { owner: self, fields: given.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let (variant, content) = self.variant(variants)?;
        visitor.visit_enum(Choice { variant, content })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier
    }
}
