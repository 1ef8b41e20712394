//! Looks for values in bytes, in every form in which a program could have let them out.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter forms would be found by chance.
const SHORTEST: usize = 8;

/// Forms of values to look for, each under the label of its value.
#[derive(Default)]
pub(crate) struct Needles {
    /// By their first eight bytes.
    forms: HashMap<[u8; SHORTEST], Vec<Form>>,
    /// Which first two bytes occur.
    starts: Vec<bool>,
}

struct Form {
    label: String,
    name: &'static str,
    bytes: Vec<u8>,
}

/// A form of a value that stands somewhere in the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The value's label.
    pub(crate) label: String,
    /// The form it was found in.
    pub(crate) form: &'static str,
    /// Where.
    pub(crate) place: String,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} in {}", self.label, self.form, self.place)
    }
}

impl Needles {
    /// Adds a text, in plain and in the usual encodings of its bytes. Of a longer text the first
    /// twelve characters are enough.
    pub(crate) fn text(&mut self, label: &str, text: &str) {
        let head: String = text.chars().take(12).collect();
        let bytes = head.as_bytes();
        let reversed: String = head.chars().rev().collect();
        self.add(label, "text", bytes);
        self.add(label, "reversed text", reversed.as_bytes());
        self.add(label, "lower-case text", head.to_lowercase().as_bytes());
        self.add(label, "upper-case text", head.to_uppercase().as_bytes());
        self.add(label, "hex", hex::encode(bytes).as_bytes());
        self.add(label, "upper-case hex", hex::encode_upper(bytes).as_bytes());
        let utf16: Vec<u16> = head.encode_utf16().collect();
        self.add(label, "UTF-16LE", &utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>());
        self.add(label, "UTF-16BE", &utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>());
        for (name, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
            for shift in 0..3 {
                // At each place in a group of three; characters that mix with neighbours are cut off.
                let encoded = engine.encode([&vec![0; shift], bytes].concat());
                let first = (shift * 8).div_ceil(6);
                let last = (shift + bytes.len()) * 8 / 6;
                self.add(label, name, &encoded.as_bytes()[first..last]);
            }
        }
    }

    /// Adds a whole number: its digits as text, and its bytes as Parquet, Arrow, PostgreSQL and
    /// SQLite would lay it down.
    pub(crate) fn number(&mut self, label: &str, number: i64) {
        self.text(label, &number.to_string());
        self.add(label, "64 bits, little end first", &number.to_le_bytes());
        self.add(label, "64 bits, big end first", &number.to_be_bytes());
        self.add(label, "hex digits", format!("{number:x}").as_bytes());
    }

    /// A form shorter than what can be told from chance is left out.
    fn add(&mut self, label: &str, name: &'static str, bytes: &[u8]) {
        let Some(start) = bytes.first_chunk::<SHORTEST>() else { return };
        self.starts.resize(1 << 16, false);
        self.starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
        let form = Form { label: label.to_owned(), name, bytes: bytes.to_vec() };
        self.forms.entry(*start).or_default().push(form);
    }

    /// Every form that stands in the bytes.
    pub(crate) fn find(&self, place: &str, bytes: &[u8]) -> Vec<Finding> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(SHORTEST - 1) {
            if !self.starts[usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))] {
                continue;
            }
            let start = bytes[at..].first_chunk::<SHORTEST>().unwrap();
            for form in self.forms.get(start).into_iter().flatten() {
                if bytes[at..].starts_with(&form.bytes) {
                    let (label, form) = (form.label.clone(), form.name);
                    found.push(Finding { label, form, place: place.to_owned() });
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Every form that stands in a file below the folder, or in a name of one.
    pub(crate) fn find_below(&self, folder: &Path) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let place = path.to_string_lossy().into_owned();
                found.extend(self.find(&format!("the name {place}"), place.as_bytes()));
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    found.extend(self.find(&place, &fs::read(&path).unwrap()));
                }
            }
        }
        found
    }
}

#[test]
fn a_value_is_found_in_every_form() {
    let mut needles = Needles::default();
    needles.text("text", "Qx7RtLw93KmZpppp");
    needles.number("number", 918_273_640_551_200_123);
    let found = |bytes: &[u8]| needles.find("here", bytes).into_iter().map(|f| f.form).collect::<Vec<_>>();

    assert_eq!(found(b"..Qx7RtLw93KmZ.."), ["text"]);
    assert_eq!(found(b"ZmK39wLtR7xQ"), ["reversed text"]);
    assert_eq!(found(hex::encode("Qx7RtLw93KmZ").as_bytes()), ["hex"]);
    assert_eq!(found(&918_273_640_551_200_123_i64.to_be_bytes()), ["64 bits, big end first"]);
    assert!(found(b"x918273640551200123").contains(&"text"));
    for before in ["", "a", "ab", "abc"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}Qx7RtLw93KmZ after"));
        assert_eq!(found(encoded.as_bytes()), ["base64", "base64url"], "after {before:?}");
    }
    let utf16: Vec<u8> = "Qx7RtLw93KmZ".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(found(&utf16), ["UTF-16LE"]);
    assert!(found(b"Qx7RtLw93Km, Qx7RtLw9").is_empty());
}
