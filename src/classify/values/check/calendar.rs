//! Dates written with the name of a month.

/// Names of the months in languages of Europe, folded to ASCII, a line a language, January to December. Shorter forms of
/// three letters and more are understood.
const MONTHS: [&str; 13] = [
    "january february march april may june july august september october november december",
    "januar februar marz april mai juni juli august september oktober november dezember",
    "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "januari februari mars april maj juni juli augusti september oktober november december",
    "januar februar marts april maj juni juli august september oktober november desember",
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia",
    "ledna unora brezna dubna kvetna cervna cervence srpna zari rijna listopadu prosince",
    "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
    "ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik",
];

/// Longest date looked at, in bytes: `Wednesday, 28 de septiembre de 1980`.
const LONGEST: usize = 36;

/// The year of a date whose month is written out or shortened: `3 May 1980`, `03-MAY-1980`, `May 3rd, 1980`,
/// `3. Mai 1980`, `3 de mayo de 1980`, `03MAY1980`. A year of two digits counts as 1930 to 2029.
#[must_use]
pub fn written_year(text: &[u8]) -> Option<u32> {
    if text.len() > LONGEST {
        return None;
    }
    let (mut day, mut year, mut has_month) = (None, None, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..)?;
        if byte.is_ascii_digit() {
            let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let number = super::checksum::number(rest.get(..length)?);
            match length {
                1 | 2 if day.is_none() => day = Some(number),
                2 if year.is_none() => year = Some(if number < 30 { 2000 + number } else { 1900 + number }),
                4 if year.is_none() => year = Some(number),
                _ => return None,
            }
            at += length;
        } else if byte.is_ascii_alphabetic() || byte >= 0x80 {
            let length = rest.iter().take_while(|b| b.is_ascii_alphabetic() || **b >= 0x80).count();
            let word = rest.get(..length)?;
            if is_month(word) {
                if has_month {
                    return None;
                }
                has_month = true;
            } else if !is_beside_date(word) {
                return None;
            }
            at += length;
        } else if matches!(byte, b' ' | b'-' | b'/' | b'.' | b',') {
            at += 1;
        } else {
            return None;
        }
    }
    let is_whole = has_month && matches!(day, Some(1..=31));
    year.filter(|year| is_whole && matches!(year, 1800..=2199))
}

/// Ordinal endings and small words inside a date.
fn is_beside_date(word: &[u8]) -> bool {
    const WORDS: [&str; 10] = ["st", "nd", "rd", "th", "de", "of", "er", "del", "den", "d"];
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether a word is a month's name or its beginning, three letters or more; accents are dropped.
fn is_month(word: &[u8]) -> bool {
    let mut folded = [0u8; 14];
    let mut length = 0;
    for c in str::from_utf8(word).unwrap_or_default().chars() {
        let Some(slot) = folded.get_mut(length) else { return false };
        *slot = match c {
            'ä' | 'á' | 'Ä' => b'a',
            'é' | 'É' | 'ě' => b'e',
            'û' | 'ú' | 'ü' | 'ů' | 'Ü' => b'u',
            'ç' | 'č' | 'ć' => b'c',
            'ś' | 'ş' | 'Ş' => b's',
            'ź' | 'ž' => b'z',
            'ř' => b'r',
            'í' | 'ı' => b'i',
            'ğ' => b'g',
            'ń' => b'n',
            c if c.is_ascii_alphabetic() => (c as u8).to_ascii_lowercase(),
            _ => return false,
        };
        length += 1;
    }
    let Some(word) = folded.get(..length).filter(|w| w.len() >= 3) else { return false };
    MONTHS.iter().any(|line| line.split(' ').any(|month| month.as_bytes().starts_with(word)))
        || word == b"sept"
}

#[cfg(test)]
mod tests {
    use super::written_year;

    #[test]
    fn dates_with_words() {
        for date in [
            "3 May 1980",
            "03-MAY-1980",
            "May 3rd, 1980",
            "3. März 1980",
            "3 de mayo de 1980",
            "03MAY1980",
            "1er août 1980",
            "3 lutego 1980",
            "3-Sep-80",
        ] {
            assert_eq!(written_year(date.as_bytes()), Some(1980), "{date}");
        }
        for other in
            ["May 1980", "3 Max 1980", "Mark 12 1980", "Dec", "3 May 3 May 1980", "12 Marathon 1980", ""]
        {
            assert_eq!(written_year(other.as_bytes()), None, "{other}");
        }
    }
}
