//! What a column's name says before any value is seen.
//!
//! A name is cut into words, the words become concepts whatever their language (`VORNAME`, `prenom` and
//! `first_name` are the same two), and concepts together form terms of a vocabulary. A small grammar finds the word
//! the others serve, so that `phone_model` and `is_email_verified` are not taken for phones and e-mails.
mod concept;
mod grammar;
mod lexicon;
mod segment;
mod terms;
mod tokens;

use concept::Concept;

/// One reading of a column's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The tag it speaks for; `internal` where the name says that nothing sensitive is meant.
    pub tag: &'static str,
    /// Share of columns by such a name that hold that class, 0 to 1.
    pub strength: f64,
    /// The term of the vocabulary that matched.
    pub term: &'static str,
}

/// All readings of a name, strongest first; empty where it says nothing (`c17`).
#[must_use]
pub fn read(name: &str) -> Vec<Reading> {
    let words = tokens::words(name);
    let concepts = segment::concepts(&words);
    let plain = grammar::plain_reading(&words, &concepts);
    let left = plain.map_or(1.0, |p| p.left);
    let is_qualifier = grammar::is_qualifier(&words, &concepts);
    let mut readings: Vec<Reading> = Vec::new();
    let alone = terms::ALONE.iter().filter(|t| {
        let has_user = t.needs.contains(&Concept::User);
        concepts.iter().all(|c| t.needs.contains(c) || says_which(*c) || (has_user && *c == Concept::Person))
    });
    for term in [terms::PEOPLE, terms::PAPERS, terms::MONEY].into_iter().flatten().chain(alone) {
        let has = |c: &Concept| concepts.contains(c);
        if term.needs.iter().all(has) && !term.bars.iter().any(has) {
            let is_beside_sum = grammar::is_beside_sum(&words, &concepts, term.needs);
            let qualified = match is_qualifier && values_can_prove(term.tag) {
                _ if is_beside_sum && term.tag != "financial.amount" => BESIDE_SUM,
                true => QUALIFIER,
                false => 1.0,
            };
            offer(&mut readings, term.tag, f64::from(term.percent) / 100.0 * left * qualified, term.term);
        }
    }
    if let Some(plain) = plain {
        offer(&mut readings, "internal", f64::from(plain.percent) / 100.0, plain.term);
    }
    readings.sort_by(|a, b| b.strength.total_cmp(&a.strength).then(a.tag.cmp(b.tag)));
    readings
}

/// What is left of a reading whose words only qualify a word that is not known.
const QUALIFIER: f64 = 0.75;

/// What is left of a reading where the name's head is a sum of money: `street_limit`, `phone_charge`.
const BESIDE_SUM: f64 = 0.3;

/// Classes whose values show themselves, so that an unsure name may wait for them.
fn values_can_prove(tag: &str) -> bool {
    matches!(
        tag,
        "pii.email"
            | "pii.phone"
            | "pii.ip_address"
            | "pii.mac_address"
            | "pii.person_name"
            | "pii.address"
            | "pii.postal_code"
            | "pii.birth_date"
            | "pii.geo"
            | "financial.iban"
            | "financial.card_number"
            | "free_text.pii"
            | "credentials.secret"
    )
}

/// Words that only say which of several is meant.
fn says_which(concept: Concept) -> bool {
    matches!(concept, Concept::Link | Concept::Digits | Concept::Home | Concept::Unknown)
}

/// Whether two names are the same words, however they are written.
#[must_use]
pub fn is_same(a: &str, b: &str) -> bool {
    tokens::words(a).concat() == tokens::words(b).concat()
}

/// Keeps the strongest reading of each tag.
fn offer(readings: &mut Vec<Reading>, tag: &'static str, strength: f64, term: &'static str) {
    match readings.iter_mut().find(|r| r.tag == tag) {
        Some(known) if known.strength >= strength => {}
        Some(known) => *known = Reading { tag, strength, term },
        None => readings.push(Reading { tag, strength, term }),
    }
}

#[cfg(test)]
mod tests;
