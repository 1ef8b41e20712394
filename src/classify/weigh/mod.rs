//! One tag a column: the odds that its name gives, times what its values and neighbours say.
//!
//! Every class starts with log odds: those of its name (`email` holds e-mails in 97 of 100 columns) or, where the
//! name is silent, of any column at all. Each detector adds how much likelier its counts are if the class is there
//! than by chance; a check must beat its chance rate, and what it adds is scaled by the part of the column it
//! covers. A class whose detector finds nothing loses, a type that cannot hold it rules it out, neighbours add a
//! little. `internal` competes with what name and shape say for it, `unknown` with fixed odds. The largest wins;
//! confidence is its share.
mod nature;
mod shape;
mod siblings;
#[cfg(test)]
mod tests;
mod thresholds;
mod values;

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use self::siblings::Neighbours;
use self::thresholds as t;
use crate::classify::finding::{Evidence, Finding, Seen};
use crate::classify::names::{self, Reading};
use crate::classify::values::tally::Tally;

/// A column as its source describes it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its type; a dictionary counts as its values.
    pub data_type: DataType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A name rule of the policy.
#[derive(Debug, Clone)]
pub struct CustomName {
    /// The column's name as the policy writes it, matched word by word whatever the writing (`kunden_nr` is `KundenNr`).
    pub name: String,
    /// The tag it speaks for.
    pub tag: String,
}

/// Weighs what is known about the columns of one table. `tallies` runs beside `columns`; one that is missing or
/// `None` was not sampled. The result runs beside `columns` too.
#[must_use]
pub fn weigh(columns: &[Named], tallies: &[Option<Tally>], custom: &[CustomName]) -> Vec<Finding> {
    let mut scored: Vec<Scored> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| score(column, tallies.get(at).and_then(Option::as_ref), custom))
        .collect();
    let neighbours = Neighbours::new(columns.iter().zip(&scored).map(|(c, s)| (c.name.as_str(), known(s))));
    let added: Vec<Vec<(f64, Option<String>)>> = scored
        .iter()
        .enumerate()
        .map(|(own, s)| {
            let worths = s.rivals.iter().map(|r| neighbours.worth(&r.tag, own));
            worths.map(|(worth, by)| (worth, by.map(str::to_owned))).collect()
        })
        .collect();
    for (column, added) in scored.iter_mut().zip(added) {
        for (rival, (worth, by)) in column.rivals.iter_mut().zip(added) {
            // Neighbours strengthen what is in question; they bring up no class of their own, and none against a
            // plain name.
            if rival.is_in_question && !column.is_plain {
                rival.add(worth, by.map(|column| Seen::Siblings { column }));
            }
        }
    }
    scored.into_iter().map(Scored::finding).collect()
}

/// One class with the odds it has gathered.
struct Rival {
    tag: String,
    odds: f64,
    /// Whether the name or most values speak for it and nothing speaks against it.
    is_in_question: bool,
    evidence: Vec<(f64, Seen)>,
}

impl Rival {
    fn add(&mut self, worth: f64, seen: Option<Seen>) {
        self.odds += worth;
        if let Some(seen) = seen.filter(|_| worth > t::SHOWN) {
            self.evidence.push((worth, seen));
        }
    }
}

/// All classes of one column.
struct Scored {
    rivals: Vec<Rival>,
    readings: Vec<Reading>,
    /// Whether the name says that nothing sensitive is meant.
    is_plain: bool,
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn score(column: &Named, tally: Option<&Tally>, custom: &[CustomName]) -> Scored {
    let data_type = match &column.data_type {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let readings = names::read(&column.name);
    let tally = tally.filter(|t| t.shape.sampled > 0);
    let mut rivals = vec![internal(&readings, data_type, tally)];
    for tag in nature::TAGS {
        let rival = of_class(tag, &readings, data_type, tally);
        rivals.extend(rival);
    }
    add_custom(&mut rivals, column, tally, custom);
    let is_plain = is_plain(&readings);
    Scored { rivals, readings, is_plain }
}

/// Whether the name says first of all that nothing sensitive is meant.
fn is_plain(readings: &[Reading]) -> bool {
    readings.first().is_some_and(|r| r.tag == "internal" && r.strength > 0.5)
}

/// What a class starts with where the name does not say it: what the name leaves for others.
fn base(tag: &str, readings: &[Reading]) -> f64 {
    if is_plain(readings) {
        return t::BASE_UNDER_PLAIN_NAME;
    }
    let said = readings
        .iter()
        .filter(|r| r.tag != tag && r.tag != "internal")
        .map(|r| r.strength)
        .fold(0.0, f64::max);
    (t::BASE * (1.0 - said)).max(t::BASE_AT_LEAST)
}

fn internal(readings: &[Reading], data_type: &DataType, tally: Option<&Tally>) -> Rival {
    let named = readings.iter().find(|r| r.tag == "internal");
    let mut rival = Rival {
        tag: "internal".to_owned(),
        odds: logit(t::BASE_INTERNAL),
        is_in_question: false,
        evidence: vec![],
    };
    if let Some(reading) = named {
        rival.add(logit(reading.strength) - logit(t::BASE_INTERNAL), Some(Seen::Name { term: reading.term }));
    }
    let (worth, form) = shape::plainness(data_type, tally);
    rival.add(worth, Some(Seen::Shape { form }));
    rival
}

/// The odds of a built-in class; `None` where the type rules it out.
fn of_class(tag: &str, readings: &[Reading], data_type: &DataType, tally: Option<&Tally>) -> Option<Rival> {
    if !nature::admits(data_type, tag) {
        return None;
    }
    let base = base(tag, readings);
    let mut rival = Rival { tag: tag.to_owned(), odds: logit(base), is_in_question: false, evidence: vec![] };
    if let Some(reading) = readings.iter().find(|r| r.tag == tag) {
        let strength = reading.strength.min(t::NAME_AT_MOST).max(base);
        rival.add(logit(strength) - logit(base), Some(Seen::Name { term: reading.term }));
        rival.is_in_question = reading.strength >= t::IN_QUESTION;
    }
    let named = readings.iter().find(|r| r.tag == tag).map_or(0.0, |r| r.strength);
    if let Some(tally) = tally {
        add_values(&mut rival, tally, named);
    }
    Some(rival)
}

/// Adds the strongest detector of the class, or takes off what its absence costs; `named` is the name's strength.
fn add_values(rival: &mut Rival, tally: &Tally, named: f64) {
    let sampled = tally.shape.sampled;
    let hits = || tally.hits.iter().filter(|h| h.tag == rival.tag);
    let tried = tally.hits.iter().filter(|h| h.chance < 1.0).count();
    let coverage = values::coverage(&rival.tag, hits(), sampled);
    let best = values::voices(hits())
        .map(|hit| (values::worth(hit, sampled, tried) * coverage, hit))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.detector.cmp(&a.1.detector)));
    if let Some((worth, hit)) = best.filter(|(worth, _)| *worth > 0.0) {
        let seen = Seen::Values { detector: hit.detector.clone(), passed: hit.passed, sampled };
        rival.add(worth, Some(seen));
        if rival.tag == "pii.gender"
            && coverage > 0.9
            && tally.shape.digits == 0
            && shape::repeats(&tally.shape, t::FEW_AT_MOST)
        {
            rival.odds += t::FEW_GENDERS;
        }
    }
    let certainty = (sampled as f64 / t::ABSENT_AT).min(1.0) * (1.0 - coverage);
    rival.odds -= nature::absence(&rival.tag) * certainty;
    let misfit = nature::misfit(&rival.tag, &tally.shape, named >= t::PLAINLY_NAMED);
    rival.odds -= misfit;
    rival.is_in_question |= coverage >= t::NEIGHBOUR_COVERAGE && misfit == 0.0;
}

