//! The policy document as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ApiVersion;
use super::action::Action;
use super::classification::Classification;
use super::placed::Placed;

/// Which tag asks for which action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Sealift policy")]
#[expect(dead_code, reason = "apiVersion and kind are checked by being read")]
pub(crate) struct Policy {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: Placed<ApiVersion>,
    pub(crate) kind: Placed<Kind>,
    /// The version people know it by, such as `retail-2026-11`.
    pub(crate) name: Placed<String>,
    /// What happens to a column that no rule covers; default `refuse`.
    pub(crate) unmatched: Option<Placed<Unmatched>>,
    /// The rules. Of all that match a tag the one with the strictest action counts.
    pub(crate) rules: Placed<Vec<Placed<Rule>>>,
    /// How columns are classified: detectors, findings that are set aside, aggregates.
    pub(crate) classification: Option<Placed<Classification>>,
    /// Who may be granted what. Checked, and used once grants are there.
    pub(crate) release: Option<Placed<Vec<Placed<Release>>>>,
    /// Who may have pseudonyms turned back into values; nobody without it.
    pub(crate) reveal: Option<Placed<Vec<Placed<Reveal>>>>,
}

/// What the document is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) enum Kind {
    Policy,
}

/// What happens to a column that no rule covers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unmatched {
    /// The run is held; nothing is published.
    Refuse,
    /// The column is encrypted.
    Encrypt,
    /// The column is dropped.
    Drop,
}

/// Columns whose tag matches one of the globs ask for the action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Tags or globs over tags; `*` stands for any characters, dots included (`pii.*`).
    #[schemars(length(min = 1))]
    pub(crate) tags: Placed<Vec<Placed<String>>>,
    /// The least that happens to these columns.
    pub(crate) action: Placed<Action>,
    /// A further column of the same values, where this rule decides: `{suffix: _token, action: tokenize}`.
    pub(crate) r#as: Option<Placed<Companion>>,
    /// Lets `hash`, `tokenize` and `tokenize_fpe` act on tags of few values, such as pii.gender, although
    /// counting equal pseudonyms tells which is which; default false.
    pub(crate) allow_small_domain: Option<Placed<bool>>,
}

/// A further output column, made of the same values by another action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Companion {
    /// What follows the column's name in its own: 1 to 32 of a-z, A-Z, 0-9 and _.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_]{1,32}$"))]
    pub(crate) suffix: Placed<String>,
    /// What happens to the values in it.
    pub(crate) action: Placed<Action>,
}

/// Who may be granted tags that match, for what and how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// Tags or globs over tags.
    #[schemars(length(min = 1))]
    pub(crate) tags: Placed<Vec<Placed<String>>>,
    /// Roles that may ask.
    #[schemars(length(min = 1))]
    pub(crate) roles: Placed<Vec<Placed<String>>>,
    /// Purposes that may be asked for.
    #[schemars(length(min = 1))]
    pub(crate) purposes: Placed<Vec<Placed<String>>>,
    /// Longest grant, in days, 1 to 3650.
    #[schemars(range(min = 1, max = 3650))]
    pub(crate) max_days: Placed<u64>,
    /// Roles of which one must approve.
    #[schemars(length(min = 1))]
    pub(crate) approvers: Placed<Vec<Placed<String>>>,
}

/// Who may have pseudonyms of tags that match turned back into values, for what, and how many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reveal {
    /// Tags or globs over tags.
    #[schemars(length(min = 1))]
    pub(crate) tags: Placed<Vec<Placed<String>>>,
    /// Who, as the audit trail names them (`os:1000`); `*` stands for any characters.
    #[schemars(length(min = 1))]
    pub(crate) actors: Placed<Vec<Placed<String>>>,
    /// The purposes that may be given, each in full.
    #[schemars(length(min = 1))]
    pub(crate) purposes: Placed<Vec<Placed<String>>>,
    /// Most values for each actor within any 60 minutes, 1 to 1000000000.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) max_values_per_hour: Placed<u64>,
}
