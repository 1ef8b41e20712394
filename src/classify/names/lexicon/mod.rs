//! Words of column names and what they mean, one file a language; our own lists of common words.
mod eastern;
mod english;
mod french;
mod german;
mod iberian;
mod italian;
mod northern;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::concept::Concept;

/// Words (separated by spaces) that share one meaning; compounds mean several concepts.
pub(super) type Entry = (&'static [Concept], &'static str);

/// Every word of every language; where two languages disagree the earlier list wins.
static WORDS: LazyLock<HashMap<&'static str, &'static [Concept]>> = LazyLock::new(|| {
    let lists = [
        english::WORDS,
        german::WORDS,
        french::WORDS,
        iberian::WORDS,
        italian::WORDS,
        northern::WORDS,
        eastern::WORDS,
    ];
    let mut words = HashMap::new();
    for (concepts, list) in lists.into_iter().flatten() {
        for word in list.split(' ') {
            words.entry(word).or_insert(*concepts);
        }
    }
    words
});

/// English words by their consonants; `None` where words of different meaning share them.
static SKELETONS: LazyLock<HashMap<String, Option<&'static [Concept]>>> = LazyLock::new(|| {
    let mut found: HashMap<String, Option<&'static [Concept]>> = HashMap::new();
    for (concepts, list) in english::WORDS {
        for word in list.split_whitespace().filter(|w| w.len() >= 4) {
            let known = found.entry(skeleton(word)).or_insert(Some(concepts));
            if known.is_some_and(|k| k != *concepts) {
                *known = None;
            }
        }
    }
    found
});

/// The first letter and the consonants behind it, doubled ones once: how schemas shorten words (`vndr`, `ntnl`).
fn skeleton(word: &str) -> String {
    let mut kept = String::new();
    for (at, c) in word.chars().enumerate() {
        let is_kept = at == 0 || !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
        if is_kept && !kept.ends_with(c) {
            kept.push(c);
        }
    }
    kept
}

/// What a word without vowels is short for.
pub(super) fn abbreviated(word: &str) -> Option<&'static [Concept]> {
    let has_vowel = word.chars().skip(1).any(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u'));
    let is_short = (3..=10).contains(&word.len()) && !has_vowel && word.is_ascii();
    is_short.then(|| SKELETONS.get(&skeleton(word)).copied().flatten()).flatten()
}

/// Words of languages that put the head first (`montant sinistre`), as far as English and German have none of them.
static HEAD_FIRST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let words = |list: &'static [Entry]| list.iter().flat_map(|(_, words)| words.split(' '));
    let others: HashSet<&str> = words(english::WORDS).chain(words(german::WORDS)).collect();
    let romance = [french::WORDS, iberian::WORDS, italian::WORDS];
    romance.into_iter().flat_map(words).filter(|w| !others.contains(w)).collect()
});

/// Whether a word is of a language that puts the head of a name first.
pub(super) fn is_head_first(word: &str) -> bool {
    HEAD_FIRST.contains(word)
}

/// Whether a word is known only by its singular.
pub(super) fn is_plural(word: &str) -> bool {
    WORDS.get(word).is_none() && word.strip_suffix('s').is_some_and(|w| WORDS.contains_key(w))
}

/// What a word means; a plural `s` is taken off where the word itself is not known.
pub(super) fn meaning(word: &str) -> Option<&'static [Concept]> {
    let known = |w: &str| WORDS.get(w).copied();
    known(word).or_else(|| word.strip_suffix('s').filter(|w| w.len() >= 3).and_then(known))
}
