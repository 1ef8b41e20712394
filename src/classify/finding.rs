//! What was found out about one column. Nothing here ever holds a value of the data.

use serde_json::{Value, json};

/// Version of detectors, dictionaries and the weighing of their evidence; it is part of every finding.
pub const VERSION: &str = "1";

/// One thing that speaks for a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The tag it speaks for, dotted.
    pub tag: String,
    /// What it is.
    pub seen: Seen,
}

/// Where evidence comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The column's name, by the term of our vocabulary that it matched.
    Name {
        /// The vocabulary's term, never text of the data.
        term: &'static str,
    },
    /// Values: how many of the sampled distinct ones passed the detector's validation.
    Values {
        /// The detector's name.
        detector: String,
        /// Values that passed, of `sampled`.
        passed: u64,
        /// Distinct values looked at that were neither NULL nor empty.
        sampled: u64,
    },
    /// Neighbouring columns that make the reading likelier (first_name beside last_name).
    Siblings {
        /// Name of the neighbour.
        column: String,
    },
    /// The form all values share, or the column's type, where that makes a reading likelier.
    Shape {
        /// What is seen: `uuids or digests`, `counts up`, `few codes`.
        form: &'static str,
    },
}

/// What a column holds as far as can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `internal` (nothing sensitive, and the shape supports it), `unknown`, or a tag of the vocabulary.
    pub tag: String,
    /// 0.0 to 1.0.
    pub confidence: f64,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
}

impl Evidence {
    /// The evidence for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let tag = &self.tag;
        match &self.seen {
            Seen::Name { term } => json!({"tag": tag, "name": term}),
            Seen::Values { detector, passed, sampled } => {
                json!({"tag": tag, "detector": detector, "passed": passed, "sampled": sampled})
            }
            Seen::Siblings { column } => json!({"tag": tag, "beside": column}),
            Seen::Shape { form } => json!({"tag": tag, "shape": form}),
        }
    }
}
