//! What the detectors saw in a sample of one column: counts and shapes, never values.

/// One detector's count over the sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The detector's name, such as `us_ssn` or `de_steuer_id`.
    pub detector: String,
    /// The tag it speaks for.
    pub tag: String,
    /// Values that passed its format and its validation.
    pub passed: u64,
    /// Share of random values *of the same form* that would pass (Luhn 0.1, mod 97 about 0.01, no check 1.0).
    pub chance: f64,
    /// Values that had its form, whether or not they passed the check.
    pub formed: u64,
    /// Whether the form alone is telling: letters, separators or a prefix that ordinary numbers lack.
    pub distinctive: bool,
}

/// Forms of the sampled values, as counts of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// Distinct values that were neither NULL nor empty.
    pub sampled: u64,
    /// All values offered, repeats included, NULL and empty left out (an idea of how often values repeat).
    pub offered: u64,
    /// Digits only (after trimming).
    pub digits: u64,
    /// Numbers with sign, point or exponent.
    pub numeric: u64,
    /// Dates or timestamps as text or typed.
    pub temporal: u64,
    /// UUIDs, hex digests, base64 of 16 bytes or more.
    pub opaque: u64,
    /// Several words with letters (free text when long).
    pub words: u64,
    /// Single tokens that mix letters and digits.
    pub codes: u64,
    /// Longest, shortest and summed length in characters.
    pub longest: u64,
    /// Shortest length in characters.
    pub shortest: u64,
    /// Summed length in characters.
    pub length_sum: u64,
    /// How many values have the commonest length.
    pub same_length: u64,
    /// Integers that count up without gaps, mostly.
    pub is_sequence: bool,
    /// Values lie between these when they are integers.
    pub integers: Option<(i128, i128)>,
}

/// What values said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Detectors with at least one formed value.
    pub hits: Vec<Hit>,
    /// Forms.
    pub shape: Shape,
}
