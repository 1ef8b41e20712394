//! Turns the words of a name into concepts: joins words that belong together, cuts words that were glued.
use super::concept::Concept;
use super::lexicon::{abbreviated, meaning};

/// Longest run of words that is looked up as one (`mot de passe`).
const JOINED_AT_MOST: usize = 4;
/// A glued part shorter than this is more often chance than meaning (`no`, `id` and `nr` after another part).
const SHORTEST_PART: usize = 3;
/// A known ending this long gives a compound its meaning even if its beginning is not known.
const TELLING_ENDING: usize = 6;
/// A known word this long is meant even behind one stray letter.
const TELLING_BEHIND_LETTER: usize = 4;
/// Longer words are not cut: no schema glues that much, and the work stays small.
const LONGEST_GLUED: usize = 40;

/// The concepts of a name's words, in order.
pub(super) fn concepts(words: &[String]) -> Vec<Concept> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let (taken, meaning) = joined(words, at).unwrap_or_else(|| (1, single(word)));
        found.extend(meaning);
        at += taken;
    }
    found
}

/// The longest run of at least two words that the lexicon knows as one.
fn joined(words: &[String], at: usize) -> Option<(usize, Vec<Concept>)> {
    (2..=JOINED_AT_MOST).rev().find_map(|count| {
        let run = words.get(at..at + count)?;
        let whole = run.concat();
        (whole.len() <= LONGEST_GLUED).then_some(())?;
        meaning(&whole).map(|m| (count, m.to_vec()))
    })
}

fn single(word: &str) -> Vec<Concept> {
    if let Some(known) = meaning(word) {
        return known.to_vec();
    }
    if word.chars().all(|c| c.is_ascii_digit()) {
        return Vec::new(); // `addr 1`, `c 17`: which one of several, never what
    }
    if let Some(known) = abbreviated(word) {
        return known.to_vec();
    }
    // One or two letters that nobody knows are a unit, a prefix or a number's mark, and name nothing.
    let other = if word.len() <= 2 { Concept::Link } else { Concept::Unknown };
    glued(word).unwrap_or_else(|| vec![other])
}

/// Cuts a word into known parts, the fewest there are; linking letters between German parts are passed over.
fn glued(word: &str) -> Option<Vec<Concept>> {
    if !word.is_ascii() || word.len() > LONGEST_GLUED {
        return None;
    }
    // `best[end]` holds the parts that cover `word[..end]`, fewest first found from the longest part.
    let mut best: Vec<Option<Vec<&str>>> = vec![None; word.len() + 1];
    if let Some(start) = best.first_mut() {
        *start = Some(Vec::new());
    }
    for end in 1..=word.len() {
        let mut shortest: Option<Vec<&str>> = None;
        for start in 0..end {
            let (Some(Some(before)), Some(part)) = (best.get(start), word.get(start..end)) else { continue };
            let is_part =
                is_part(part, before.is_empty()) || is_linking(part, before.is_empty(), end == word.len());
            if is_part && shortest.as_ref().is_none_or(|s| before.len() + 1 < s.len()) {
                let mut parts = before.clone();
                parts.push(part);
                shortest = Some(parts);
            }
        }
        if let Some(slot) = best.get_mut(end) {
            *slot = shortest;
        }
    }
    let parts = best.pop().flatten().or_else(|| ending(word)).or_else(|| behind_letter(word))?;
    let mut concepts = Vec::new();
    for part in parts {
        concepts.extend_from_slice(meaning(part).unwrap_or_default());
    }
    Some(concepts)
}

fn is_part(part: &str, is_first: bool) -> bool {
    let is_long =
        part.len() >= SHORTEST_PART || (!is_first && matches!(part, "id" | "nr" | "no" | "cd" | "dt"));
    // `abteilungsname` is no family name: these abbreviations stand first or alone.
    let is_initial_name = part.len() == 5 && part.ends_with("name");
    is_long && (is_first || !is_initial_name) && meaning(part).is_some()
}

/// German joins with `s`, `n`, `en` or `es`.
fn is_linking(part: &str, is_first: bool, is_last: bool) -> bool {
    !is_first && !is_last && matches!(part, "s" | "n" | "en" | "es")
}

/// A known word behind one letter (`cemail`, `pname`), as schemas mark whose it is.
fn behind_letter(word: &str) -> Option<Vec<&str>> {
    word.get(1..).filter(|w| w.len() >= TELLING_BEHIND_LETTER && meaning(w).is_some()).map(|w| vec![w])
}

/// The longest known ending of a word whose beginning is not known.
fn ending(word: &str) -> Option<Vec<&str>> {
    (1..word.len().saturating_sub(TELLING_ENDING - 1))
        .filter_map(|start| word.get(start..))
        .find(|end| meaning(end).is_some())
        .map(|end| vec![end])
}