/// Detectors and names that the policy adds, for tags of its own or for ours.
fn add_custom(rivals: &mut Vec<Rival>, column: &Named, tally: Option<&Tally>, custom: &[CustomName]) {
    let mut tags: BTreeSet<&str> = custom.iter().map(|c| c.tag.as_str()).collect();
    tags.extend(tally.iter().flat_map(|t| &t.hits).map(|h| h.tag.as_str()));
    for tag in tags {
        let is_named = custom.iter().any(|c| c.tag == tag && names::is_same(&c.name, &column.name));
        let at = rivals.iter().position(|r| r.tag == tag);
        let rival = match at.and_then(|at| rivals.get_mut(at)) {
            Some(rival) => rival,
            None if nature::TAGS.contains(&tag) && !is_named => continue, // ruled out by its type
            None => {
                let mut rival = Rival {
                    tag: tag.to_owned(),
                    odds: logit(t::BASE),
                    is_in_question: false,
                    evidence: vec![],
                };
                if let Some(tally) = tally {
                    add_values(&mut rival, tally, 0.0);
                }
                rivals.push(rival);
                let Some(last) = rivals.last_mut() else { continue };
                last
            }
        };
        if is_named {
            rival.is_in_question = true;
            rival.add(logit(t::NAME_AT_MOST) - logit(t::BASE), Some(Seen::Name { term: "the policy's own" }));
        }
    }
}

/// What a column surely is: its class, and the terms its name matched.
fn known(scored: &Scored) -> BTreeSet<&str> {
    let mut known: BTreeSet<&str> =
        scored.readings.iter().filter(|r| r.strength >= 0.5).map(|r| r.term).collect();
    let (winner, confidence) = scored.winner();
    if let Some(rival) = winner.filter(|_| confidence >= t::NEIGHBOUR_SURE) {
        known.insert(&rival.tag);
    }
    known
}

impl Scored {
    /// The likeliest class, `None` for unknown, and its share of all odds.
    fn winner(&self) -> (Option<&Rival>, f64) {
        let best = self.rivals.iter().max_by(|a, b| a.odds.total_cmp(&b.odds).then(b.tag.cmp(&a.tag)));
        let top = best.map_or(t::UNKNOWN_ODDS, |b| b.odds.max(t::UNKNOWN_ODDS));
        let all: f64 =
            self.rivals.iter().map(|r| (r.odds - top).exp()).sum::<f64>() + (t::UNKNOWN_ODDS - top).exp();
        (best.filter(|b| b.odds > t::UNKNOWN_ODDS), 1.0 / all)
    }

    fn finding(self) -> Finding {
        let (winner, confidence) = self.winner();
        let tag = winner.map_or_else(|| "unknown".to_owned(), |w| w.tag.clone());
        let mut evidence: Vec<(f64, Evidence)> = self
            .rivals
            .into_iter()
            .flat_map(|r| {
                r.evidence
                    .into_iter()
                    .map(move |(worth, seen)| (worth, Evidence { tag: r.tag.clone(), seen }))
            })
            .collect();
        // What speaks for the verdict first, then the rest, each by worth.
        evidence.sort_by(|a, b| {
            (b.1.tag == tag).cmp(&(a.1.tag == tag)).then(b.0.total_cmp(&a.0)).then(a.1.tag.cmp(&b.1.tag))
        });
        let evidence = evidence.into_iter().take(t::SHOWN_AT_MOST).map(|(_, e)| e).collect();
        Finding { tag, confidence, evidence }
    }
}
