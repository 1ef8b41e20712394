//! One error type for the whole house, and the one table that says what each kind means to the
//! people and programs outside: exit code, HTTP status, retry.
//!
//! A row value never enters an error. Messages of foreign libraries may quote one (a database
//! says `invalid input: '123-45-6789'`), so they are mapped to our own words at the place where
//! they arise, and never kept as a source.

use std::fmt;

/// The result of anything in Sealift.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means to whoever has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Failed for good: doing the same again fails again.
    Failed,
    /// The command line was not understood.
    Usage,
    /// The data broke its contract.
    Data,
    /// The daemon cannot be reached.
    Unreachable,
    /// A passing fault: the same may succeed later.
    Temporary,
    /// Policy or an approval stands in the way.
    Held,
    /// The caller may not do this.
    Denied,
    /// A document or the configuration is invalid.
    Invalid,
    /// Stopped on request, by the signal of this number (2 SIGINT, 15 SIGTERM).
    Cancelled(u8),
}

/// What a kind of error means outside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The outcome's name in JSON summaries and in the API.
    pub outcome: &'static str,
    /// The process exit code (sysexits where they fit).
    pub exit_code: u8,
    /// The HTTP status of an API answer.
    pub http_status: u16,
    /// Whether an unchanged retry can help.
    pub retry: bool,
}

impl Kind {
    /// The kind that an outcome's name stands for; `None` for `done` and for what is none.
    #[must_use]
    pub fn of_outcome(outcome: &str) -> Option<Self> {
        let all = [
            Self::Failed,
            Self::Usage,
            Self::Data,
            Self::Unreachable,
            Self::Temporary,
            Self::Held,
            Self::Denied,
            Self::Invalid,
            // Told by a daemon, which is stopped by SIGTERM.
            Self::Cancelled(15),
        ];
        all.into_iter().find(|kind| kind.meaning().outcome == outcome)
    }

    /// The one table from kind to exit code, HTTP status and retry.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        let (outcome, exit_code, http_status, retry) = match self {
            Self::Failed => ("failed", 1, 500, false),
            Self::Usage => ("usage", 2, 400, false),
            Self::Data => ("data", 65, 422, false),
            Self::Unreachable => ("unreachable", 69, 502, true),
            Self::Temporary => ("temporary", 75, 503, true),
            Self::Held => ("held", 76, 409, false),
            Self::Denied => ("denied", 77, 403, false),
            Self::Invalid => ("invalid", 78, 422, false),
            Self::Cancelled(signal) => ("cancelled", 128 + signal, 409, true),
        };
        Meaning { outcome, exit_code, http_status, retry }
    }
}

/// What went wrong, where, and what to do about it.
///
/// Displayed as `message`, then one line per context (innermost first), then `help:` with the
/// remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    remedy: Option<String>,
    context: Vec<String>,
}

impl Error {
    /// An error of `kind`; `message` says what is wrong, in words that hold no row value.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: None, context: Vec::new() }
    }

    /// Failed for good (exit 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The data broke its contract (exit 65).
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// A passing fault (exit 75).
    pub fn temporary(message: impl Into<String>) -> Self {
        Self::new(Kind::Temporary, message)
    }

    /// Policy stands in the way (exit 76).
    pub fn held(message: impl Into<String>) -> Self {
        Self::new(Kind::Held, message)
    }

    /// The caller may not do this (exit 77).
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    /// A document or the configuration is invalid (exit 78).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The same error with the step that mends it.
    #[must_use]
    pub fn help(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same error with one more line saying where it happened (`stream public.orders`).
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.context.push(place.into());
        self
    }

    /// What the error means to whoever has to act on it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong, without place and remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The step that mends it, where one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Where it happened, innermost first.
    #[must_use]
    pub fn context(&self) -> &[String] {
        &self.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for place in &self.context {
            write!(f, "\n  in {place}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\nhelp: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Text of others, such as a column's name, as it may stand in a message: without what would begin a line of its own.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Adds a place to the error of a result.
pub trait At<T> {
    /// The same result, its error telling that it happened in `place`.
    ///
    /// # Errors
    /// The error it was called on, with one more line of context.
    fn at(self, place: impl FnOnce() -> String) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, place: impl FnOnce() -> String) -> Self {
        self.map_err(|error| error.at(place()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_design() {
        let codes = [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::Data, 65),
            (Kind::Unreachable, 69),
            (Kind::Temporary, 75),
            (Kind::Held, 76),
            (Kind::Denied, 77),
            (Kind::Invalid, 78),
            (Kind::Cancelled(2), 130),
            (Kind::Cancelled(15), 143),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.meaning().exit_code, code, "{kind:?}");
        }
    }

    #[test]
    fn an_error_shows_what_where_and_the_remedy() {
        let error =
            Error::held("column `ssn` has no action").help("tag it").at("stream people").at("pipeline crm");
        assert_eq!(
            error.to_string(),
            "column `ssn` has no action\n  in stream people\n  in pipeline crm\nhelp: tag it"
        );
    }
    #[test]
    fn what_others_named_stays_on_its_line() {
        let name = "x\n2026-11-29T02:00:00Z  INFO forged\r\u{1b}[2K";
        assert_eq!(harmless(name), "x\u{fffd}2026-11-29T02:00:00Z  INFO forged\u{fffd}\u{fffd}[2K");
    }
}
