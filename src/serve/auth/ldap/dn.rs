//! Distinguished names (RFC 4514), of which one can be written in many ways.

/// One way of writing a name for all: letters small, blanks single, escapes undone where they say nothing. `None` for
/// what is no name.
pub(super) fn normal(text: &str) -> Option<String> {
    let mut parts = vec![];
    let mut part = Part::default();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.escaped(&mut chars)?,
            '=' if part.kind.is_none() => part.kind = Some(std::mem::take(&mut part.text)),
            ',' | ';' | '+' => {
                parts.push(std::mem::take(&mut part).finish()?);
                parts.push(if c == '+' { "+" } else { "," }.to_owned());
            }
            c => part.text.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    parts.push(part.finish()?);
    Some(parts.concat())
}

/// `kind=text`, as far as it was read.
#[derive(Default)]
struct Part {
    kind: Option<Vec<u8>>,
    text: Vec<u8>,
}

impl Part {
    /// What follows a backslash: a character, or the two digits of a byte.
    fn escaped(&mut self, chars: &mut std::str::Chars<'_>) -> Option<()> {
        let first = chars.next()?;
        let Some(high) = first.to_digit(16) else {
            self.text.extend(first.encode_utf8(&mut [0; 4]).bytes());
            return Some(());
        };
        let low = chars.next()?.to_digit(16)?;
        self.text.push(u8::try_from(high * 16 + low).ok()?);
        Some(())
    }

    fn finish(self) -> Option<String> {
        let kind = String::from_utf8(self.kind?).ok()?;
        let text = String::from_utf8(self.text).ok()?.to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let kind = kind.trim().to_ascii_lowercase();
        if kind.is_empty() {
            return None;
        }
        // What separates is written as an escape, and so never taken for a separator.
        let text = words.join(" ").chars().fold(String::new(), |mut text, c| {
            if ",;+=\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
            text
        });
        Some(format!("{kind}={text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_however_it_is_written() {
        let name = normal("cn=data ops,ou=groups,dc=example,dc=com").unwrap();
        for same in [
            "CN=Data Ops,OU=Groups,DC=example,DC=com",
            "cn = data  ops , ou=groups; dc=example,dc=com",
            "cn=\\64ata ops,ou=groups,dc=example,dc=com",
        ] {
            assert_eq!(normal(same).as_deref(), Some(name.as_str()), "{same}");
        }
        assert_eq!(normal("cn=a\\,b,dc=c"), normal("cn=a\\2Cb,dc=c"));
        assert_eq!(normal("cn=\\C3\\A9"), normal("cn=É"));
    }

    #[test]
    fn two_names_stay_two() {
        let names = [
            "cn=a,cn=b",
            "cn=a\\,cn=b",
            "cn=a+cn=b",
            "cn=a\\+cn=b",
            "cn=a\\=b",
            "cn=a\\\\,cn=b",
            "cn=ab",
            "cn=a b",
            "ou=a b",
        ];
        let normal: std::collections::BTreeSet<_> = names.iter().map(|name| normal(name).unwrap()).collect();
        assert_eq!(normal.len(), names.len());
        for bad in ["", "a", "cn=a,", ",cn=a", "=a", "cn=\\", "cn=\\6", "cn=\\6x", "cn=\\ff"] {
            assert_eq!(super::normal(bad), None, "{bad}");
        }
    }
}
