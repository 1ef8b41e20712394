//! Which values count as equal: what is done to canonical bytes before a pseudonym is made, by `canonical`. Each
//! form but `text` stands in the pseudonym with the version of its rules (`t1.email1:…`), so that rules may change
//! and forms never mix. Case is that of Unicode; texts are not normalised (NFC) otherwise.
//!
//! | form | rules |
//! |---|---|
//! | `lower1` | without blanks around it, in lower case |
//! | `digits1` | the ASCII digits alone; a text without any as `lower1` |
//! | `email1` | without blanks, `mailto:` and one pair of angle brackets around it, in lower case |
//! | `phone1` | E.164 (ITU-T): `+` and 7 to 15 digits, see [`phone`]; what is no such number as `lower1` |

use arrow::array::ArrayRef;

use super::canonical;
use crate::error::{Error, Result};
use crate::spec::action::Canonical;

pub(super) struct Form {
    canonical: Canonical,
    buffer: String,
}

impl Form {
    pub(super) const fn new(canonical: Canonical) -> Self {
        Self { canonical, buffer: String::new() }
    }

    /// The prefix of pseudonyms that are made of this form: `h3:` as `h3.email1:`.
    pub(super) fn named(&self, prefix: &str) -> String {
        match self.canonical.name() {
            Some(name) => format!("{}.{name}:", prefix.trim_end_matches(':')),
            None => prefix.to_owned(),
        }
    }

    /// As [`canonical::each`], every value in this form.
    ///
    /// # Errors
    /// As [`canonical::each`]; `Failed` for values that are not text.
    pub(super) fn each(
        &mut self,
        array: &ArrayRef,
        mut take: impl FnMut(Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        let Self { canonical, buffer } = self;
        if *canonical == Canonical::Text {
            return canonical::each(array, take);
        }
        canonical::each(array, |value| {
            let Some(value) = value else { return take(None) };
            let value = std::str::from_utf8(value)
                .map_err(|_| Error::failed("a value that is not text has no such canonical form"))?;
            buffer.clear();
            write(*canonical, value, buffer);
            take(Some(buffer.as_bytes()))
        })
    }
}

fn write(canonical: Canonical, value: &str, out: &mut String) {
    match canonical {
        Canonical::Text => out.push_str(value),
        Canonical::Lower => lower(value, out),
        Canonical::Digits => {
            out.extend(value.chars().filter(char::is_ascii_digit));
            if out.is_empty() {
                lower(value, out);
            }
        }
        Canonical::Email => lower(address(value), out),
        Canonical::Phone { calling_code } => {
            if !phone(value, calling_code, out) {
                out.clear();
                lower(value, out);
            }
        }
    }
}

fn lower(value: &str, out: &mut String) {
    let value = value.trim();
    if value.is_ascii() {
        out.extend(value.chars().map(|c| c.to_ascii_lowercase()));
    } else {
        out.push_str(&value.to_lowercase());
    }
}

fn address(value: &str) -> &str {
    let bare = |value: &str| -> Option<usize> {
        let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))?;
        Some(scheme.len())
    };
    let value = value.trim();
    let value = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
    bare(value).and_then(|from| value.get(from..)).unwrap_or(value)
}

/// Appends a telephone number in E.164; `false` where it is none, or written without a country and none is given.
///
/// `+…` and `00…` name their country. Of others the trunk prefix goes, which is a 1 before ten digits with the
/// calling code 1, nothing with 39 (Italy keeps its zero), an 8 or 0 before ten digits with 7, else one 0.
/// `(0)` behind a calling code goes as well.
fn phone(value: &str, calling_code: Option<u16>, out: &mut String) -> bool {
    let value = value.trim();
    let is_international = value.starts_with('+') || value.starts_with("00");
    let value = value.strip_prefix('+').or_else(|| value.strip_prefix("00")).unwrap_or(value);
    out.push('+');
    let value = if is_international { value.replace("(0)", "") } else { value.to_owned() };
    let mut digits = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' => {}
            _ => return false,
        }
    }
    if is_international {
        out.push_str(&digits);
    } else {
        let Some(code) = calling_code else { return false };
        let trunk = match (code, digits.len()) {
            (1, 11) => "1",
            (1 | 39, _) => "",
            (7, 11) if digits.starts_with('8') => "8",
            _ => "0",
        };
        out.push_str(&code.to_string());
        out.push_str(digits.strip_prefix(trunk).unwrap_or(&digits));
    }
    (8..=16).contains(&out.len()) && !out.starts_with("+0")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn of(canonical: Canonical, value: &str) -> String {
        let mut out = String::new();
        write(canonical, value, &mut out);
        out
    }

    #[test]
    fn case_and_separators_do_not_count_where_that_is_asked() {
        for value in
            ["Anna@Example.ORG", " anna@example.org ", "<Anna@example.org>", "MAILTO:anna@example.org"]
        {
            assert_eq!(of(Canonical::Email, value), "anna@example.org");
        }
        assert_eq!(of(Canonical::Lower, " ÄRGER "), "ärger");
        assert_eq!(of(Canonical::Lower, "mailto:a"), "mailto:a");
        assert_eq!(of(Canonical::Digits, "123-45-6789"), "123456789");
        assert_eq!(
            (of(Canonical::Digits, "None"), of(Canonical::Digits, "")),
            ("none".into(), String::new())
        );
    }

    #[test]
    fn numbers_become_e_164() {
        let phone = |code| Canonical::Phone { calling_code: code };
        for value in
            ["+41 79 123 45 67", "0041791234567", "079 123 45 67", "+41 (0)79 123.45.67", "079/1234567"]
        {
            assert_eq!(of(phone(Some(41)), value), "+41791234567", "{value}");
        }
        for value in ["(212) 555-0123", "1-212-555-0123", "+1 212 555 0123"] {
            assert_eq!(of(phone(Some(1)), value), "+12125550123", "{value}");
        }
        assert_eq!(of(phone(Some(39)), "06 1234 5678"), "+390612345678");
        assert_eq!(of(phone(Some(7)), "8 (912) 345-67-89"), "+79123456789");
        // No number, or of no country: as it is, so that different ones stay different.
        for value in ["079 123 45 67", "call anna", "12", "+41 79 ext 5", "+0123456789", ""] {
            assert_eq!(of(phone(None), value), value);
        }
    }

    #[test]
    fn other_types_go_by_their_canonical_text() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(2_125_550_123), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("212 555 0123"), None]));
        let seen = |array: &ArrayRef| {
            let mut seen = Vec::new();
            let mut form = Form::new(Canonical::Phone { calling_code: Some(1) });
            form.each(array, |value| {
                seen.push(value.map(<[u8]>::to_vec));
                Ok(())
            })
            .unwrap();
            seen
        };
        assert_eq!(seen(&numbers), seen(&texts));
        assert_eq!(seen(&numbers), [Some(b"+12125550123".to_vec()), None]);
    }

    proptest! {
        #[test]
        fn what_is_canonical_stays(value in "\\PC{0,40}", digits in "[+0-9 ()/.-]{0,20}") {
            let forms = [
                Canonical::Lower,
                Canonical::Digits,
                Canonical::Email,
                Canonical::Phone { calling_code: Some(41) },
            ];
            for form in forms {
                for value in [&value, &digits] {
                    let once = of(form, value);
                    // Brackets within brackets, and capitals without small letters, are the exceptions.
                    if form != Canonical::Email && once.is_ascii() {
                        prop_assert_eq!(&of(form, &once), &once);
                    }
                }
            }
        }
    }
}
