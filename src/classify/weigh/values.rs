//! What a detector's count is worth.
use super::nature::share;
use super::thresholds::{
    CHECK_AT_MOST, DISTINCTIVE_FORM, FEW_VALUES, FULL_SHARE, FULL_SHARE_IN_DICTIONARY, FULL_SHARE_IN_TEXT,
    HALF_WORTH_AT, INDEPENDENT, ORDINARY_FORM, SHARED_AT_MOST, STRAY_SHARE, VOICE,
};
use crate::classify::values::tally::Hit;

/// The worth of a hit in nats where it covers the column: how sure that it is no accident.
///
/// `rivals` is how many detectors tried the same values: one of many passes by chance sooner than one alone.
pub(super) fn worth(hit: &Hit, sampled: u64, rivals: usize) -> f64 {
    if hit.passed == 0 || sampled == 0 {
        return 0.0;
    }
    let form = if hit.distinctive { DISTINCTIVE_FORM } else { ORDINARY_FORM };
    let few = hit.passed as f64 / (hit.passed as f64 + HALF_WORTH_AT);
    let most = (INDEPENDENT * (1.0 / hit.chance.clamp(1e-9, 1.0)).ln()).min(CHECK_AT_MOST);
    let check = (surprise(hit).min(most) - (rivals.max(1) as f64).ln()).max(0.0);
    let is_checked = hit.chance < 1.0;
    if is_checked && check == 0.0 && !hit.distinctive {
        return 0.0; // no better than numbers drawn at random
    }
    let most = if is_shared(&hit.tag) { SHARED_AT_MOST } else { f64::INFINITY };
    (form * few + check).min(most)
}

/// Classes whose values look like those of things that are nobody's.
fn is_shared(tag: &str) -> bool {
    matches!(
        tag,
        "pii.person_name"
            | "pii.address"
            | "pii.phone"
            | "pii.postal_code"
            | "pii.birth_date"
            | "pii.username"
            | "pii.gender"
    )
}

/// Log likelihood ratio of "as many pass as were seen" against "each passes by chance" (binomial).
fn surprise(hit: &Hit) -> f64 {
    let rate = share(hit.passed, hit.formed).min(1.0);
    let chance = hit.chance.clamp(1e-9, 1.0);
    if rate <= chance {
        return 0.0;
    }
    let miss = if rate < 1.0 { (1.0 - rate) * ((1.0 - rate) / (1.0 - chance)).ln() } else { 0.0 };
    hit.formed as f64 * (rate * (rate / chance).ln() + miss)
}

/// Values beyond chance that passed.
fn beyond_chance(hit: &Hit) -> f64 {
    let (passed, formed) = (hit.passed as f64, hit.formed.max(hit.passed) as f64);
    if hit.chance < 1.0 { ((passed - hit.chance * formed) / (1.0 - hit.chance)).max(0.0) } else { passed }
}

/// Those of a class's hits that may say what all of them together are worth.
pub(super) fn voices<'a>(hits: impl Iterator<Item = &'a Hit> + Clone) -> impl Iterator<Item = &'a Hit> {
    let all: f64 = hits.clone().map(beyond_chance).sum();
    hits.filter(move |hit| beyond_chance(hit) >= VOICE * all)
}

/// How much of the column is truly of the class: passes beyond chance of all its detectors (each knows other
/// formats), on a ramp from strays to the full share.
pub(super) fn coverage<'a>(tag: &str, hits: impl Iterator<Item = &'a Hit>, sampled: u64) -> f64 {
    if sampled == 0 {
        return 0.0;
    }
    let share = (hits.map(beyond_chance).sum::<f64>() / sampled as f64).clamp(0.0, 1.0);
    let full = match tag {
        "free_text.pii" => return (share / FULL_SHARE_IN_TEXT).clamp(0.0, 1.0),
        // One of three that looks like a name is an accident.
        "pii.person_name" if sampled < FEW_VALUES => FULL_SHARE,
        "pii.person_name" | "pii.address" | "pii.username" => FULL_SHARE_IN_DICTIONARY,
        _ => FULL_SHARE,
    };
    ((share - STRAY_SHARE) / (full - STRAY_SHARE)).clamp(0.0, 1.0)
}
