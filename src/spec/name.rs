//! Identifiers, each a type of its own.

use std::fmt;

use super::faults::quoted;
use crate::error::{Error, Result};

/// Declares a newtype over text with the rules of `valid`.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// `Invalid` when the text breaks the rule stated on the type.
            pub fn parse(text: &str) -> Result<Self> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Error::invalid(format!("{} is not a valid {}", quoted(text), $what)).help($rule))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// 1 to 63 of `a-z 0-9 _ -`, starting with a letter or digit.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && !text.starts_with(['-', '_'])
}

/// Slugs joined by dots.
fn is_dotted(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(is_slug)
}

name!(
    /// Names a pipeline; a slug: 1 to 63 of `a-z 0-9 _ -`, first a letter or digit.
    PipelineName, "pipeline name", "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit", is_slug
);
name!(
    /// Names a connection of the configuration; a slug.
    ConnectionName, "connection name", "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit", is_slug
);
name!(
    /// Names a store of the configuration; a slug.
    StoreName, "store name", "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit", is_slug
);
name!(
    /// A class of data: slugs joined by dots (`pii.us_ssn`).
    Tag, "tag", "use lower-case words joined by dots, such as pii.email", is_dotted
);
name!(
    /// Names a stream within its pipeline: `schema.table` as the source writes it, or the key of a
    /// query or file stream. Any text of 1 to 255 characters without control characters.
    StreamName, "stream name", "use 1 to 255 printable characters",
    |text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
);

/// What the name of a quarantine dataset ends in.
const QUARANTINE: &str = "__quarantine";

/// A published dataset, `namespace.name`, both slugs. Its table lies at `<store>/<namespace>/<name>/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetName {
    namespace: String,
    name: String,
}

impl DatasetName {
    /// Reads `namespace.name`.
    ///
    /// # Errors
    /// `Invalid` unless the text is exactly two slugs joined by a dot.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('.') {
            Some((namespace, name)) if is_slug(namespace) && is_slug(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::invalid(format!("{} is not a valid dataset name", quoted(text)))
                .help("write namespace.name, each 1 to 63 of a-z, 0-9, _ and -")),
        }
    }

    /// The dataset of the rows that this one's stream rejects, `namespace.name__quarantine`.
    ///
    /// # Errors
    /// `Invalid` when that is longer than a name may be.
    pub fn quarantine(&self) -> Result<Self> {
        let name = format!("{}{QUARANTINE}", self.name);
        if is_slug(&name) {
            return Ok(Self { namespace: self.namespace.clone(), name });
        }
        Err(Error::invalid(format!("the dataset name `{self}` leaves no room for `{name}`, its quarantine"))
            .help("give the stream a `dataset:` of its own, with a name of at most 51 characters"))
    }

    /// The dataset that rows are left out of which are here; `None` where this is no quarantine.
    #[must_use]
    pub fn left_out_of(&self) -> Option<Self> {
        let name = self.name.strip_suffix(QUARANTINE).filter(|name| is_slug(name))?;
        Some(Self { namespace: self.namespace.clone(), name: name.to_owned() })
    }

    /// Whether the name is kept for the rows that the stream of another dataset rejects.
    #[must_use]
    pub fn is_quarantine(&self) -> bool {
        self.name.ends_with(QUARANTINE)
    }

    /// The part before the dot.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The part after the dot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}
