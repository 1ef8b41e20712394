//! Which word of a name the others serve: `phone_model` is a model, `device_mac` is a MAC address.
use super::concept::Concept::{self, *};
use super::lexicon::is_plural;

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

/// A name's head (what kind of word it is about) and its subject (whose).
fn head_and_subject(concepts: &[Concept]) -> Option<(Concept, Concept)> {
    let words: Vec<Concept> = concepts.iter().copied().filter(|c| !matches!(c, Link | Digits)).collect();
    let (first, last) = (*words.first()?, *words.last()?);
    if is_attribute(last) {
        let subject = words.iter().rev().copied().find(|c| !is_attribute(*c)).unwrap_or(last);
        return Some((last, subject));
    }
    if is_attribute(first) || is_facet(first) {
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

fn is_facet(concept: Concept) -> bool {
    matches!(concept, Facet | Question)
}

/// Why a name is no sensitive thing though it may spell one; `None` where nothing says so.
pub(super) fn plain_reading(words: &[String], concepts: &[Concept]) -> Option<Plain> {
    let (head, subject) = head_and_subject(concepts)?;
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
        (_, Measure) => plain(90, 0.1, "measure"),
        (_, System) => plain(92, 0.1, "row key"),
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
        (Code, Unknown) => plain(55, 1.0, "code"),
        _ => None,
    }
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
