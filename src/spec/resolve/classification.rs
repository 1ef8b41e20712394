//! How columns are classified.

use chrono::NaiveDate;
use regex::bytes::RegexBuilder;

use super::action::slug;
use super::policy::{all, glob, globs};
use super::{not_empty, within};
use crate::error::{Error, Result};
use crate::spec::Tag;
use crate::spec::classification::{Aggregate, Checksum, Classification, Detector, Lowered, Test};
use crate::spec::faults::{Fault, Faults, quoted, suggestion};
use crate::spec::raw::classification as raw;
use crate::spec::raw::placed::Placed;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 256 << 10;
/// Aggregates that tell of many rows; `min` and `max` tell of one.
const FUNCTIONS: [&str; 8] =
    ["count", "sum", "avg", "stddev", "stddev_pop", "var", "var_pop", "approx_distinct"];

/// What the policy says of classification; nothing where it has no such part.
pub(crate) fn classification(
    placed: Option<&Placed<raw::Classification>>,
    faults: &Faults<'_>,
) -> Option<Classification> {
    let Some(placed) = placed else { return Some(Classification::default()) };
    let raw = placed.get()?;
    let detectors = every(raw.detectors.as_ref(), |placed| detector(placed, faults));
    let lowered = every(raw.lowered.as_ref(), |placed| lowered(placed.get()?, faults));
    let aggregates = every(raw.aggregates.as_ref(), |placed| aggregate(placed.get()?, faults));
    Some(Classification { detectors: detectors?, lowered: lowered?, aggregates: aggregates? })
}

/// All of a list that may be left out.
fn every<V, T>(list: Option<&Placed<Vec<V>>>, read: impl FnMut(&V) -> Option<T>) -> Option<Vec<T>> {
    match list {
        None => Some(Vec::new()),
        Some(list) => all(list.get(), read),
    }
}

fn detector(placed: &Placed<raw::Detector>, faults: &Faults<'_>) -> Option<Detector> {
    let raw = placed.get()?;
    let name = faults.parse(&raw.name, slug);
    let tag = faults.parse(&raw.tag, Tag::parse);
    let pattern = faults.parse_optional(raw.pattern.as_ref(), pattern);
    let words = every(raw.words.as_ref(), |word| faults.parse(word, not_empty));
    let column_names = every(raw.column_names.as_ref(), |name| faults.parse(name, not_empty));
    let checksum = raw.checksum.as_ref().map(|checksum| checksum.get().copied());
    let (words, column_names) = (words?, column_names?);
    let test = match (checksum, words.is_empty()) {
        (Some(_), false) => {
            faults.push(
                Fault::new(placed.span, "a detector has words or a checksum, not both")
                    .help("make two detectors of the same tag"),
            );
            return None;
        }
        (Some(checksum), true) => Test::Checksum(self::checksum(checksum?)),
        (None, false) => Test::Words(words),
        (None, true) => Test::Form,
    };
    let pattern = pattern?;
    if pattern.is_none() && test == Test::Form && column_names.is_empty() {
        faults.push(
            Fault::new(placed.span, "the detector finds nothing")
                .help("give it a `pattern`, `words`, a `checksum` or `column_names`"),
        );
        return None;
    }
    Some(Detector { name: name?, tag: tag?, pattern, test, column_names })
}

const fn checksum(raw: raw::Checksum) -> Checksum {
    match raw {
        raw::Checksum::Luhn => Checksum::Luhn,
        raw::Checksum::Card => Checksum::Card,
        raw::Checksum::Mod11 => Checksum::Mod11,
        raw::Checksum::Mod11Ten => Checksum::Mod11Ten,
        raw::Checksum::Mod97 => Checksum::Mod97,
        raw::Checksum::Verhoeff => Checksum::Verhoeff,
    }
}

/// Compiled once to see that it can be; matching takes time in proportion to the value.
fn pattern(text: &str) -> Result<String> {
    let compiled = RegexBuilder::new(&format!("^(?:{text})$"))
        .unicode(false)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .nest_limit(50)
        .build();
    match compiled {
        Ok(_) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(Error::invalid(format!("{} is not a regular expression that can be used", quoted(text)))
            .help(
                "use ASCII and plain operators, without look-around and back-references, of moderate size",
            )),
    }
}

fn lowered(raw: &raw::Lowered, faults: &Faults<'_>) -> Option<Lowered> {
    let dataset = faults.parse(&raw.dataset, not_empty);
    let column = faults.parse(&raw.column, not_empty);
    let found = faults.parse(&raw.found, glob);
    let reason = faults.parse(&raw.reason, not_empty);
    let author = faults.parse(&raw.author, not_empty);
    let date = faults.parse(&raw.date, date);
    Some(Lowered {
        dataset: dataset?,
        column: column?,
        found: found?,
        reason: reason?,
        author: author?,
        date: date?,
    })
}

fn date(text: &str) -> Result<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| Error::invalid(format!("{} is not a day", quoted(text))).help("write it as 2026-11-02"))
}

fn aggregate(raw: &raw::Aggregate, faults: &Faults<'_>) -> Option<Aggregate> {
    let tags = globs(&raw.tags, faults);
    let functions = all(raw.functions.get(), |name| faults.parse(name, function));
    let min_rows = faults.take(&raw.min_rows, within(2, 1_000_000));
    let tag = faults.parse(&raw.tag, Tag::parse);
    Some(Aggregate { tags: tags?, functions: functions?, min_rows: min_rows?, tag: tag? })
}

fn function(text: &str) -> Result<String> {
    if FUNCTIONS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("{} is not a function whose result tells of many rows", quoted(text)))
        .help(suggestion(text, &FUNCTIONS, "functions")))
}
