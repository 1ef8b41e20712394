//! Which word of a name the others serve: `phone_model` is a model, `device_mac` is a MAC address.
use super::concept::Concept::{self, *};
use super::lexicon::{is_head_first, is_plural};

/// What a name says against being what its words otherwise spell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plain {
    /// How many of a hundred columns by such a name hold nothing sensitive.
    pub percent: u8,
    /// What is left of the strength of the sensitive readings.
    pub left: f64,
    /// How evidence shows it.
    pub term: &'static str,
}

const fn plain(percent: u8, left: f64, term: &'static str) -> Option<Plain> {
    Some(Plain { percent, left, term })
}

/// Facets that before another word only say which one: `source_ip`.
const DIRECTIONS: [&str; 12] = [
    "source", "src", "target", "dest", "network", "group", "channel", "default", "subject", "segment",
    "brand", "zone",
];

/// A name's head (what kind of word it is about) and its subject (whose).
fn head_and_subject(spelt: &[String], concepts: &[Concept]) -> Option<(Concept, Concept)> {
    let words: Vec<Concept> =
        concepts.iter().copied().filter(|c| !matches!(c, Link | Digits | Money | Home)).collect();
    let (first, mut last) = (*words.first()?, *words.last()?);
    if is_facet(first) && is_worth(last) {
        return Some((last, last)); // `avg_price`
    }
    // `ip_src` is an address, `email_source` a source.
    if let [.., before @ (Ip | Mac), Facet] = words.as_slice()
        && spelt.last().is_some_and(|w| DIRECTIONS.contains(&w.as_str()))
    {
        last = *before;
    }
    if is_worth(first) && spelt.first().is_some_and(|w| is_head_first(w)) {
        return Some((first, first)); // `montant_sinistre`
    }
    if is_attribute(last) {
        let subject = words.iter().rev().copied().find(|c| !is_attribute(*c)).unwrap_or(last);
        return Some((last, subject));
    }
    let is_direction = spelt.first().is_some_and(|w| DIRECTIONS.contains(&w.as_str()));
    if is_attribute(first) || is_facet(first) && !is_direction {
        // Romance order: `numero_commande`, `tipo_de_telefono`.
        let subject = words.iter().copied().find(|c| !is_attribute(*c) && *c != first).unwrap_or(first);
        return Some((first, subject));
    }
    Some((last, last))
}

/// Words that name an attribute of the word before them.
fn is_attribute(concept: Concept) -> bool {
    matches!(concept, Number | Id | Code | Name | Date | Time | Year | Month | Day)
}

/// Words for sums of money.
fn is_worth(concept: Concept) -> bool {
    matches!(concept, Amount | Price | Sum)
}

/// Words that say neither a person's nor a machine's datum: an unknown word beside them is one more of their kind.
fn is_impersonal(concept: Concept) -> bool {
    matches!(
        concept,
        Unknown
            | Deal
            | Thing
            | Value
            | Measure
            | Facet
            | System
            | Happening
            | Link
            | Digits
            | Number
            | Id
            | Code
            | Date
            | Time
            | Day
    )
}

fn is_facet(concept: Concept) -> bool {
    matches!(concept, Facet | Question)
}

