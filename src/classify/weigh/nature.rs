//! What each class demands of types and forms.
use arrow::datatypes::DataType;

use super::shape::repeats;
use super::thresholds::{
    ABSENT_NAMES, ABSENT_PROVEN, ABSENT_SHOWN, FEW_AGAINST_IDENTITY, FEW_AGAINST_NAMED, FEW_AGAINST_NAMES,
    FEW_AGAINST_PLACE, FEW_AT_MOST, IMPOSSIBLE, MOST, NARROW, NARROW_AT_LEAST,
};
use crate::classify::values::tally::Shape;

/// Every built-in class but `internal` and `unknown`.
pub(super) const TAGS: &[&str] = &[
    "credentials.secret",
    "financial.amount",
    "financial.bank_account",
    "financial.card_number",
    "financial.cusip",
    "financial.iban",
    "financial.isin",
    "financial.lei",
    "financial.swift_bic",
    "financial.us_aba_routing",
    "free_text.pii",
    "health.icd10",
    "health.medical_record",
    "health.us_mbi",
    "health.us_npi",
    "pii.address",
    "pii.birth_date",
    "pii.driver_license",
    "pii.email",
    "pii.gender",
    "pii.geo",
    "pii.ip_address",
    "pii.mac_address",
    "pii.national_id",
    "pii.passport",
    "pii.person_name",
    "pii.phone",
    "pii.postal_code",
    "pii.us_itin",
    "pii.us_ssn",
    "pii.username",
    "vehicle.vin",
];

/// What the class loses when no value passes a detector of it.
pub(super) fn absence(tag: &str) -> f64 {
    match tag {
        "pii.person_name" => ABSENT_NAMES,
        "pii.email"
        | "pii.ip_address"
        | "pii.mac_address"
        | "financial.iban"
        | "financial.card_number"
        | "financial.isin"
        | "financial.cusip"
        | "financial.lei"
        | "financial.swift_bic"
        | "health.us_npi"
        | "health.us_mbi"
        | "health.icd10"
        | "free_text.pii"
        | "pii.phone" => ABSENT_PROVEN,
        "pii.us_ssn"
        | "pii.us_itin"
        | "financial.us_aba_routing"
        | "pii.national_id"
        | "vehicle.vin"
        | "pii.address"
        | "pii.postal_code"
        | "pii.geo"
        | "pii.gender" => ABSENT_SHOWN,
        _ => 0.0,
    }
}

/// Whether a column of this type can hold the class at all.
pub(super) fn admits(data_type: &DataType, tag: &str) -> bool {
    match data_type {
        DataType::Boolean => false,
        t if t.is_integer() => holds_digits(tag),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale <= 0 =>
        {
            holds_digits(tag)
        }
        t if t.is_numeric() => matches!(tag, "financial.amount" | "pii.geo"),
        t if t.is_temporal() => tag == "pii.birth_date",
        _ => true,
    }
}

/// Classes whose values can be whole numbers.
fn holds_digits(tag: &str) -> bool {
    !matches!(
        tag,
        "pii.person_name"
            | "pii.email"
            | "pii.mac_address"
            | "pii.username"
            | "financial.iban"
            | "financial.swift_bic"
            | "financial.isin"
            | "financial.lei"
            | "health.us_mbi"
            | "health.icd10"
            | "vehicle.vin"
            | "free_text.pii"
            | "pii.geo"
    )
}

