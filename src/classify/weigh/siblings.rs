//! What neighbouring columns add to a reading.
use std::collections::{BTreeMap, BTreeSet};

use super::thresholds::{NEIGHBOUR, NEIGHBOUR_AGAINST};

/// A reading of one class gains beside columns of others.
struct Rule {
    /// The reading that gains.
    tag: &'static str,
    /// Any one of these classes or terms beside it is enough.
    beside: &'static [&'static str],
    /// Nats.
    worth: f64,
}

const PERSON: &[&str] = &[
    "pii.person_name",
    "pii.birth_date",
    "pii.gender",
    "pii.email",
    "pii.phone",
    "pii.us_ssn",
    "pii.national_id",
];

const RULES: &[Rule] = &[
    Rule { tag: "pii.person_name", beside: PERSON, worth: NEIGHBOUR },
    Rule { tag: "pii.person_name", beside: &["price", "thing", "measure"], worth: -NEIGHBOUR_AGAINST },
    Rule {
        tag: "pii.birth_date",
        beside: &["pii.person_name", "pii.gender", "pii.us_ssn", "pii.national_id"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "pii.address",
        beside: &["pii.postal_code", "pii.address", "pii.person_name"],
        worth: NEIGHBOUR,
    },
    Rule { tag: "pii.postal_code", beside: &["pii.address", "pii.person_name"], worth: NEIGHBOUR },
    Rule { tag: "pii.geo", beside: &["pii.geo", "pii.address"], worth: NEIGHBOUR },
    Rule {
        tag: "financial.card_number",
        beside: &["currency or expiry", "card verification value", "name on card"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "financial.bank_account",
        beside: &["financial.swift_bic", "financial.us_aba_routing", "financial.iban", "bank's name"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "financial.swift_bic",
        beside: &["financial.iban", "financial.bank_account", "bank's name"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "financial.us_aba_routing",
        beside: &["financial.bank_account", "bank's name"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "pii.driver_license",
        beside: &["pii.birth_date", "pii.person_name", "vehicle.vin"],
        worth: NEIGHBOUR,
    },
    Rule { tag: "pii.national_id", beside: &["pii.person_name", "pii.birth_date"], worth: NEIGHBOUR },
    Rule { tag: "pii.username", beside: &["pii.email", "credentials.secret", "password"], worth: NEIGHBOUR },
    Rule {
        tag: "health.medical_record",
        beside: &["health.icd10", "health.us_npi", "health.us_mbi"],
        worth: NEIGHBOUR,
    },
    Rule {
        tag: "health.icd10",
        beside: &["health.medical_record", "health.us_npi", "health.us_mbi"],
        worth: NEIGHBOUR,
    },
    Rule { tag: "vehicle.vin", beside: &["pii.driver_license"], worth: NEIGHBOUR },
];

/// What the columns of a table are to one another: for each class or term the columns that are surely it.
pub(super) struct Neighbours<'a> {
    /// The first two by name: one of them is a neighbour of the other.
    known: BTreeMap<&'a str, BTreeSet<(&'a str, usize)>>,
}

impl<'a> Neighbours<'a> {
    /// From each column's name with its class and terms, in the table's order.
    pub(super) fn new(columns: impl Iterator<Item = (&'a str, BTreeSet<&'a str>)>) -> Self {
        let mut known: BTreeMap<&str, BTreeSet<(&str, usize)>> = BTreeMap::new();
        for (at, (name, facts)) in columns.enumerate() {
            for fact in facts {
                let holders = known.entry(fact).or_default();
                holders.insert((name, at));
                if holders.len() > 2 {
                    holders.pop_last();
                }
            }
        }
        Self { known }
    }

    /// What the neighbours of column `own` add to `tag`, with the name of the one that did it.
    pub(super) fn worth(&self, tag: &str, own: usize) -> (f64, Option<&'a str>) {
        let (mut sum, mut by) = (0.0, None);
        for rule in RULES.iter().filter(|r| r.tag == tag) {
            let holders = rule.beside.iter().filter_map(|fact| self.known.get(fact)).flatten();
            let found = holders.filter(|(_, at)| *at != own).map(|(name, _)| *name).min();
            if let Some(name) = found {
                sum += rule.worth;
                if rule.worth > 0.0 {
                    by = by.or(Some(name));
                }
            }
        }
        (sum, by)
    }
}