/// Why a name is no sensitive thing though it may spell one; `None` where nothing says so.
pub(super) fn plain_reading(words: &[String], concepts: &[Concept]) -> Option<Plain> {
    let (head, subject) = head_and_subject(words, concepts)?;
    let has = |c: Concept| concepts.contains(&c);
    if concepts.first() == Some(&Question) || counts(words) {
        return plain(94, 0.05, "flag or count");
    }
    match (head, subject) {
        (Facet | Happening | Question, _) => plain(92, 0.1, "facet"),
        (Hash, _) if has(Password) || has(Secret) || has(Token) => None, // a password's hash can be attacked
        (Hash, _) => plain(75, 0.4, "hash"),
        (Currency | Expiry, _) | (Code, Currency) => plain(88, 0.1, "currency or expiry"),
        (Date | Time | Year | Month | Day, _) if !has(Birth) => plain(90, 0.1, "date of an event"),
        (_, Deal) => plain(91, 0.1, "dealing"),
        (_, Thing) => plain(90, 0.1, "thing"),
        (_, Measure | Value) if has(Money) => None, // `basket_value_eur`
        (_, Value) if has(Deal) => plain(45, 1.0, "value"),
        (_, Value) => plain(55, 1.0, "value"),
        (_, Measure) => plain(90, 0.1, "measure"),
        (_, System) => plain(92, 0.1, "row key"),
        (Code | Id | Number, Amount | Price | Sum) => plain(60, 0.5, "code"),
        (Code, City | Street | Address | Place) => plain(75, 0.3, "code"),
        (Id, Secret | Password | Token | Login) => plain(70, 0.2, "row key"),
        (Code | Id | Number, Facet | Happening) => plain(75, 0.2, "code"),
        (Id, Text) => plain(80, 0.2, "row key"),
        (
            Name,
            Key | Secret | Token | Password | Security | Insurance | Medical | Tax | Licence | Place | House
            | Geo | Api | Region | Country,
        ) => plain(80, 0.2, "thing"),
        (Name, Unknown) if !has(Person) => plain(55, 1.0, "name of something"),
        (Name, Vehicle) => plain(85, 0.1, "thing"),
        (Name, Bank) => plain(80, 0.1, "bank's name"),
        (Id | Code, Person | Owner) => plain(80, 0.3, "row key"),
        (Number, Person) => plain(60, 1.0, "row key"),
        (Id, Id | Number) => plain(70, 1.0, "row key"),
        (Id, Address | Phone | Email | Card | City | Country | Region | Postal | Street) => {
            plain(85, 0.15, "row key")
        }
        (Id, Account) if has(Number) => None,
        (Id, User | Account | Unknown) => plain(60, 1.0, "row key"),
        (Code, Region | Country) => plain(85, 0.3, "code"),
        (_, Region) => plain(50, 1.0, "region"),
        (_, Country) => plain(85, 1.0, "country"),
        (Code, Code) => plain(65, 1.0, "code"),
        (_, Age) => plain(75, 1.0, "age"),
        (Text, _) if concepts.len() > 1 => plain(30, 0.4, "free text"),
        (Code, Unknown) if concepts.iter().all(|c| is_impersonal(*c)) => plain(70, 1.0, "code"),
        (Code, Unknown) => plain(50, 1.0, "code"),
        (Number, Unknown) if concepts.len() > 1 && !has(Money) => plain(60, 1.0, "number"),
        (Unknown, _) if is_about_things(concepts) => plain(85, 0.1, "thing"),
        (Unknown, _) if has(Sum) && !has(Amount) && !has(Money) => plain(65, 0.3, "unknown thing"),
        (Unknown, _) if concepts.len() > 1 => plain(40, 1.0, "unknown thing"),
        _ => None,
    }
}

/// Only impersonal words, of which at least one is known for a thing or dealing.
fn is_about_things(concepts: &[Concept]) -> bool {
    concepts.iter().all(|c| is_impersonal(*c)) && concepts.iter().any(|c| matches!(c, Deal | Thing | Measure))
}

/// Whether what a name seems to spell only qualifies a last word that is not known: `birth_cohort`, `postal_zone`.
pub(super) fn is_qualifier(words: &[String], concepts: &[Concept]) -> bool {
    let is_long = words.last().is_some_and(|w| w.len() >= 4 && w.is_ascii());
    is_long
        && matches!(head_and_subject(words, concepts), Some((Unknown, _)))
        && !words.first().is_some_and(|w| is_head_first(w))
}

/// Whether the head of the name is a sum of money and these concepts are only what it is for (`street_limit`).
pub(super) fn is_beside_sum(words: &[String], concepts: &[Concept], needs: &[Concept]) -> bool {
    let head = head_and_subject(words, concepts).map(|(head, _)| head);
    head.is_some_and(|head| is_worth(head) && !needs.contains(&head))
}

/// `number_of_phones`, `num_emails`.
fn counts(words: &[String]) -> bool {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    match word(0) {
        "number" | "no" if word(1) == "of" => true,
        "num" | "n" | "total" | "nb" => words.len() > 1 && words.last().is_some_and(|w| is_plural(w)),
        _ => false,
    }
}
