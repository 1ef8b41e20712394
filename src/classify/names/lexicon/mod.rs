//! Words of column names and what they mean, one file a language; our own lists of common words.
mod eastern;
mod english;
mod french;
mod german;
mod iberian;
mod italian;
mod northern;

use std::collections::HashMap;
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

/// Whether a word is known only by its singular.
pub(super) fn is_plural(word: &str) -> bool {
    WORDS.get(word).is_none() && word.strip_suffix('s').is_some_and(|w| WORDS.contains_key(w))
}

/// What a word means; a plural `s` is taken off where the word itself is not known.
pub(super) fn meaning(word: &str) -> Option<&'static [Concept]> {
    let known = |w: &str| WORDS.get(w).copied();
    known(word).or_else(|| word.strip_suffix('s').filter(|w| w.len() >= 3).and_then(known))
}
