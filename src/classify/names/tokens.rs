//! Cuts a column name into lower-case ASCII words.

/// The words of a name: cut at separators, at camel humps and between letters and digits, accents folded.
///
/// `custFName` gives `cust f name`, `CUST-EMAIL-ADR` gives `cust email adr`, `zip5` gives `zip 5`.
pub(super) fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().filter(|c| !is_combining(*c)).collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| characters.get(i)).copied();
        let after = characters.get(at + 1).copied();
        if !c.is_alphanumeric() || starts_word(before, c, after) {
            flush(&mut word, &mut words);
        }
        if c.is_alphanumeric() {
            fold(c, &mut word);
        }
    }
    flush(&mut word, &mut words);
    words
}

fn flush(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// A hump (`tN` in `custName`), the last capital of an acronym (`N` in `SSNName`), or letters meeting digits.
fn starts_word(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    if before.is_numeric() != c.is_numeric() {
        return true;
    }
    c.is_uppercase()
        && (before.is_lowercase() || (before.is_uppercase() && after.is_some_and(char::is_lowercase)))
}

/// Combining marks of a decomposed accent (Unicode block U+0300 to U+036F).
fn is_combining(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Lower case without accents; letters of other scripts stay as they are.
fn fold(c: char, into: &mut String) {
    for c in c.to_lowercase().filter(|c| !is_combining(*c)) {
        match c {
            'à'..='å' | 'ā' | 'ă' | 'ą' => into.push('a'),
            'æ' => into.push_str("ae"),
            'ç' | 'ć' | 'č' => into.push('c'),
            'ď' | 'đ' | 'ð' => into.push('d'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => into.push('e'),
            'ğ' => into.push('g'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => into.push('i'),
            'ł' | 'ľ' => into.push('l'),
            'ñ' | 'ń' | 'ň' => into.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => into.push('o'),
            'œ' => into.push_str("oe"),
            'ř' => into.push('r'),
            'ś' | 'ş' | 'š' | 'ș' => into.push('s'),
            'ß' => into.push_str("ss"),
            'ť' | 'ț' => into.push('t'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => into.push('u'),
            'ý' | 'ÿ' => into.push('y'),
            'ź' | 'ż' | 'ž' => into.push('z'),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn names_are_cut_where_a_reader_would() {
        for (name, expected) in [
            ("custFName", "cust f name"),
            ("dob", "dob"),
            ("CUST-EMAIL-ADR", "cust email adr"),
            ("zip5", "zip 5"),
            ("SSNHash", "ssn hash"),
            ("addr_ln_1", "addr ln 1"),
            ("person.homeAddress", "person home address"),
            ("Straße", "strasse"),
            ("SOYADI", "soyadi"),
            ("Prénom", "prenom"),
            ("Pre\u{301}nom", "prenom"),
            ("kod pocztowy", "kod pocztowy"),
            ("__", ""),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }
}