/// What the class loses because these values cannot be it, whatever the detectors say.
///
/// A column plainly named for the class may be of few values: a table of a few people, seen often.
pub(super) fn misfit(tag: &str, shape: &Shape, is_named: bool) -> f64 {
    let most = |count: u64| share(count, shape.sampled) >= MOST;
    let mean = share(shape.length_sum, shape.sampled);
    let numbers = share(shape.digits + shape.numeric, shape.sampled) >= MOST;
    let is_misfit = match tag {
        "financial.amount" => {
            !share_is_some(shape.digits + shape.numeric, shape.sampled) && !has_digits_and_marks(shape)
        }
        "financial.bank_account" | "health.medical_record" | "pii.driver_license" | "pii.passport" => {
            most(shape.words)
                || most(shape.temporal)
                || most(shape.numeric)
                || mean > 46.0
                || mean < 4.0 && shape.sampled >= 5
        }
        "pii.birth_date" => {
            !share_is_some(shape.temporal + shape.digits, shape.sampled) && shape.sampled > 12
        }
        "pii.person_name" => numbers || most(shape.opaque) || most(shape.temporal) || most(shape.codes),
        "pii.username" => {
            most(shape.digits) && mean < 4.0
                || most(shape.numeric)
                || most(shape.words)
                || most(shape.temporal)
                || most(shape.opaque)
        }
        "pii.address" => {
            most(shape.opaque)
                || most(shape.temporal)
                || most(shape.numeric)
                || most(shape.codes) && mean > 5.0
        }
        "pii.gender" => shape.sampled > 40 || shape.longest > 40,
        "pii.geo" => most(shape.opaque) || most(shape.temporal),
        "pii.phone" => most(shape.opaque) || most(shape.codes) || mean < 5.0,
        "pii.postal_code" => most(shape.opaque) || !(3.0..=12.0).contains(&mean) || is_fractional(shape),
        // Numbers of any length count something; a secret of digits has its length.
        "credentials.secret" => most(shape.digits) && share(shape.same_length, shape.sampled) < MOST,
        "pii.us_ssn" => mean < 3.5 || most(shape.opaque),
        _ => false,
    };
    let is_misfit = is_misfit || shape.offered >= 3 && usual_length(tag).is_some_and(|l| !l.contains(&mean));
    let few = match tag {
        _ if !repeats(shape, FEW_AT_MOST) => 0.0,
        _ if is_named && tells_apart(tag) => FEW_AGAINST_NAMED,
        "pii.address" if is_named => 0.0,
        "pii.address" => FEW_AGAINST_PLACE,
        "pii.person_name" => FEW_AGAINST_NAMES,
        _ if tells_apart(tag) => FEW_AGAINST_IDENTITY,
        _ => 0.0,
    };
    let narrow = if is_number_of_people(tag) && lies_close(shape) { NARROW } else { 0.0 };
    if is_misfit { IMPOSSIBLE } else { few.max(narrow) }
}

/// Between which lengths the mean of a column must lie to be of the class at all: what the form's rules allow, with
/// room for separators, lost leading zeros and some junk.
fn usual_length(tag: &str) -> Option<std::ops::RangeInclusive<f64>> {
    Some(match tag {
        "financial.us_aba_routing" => 7.5..=12.0,
        "financial.card_number" => 8.0..=25.0,
        "financial.cusip" => 7.5..=11.0,
        "financial.isin" => 10.0..=15.0,
        "financial.lei" => 17.0..=24.0,
        "financial.swift_bic" => 7.0..=13.0,
        "financial.iban" => 13.0..=44.0,
        "health.us_npi" => 8.5..=12.0,
        "health.us_mbi" => 9.5..=14.5,
        "health.icd10" => 2.8..=10.0,
        "vehicle.vin" => 14.0..=20.0,
        "pii.us_itin" => 7.5..=12.0,
        "pii.national_id" => 5.0..=26.0,
        "pii.mac_address" => 10.5..=20.0,
        "pii.ip_address" => 6.0..=46.0,
        "pii.email" => 6.0..=100.0,
        "pii.phone" => 5.0..=30.0,
        _ => return None,
    })
}

/// Numbers that are spread over their range because many offices give them out.
fn is_number_of_people(tag: &str) -> bool {
    matches!(
        tag,
        "pii.national_id"
            | "pii.us_ssn"
            | "pii.us_itin"
            | "pii.phone"
            | "pii.passport"
            | "pii.driver_license"
            | "financial.card_number"
            | "financial.us_aba_routing"
            | "financial.bank_account"
            | "financial.cusip"
            | "health.us_npi"
    )
}

/// Whether all values are digits within a hundredth of the largest.
fn lies_close(shape: &Shape) -> bool {
    let is_digits = share(shape.digits, shape.sampled) > 0.9 && shape.sampled >= NARROW_AT_LEAST;
    is_digits && shape.integers.is_some_and(|(low, high)| high > 0 && low > 0 && (high - low) < high / 100)
}

/// Classes that hold about one value a person.
fn tells_apart(tag: &str) -> bool {
    !matches!(
        tag,
        "pii.address"
            | "pii.gender"
            | "pii.postal_code"
            | "health.icd10"
            | "financial.swift_bic"
            | "free_text.pii"
            | "financial.us_aba_routing"
            | "financial.lei"
            | "financial.isin"
            | "financial.cusip"
    )
}

/// Whether most values have a fraction: more than digits alone, with marks.
fn is_fractional(shape: &Shape) -> bool {
    share(shape.numeric, shape.sampled) >= MOST && share(shape.digits, shape.sampled) < 0.1
}

fn share_is_some(count: u64, of: u64) -> bool {
    share(count, of) >= 0.4
}

/// Written amounts such as `€ 1.234,50` are neither digits nor plain numbers; short texts may be amounts.
fn has_digits_and_marks(shape: &Shape) -> bool {
    shape.words * 2 < shape.sampled
        && shape.opaque == 0
        && shape.temporal == 0
        && share(shape.length_sum, shape.sampled) < 16.0
}

/// `count / of`, 0 of nothing.
pub(super) fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}
