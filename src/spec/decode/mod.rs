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

use super::faults::{Fault, Faults, listed, nearest, offered, quoted, suggestion};
use super::hidden::{Hidden, is_reference};
use super::raw::placed::{EITHER, MANY, PLACED, Placed};
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

const TEXT: &str = "text";
const LIST: &str = "a list";
const MAPPING: &str = "a mapping";

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
                let looks_typed = Number::of(text).is_some() || is_word(text);
                let found = match Number::of(text) {
                    _ if !plain => "text",
                    Some(Number::Whole(_)) => "a number",
                    Some(Number::Other) => "another number",
                    None if is_word(text) => "true or false",
                    None => "text",
                };
                let help = match wanted {
                    TEXT => "put it in quotes".to_owned(),
                    LIST => "put it in brackets: `[…]`".to_owned(),
                    _ if looks_typed && !plain => "remove the quotes".to_owned(),
                    _ => format!("write {wanted}"),
                };
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
            _ => Err(self.wrong_type(TEXT)),
        }
    }

    /// The entries of a struct; its keys are told where there is something else.
    fn entries(&self, fields: &[&'static str]) -> Result<&'a [(Node, Node)], Refusal> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            Value::Nothing if self.key.is_some() => Ok(&[]),
            _ => Err(match self.wrong_type(MAPPING) {
                Refusal::Fault(fault) if fields.is_empty() => {
                    Refusal::Fault(Box::new(fault.help("it takes no options: write the word alone")))
                }
                Refusal::Fault(fault) => {
                    let keys: Vec<_> = offered(fields).iter().map(|key| format!("{key}: …")).collect();
                    Refusal::Fault(Box::new(fault.help(format!("write `{{{}}}`", keys.join(", ")))))
                }
                other => other,
            }),
        }
    }

    fn child(&self, key: &'a Node, node: &'a Node) -> Self {
        Self { node, key: Some(key), item: false, faults: self.faults }
    }

    /// Tells of a key that does not exist. Its value may be a secret under a key we do not know,
    /// so it is not shown unless the key was surely meant to be another.
    fn unknown_key(&self, key: &Node, value: &Node, known: &[&'static str]) -> Option<&'static str> {
        if self.faults.is_full() {
            self.faults.push(Fault::new(key.span, "unknown key"));
            return None;
        }
        let place = self.key.map_or_else(String::new, |owner| format!(" in {}", quoted(owner.text())));
        let message = format!("unknown key {}{place}", quoted(key.text()));
        let help = if known.is_empty() {
            "it takes no options".to_owned()
        } else {
            suggestion(key.text(), known, "keys")
        };
        let near = nearest(key.text(), known);
        if let Value::Scalar { text, .. } = &value.value
            && self.faults.cautious.get()
            && near.is_none()
            && !is_reference(text)
        {
            self.faults.hide([Hidden { span: value.span, text: text.clone() }]);
        }
        self.faults.push(Fault::new(key.span, message).help(help));
        near
    }

    /// The variant that a node names, and its content.
    fn variant(&self, variants: &[&'static str]) -> Result<(&'static str, Self), Refusal> {
        let (word, content) = match &self.node.value {
            Value::Scalar { .. } => (self.node, &NOTHING),
            // YAML's own `null`, written out, where that is one of the words.
            Value::Nothing if self.node.span.start < self.node.span.end => {
                if let Some(null) = variants.iter().find(|variant| **variant == "null") {
                    return Ok((null, self.child(self.node, &NOTHING)));
                }
                return Err(self.wrong_type(&format!("one of {}", listed(&offered(variants)))));
            }
            Value::Mapping(entries) => match entries.as_slice() {
                [(key, content)] => (key, content),
                _ => return Err(self.many_variants(entries, variants)),
            },
            _ => return Err(self.wrong_type(&format!("one of {}", listed(&offered(variants))))),
        };
        if let Some(variant) = variants.iter().find(|variant| **variant == word.text()) {
            return Ok((variant, self.child(word, content)));
        }
        let message = format!("{} cannot be {}", self.subject(), quoted(word.text()));
        let help = suggestion(word.text(), variants, "possible values");
        Err(Refusal::Fault(Box::new(Fault::new(word.span, message).help(help))))
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
            (None, None) => format!("begin with {}", listed(&offered(variants))),
        };
        self.fault(format!("{subject} must hold exactly one of {}", listed(&offered(variants))), help)
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
                _ => Err(self.wrong_type("a whole number of 0 or more")),
            },
            _ => Err(self.wrong_type("a whole number of 0 or more")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?)
    }

    /// The text of one value, whether or not it looks like text.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Scalar { text, .. } => visitor.visit_str(text),
            _ => Err(self.wrong_type("one value")),
        }
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
        if name == MANY && matches!(self.node.value, Value::Scalar { .. }) {
            let one = std::slice::from_ref(self.node);
            return visitor.visit_seq(Items { owner: self, items: one.iter() });
        }
        if name == MANY {
            return self.deserialize_seq(visitor);
        }
        match &self.node.value {
            Value::Scalar { .. } | Value::Nothing if name == EITHER => visitor.visit_some(self),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(Items { owner: self, items: items.iter() }),
            _ => Err(self.wrong_type(LIST)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Mapping(entries) => {
                visitor.visit_map(Names { owner: self, entries: entries.iter(), value: None })
            }
            _ => Err(self.wrong_type(MAPPING)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let mut given = Vec::new();
        let mut misspelt = Vec::new();
        for (key, value) in self.entries(fields)? {
            if let Some(field) = fields.iter().find(|field| **field == key.text()) {
                given.push((*field, Some((key, value))));
            } else {
                let near = self.unknown_key(key, value, fields);
                misspelt.extend(near.map(|field| (field, Some((key, value)))));
            }
        }
        // A misspelt key is read as the one it was meant to be, so that its value is checked too.
        for (field, entry) in misspelt {
            if !given.iter().any(|(name, _)| *name == field) {
                given.push((field, entry));
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
        tuple_struct
    }
}
